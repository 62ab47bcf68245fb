// The way back from a #VMEXIT of no guest: QEMU takes one for some faults of MOV to CR3 and CR4, whether or not VMRUN came before. With nothing in
// the host-save area it takes the same instruction for the host's and hangs, deaf to the watchdog. So the agent has itself saved there.
// AMD64 APM volume 2, Secure Virtual Machine: #VMEXIT, VM_HSAVE_PA MSR, STGI; Appendix B, VMCB State Save Area (QEMU lays its host-save area out alike).

import type { Assembler } from './assembler.ts';
import { EFER } from './launch.ts';
import { agentStack, control, controlAt, ends, hostSave, ownGdt, ownGdtLimit, ownPml4, vars } from './map.ts';
import { emitRearm } from './watchdog.ts';

const VM_HSAVE_PA = 0xc0010117;
const SVM = 1 << 2;
const longMode = 0x500;
const SVME = 0x1000;
const save = 0x400;
const data = [0x0c930018, 0xffffffff] as const;
/** Halves of the saved quadwords: segments are selector, attributes, limit, base. */
const fields: readonly (readonly [at: number, low: number, high: number])[] = [
  [0x00, ...data],
  [0x10, 0x0a9b0010, 0xffffffff],
  [0x20, ...data],
  [0x30, ...data],
  [0x60, 0, ownGdtLimit],
  [0x68, ownGdt, 0],
  [0xd0, longMode | SVME, 0],
  [0x148, 0x220, 0],
  [0x150, ownPml4, 0],
  [0x158, 0x80050031, 0],
  [0x160, 0x400, 0],
  [0x168, 0xffff0ff0, 0],
  [0x170, 2, 0],
  [0x1d8, agentStack, 0],
];
const word = (value: number): readonly number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
const imm32 = (a: Assembler, r: number, value: number): void => {
  a.put(0xb8 | r);
  a.u32(value);
};
const wrmsr = (a: Assembler, number: number, value: number): void => {
  imm32(a, 1, number);
  imm32(a, 0, value);
  a.put(0x31, 0xd2, 0x0f, 0x30);
};

/** 64-bit code, once a start, in machines with the watchdog, which are emulators. */
export const emitWayBack = (a: Assembler): void => {
  a.memory([0x80], 7, control + controlAt.watchdog, { imm: [0] });
  a.put(0x0f, 0x84);
  a.rel32('noWayBack');
  imm32(a, 0, 0x80000001);
  a.put(0x0f, 0xa2, 0xf6, 0xc1, SVM, 0x0f, 0x84); // cpuid; test cl, SVM; jz
  a.rel32('noWayBack');
  for (const [at, low, high] of fields) {
    a.memory([0xc7], 0, hostSave + save + at, { imm: word(low) });
    a.memory([0xc7], 0, hostSave + save + at + 4, { imm: word(high) });
  }
  a.put(0x48, 0x8d, 0x05);
  a.rel32('exited'); // lea rax, [exited]
  a.memory([0x89], 0, hostSave + save + 0x178, { wide: true });
  wrmsr(a, VM_HSAVE_PA, hostSave);
  a.label('noWayBack');
};
/** Where the #VMEXIT leads. Interrupts and NMIs are held until STGI; the timer is wound first, so that none is late. */
export const emitExited = (a: Assembler): void => {
  a.label('exited');
  emitRearm(a, 'exited');
  a.put(0x0f, 0x01, 0xdc); // stgi
  wrmsr(a, EFER, longMode);
  imm32(a, 0, 0x18);
  for (const field of [4, 5]) a.put(0x8e, 0xc0 | (field << 3));
  a.put(0x31, 0xc0, 0x44, 0x0f, 0x22, 0xc0); // cr8 = 0
  a.memory([0xc7], 0, vars.stop, { imm: word(ends.exited << 8) });
  a.put(0xe9);
  a.rel32('landed');
};
