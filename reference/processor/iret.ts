// Decides IRET: in real-address and virtual-8086 mode, to the same level, outward, into virtual-8086 mode, and back to a nested task's caller.
// SDM volume 2, IRET/IRETD/IRETQ (Operation).

import { AC, ARITHMETIC, CR4_VME, DF, ID, IF, IOPL, NT, RF, TF, VIF, VIP, VM } from './bits.ts';
import { CS, type Cpu, DS, ES, FS, GS, SS } from './cpu.ts';
import { type Build, type Entries, jumping } from './entry.ts';
import { checkOffset, enterCode, returnCode, returnStack, setOuterSp, setStackSegment } from './far.ts';
import { gp } from './fault.ts';
import { readFlags, writeFlags } from './flags.ts';
import { loadParagraph, settle, settleSegments, unprotected } from './mode.ts';
import { dropInner } from './segment-load.ts';
import { drop, peek, wordSize } from './stack.ts';
import { returnTask } from './task.ts';

const merge = (c: Cpu, value: number, may: number): void => writeFlags(c, (readFlags(c) & ~may) | (value & may));
const COMMON = ARITHMETIC | TF | DF | NT;

const ireturn: Build = (insn) => {
  const size = wordSize(insn.form, insn.bits);
  return (c) => {
    c.nmiBlocked = false;
    if (unprotected(c)) toParagraph(c, size);
    else if ((c.flags & NT) !== 0) {
      if (c.lma) gp();
      c.ipLo = insn.nextLo;
      c.ipHi = insn.nextHi;
      returnTask(c);
    } else toSegment(c, size);
    c.attention = 1;
  };
};

const toParagraph = (c: Cpu, size: 16 | 32 | 64): void => {
  const iopl = (c.flags & IOPL) >>> 12;
  const virtual = c.v86 && iopl < 3;
  if (virtual && ((c.cr4 & CR4_VME) === 0 || size !== 16)) gp();
  const bytes = size >> 3;
  const lo = peek(c, 0, size);
  const selector = peek(c, bytes, size) & 0xffff;
  const flags = peek(c, 2 * bytes, size);
  if (lo >>> 0 > c.seg[CS].limit) gp();
  let may = COMMON | IF | (size === 16 ? 0 : RF | AC | ID) | (c.v86 ? 0 : IOPL);
  let value = flags;
  if (virtual) {
    if ((flags & TF) !== 0 || ((flags & IF) !== 0 && (c.flags & VIP) !== 0)) gp();
    may = (may & ~IF) | VIF;
    value = (flags & ~VIF) | ((flags & IF) !== 0 ? VIF : 0);
  }
  drop(c, 3 * bytes);
  loadParagraph(c, CS, selector);
  c.ipLo = lo;
  c.ipHi = 0;
  merge(c, value, may);
  settle(c);
};

const toSegment = (c: Cpu, size: 16 | 32 | 64): void => {
  const bytes = size >> 3;
  const lo = peek(c, 0, size);
  const hi = c.hi;
  const selector = peek(c, bytes, size) & 0xffff;
  const flags = peek(c, 2 * bytes, size);
  if ((flags & VM) !== 0 && c.cpl === 0 && size === 32 && !c.lma) {
    toVirtual8086(c, lo, selector, flags);
    return;
  }
  const before = c.cpl;
  const may =
    COMMON |
    (size === 16 ? 0 : RF | AC | ID) |
    (before <= (c.flags & IOPL) >>> 12 ? IF : 0) |
    (before === 0 ? IOPL | (size === 16 ? 0 : VIF | VIP) : 0);
  const d = returnCode(c, selector);
  const rpl = selector & 3;
  if (rpl === before && c.code !== 64) {
    checkOffset(c, d, lo, hi);
    drop(c, 3 * bytes);
    enterCode(c, d, selector, rpl, lo, hi);
    merge(c, flags, may);
    settle(c);
    return;
  }
  // Outward, and always from 64-bit code: the stack pointer too.
  const newLo = peek(c, 3 * bytes, size);
  const newHi = c.hi;
  const stackSelector = peek(c, 4 * bytes, size) & 0xffff;
  const stack = returnStack(c, stackSelector, d, rpl);
  checkOffset(c, d, lo, hi);
  setStackSegment(c, stack, stackSelector, rpl);
  enterCode(c, d, selector, rpl, lo, hi);
  merge(c, flags, may);
  settle(c);
  setOuterSp(c, size, newLo, newHi);
  if (rpl > before) dropInner(c);
};

const toVirtual8086 = (c: Cpu, lo: number, selector: number, flags: number): void => {
  const at = (n: number): number => peek(c, 4 * n, 32);
  const sp = at(3);
  const [ss, es, ds, fs, gs] = [at(4), at(5), at(6), at(7), at(8)];
  if (lo >>> 0 > 0xffff) gp();
  writeFlags(c, flags & (ARITHMETIC | TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID));
  c.cpl = 3;
  settle(c);
  for (const [index, value] of [
    [CS, selector],
    [SS, ss],
    [ES, es],
    [DS, ds],
    [FS, fs],
    [GS, gs],
  ] as const)
    loadParagraph(c, index, value);
  settleSegments(c);
  settle(c);
  c.r[8] = sp;
  c.r[9] = 0;
  c.ipLo = lo & 0xffff;
  c.ipHi = 0;
};
export const interruptReturns: Entries = jumping({ Iret: ireturn, Iretd: ireturn, Iretq: ireturn });
