// The part of the native runner that loads a state and takes it back: segment registers and IRETQ in, the frame of a signal out.
// Linux: arch/x86/include/uapi/asm/sigcontext.h (struct sigcontext_64), asm/unistd_64.h, signal(7).

import { at, control, kind, sregs } from '../kvm/layout.ts';
import type { Assembler, Register } from './assembler.ts';
import * as place from './places.ts';

export const sys = {
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
export const signals: readonly number[] = [4, 5, 7, 8, 11, SIGVTALRM, SIGSYS];
/** Pseudo vectors of runs that say nothing about the processor: see decode.ts. */
export const ended = { syscall: 0x1ff, unloadable: 0x1fe } as const;
/** Of processor time; the first tick may come at once. */
export const tickMicroseconds = 10_000;
const ticksMax = 6;
export const recordRoom: number = 2 << 20;
export const socket = 4;
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
const uc = { rip: 168, rflags: 176, cs: 184, ss: 190, error: 192, trapno: 200, cr2: 216 } as const;
const segment = { cs: 0, ds: 1, es: 2, fs: 3, gs: 4, ss: 5 } as const;
const selectorOf = (s: keyof typeof segment): number => at.sregs + 24 * segment[s] + 12;
const baseOf = (s: keyof typeof segment): number => at.sregs + 24 * segment[s];

/** Variables at the start of the data area; the stack and the signal stack grow down from its middle and its end. `plain`: a byte for each page, 1 where
 *  it is known to hold the fill byte alone. */
export const v = { request: 0, record: 8, ticks: 16, logged: 24, byte: 32, buffer: 40, plain: 0x400 } as const;
export const stackTop: bigint = place.dataBase + 0x1_0000n;
export const signalStack: bigint = place.dataBase + 0x2_0000n;
export const signalStackBytes = 0x2_0000;

export const load = (a: Assembler): void => {
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
export const enter = (a: Assembler): void => {
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
export const bases = (a: Assembler, what: 'load' | 'save'): void => {
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
export const handler = (a: Assembler, fsgsbase: boolean): void => {
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
  for (const s of ['cs', 'ss'] as const) {
    a.load('rax', 'rdx', uc[s], 2);
    a.store('rdi', selectorOf(s), 'rax', 2);
  }
  // The kernel leaves the others as the guest has them, and tells 0 for FS and GS (arch/x86/kernel/signal_64.c).
  for (const [s, modrm] of [
    ['es', 0xc0],
    ['ds', 0xd8],
    ['fs', 0xe0],
    ['gs', 0xe8],
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
