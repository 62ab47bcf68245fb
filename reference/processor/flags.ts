// Decides how the status flags are kept, read and written, and what the sixteen conditions ask of them.
// SDM volume 1, EFLAGS Register and Status Flags; volume 2, Condition Codes.

import { AF, ARITHMETIC, CF, OF, PF, SF, ZF } from './bits.ts';
import type { Cpu } from './cpu.ts';

const even = (p: number): boolean => {
  const x = p ^ (p >> 4);
  return ((0x9669 >>> (x & 15)) & 1) !== 0;
};
export const carry = (c: Cpu): number => c.c >>> 31;
/** The status flags in their places. */
export const statusFlags = (c: Cpu): number =>
  (c.c >>> 31) | (even(c.p) ? PF : 0) | (c.a & AF) | (c.z === 0 ? ZF : 0) | (c.s < 0 ? SF : 0) | ((c.c ^ (c.c << 1)) < 0 ? OF : 0);
export const setStatusFlags = (c: Cpu, flags: number): void => {
  const cf = flags & CF;
  const of = (flags & OF) === 0 ? 0 : 1;
  c.c = (cf << 31) | ((cf ^ of) << 30);
  c.p = (flags & PF) === 0 ? 1 : 0;
  c.a = flags & AF;
  c.z = (flags & ZF) === 0 ? 1 : 0;
  c.s = (flags & SF) === 0 ? 0 : -1;
};
/** CF and OF; the others stay. */
export const setCarryOverflow = (c: Cpu, cf: number, of: number): void => {
  c.c = (cf << 31) | (((cf ^ of) & 1) << 30);
};
export const setCarry = (c: Cpu, cf: number): void => {
  const of = ((c.c ^ (c.c << 1)) >>> 31) & 1;
  setCarryOverflow(c, cf, of);
};
export const setZero = (c: Cpu, zf: boolean): void => {
  c.z = zf ? 0 : 1;
};
/** RFLAGS, low half; the high half is 0. */
export const readFlags = (c: Cpu): number => c.flags | statusFlags(c) | 2;
export const writeFlags = (c: Cpu, flags: number): void => {
  c.flags = (flags & ~ARITHMETIC) | 2;
  setStatusFlags(c, flags);
};

/** By the low four bits of the opcode: O NO B AE E NE BE A S NS P NP L GE LE G. */
export const conditions: readonly ((c: Cpu) => boolean)[] = [
  (c) => (c.c ^ (c.c << 1)) < 0,
  (c) => (c.c ^ (c.c << 1)) >= 0,
  (c) => c.c < 0,
  (c) => c.c >= 0,
  (c) => c.z === 0,
  (c) => c.z !== 0,
  (c) => c.c < 0 || c.z === 0,
  (c) => c.c >= 0 && c.z !== 0,
  (c) => c.s < 0,
  (c) => c.s >= 0,
  (c) => even(c.p),
  (c) => !even(c.p),
  (c) => (c.s ^ c.c ^ (c.c << 1)) < 0,
  (c) => (c.s ^ c.c ^ (c.c << 1)) >= 0,
  (c) => c.z === 0 || (c.s ^ c.c ^ (c.c << 1)) < 0,
  (c) => c.z !== 0 && (c.s ^ c.c ^ (c.c << 1)) >= 0,
];
/** By the names that mnemonics end in. */
export const conditionNames: readonly string[] = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'];
