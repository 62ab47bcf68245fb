// The program that runs cases in ring 3 of the host: a static executable, emitted here, in whose address space there is nothing but the guest
// and itself. It loads a state with IRETQ; whatever exception ends the run comes back as a signal, whose frame has the state.
//
// Linux: arch/x86/include/uapi/asm/sigcontext.h (struct sigcontext_64), signal(7), sigaltstack(2), seccomp(2), setitimer(2).

import { at, control, kind, op, recordAt, recordBytes, requestAt, sregs } from '../kvm/layout.ts';
import { type Assembler, assembler, type Register } from './assembler.ts';
import * as place from './places.ts';

const sys = {
  read: 0,
  write: 1,
  mmap: 9,
  munmap: 11,
  sigaction: 13,
  sigreturn: 15,
  setitimer: 38,
  exit: 60,
  sigaltstack: 131,
  prctl: 157,
} as const;
const SIGVTALRM = 26;
const SIGSYS = 31;
/** SIGILL SIGTRAP SIGBUS SIGFPE SIGSEGV, and the two above. */
const signals = [4, 5, 7, 8, 11, SIGVTALRM, SIGSYS] as const;
/** Pseudo vectors of runs that say nothing about the processor: see decode.ts. */
export const ended = { syscall: 0x1ff, unloadable: 0x1fe } as const;
/** Of processor time; the first tick may come at once. */
const tickMicroseconds = 10_000;
const ticksMax = 6;
const recordRoom = 2 << 20;
const socket = 4;
/** struct kvm_regs in the order of its fields, and where a ucontext has each. */
const saved: readonly (readonly [Register, number])[] = [
  ['rax', 144],
  ['rbx', 128],
  ['rcx', 152],
  ['rdx', 136],
  ['rsi', 112],
  ['rdi', 104],
  ['rsp', 160],
  ['rbp', 120],
  ['r8', 40],
  ['r9', 48],
  ['r10', 56],
  ['r11', 64],
  ['r12', 72],
  ['r13', 80],
  ['r14', 88],
  ['r15', 96],
];
const uc = { rip: 168, rflags: 176, cs: 184, gs: 186, fs: 188, ss: 190, error: 192, trapno: 200, cr2: 216 } as const;
const segment = { cs: 0, ds: 1, es: 2, fs: 3, gs: 4, ss: 5 } as const;
const selectorOf = (s: keyof typeof segment): number => at.sregs + 24 * segment[s] + 12;
const baseOf = (s: keyof typeof segment): number => at.sregs + 24 * segment[s];

/** Variables at the start of the data area; the stack and the signal stack grow down from its middle and its end. */
const v = { request: 0, record: 8, ticks: 16, logged: 24, byte: 32, buffer: 40 } as const;
const stackTop = place.dataBase + 0x1_0000n;
const signalStack = place.dataBase + 0x2_0000n;
const signalStackBytes = 0x2_0000;

const load = (a: Assembler): void => {
  a.label('run');
  a.set('rbx', place.dataBase);
  a.set('rax', 0);
  a.store('rbx', v.ticks, 'rax');
  for (const [s, modrm] of [
    ['es', 0xc0],
    ['ds', 0xd8],
    ['fs', 0xe0],
    ['gs', 0xe8],
  ] as const) {
    a.load('rax', 'rsi', selectorOf(s), 2);
    a.bytes(0x8e, modrm); // MOV Sreg, AX
  }
};
const enter = (a: Assembler): void => {
  a.load('rax', 'rsi', selectorOf('ss'), 2);
  a.push('rax');
  a.load('rax', 'rsi', at.regs + 6 * 8);
  a.push('rax');
  a.load('rax', 'rsi', at.regs + 17 * 8);
  a.push('rax');
  a.load('rax', 'rsi', selectorOf('cs'), 2);
  a.push('rax');
  a.load('rax', 'rsi', at.regs + 16 * 8);
  a.push('rax');
  for (const [i, [r]] of saved.entries()) if (r !== 'rsp' && r !== 'rsi') a.load(r, 'rsi', at.regs + 8 * i);
  a.load('rsi', 'rsi', at.regs + 4 * 8);
  a.bytes(0x48, 0xcf); // IRETQ
};
const bases = (a: Assembler, what: 'load' | 'save'): void => {
  // F3 REX.W 0F AE /0 RDFSBASE /1 RDGSBASE /2 WRFSBASE /3 WRGSBASE, of RAX
  for (const [s, modrm] of [
    ['fs', 0xc0],
    ['gs', 0xc8],
  ] as const) {
    if (what === 'load') {
      a.load('rax', 'rsi', baseOf(s));
      a.bytes(0xf3, 0x48, 0x0f, 0xae, modrm | 0x10);
    } else {
      a.bytes(0xf3, 0x48, 0x0f, 0xae, modrm);
      a.store('rdi', baseOf(s), 'rax');
    }
  }
};

/** RDI: signal, RDX: ucontext. Ticks return; all else ends the run, without ever returning from the signal. */
const handler = (a: Assembler, fsgsbase: boolean): void => {
  a.label('handler');
  a.bytes(0x6a, 0x02, 0x9d); // PUSH 2; POPFQ: the guest's AC, NT and DF are none of ours
  a.set('r15', place.dataBase);
  a.load('rax', 'rdx', uc.rip);
  a.set('rcx', place.codeBase);
  a.subtract('rax', 'rcx');
  a.set('rcx', 'codeBytes');
  a.set('r8', place.codeBase);
  a.subtract('rcx', 'r8');
  a.set('r9', kind.exception);
  a.set('r10', ended.syscall);
  a.compare('rdi', SIGSYS);
  a.jump('endRun', 'equal');
  a.compare('rdi', SIGVTALRM);
  a.jump('notTick', 'notEqual');
  a.compare('rax', 'rcx');
  a.jump('return', 'below');
  a.load('rax', 'r15', v.ticks);
  a.add('rax', 1);
  a.store('r15', v.ticks, 'rax');
  a.compare('rax', ticksMax);
  a.set('r9', kind.limit);
  a.jump('endRun', 'notBelow');
  a.label('return');
  a.bytes(0xc3);
  a.label('restorer');
  a.syscall(sys.sigreturn);
  a.label('notTick');
  a.set('r10', ended.unloadable);
  a.compare('rax', 'rcx');
  a.jump('endRun', 'below');
  a.load('r10', 'rdx', uc.trapno);
  a.label('endRun');
  a.load('rdi', 'r15', v.record);
  a.store('rdi', 0, 'r9', 4);
  a.store('rdi', at.vector, 'r10', 4);
  a.load('rax', 'rdx', uc.error);
  a.store('rdi', at.errorCode, 'rax', 4);
  a.load('rax', 'rdx', uc.cr2);
  a.store('rdi', at.sregs + sregs.cr2, 'rax');
  for (const [i, [, from]] of saved.entries()) {
    a.load('rax', 'rdx', from);
    a.store('rdi', at.regs + 8 * i, 'rax');
  }
  a.load('rax', 'rdx', uc.rip);
  a.store('rdi', at.regs + 16 * 8, 'rax');
  a.load('rax', 'rdx', uc.rflags);
  a.store('rdi', at.regs + 17 * 8, 'rax');
  for (const s of ['cs', 'gs', 'fs', 'ss'] as const) {
    a.load('rax', 'rdx', uc[s], 2);
    a.store('rdi', selectorOf(s), 'rax', 2);
  }
  for (const [s, modrm] of [
    ['es', 0xc0],
    ['ds', 0xd8],
  ] as const) {
    a.bytes(0x8c, modrm); // MOV EAX, Sreg
    a.store('rdi', selectorOf(s), 'rax', 2);
  }
  if (fsgsbase) bases(a, 'save');
  a.set('rsp', stackTop);
  a.set('rcx', place.sharedBase);
  a.load('rax', 'rcx', control.runs, 4);
  a.add('rax', 1);
  a.store('rcx', control.runs, 'rax', 4);
};

/** Words that the guest changed, 24 bytes each: address u32, 8 u32, new, old. RDI: record, R15: variables. */
const compare = (a: Assembler): void => {
  a.move('r14', 'rdi');
  a.add('rdi', at.end);
  a.set('r13', 0); // words
  a.set('r12', place.sharedBase + BigInt(place.writableAt));
  a.load('rbx', 'r12', 0); // ranges left
  a.label('range');
  a.compare('rbx', 0);
  a.jump('compared', 'equal');
  a.add('r12', 16);
  a.load('r8', 'r12', -8);
  a.load('rcx', 'r12', 0);
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  a.add('r8', 'r11');
  a.move('r9', 'r8');
  a.add('r9', place.knownAt - place.guestAt);
  a.add('rcx', 'r8'); // end
  a.label('block');
  for (let i = 0; i < 4; i++) a.bytes(0xf3, 0x41, 0x0f, 0x6f, 0x40 | (i << 3), 16 * i); // MOVDQU XMMi, [R8 + 16 i]
  for (let i = 0; i < 4; i++) a.bytes(0x66, 0x41, 0x0f, 0x74, 0x41 | (i << 3), 16 * i); // PCMPEQB XMMi, [R9 + 16 i]
  for (let i = 1; i < 4; i++) a.bytes(0x66, 0x0f, 0xdb, 0xc0 | i); // PAND XMM0, XMMi
  a.bytes(0x66, 0x0f, 0xd7, 0xc0); // PMOVMSKB EAX, XMM0
  a.compare('rax', 0xffff);
  a.jump('differs', 'notEqual');
  a.label('nextBlock');
  a.add('r8', 64);
  a.add('r9', 64);
  a.compare('r8', 'rcx');
  a.jump('block', 'below');
  a.add('rbx', -1);
  a.jump('range');
  a.label('differs');
  for (let i = 0; i < 8; i++) {
    a.load('rax', 'r8', 8 * i);
    a.load('r10', 'r9', 8 * i);
    a.compare('rax', 'r10');
    a.jump(`same${i}`, 'equal');
    a.store('r9', 8 * i, 'rax');
    a.store('rdi', 8, 'rax');
    a.store('rdi', 16, 'r10');
    a.move('rax', 'r8');
    a.subtract('rax', 'r11');
    a.add('rax', 8 * i);
    a.store('rdi', 0, 'rax', 4);
    a.set('r10', 8);
    a.store('rdi', 4, 'r10', 4);
    a.add('rdi', 24);
    a.add('r13', 1);
    a.move('rdx', 'rax');
    a.set('rax', 8);
    noteTouched(a);
    a.label(`same${i}`);
  }
  a.jump('nextBlock');
  a.label('compared');
  a.store('r14', at.ranges, 'r13', 4);
  a.move('rax', 'rdi');
  a.subtract('rax', 'r14');
  a.store('r14', 4, 'rax', 4);
  a.store('r15', v.record, 'rdi');
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');
};
/** Pushes RDX (address) and RAX (length) on the log. Uses RBP. R15: variables. */
const noteTouched = (a: Assembler): void => {
  a.load('rbp', 'r15', v.logged);
  a.store('rbp', 0, 'rdx', 4);
  a.store('rbp', 4, 'rax', 4);
  a.add('rbp', 8);
  a.store('r15', v.logged, 'rbp');
};
const logStart = place.sharedBase + BigInt(place.logAt);
/** REP MOVSB. */
const copy = (a: Assembler): void => a.bytes(0xf3, 0xa4);

const work = (a: Assembler): void => {
  a.label('nextOp'); // RSI: the request that is done
  a.load('rax', 'rsi', 4, 4);
  a.add('rsi', 'rax');
  a.label('op');
  a.store('r15', v.request, 'rsi');
  a.load('rax', 'rsi', 0, 4);
  for (const [name, value] of Object.entries(op)) {
    a.compare('rax', value);
    a.jump(name, 'equal');
  }
  a.label('machine'); // count u32 at 8, then from 16 on: address, length, protection, offset
  a.set('rdi', place.lowest);
  a.set('rsi', place.windowBytes - place.lowest);
  a.syscall(sys.munmap);
  a.load('r12', 'r15', v.request);
  a.load('r13', 'r12', 8, 4);
  a.add('r12', 16);
  a.label('mapping');
  a.compare('r13', 0);
  a.jump('mapped', 'equal');
  for (const [i, r] of (['rdi', 'rsi', 'rdx', 'r9'] as const).entries()) a.load(r, 'r12', 8 * i);
  a.set('r10', 0x8011); // MAP_SHARED | MAP_FIXED | MAP_POPULATE
  a.set('r8', 3);
  a.syscall(sys.mmap);
  a.load('rdi', 'r12', 0);
  a.compare('rax', 'rdi');
  a.jump('fail', 'notEqual');
  a.add('r12', 32);
  a.add('r13', -1);
  a.jump('mapping');
  a.label('mapped');
  a.set('rax', logStart);
  a.store('r15', v.logged, 'rax');
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');

  a.label('program');
  a.load('rax', 'r15', v.record);
  a.set('rcx', place.sharedBase + BigInt(recordAt + recordBytes - recordRoom));
  a.compare('rcx', 'rax');
  a.jump('end', 'below');
  a.set('rcx', place.sharedBase);
  a.load('rax', 'rcx', control.programs, 4);
  a.add('rax', 1);
  a.store('rcx', control.programs, 'rax', 4);
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  a.set('r12', logStart);
  a.label('undo');
  a.load('rax', 'r15', v.logged);
  a.compare('r12', 'rax');
  a.jump('undone', 'equal');
  for (const to of [0, place.knownAt - place.guestAt]) {
    a.load('rdi', 'r12', 0, 4);
    a.add('rdi', 'r11');
    a.move('rsi', 'rdi');
    a.add('rsi', place.pristineAt - place.guestAt);
    a.add('rdi', to);
    a.load('rcx', 'r12', 4, 4);
    copy(a);
  }
  a.add('r12', 8);
  a.jump('undo');
  a.label('undone');
  a.set('rax', logStart);
  a.store('r15', v.logged, 'rax');
  a.load('rsi', 'r15', v.request);
  a.jump('nextOp');

  a.label('write');
  a.set('r11', place.sharedBase + BigInt(place.guestAt));
  for (const to of [0, place.knownAt - place.guestAt]) {
    a.load('rsi', 'r15', v.request);
    a.load('rdi', 'rsi', 8, 4);
    a.load('rcx', 'rsi', 12, 4);
    a.add('rdi', 'r11');
    a.add('rdi', to);
    a.add('rsi', 16);
    copy(a);
  }
  a.load('rsi', 'r15', v.request);
  a.load('rdx', 'rsi', 8, 4);
  a.load('rax', 'rsi', 12, 4);
  noteTouched(a);
  a.jump('nextOp');
};

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
