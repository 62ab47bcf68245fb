// Decides what loading a segment register checks, in which order, and with which exception; and LLDT, LTR, LDS and their like.
// SDM volume 2, MOV POP LDS LLDT LTR; volume 3, Checking at Segment-Register Loads; Null Segment Selector Checking.

import { system16, systemWrite } from './access.ts';
import { GP, NP, SS_FAULT } from './bits.ts';
import { canonical } from './branch.ts';
import { type Cpu, DS, ES, FS, GS, SS } from './cpu.ts';
import {
  accessed,
  baseOf,
  accessOf,
  descriptor,
  dplOf,
  isCode,
  isConforming,
  isNull,
  isPresent,
  isReadable,
  isWritableData,
  limitOf,
  loadHidden,
  loadNull,
  lookUp,
  typeOf,
  upperBase,
} from './descriptor.ts';
import { gp, raise } from './fault.ts';
import { loadParagraph, setSeg, settle, unprotected } from './mode.ts';
import { UNUSABLE } from './bits.ts';

/** MOV and POP to DS, ES, FS, GS, in protected mode. */
const loadData = (c: Cpu, index: number, selector: number): void => {
  const s = c.seg[index]!;
  if (isNull(selector)) {
    loadNull(s, selector);
    return;
  }
  const error = selector & 0xfffc;
  const d = descriptor(c, selector, GP);
  if (!isReadable(d)) gp(error);
  if (!(isCode(d) && isConforming(d)) && ((selector & 3) > dplOf(d) || c.cpl > dplOf(d))) gp(error);
  if (!isPresent(d)) raise(NP, error);
  loadHidden(s, accessed(c, d), selector);
};
/** SS. A null selector is allowed only in 64-bit mode below CPL 3 with RPL = CPL. */
const loadStack = (c: Cpu, selector: number): void => {
  const s = c.seg[SS];
  if (isNull(selector)) {
    if (c.code !== 64 || c.cpl === 3 || (selector & 3) !== c.cpl) gp();
    loadNull(s, selector, c.cpl);
    return;
  }
  const error = selector & 0xfffc;
  const d = descriptor(c, selector, GP);
  if ((selector & 3) !== c.cpl || !isWritableData(d) || dplOf(d) !== c.cpl) gp(error);
  if (!isPresent(d)) raise(SS_FAULT, error);
  loadHidden(s, accessed(c, d), selector);
};
/** Any of the five that MOV can load. */
export const loadSegment = (c: Cpu, index: number, selector: number): void => {
  if (unprotected(c)) loadParagraph(c, index, selector);
  else if (index === SS) loadStack(c, selector);
  else loadData(c, index, selector);
  if (index === SS) settle(c);
};
/** On return to an outer level: a segment register that the new CPL may not hold becomes null. */
export const dropInner = (c: Cpu): void => {
  for (const index of [ES, DS, FS, GS]) {
    const s = c.seg[index]!;
    const conforming = (s.access & 0x1c) === 0x1c;
    if ((s.access & UNUSABLE) === 0 && !conforming && ((s.access >>> 5) & 3) < c.cpl) loadNull(s, 0);
  }
};

export const lldt = (c: Cpu, selector: number): void => {
  if (isNull(selector)) {
    setSeg(c.ldtr, selector, 0, 0, 0, UNUSABLE);
    return;
  }
  const error = selector & 0xfffc;
  if ((selector & 4) !== 0) gp(error);
  const d = lookUp(c, selector, c.lma ? 16 : 8) ?? gp(error);
  if ((d.hi & 0x1000) !== 0 || typeOf(d) !== 2) gp(error);
  const upper = c.lma ? upperBase(c, d) : 0;
  if (upper === undefined) return gp(error);
  if (!isPresent(d)) raise(NP, error);
  if (!canonical(c, upper)) gp(error);
  setSeg(c.ldtr, selector, baseOf(d), upper, limitOf(d), accessOf(d));
};
/** The descriptor becomes busy. */
export const ltr = (c: Cpu, selector: number): void => {
  const error = selector & 0xfffc;
  if (isNull(selector)) gp();
  if ((selector & 4) !== 0) gp(error);
  const d = lookUp(c, selector, c.lma ? 16 : 8) ?? gp(error);
  const type = typeOf(d);
  // Available: 9 (32-bit, or 64-bit in IA-32e mode) or 1 (16-bit, not there).
  if ((d.hi & 0x1000) !== 0 || !(type === 9 || (type === 1 && !c.lma))) gp(error);
  const upper = c.lma ? upperBase(c, d) : 0;
  if (upper === undefined) return gp(error);
  if (!isPresent(d)) raise(NP, error);
  if (!canonical(c, upper)) gp(error);
  setBusy(c, d.atLo, d.atHi, true);
  setSeg(c.tr, selector, baseOf(d), upper, limitOf(d), accessOf(d) | 2);
};
export const setBusy = (c: Cpu, atLo: number, atHi: number, busy: boolean): void => {
  const at = (atLo + 4) | 0;
  const hi = (atHi + (at >>> 0 < atLo >>> 0 ? 1 : 0)) | 0;
  const low = system16(c, at, hi);
  systemWrite(c, (at + 1) | 0, hi, 1, ((busy ? low | 0x200 : low & ~0x200) >>> 8) & 0xff);
};
