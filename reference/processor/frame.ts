// Decides how a frame is pushed on a stack that is not yet (or no longer) the current one: nothing of the processor changes before all is stored.
// SDM volume 3, Stack Switching; limits are those of the stack segment, and #SS carries its selector where it is a new one.

import { write16, write32, write64 } from './access.ts';
import { SS_FAULT } from './bits.ts';
import { type Cpu, type Seg, SS, WRITABLE } from './cpu.ts';
import { raise } from './fault.ts';
import { settle } from './mode.ts';

export interface Frame {
  readonly seg: Seg;
  /** Error code of #SS where the stack has no room. */
  readonly error: number;
  lo: number;
  hi: number;
  /** Size of each word, and of the stack pointer. */
  readonly size: 16 | 32 | 64;
  readonly wide: 16 | 32 | 64;
}
const BYTES = { 16: 2, 32: 4, 64: 8 } as const;

/** On the current stack. */
export const currentFrame = (c: Cpu, size: 16 | 32 | 64, error = 0): Frame => ({
  seg: c.seg[SS],
  error,
  lo: c.code === 64 || c.stack32 ? c.r[8]! : c.r[8]! & 0xffff,
  hi: c.code === 64 ? c.r[9]! : 0,
  size,
  wide: c.code === 64 ? 64 : c.stack32 ? 32 : 16,
});

/** Raises #SS unless that many words fit below the stack pointer. */
export const room = (f: Frame, words: number): void => {
  if (f.wide === 64) return;
  const bytes = BYTES[f.size];
  const { lower, upper, rights } = f.seg;
  const top = f.wide === 32 ? f.lo >>> 0 : f.lo & 0xffff;
  const wrap = f.wide === 32 ? 0x1_0000_0000 : 0x1_0000;
  for (let n = 1; n <= words; n++) {
    const at = (((top - n * bytes) % wrap) + wrap) % wrap;
    if ((rights & WRITABLE) === 0 || at < lower || at + bytes - 1 > upper) raise(SS_FAULT, f.error);
  }
};
export const put = (c: Cpu, f: Frame, lo: number, hi = 0): void => {
  const bytes = BYTES[f.size];
  if (f.wide === 64) {
    const sum = (f.lo >>> 0) - bytes;
    f.hi = (f.hi + Math.floor(sum / 0x1_0000_0000)) | 0;
    f.lo = sum | 0;
    c.ah = f.hi;
    c.av = SS_FAULT;
    if (f.size === 64) write64(c, f.lo, lo, hi);
    else if (f.size === 32) write32(c, f.lo, lo);
    else write16(c, f.lo, lo);
    return;
  }
  f.lo = f.wide === 32 ? (f.lo - bytes) | 0 : (f.lo - bytes) & 0xffff;
  const at = f.lo >>> 0;
  if ((f.seg.rights & WRITABLE) === 0 || at < f.seg.lower || at + bytes - 1 > f.seg.upper) raise(SS_FAULT, f.error);
  c.ah = 0;
  const linear = (f.seg.lo + f.lo) | 0;
  // A 64-bit gate taken from compatibility mode pushes 64-bit words.
  if (f.size === 64) write64(c, linear, lo, hi);
  else if (f.size === 32) write32(c, linear, lo);
  else write16(c, linear, lo);
};
/** Does `body` with the rights of another privilege level, and comes back to the present one. */
export const atLevel = (c: Cpu, cpl: number, body: () => void): void => {
  const before = c.cpl;
  if (before === cpl) {
    body();
    return;
  }
  c.cpl = cpl;
  settle(c);
  try {
    body();
  } finally {
    c.cpl = before;
    settle(c);
  }
};
