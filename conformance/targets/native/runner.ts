// The program that runs cases in ring 3 of the host: a static executable, emitted here, in whose address space there is nothing but the guest
// and itself. Only its own code reaches the kernel. Linux: sigaltstack(2), seccomp(2), setitimer(2), prctl(2).

import { recordAt, requestAt } from '../kvm/layout.ts';
import { type Assembler, assembler, type Register } from './assembler.ts';
import * as place from './places.ts';
import {
  bases,
  enter,
  handler,
  load,
  signalStack,
  signalStackBytes,
  signals,
  socket,
  stackTop,
  sys,
  tickMicroseconds,
  v,
} from './runner-frame.ts';
import { compare, work } from './runner-memory.ts';

/** Kernel's struct sigaction: handler, flags, restorer, mask. SA_SIGINFO 4, SA_RESTORER, SA_ONSTACK, SA_NODEFER. */
const saFlags = 0x4 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000;
const start = (a: Assembler): void => {
  const fill = (...words: readonly (bigint | number | string)[]): void => {
    a.set('rbx', place.dataBase + BigInt(v.buffer));
    for (const [i, word] of words.entries()) {
      a.set('rax', word);
      a.store('rbx', 8 * i, 'rax');
    }
  };
  const call = (number: number, ...values: readonly (bigint | number | string)[]): void => {
    for (const [i, value] of values.entries()) a.set((['rdi', 'rsi', 'rdx', 'r10', 'r8', 'r9'] as const)[i] as Register, value);
    a.syscall(number);
  };
  const must = (): void => {
    a.compare('rax', 0);
    a.jump('fail', 'notEqual');
  };
  const buffer = place.dataBase + BigInt(v.buffer);
  // PR_SET_PDEATHSIG SIGKILL; then the initial stack, vDSO and whatever else the kernel mapped goes.
  call(sys.prctl, 1, 9, 0, 0, 0);
  call(sys.munmap, 0x7000_0000_0000, 0xfff_ffff_f000);
  a.set('rsp', stackTop);
  call(sys.mmap, place.sharedBase, place.sharedBytes, 3, 0x8011, 3, 0);
  a.set('rcx', place.sharedBase);
  a.compare('rax', 'rcx');
  a.jump('fail', 'notEqual');
  fill(signalStack, 0, signalStackBytes);
  call(sys.sigaltstack, buffer, 0);
  must();
  fill('handler', saFlags, 'restorer', 0);
  for (const signal of signals) {
    call(sys.sigaction, signal, buffer, 0, 8);
    must();
  }
  // PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP with SECCOMP_MODE_FILTER: only this program's own code reaches the kernel.
  call(sys.prctl, 38, 1, 0, 0, 0);
  must();
  fill(BigInt(filter.length), 'filter');
  call(sys.prctl, 22, 2, buffer, 0, 0);
  must();

  a.label('idle');
  call(sys.read, socket, place.dataBase + BigInt(v.byte), 1);
  a.compare('rax', 1);
  a.jump('fail', 'notEqual');
  fill(0, tickMicroseconds, 0, tickMicroseconds);
  call(sys.setitimer, 1, buffer, 0); // ITIMER_VIRTUAL
  a.set('r15', place.dataBase);
  a.set('rax', place.sharedBase + BigInt(recordAt));
  a.store('r15', v.record, 'rax');
  a.set('rsi', place.sharedBase + BigInt(requestAt));
  a.jump('op');
  a.label('end');
  fill(0, 0, 0, 0);
  call(sys.setitimer, 1, buffer, 0);
  call(sys.write, socket, place.dataBase + BigInt(v.byte), 1);
  a.jump('idle');
  a.label('fail');
  call(sys.exit, 1);
};

/** struct sock_filter: code u16, jt u8, jf u8, k u32. Data: nr at 0, arch at 4, instruction_pointer at 8. */
const codeMax = 0x1_0000;
const filter: readonly (readonly [code: number, yes: number, no: number, k: number])[] = [
  [0x20, 0, 0, 4], // load arch
  [0x15, 0, 6, 0xc000_003e], // AUDIT_ARCH_X86_64
  [0x20, 0, 0, 12],
  [0x15, 0, 4, Number(place.codeBase >> 32n)],
  [0x20, 0, 0, 8],
  [0x35, 0, 2, Number(place.codeBase & 0xffff_ffffn)],
  [0x35, 1, 0, Number(place.codeBase & 0xffff_ffffn) + codeMax],
  [0x06, 0, 0, 0x7fff_0000], // SECCOMP_RET_ALLOW
  [0x06, 0, 0, 0x0003_0000], // SECCOMP_RET_TRAP
];

const headerBytes = 64 + 2 * 56;
/** The executable: ELF-64, two segments. System V gABI, ELF Header; Program Header. `fsgsbase`: user code may have those instructions. */
export const runnerImage = (fsgsbase: boolean): Buffer => {
  const origin = place.codeBase + BigInt(headerBytes);
  const a = assembler(origin);
  start(a);
  work(a);
  load(a);
  if (fsgsbase) bases(a, 'load');
  enter(a);
  handler(a, fsgsbase);
  compare(a);
  a.label('codeBytes');
  a.label('filter');
  for (const [code, yes, no, k] of filter) {
    a.bytes(code & 0xff, code >> 8, yes, no, k & 0xff, (k >>> 8) & 0xff, (k >>> 16) & 0xff, k >>> 24);
  }
  const code = a.assembled();
  const header = Buffer.alloc(headerBytes);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16); // ET_EXEC
  header.writeUInt16LE(62, 18); // EM_X86_64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(origin, 24);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  const loadSegment = (index: number, flags: number, address: bigint, inFile: number, inMemory: number): void => {
    const o = 64 + 56 * index;
    header.writeUInt32LE(1, o);
    header.writeUInt32LE(flags, o + 4);
    header.writeBigUInt64LE(address, o + 16);
    header.writeBigUInt64LE(address, o + 24);
    header.writeBigUInt64LE(BigInt(inFile), o + 32);
    header.writeBigUInt64LE(BigInt(inMemory), o + 40);
    header.writeBigUInt64LE(4096n, o + 48);
  };
  const bytes = headerBytes + code.length;
  loadSegment(0, 5, place.codeBase, bytes, bytes);
  loadSegment(1, 6, place.dataBase, 0, place.dataBytes);
  return Buffer.concat([header, code]);
};
