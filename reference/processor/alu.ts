// Decides the results and flags of addition, subtraction and logic, for operands below 64 bits and for pairs of halves.
// SDM volume 2, ADD ADC SUB SBB CMP AND OR XOR TEST NEG INC DEC. AF after logic is undefined: 0 here, as Intel processors leave it.

import type { Cpu } from './cpu.ts';

/** `shift` is 32 less the size: it brings the operation's sign bit to bit 31. */
export type Narrow = (c: Cpu, a: number, b: number, shift: number) => number;
/** Low half; the high half is in `c.hi`. */
export type Wide = (c: Cpu, al: number, ah: number, bl: number, bh: number) => number;

const sum = (c: Cpu, a: number, b: number, shift: number, carryIn: number): number => {
  const r = (a + b + carryIn) | 0;
  c.c = ((a & b) | ((a | b) & ~r)) << shift;
  c.a = a ^ b ^ r;
  c.p = r;
  c.s = r << shift;
  c.z = c.s;
  return r;
};
const difference = (c: Cpu, a: number, b: number, shift: number, borrowIn: number): number => {
  const r = (a - b - borrowIn) | 0;
  c.c = ((~a & b) | (~(a ^ b) & r)) << shift;
  c.a = a ^ b ^ r;
  c.p = r;
  c.s = r << shift;
  c.z = c.s;
  return r;
};
export const logic = (c: Cpu, r: number, shift: number): number => {
  c.c = 0;
  c.a = 0;
  c.p = r;
  c.s = r << shift;
  c.z = c.s;
  return r;
};
const sum64 = (c: Cpu, al: number, ah: number, bl: number, bh: number, carryIn: number): number => {
  const lo = (al + bl + carryIn) | 0;
  const hi = (ah + bh + (((al & bl) | ((al | bl) & ~lo)) >>> 31)) | 0;
  c.c = (ah & bh) | ((ah | bh) & ~hi);
  c.a = al ^ bl ^ lo;
  c.p = lo;
  c.s = hi;
  c.z = lo | hi;
  c.hi = hi;
  return lo;
};
const difference64 = (c: Cpu, al: number, ah: number, bl: number, bh: number, borrowIn: number): number => {
  const lo = (al - bl - borrowIn) | 0;
  const hi = (ah - bh - (((~al & bl) | (~(al ^ bl) & lo)) >>> 31)) | 0;
  c.c = (~ah & bh) | (~(ah ^ bh) & hi);
  c.a = al ^ bl ^ lo;
  c.p = lo;
  c.s = hi;
  c.z = lo | hi;
  c.hi = hi;
  return lo;
};
export const logic64 = (c: Cpu, lo: number, hi: number): number => {
  c.c = 0;
  c.a = 0;
  c.p = lo;
  c.s = hi;
  c.z = lo | hi;
  c.hi = hi;
  return lo;
};
/** CF stays: it is bit 31 of `c.c`, and OF is bit 31 xor bit 30. */
const keepCarry = (c: Cpu, before: number): void => {
  const of = (c.c ^ (c.c << 1)) >>> 31;
  const cf = before >>> 31;
  c.c = (cf << 31) | ((cf ^ of) << 30);
};

export const add: Narrow = (c, a, b, shift) => sum(c, a, b, shift, 0);
export const sub: Narrow = (c, a, b, shift) => difference(c, a, b, shift, 0);
export const narrow: Readonly<Record<string, Narrow>> = {
  Add: add,
  Adc: (c, a, b, shift) => sum(c, a, b, shift, c.c >>> 31),
  Sub: sub,
  Cmp: sub,
  Sbb: (c, a, b, shift) => difference(c, a, b, shift, c.c >>> 31),
  And: (c, a, b, shift) => logic(c, a & b, shift),
  Test: (c, a, b, shift) => logic(c, a & b, shift),
  Or: (c, a, b, shift) => logic(c, a | b, shift),
  Xor: (c, a, b, shift) => logic(c, a ^ b, shift),
  Inc: (c, a, _b, shift) => {
    const before = c.c;
    const r = sum(c, a, 1, shift, 0);
    keepCarry(c, before);
    return r;
  },
  Dec: (c, a, _b, shift) => {
    const before = c.c;
    const r = difference(c, a, 1, shift, 0);
    keepCarry(c, before);
    return r;
  },
  Neg: (c, a, _b, shift) => difference(c, 0, a, shift, 0),
  Not: (_c, a) => ~a,
};
export const wide: Readonly<Record<string, Wide>> = {
  Add: (c, al, ah, bl, bh) => sum64(c, al, ah, bl, bh, 0),
  Adc: (c, al, ah, bl, bh) => sum64(c, al, ah, bl, bh, c.c >>> 31),
  Sub: (c, al, ah, bl, bh) => difference64(c, al, ah, bl, bh, 0),
  Cmp: (c, al, ah, bl, bh) => difference64(c, al, ah, bl, bh, 0),
  Sbb: (c, al, ah, bl, bh) => difference64(c, al, ah, bl, bh, c.c >>> 31),
  And: (c, al, ah, bl, bh) => logic64(c, al & bl, ah & bh),
  Test: (c, al, ah, bl, bh) => logic64(c, al & bl, ah & bh),
  Or: (c, al, ah, bl, bh) => logic64(c, al | bl, ah | bh),
  Xor: (c, al, ah, bl, bh) => logic64(c, al ^ bl, ah ^ bh),
  Inc: (c, al, ah) => {
    const before = c.c;
    const r = sum64(c, al, ah, 1, 0, 0);
    keepCarry(c, before);
    return r;
  },
  Dec: (c, al, ah) => {
    const before = c.c;
    const r = difference64(c, al, ah, 1, 0, 0);
    keepCarry(c, before);
    return r;
  },
  Neg: (c, al, ah) => difference64(c, 0, 0, al, ah, 0),
  Not: (c, al, ah) => {
    c.hi = ~ah;
    return ~al;
  },
};
