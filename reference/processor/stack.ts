// Decides pushes and pops: stack-address size by mode and SS.B, the checks of the stack segment, SP changed only when memory has been.
// SDM volume 1, Procedure Stack; Address-Size Attributes for Stack.

import { read16, read32, read64, write16, write32, write64 } from './access.ts';
import { type Cpu, READABLE, SS, WRITABLE } from './cpu.ts';
import { segmented } from './operands.ts';

const SPI = 8;
/** Stack pointer moved by `delta` bytes: low half, wrapped to the stack-address size; high half in `c.hi`. */
export const moved = (c: Cpu, delta: number): number => {
  const sp = c.r[SPI]!;
  if (c.code === 64) {
    const sum = (sp >>> 0) + delta;
    c.hi = (c.r[SPI + 1]! + Math.floor(sum / 0x1_0000_0000)) | 0;
    return sum | 0;
  }
  c.hi = 0;
  return c.stack32 ? (sp + delta) | 0 : (sp + delta) & 0xffff;
};
/** Sets SP, ESP or RSP as the stack-address size says. */
export const setSp = (c: Cpu, lo: number, hi: number): void => {
  if (c.code === 64) {
    c.r[SPI] = lo;
    c.r[SPI + 1] = hi;
  } else if (c.stack32) c.r[SPI] = lo;
  else c.r16[16] = lo;
};
/** Linear address of `bytes` bytes at a stack pointer. */
export const stackLinear = (c: Cpu, lo: number, hi: number, bytes: number, need: number): number => {
  if (c.code !== 64) return segmented(c, c.seg[SS], true, lo, bytes, need);
  c.ah = hi;
  c.av = 12;
  return lo;
};

export const push = (c: Cpu, lo: number, hi: number, size: number): void => {
  const sp = moved(c, -(size >> 3));
  const spHi = c.hi;
  const at = stackLinear(c, sp, spHi, size >> 3, WRITABLE);
  if (size === 64) write64(c, at, lo, hi);
  else if (size === 32) write32(c, at, lo);
  else write16(c, at, lo);
  setSp(c, sp, spHi);
};
/** The value `depth` bytes above the top; nothing is popped. Of 64 bits the high half is in `c.hi`. */
export const peek = (c: Cpu, depth: number, size: number): number => {
  const sp = moved(c, depth);
  const at = stackLinear(c, sp, c.hi, size >> 3, READABLE);
  if (size === 64) return read64(c, at);
  c.hi = 0;
  return size === 32 ? read32(c, at) : read16(c, at);
};
export const drop = (c: Cpu, bytes: number): void => {
  const sp = moved(c, bytes);
  setSp(c, sp, c.hi);
};
export const pop = (c: Cpu, size: number): number => {
  const lo = peek(c, 0, size);
  const hi = c.hi;
  drop(c, size >> 3);
  c.hi = hi;
  return lo;
};
/** Size of what an instruction moves by its form: the mnemonic's last letter, or its last operand; in 64-bit mode 64 or 16 bits. */
export const wordSize = (form: string, bits: 16 | 32 | 64): 16 | 32 | 64 => {
  let known = sizes.get(form);
  if (known === undefined) sizes.set(form, (known = namedSize(form)));
  return known === 0 ? bits : known;
};
/** Worked out once a form. */
const sizes = new Map<string, 0 | 16 | 32 | 64>();
const namedSize = (form: string): 0 | 16 | 32 | 64 => {
  const letter = /^[A-Z][a-z]+?([wdq])(?:_|$)/.exec(form)?.[1];
  if (letter !== undefined) return letter === 'w' ? 16 : letter === 'd' ? 32 : 64;
  const digits = /(16|32|64)(?:_[ER]?CX)?$/.exec(form)?.[1];
  return digits === '16' ? 16 : digits === '32' ? 32 : digits === '64' ? 64 : 0;
};
