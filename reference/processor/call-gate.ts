// Decides what a call gate leads to, and the inner stack that a call through one gets: stack pointer, parameters and return address are put there.
// SDM volume 3, Call Gates; Accessing a Code Segment Through a Call Gate; Stack Switching; volume 2, CALL.

import { read16, read32, system64 } from './access.ts';
import { GP, NP, SS_FAULT, TS } from './bits.ts';
import { canonical } from './branch.ts';
import { type Cpu, CS, newSeg, READABLE, type Seg, SS } from './cpu.ts';
import {
  type Descriptor,
  descriptor,
  dplOf,
  isBig,
  isCode,
  isLong,
  isNull,
  isPresent,
  loadNull,
  lookUp,
  typeOf,
  upperBase,
} from './descriptor.ts';
import { innerStack } from './events.ts';
import { checkOffset, enterCode } from './far.ts';
import { gp, raise } from './fault.ts';
import { atLevel, type Frame, put, room } from './frame.ts';
import type { Insn } from './insn.ts';
import { moved, setSp, stackLinear } from './stack.ts';

/** A call gate's target, checked as far as JMP and CALL have it in common. */
export interface Gate {
  readonly selector: number;
  readonly lo: number;
  readonly hi: number;
  readonly size: 16 | 32 | 64;
  readonly parameters: number;
  readonly code: Descriptor;
}
export const throughGate = (c: Cpu, d: Descriptor, selector: number): Gate => {
  const error = selector & 0xfffc;
  if (dplOf(d) < c.cpl || (selector & 3) > dplOf(d)) gp(error);
  const type = typeOf(d);
  let hi = 0;
  if (c.lma) {
    // The second half of a 16-byte gate, whose type field is 0.
    const whole = lookUp(c, selector, 16) ?? gp(error);
    const upper = upperBase(c, whole);
    if (upper === undefined) return gp(error);
    hi = upper;
  }
  if (!isPresent(d)) raise(NP, error);
  const to = d.lo >>> 16;
  if (isNull(to)) gp();
  const code = descriptor(c, to, GP);
  if (!isCode(code) || dplOf(code) > c.cpl) gp(to & 0xfffc);
  if (c.lma && (!isLong(code) || isBig(code))) gp(to & 0xfffc);
  if (!isPresent(code)) raise(NP, to & 0xfffc);
  const lo = type === 4 ? d.lo & 0xffff : (d.hi & 0xffff_0000) | (d.lo & 0xffff);
  return { selector: to, lo, hi, size: c.lma ? 64 : type === 4 ? 16 : 32, parameters: d.hi & 31, code };
};
/** Through a call gate to a more privileged level: the TSS's stack, with the caller's stack pointer, the parameters and the return address. */
export const callInner = (c: Cpu, gate: Gate, insn: Insn): void => {
  const level = dplOf(gate.code);
  const stack: Seg = newSeg();
  let f: Frame;
  if (gate.size === 64) {
    const offset = 8 * level + 4;
    if (offset + 7 > c.tr.limit) raise(TS, c.tr.selector & 0xfffc);
    const at = (c.tr.lo + offset) | 0;
    const lo = system64(c, at, (c.tr.hi + (at >>> 0 < c.tr.lo >>> 0 ? 1 : 0)) | 0);
    f = { seg: c.seg[SS], error: 0, lo, hi: c.hi, size: 64, wide: 64 };
    if (!canonical(c, f.hi)) raise(SS_FAULT, 0);
  } else f = innerStack(c, level, gate.size, 0, stack);
  const [bytes, count] = [gate.size >> 3, gate.size === 64 ? 0 : gate.parameters];
  room(f, 4 + count);
  checkOffset(c, gate.code, gate.lo, gate.hi);
  const parameters: number[] = [];
  for (let i = count - 1; i >= 0; i--) {
    const sp = moved(c, i * bytes);
    const at = stackLinear(c, sp, c.hi, bytes, READABLE);
    parameters.push(bytes === 2 ? read16(c, at) : read32(c, at));
  }
  atLevel(c, level, () => {
    put(c, f, c.seg[SS].selector);
    put(c, f, c.r[8]!, c.code === 64 ? c.r[9]! : 0);
    for (const value of parameters) put(c, f, value);
    put(c, f, c.seg[CS].selector);
    put(c, f, insn.nextLo, insn.nextHi);
  });
  if (gate.size === 64) loadNull(c.seg[SS], level, level);
  else Object.assign(c.seg[SS], stack);
  enterCode(c, gate.code, gate.selector, level, gate.lo, gate.hi);
  setSp(c, f.lo, f.hi);
};
