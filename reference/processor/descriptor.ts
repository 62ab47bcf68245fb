// Decides how descriptors are found in the GDT and the LDT, what their fields are, and how a segment register takes one.
// SDM volume 3, Segment Descriptor Tables; Segment Descriptors; System Descriptor Types. Error codes: selector with RPL cleared.

import { system32, system64, systemWrite } from './access.ts';
import { UNUSABLE } from './bits.ts';
import type { Cpu, Seg } from './cpu.ts';
import { raise } from './fault.ts';
import { setSeg } from './mode.ts';

/** A descriptor as read: two words of 32 bits, and where they stand. */
export interface Descriptor {
  readonly selector: number;
  readonly lo: number;
  readonly hi: number;
  readonly atLo: number;
  readonly atHi: number;
}
export const typeOf = (d: Descriptor): number => (d.hi >>> 8) & 15;
/** Whether it is a code or data segment, not a system one. */
export const isSegment = (d: Descriptor): boolean => (d.hi & 0x1000) !== 0;
export const isCode = (d: Descriptor): boolean => (d.hi & 0x1800) === 0x1800;
export const isConforming = (d: Descriptor): boolean => (d.hi & 0x1c00) === 0x1c00;
export const isWritableData = (d: Descriptor): boolean => (d.hi & 0x1a00) === 0x1200;
export const isReadable = (d: Descriptor): boolean => isSegment(d) && ((d.hi & 0x800) === 0 || (d.hi & 0x200) !== 0);
export const dplOf = (d: Descriptor): number => (d.hi >>> 13) & 3;
export const isPresent = (d: Descriptor): boolean => (d.hi & 0x8000) !== 0;
export const isLong = (d: Descriptor): boolean => (d.hi & 0x20_0000) !== 0;
export const isBig = (d: Descriptor): boolean => (d.hi & 0x40_0000) !== 0;
export const baseOf = (d: Descriptor): number => (d.lo >>> 16) | ((d.hi & 0xff) << 16) | (d.hi & 0xff00_0000);
export const limitOf = (d: Descriptor): number => {
  const raw = (d.lo & 0xffff) | (d.hi & 0xf_0000);
  return (d.hi & 0x80_0000) === 0 ? raw : ((raw << 12) | 0xfff) >>> 0;
};
/** As the VMCS access-rights field. */
export const accessOf = (d: Descriptor): number => (d.hi >>> 8) & 0xf0ff;
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;

/** The descriptor that a selector names, or undefined where it is beyond its table. `bytes`: 8, or 16 for system descriptors in IA-32e mode. */
export const lookUp = (c: Cpu, selector: number, bytes = 8): Descriptor | undefined => {
  const index = selector & 0xfff8;
  let lo = c.gdtLo;
  let hi = c.gdtHi;
  let limit = c.gdtLimit;
  if ((selector & 4) !== 0) {
    if ((c.ldtr.access & UNUSABLE) !== 0) return undefined;
    ({ lo, hi, limit } = c.ldtr);
  }
  if (index + bytes - 1 > limit) return undefined;
  const atLo = (lo + index) | 0;
  const atHi = c.lma ? (hi + (atLo >>> 0 < lo >>> 0 ? 1 : 0)) | 0 : 0;
  const low = system64(c, atLo, atHi);
  return { selector: selector & 0xffff, lo: low, hi: c.hi, atLo, atHi };
};
/** The same, or the exception with the selector as error code. */
export const descriptor = (c: Cpu, selector: number, vector: number): Descriptor => lookUp(c, selector) ?? raise(vector, selector & 0xfffc);
/** The upper half of a 16-byte system descriptor's base, or undefined where its type field (bits 12:8 of the fourth word) is not 0. */
export const upperBase = (c: Cpu, d: Descriptor): number | undefined => {
  const at = (n: number): [number, number] => {
    const lo = (d.atLo + n) | 0;
    return [lo, (d.atHi + (lo >>> 0 < d.atLo >>> 0 ? 1 : 0)) | 0];
  };
  const fourth = system32(c, ...at(12));
  return (fourth & 0x1f00) === 0 ? system32(c, ...at(8)) : undefined;
};
/** Sets the accessed flag of a code or data descriptor, in memory too; gives the descriptor as it is now. */
export const accessed = (c: Cpu, d: Descriptor): Descriptor => {
  if ((d.hi & 0x100) !== 0) return d;
  const at = (d.atLo + 5) | 0;
  systemWrite(c, at, (d.atHi + (at >>> 0 < d.atLo >>> 0 ? 1 : 0)) | 0, 1, ((d.hi >>> 8) | 1) & 0xff);
  return { ...d, hi: d.hi | 0x100 };
};
/** Into the hidden part of a segment register. */
export const loadHidden = (s: Seg, d: Descriptor, selector: number): void => setSeg(s, selector, baseOf(d), 0, limitOf(d), accessOf(d));
/** A null selector: unusable; what is left of the hidden part is not architectural, and here the base and limit stay. */
export const loadNull = (s: Seg, selector: number, dpl = 0): void => {
  // DPL stays readable: of SS it is the CPL.
  setSeg(s, selector, s.lo, s.hi, s.limit, UNUSABLE | (dpl << 5));
};
