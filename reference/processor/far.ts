// Decides far jumps, calls and returns: the checks of code segments and call gates, stacks switched inward and outward.
// SDM volume 2, JMP CALL RET (far); volume 3, Privilege Level Checking When Transferring Program Control Between Code Segments.

import { read16, read32, read64 } from './access.ts';
import { GP, NP, SS_FAULT } from './bits.ts';
import { canonical } from './branch.ts';
import { CS, type Cpu, READABLE, SS } from './cpu.ts';
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
  isSegment,
  isWritableData,
  limitOf,
  loadHidden,
  loadNull,
  typeOf,
} from './descriptor.ts';
import { type Build, type Entries, jumping } from './entry.ts';
import { callInner, throughGate } from './call-gate.ts';
import { gp, raise } from './fault.ts';
import { currentFrame, type Frame, put, room } from './frame.ts';
import type { Insn } from './insn.ts';
import { loadParagraph, settle, unprotected } from './mode.ts';
import { linear, offsetOf } from './operands.ts';
import { dropInner } from './segment-load.ts';
import { moved, peek, setSp, wordSize } from './stack.ts';
import { switchTask } from './task.ts';

export interface FarPointer {
  selector: number;
  lo: number;
  hi: number;
}
/** Goes on in a code segment that has passed its checks: CS gets the descriptor, with the CPL as RPL. */
export const enterCode = (c: Cpu, d: Descriptor, selector: number, cpl: number, lo: number, hi: number): void => {
  const code = accessed(c, d);
  c.cpl = cpl;
  loadHidden(c.seg[CS], code, (selector & 0xfffc) | cpl);
  settle(c);
  c.ipLo = lo;
  c.ipHi = hi;
};
/** The offset is in the segment's limit, or canonical in a 64-bit one; else #GP(0). */
export const checkOffset = (c: Cpu, d: Descriptor, lo: number, hi: number): void => {
  if (c.lma && isLong(d) ? !canonical(c, hi) : hi !== 0 || lo >>> 0 > limitOf(d)) gp();
};
const checkDirect = (c: Cpu, d: Descriptor, selector: number): void => {
  const error = selector & 0xfffc;
  if (isConforming(d) ? dplOf(d) > c.cpl : (selector & 3) > c.cpl || dplOf(d) !== c.cpl) gp(error);
  if (!isPresent(d)) raise(NP, error);
  if (c.lma && isLong(d) && isBig(d)) gp(error);
};

/** What a far transfer's selector names when it is not code: the kind of gate or task, or #GP(selector). */
const systemKind = (c: Cpu, d: Descriptor, selector: number): 'call' | 'task' => {
  const type = typeOf(d);
  if (type === 12 || (type === 4 && !c.lma)) return 'call';
  if (!c.lma && (type === 5 || type === 1 || type === 9)) {
    if (dplOf(d) < c.cpl || dplOf(d) < (selector & 3)) gp(selector & 0xfffc);
    if (!isPresent(d)) raise(NP, selector & 0xfffc);
    return 'task';
  }
  return gp(selector & 0xfffc);
};
const taskSelector = (d: Descriptor, selector: number): number => (typeOf(d) === 5 ? d.lo >>> 16 : selector);

const farJump = (c: Cpu, to: FarPointer, insn: Insn): void => {
  if (unprotected(c)) {
    if (to.lo >>> 0 > c.seg[CS].limit) gp();
    loadParagraph(c, CS, to.selector);
    c.ipLo = to.lo;
    c.ipHi = 0;
    settle(c);
    return;
  }
  if (isNull(to.selector)) gp();
  const d = descriptor(c, to.selector, GP);
  if (isSegment(d)) {
    if (!isCode(d)) gp(to.selector & 0xfffc);
    checkDirect(c, d, to.selector);
    checkOffset(c, d, to.lo, to.hi);
    enterCode(c, d, to.selector, c.cpl, to.lo, to.hi);
    return;
  }
  if (systemKind(c, d, to.selector) === 'task') {
    onward(c, insn);
    switchTask(c, taskSelector(d, to.selector), 'jump');
    return;
  }
  const gate = throughGate(c, d, to.selector);
  if (!isConforming(gate.code) && dplOf(gate.code) !== c.cpl) gp(gate.selector & 0xfffc);
  checkOffset(c, gate.code, gate.lo, gate.hi);
  enterCode(c, gate.code, gate.selector, c.cpl, gate.lo, gate.hi);
};
/** A task that is left goes on after the instruction. */
const onward = (c: Cpu, insn: Insn): void => {
  c.ipLo = insn.nextLo;
  c.ipHi = insn.nextHi;
};

const commitStack = (c: Cpu, f: Frame): void => setSp(c, f.lo, f.hi);
const farCall = (c: Cpu, to: FarPointer, size: 16 | 32 | 64, insn: Insn): void => {
  if (unprotected(c)) {
    if (to.lo >>> 0 > c.seg[CS].limit) gp();
    const f = currentFrame(c, size);
    room(f, 2);
    put(c, f, c.seg[CS].selector);
    put(c, f, insn.nextLo);
    commitStack(c, f);
    loadParagraph(c, CS, to.selector);
    c.ipLo = to.lo;
    c.ipHi = 0;
    settle(c);
    return;
  }
  if (isNull(to.selector)) gp();
  const d = descriptor(c, to.selector, GP);
  if (isSegment(d)) {
    if (!isCode(d)) gp(to.selector & 0xfffc);
    checkDirect(c, d, to.selector);
    const f = currentFrame(c, size);
    room(f, 2);
    checkOffset(c, d, to.lo, to.hi);
    put(c, f, c.seg[CS].selector);
    put(c, f, insn.nextLo, insn.nextHi);
    commitStack(c, f);
    enterCode(c, d, to.selector, c.cpl, to.lo, to.hi);
    return;
  }
  if (systemKind(c, d, to.selector) === 'task') {
    onward(c, insn);
    switchTask(c, taskSelector(d, to.selector), 'call');
    return;
  }
  const gate = throughGate(c, d, to.selector);
  if (!isConforming(gate.code) && dplOf(gate.code) < c.cpl) callInner(c, gate, insn);
  else {
    const f = currentFrame(c, gate.size);
    room(f, 2);
    checkOffset(c, gate.code, gate.lo, gate.hi);
    put(c, f, c.seg[CS].selector);
    put(c, f, insn.nextLo, insn.nextHi);
    commitStack(c, f);
    enterCode(c, gate.code, gate.selector, c.cpl, gate.lo, gate.hi);
  }
};
/** The code segment of a far return or IRET: readable by its selector's RPL, which is not below the CPL. */
export const returnCode = (c: Cpu, selector: number): Descriptor => {
  const error = selector & 0xfffc;
  if (isNull(selector)) gp();
  const d = descriptor(c, selector, GP);
  const rpl = selector & 3;
  if (!isCode(d) || rpl < c.cpl) gp(error);
  if (isConforming(d) ? dplOf(d) > rpl : dplOf(d) !== rpl) gp(error);
  if (c.lma && isLong(d) && isBig(d)) gp(error);
  if (!isPresent(d)) raise(NP, error);
  return d;
};
/** The stack segment of a return to level `rpl`; undefined: a null selector, which only 64-bit code below CPL 3 may get. */
export const returnStack = (c: Cpu, selector: number, code: Descriptor, rpl: number): Descriptor | undefined => {
  const error = selector & 0xfffc;
  if (isNull(selector)) {
    if (!c.lma || !isLong(code) || rpl === 3 || (selector & 3) !== rpl) gp();
    return undefined;
  }
  const d = descriptor(c, selector, GP);
  if ((selector & 3) !== rpl || !isWritableData(d) || dplOf(d) !== rpl) gp(error);
  if (!isPresent(d)) raise(SS_FAULT, error);
  return d;
};
export const setStackSegment = (c: Cpu, d: Descriptor | undefined, selector: number, rpl: number): void => {
  if (d === undefined) loadNull(c.seg[SS], selector, rpl);
  else loadHidden(c.seg[SS], accessed(c, d), selector);
};

const farReturn: Build = (insn) => {
  const size = wordSize(insn.form, insn.bits);
  const bytes = size >> 3;
  const [o] = insn.ops;
  const release = o?.kind === 'immediate' ? o.lo & 0xffff : 0;
  return (c) => {
    const lo = peek(c, 0, size);
    const hi = c.hi;
    const selector = peek(c, bytes, size) & 0xffff;
    if (unprotected(c)) {
      if (lo >>> 0 > c.seg[CS].limit) gp();
      const sp = moved(c, 2 * bytes + release);
      setSp(c, sp, c.hi);
      loadParagraph(c, CS, selector);
      c.ipLo = lo;
      c.ipHi = 0;
      settle(c);
      return;
    }
    const d = returnCode(c, selector);
    const rpl = selector & 3;
    if (rpl === c.cpl) {
      checkOffset(c, d, lo, hi);
      const sp = moved(c, 2 * bytes + release);
      setSp(c, sp, c.hi);
      enterCode(c, d, selector, rpl, lo, hi);
      return;
    }
    const newLo = peek(c, 2 * bytes + release, size);
    const newHi = c.hi;
    const stackSelector = peek(c, 3 * bytes + release, size) & 0xffff;
    const stack = returnStack(c, stackSelector, d, rpl);
    checkOffset(c, d, lo, hi);
    setStackSegment(c, stack, stackSelector, rpl);
    enterCode(c, d, selector, rpl, lo, hi);
    setOuterSp(c, size, newLo, newHi);
    const sp = moved(c, release);
    setSp(c, sp, c.hi);
    dropInner(c);
  };
};
/** The stack pointer popped for an outer level, as wide as the new stack and as what was popped. */
export const setOuterSp = (c: Cpu, size: 16 | 32 | 64, lo: number, hi: number): void => {
  if (c.code === 64) {
    c.r[8] = lo;
    c.r[9] = hi;
  } else if (c.stack32) {
    c.r[8] = size === 16 ? lo & 0xffff : lo;
    c.r[9] = 0;
  } else c.r16[16] = lo;
};

/** The pointer of a direct far branch, or in memory: offset first, then selector. */
const pointerOf = (insn: Insn): ((c: Cpu, to: FarPointer) => void) => {
  if (insn.mem === undefined)
    return (_c, to) => {
      to.selector = insn.farSelector;
      to.lo = insn.farOffset | 0;
      to.hi = 0;
    };
  const size = wordSize(insn.form, insn.bits);
  const { mem } = insn;
  const offset = offsetOf(mem);
  const bytes = (size >> 3) + 2;
  return (c, to) => {
    const at = linear(c, mem.seg, offset(c), bytes, READABLE);
    const { ah } = c;
    to.lo = size === 64 ? read64(c, at) : size === 32 ? read32(c, at) : read16(c, at);
    to.hi = size === 64 ? c.hi : 0;
    const next = (at + (size >> 3)) | 0;
    c.ah = (ah + (c.code === 64 && next >>> 0 < at >>> 0 ? 1 : 0)) | 0;
    to.selector = read16(c, next);
  };
};
const farJmp: Build = (insn) => {
  const pointer = pointerOf(insn);
  const to: FarPointer = { selector: 0, lo: 0, hi: 0 };
  return (c) => {
    pointer(c, to);
    farJump(c, to, insn);
  };
};
const farCalls: Build = (insn) => {
  const pointer = pointerOf(insn);
  const size = wordSize(insn.form, insn.bits);
  const to: FarPointer = { selector: 0, lo: 0, hi: 0 };
  return (c) => {
    pointer(c, to);
    farCall(c, to, size, insn);
  };
};
export const farTransfers: Entries = jumping({ 'Jmp far': farJmp, 'Call far': farCalls, Retf: farReturn });
