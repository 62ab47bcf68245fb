// Little-endian words into and out of byte arrays, and the stimulus that stores bytes in guest memory.
// Addresses are numbers inside the driver (guest memory is small); a bigint is any 64-bit value, also an impossible one.

import type { Gpa } from '../../spec/units.ts';
import type { MemoryWrite } from '../../spec/vocabulary.ts';

export const gpa = (at: number | bigint): Gpa => BigInt(at) as Gpa;
export const put16 = (b: Uint8Array, at: number, v: number): void => {
  b[at] = v & 255;
  b[at + 1] = (v >>> 8) & 255;
};
export const put32 = (b: Uint8Array, at: number, v: number): void => {
  b[at] = v & 255;
  b[at + 1] = (v >>> 8) & 255;
  b[at + 2] = (v >>> 16) & 255;
  b[at + 3] = (v >>> 24) & 255;
};
export const put64 = (b: Uint8Array, at: number, v: number | bigint): void => {
  if (typeof v === 'number' && v >= 0 && v <= 0xffff_ffff) {
    put32(b, at, v);
    put32(b, at + 4, 0);
    return;
  }
  const wide = BigInt.asUintN(64, BigInt(v));
  put32(b, at, Number(wide & 0xffff_ffffn));
  put32(b, at + 4, Number(wide >> 32n));
};
export const get16 = (b: Uint8Array, at: number): number => (b[at] ?? 0) | ((b[at + 1] ?? 0) << 8);
export const get32 = (b: Uint8Array, at: number): number => (get16(b, at) | (get16(b, at + 2) << 16)) >>> 0;
/** Loses precision past 2^53, which no honest capacity reaches. */
export const get64 = (b: Uint8Array, at: number): number => get32(b, at) + get32(b, at + 4) * 2 ** 32;

export const store = (at: number, bytes: Uint8Array): MemoryWrite => ({ do: 'memory.write', at: BigInt(at) as Gpa, bytes });
export const store16 = (at: number, value: number): MemoryWrite => {
  const bytes = new Uint8Array(2);
  put16(bytes, 0, value);
  return { do: 'memory.write', at: BigInt(at) as Gpa, bytes };
};
