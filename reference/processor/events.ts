// Decides what an interrupt or exception does: the IDT's gate and its checks, the stack it switches to, the frame it pushes.
// SDM volume 3, Interrupt and Exception Handling; 64-Bit Mode Handling; volume 2, INT n/INTO/INT3/INT1 (Operation). Double faults: Interrupt 8.

import { read16, system16, system32, system64 } from './access.ts';
import { AC, DB, DOUBLE_FAULT, GP, IF, NP, NT, PAGE_FAULT, RF, SS_FAULT, TF, TS, VM } from './bits.ts';
import { canonical } from './branch.ts';
import { CS, type Cpu, DS, ES, FS, GS, newSeg, type Seg, SS } from './cpu.ts';
import {
  accessed,
  type Descriptor,
  descriptor,
  dplOf,
  isBig,
  isCode,
  isConforming,
  isLong,
  isNull,
  isPresent,
  isWritableData,
  limitOf,
  loadHidden,
  loadNull,
} from './descriptor.ts';
import { isFault, raise } from './fault.ts';
import { readFlags } from './flags.ts';
import { atLevel, currentFrame, type Frame, put, room } from './frame.ts';
import { loadParagraph, settle, settleSegments } from './mode.ts';
import { switchTask } from './task.ts';

/** Where an event comes from: INT n, INT3 and INTO are checked against the gate's DPL; the others have the EXT bit in error codes. */
export type Source = 'software' | 'exception' | 'external';

/** RFLAGS in the frame: RF is set for faults, and as it is for everything else. SDM volume 3, Debug Exceptions (RF). */
const image = (c: Cpu, resume: boolean): number => (resume ? readFlags(c) | RF : readFlags(c));

/** Delivers one event; the saved instruction pointer is `c.ip`. Raises what its delivery runs into, and then nothing but memory has changed. */
export const deliver = (c: Cpu, vector: number, error: number, source: Source, resume: boolean): void => {
  if (!c.protect) {
    deliverReal(c, vector, resume);
    unguard(c, vector, source);
    return;
  }
  const ext = source === 'software' ? 0 : 1;
  const bytes = c.lma ? 16 : 8;
  const bad = vector * 8 + 2 + ext;
  if (vector * bytes + bytes - 1 > c.idtLimit) raise(GP, bad);
  const at = (c.idtLo + vector * bytes) | 0;
  const atHi = c.lma ? (c.idtHi + (at >>> 0 < c.idtLo >>> 0 ? 1 : 0)) | 0 : 0;
  const lo = system64(c, at, atHi);
  const hi = c.hi;
  const type = (hi >>> 8) & 0x1f;
  const usable = c.lma ? type === 14 || type === 15 : type === 5 || type === 6 || type === 7 || type === 14 || type === 15;
  if (!usable) raise(GP, bad);
  if (source === 'software' && ((hi >>> 13) & 3) < c.cpl) raise(GP, bad);
  if ((hi & 0x8000) === 0) raise(NP, bad);
  if (type === 5) {
    switchTask(c, lo >>> 16, 'gate', { error, ext, resume });
    return;
  }
  const selector = lo >>> 16;
  if (isNull(selector)) raise(GP, ext);
  const withExt = (selector & 0xfffc) | ext;
  const d = lookUpCode(c, selector, withExt);
  if (!isCode(d) || dplOf(d) > c.cpl) raise(GP, withExt);
  if (c.lma && (!isLong(d) || isBig(d))) raise(GP, withExt);
  if (!isPresent(d)) raise(NP, withExt);
  const inner = !isConforming(d) && dplOf(d) < c.cpl;
  if (c.v86 && (!inner || dplOf(d) !== 0)) raise(GP, withExt);
  const level = inner ? dplOf(d) : c.cpl;
  const size = c.lma ? 64 : type >= 14 ? 32 : 16;
  const targetLo = size === 16 ? lo & 0xffff : (hi & 0xffff_0000) | (lo & 0xffff);
  const targetHi = size === 64 ? system32(c, (at + 8) | 0, atHi) : 0;
  const frame =
    size === 64
      ? longStack(c, inner, level, hi & 7, ext)
      : inner
        ? innerStack(c, level, size, ext, newSeg())
        : currentFrame(c, size, ext === 0 ? 0 : ext);
  const flags = image(c, resume);
  if (size !== 64) room(frame, (error >= 0 ? 4 : 3) + (inner ? 2 : 0) + (c.v86 ? 4 : 0));
  if (size === 64 ? !canonical(c, targetHi) : targetLo >>> 0 > limitOf(d)) raise(GP, ext);
  atLevel(c, level, () => pushFrame(c, frame, flags, inner, error));
  const code = accessed(c, d);
  c.flags &= ~(TF | VM | RF | NT | ((type & 1) === 0 ? IF : 0));
  finish(c, frame, inner, level, code, selector, targetLo, targetHi);
  unguard(c, vector, source);
};
/** The handler of a debug exception may access the debug registers: DR7.GD is cleared. */
const unguard = (c: Cpu, vector: number, source: Source): void => {
  if (vector === DB && source === 'exception') c.dr7 &= ~(1 << 13);
};
const lookUpCode = (c: Cpu, selector: number, error: number): Descriptor => {
  try {
    return descriptor(c, selector, GP);
  } catch (thrown) {
    if (isFault(thrown) && thrown.vector === GP) thrown.error = error;
    throw thrown;
  }
};
const pushFrame = (c: Cpu, f: Frame, flags: number, inner: boolean, error: number): void => {
  const v86 = c.v86;
  const { seg } = c;
  if (v86) for (const s of [seg[GS], seg[FS], seg[DS], seg[ES]]) put(c, f, s.selector);
  if (inner || f.size === 64) {
    put(c, f, seg[SS].selector);
    put(c, f, c.r[8]!, c.code === 64 ? c.r[9]! : 0);
  }
  put(c, f, flags);
  put(c, f, seg[CS].selector);
  put(c, f, c.ipLo, c.ipHi);
  if (error >= 0) put(c, f, error);
};
const finish = (c: Cpu, f: Frame, inner: boolean, level: number, d: Descriptor, selector: number, lo: number, hi: number): void => {
  const fromV86 = c.v86;
  c.cpl = level;
  if (inner && f.size === 64) loadNull(c.seg[SS], level, level);
  else if (inner) Object.assign(c.seg[SS], f.seg);
  loadHidden(c.seg[CS], d, (selector & 0xfffc) | level);
  if (fromV86) {
    settleSegments(c);
    for (const i of [DS, ES, FS, GS]) loadNull(c.seg[i]!, 0);
  }
  settle(c);
  if (f.size === 64) {
    c.r[8] = f.lo;
    c.r[9] = f.hi;
  } else if (f.wide === 32) {
    c.r[8] = f.lo;
    c.r[9] = 0;
  } else c.r16[16] = f.lo;
  c.ipLo = lo;
  c.ipHi = hi;
};

/** RSP for a level, or of an interrupt-stack table entry; aligned down to 16 bytes. */
const longStack = (c: Cpu, inner: boolean, level: number, ist: number, ext: number): Frame => {
  const f: Frame = { seg: c.seg[SS], error: ext, lo: c.r[8]!, hi: c.code === 64 ? c.r[9]! : 0, size: 64, wide: 64 };
  if (ist !== 0 || inner) {
    const offset = ist !== 0 ? 0x1c + 8 * ist : 4 + 8 * level;
    if (offset + 7 > c.tr.limit) raise(TS, (c.tr.selector & 0xfffc) | ext);
    const at = (c.tr.lo + offset) | 0;
    f.lo = system64(c, at, (c.tr.hi + (at >>> 0 < c.tr.lo >>> 0 ? 1 : 0)) | 0);
    f.hi = c.hi;
    if (!canonical(c, f.hi)) raise(SS_FAULT, ext);
  }
  f.lo &= ~15;
  // Of the running stack what counts is where the first word goes.
  if (!canonical(c, (f.hi - (f.lo === 0 ? 1 : 0)) | 0)) raise(SS_FAULT, ext);
  return f;
};
/** SS and SP of an inner level, from the task-state segment, checked into `stack`. SDM volume 3, Stack Switching: #TS before #SS. */
export const innerStack = (c: Cpu, level: number, size: 16 | 32, ext: number, stack: Seg): Frame => {
  const big = (c.tr.access & 8) !== 0;
  const offset = big ? 8 * level + 4 : 4 * level + 2;
  if (offset + (big ? 5 : 3) > c.tr.limit) raise(TS, (c.tr.selector & 0xfffc) | ext);
  const at = (c.tr.lo + offset) | 0;
  const sp = big ? system32(c, at, 0) : system16(c, at, 0);
  const selector = system16(c, (at + (big ? 4 : 2)) | 0, 0);
  return stackFrame(c, selector, sp, level, size, ext, stack);
};
const stackFrame = (c: Cpu, selector: number, sp: number, level: number, size: 16 | 32, ext: number, stack: Seg): Frame => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) raise(TS, ext);
  const d = lookUpStack(c, selector, error);
  if ((selector & 3) !== level || dplOf(d) !== level || !isWritableData(d)) raise(TS, error);
  if (!isPresent(d)) raise(SS_FAULT, error);
  loadHidden(stack, accessed(c, d), selector);
  return { seg: stack, error, lo: sp, hi: 0, size, wide: isBig(d) ? 32 : 16 };
};
const lookUpStack = (c: Cpu, selector: number, error: number): Descriptor => {
  try {
    return descriptor(c, selector, TS);
  } catch (thrown) {
    if (isFault(thrown) && thrown.vector === TS) thrown.error = error;
    throw thrown;
  }
};

/** Real-address mode: the interrupt vector table; no error codes. */
const deliverReal = (c: Cpu, vector: number, resume: boolean): void => {
  if (vector * 4 + 3 > c.idtLimit) raise(GP, -1);
  through8086(c, (c.idtLo + 4 * vector) | 0, image(c, resume));
  c.flags &= ~(IF | TF | AC | RF);
  settle(c);
};
/** Pushes FLAGS, CS and IP and goes where the table's entry says. */
export const through8086 = (c: Cpu, entry: number, flags: number): void => {
  const ip = c.v86 ? readVector(c, entry) : system16(c, entry, 0);
  const cs = c.v86 ? readVector(c, entry + 2) : system16(c, (entry + 2) | 0, 0);
  const f = currentFrame(c, 16);
  put(c, f, flags);
  put(c, f, c.seg[CS].selector);
  put(c, f, c.ipLo);
  if (f.wide === 32) c.r[8] = f.lo;
  else c.r16[16] = f.lo;
  loadParagraph(c, CS, cs);
  c.ipLo = ip;
  c.ipHi = 0;
};
const readVector = (c: Cpu, at: number): number => {
  c.ah = 0;
  return read16(c, at);
};

const contributory = (vector: number): boolean => vector === 0 || (vector >= TS && vector <= GP);
/** Both together are a double fault. SDM volume 3, Interrupt 8, Table "Conditions for Generating a Double Fault". */
const doubles = (first: number, second: number): boolean =>
  first === PAGE_FAULT ? second === PAGE_FAULT || contributory(second) : contributory(first) && contributory(second);
/** Delivers an exception, and what its delivery runs into, down to shutdown. */
export const exception = (c: Cpu, vector: number, error: number, source: Source, resume: boolean): void => {
  let [now, code, from, rf] = [vector, error, source, resume];
  // More than a handful of benign ones in a row only happens where none can be delivered.
  for (let n = 0; n < 8; n++) {
    c.moved = false;
    try {
      deliver(c, now, c.protect ? code : -1, from, rf);
      return;
    } catch (thrown) {
      if (!isFault(thrown)) throw thrown;
      if (now === DOUBLE_FAULT && from === 'exception' && (contributory(thrown.vector) || thrown.vector === PAGE_FAULT)) break;
      const both = from === 'exception' && doubles(now, thrown.vector);
      [now, code] = both ? [DOUBLE_FAULT, 0] : [thrown.vector, thrown.error];
      from = 'exception';
      rf = !both;
    }
  }
  c.moved = false;
  c.shutdown = true;
  c.attention = 1;
};
