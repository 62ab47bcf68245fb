// Flags as wholes and one by one: images pushed and popped, what privilege drops silently, IF and the shadow of STI.
// Intel SDM volume 2: PUSHF, POPF, LAHF, SAHF, CLC, STC, CMC, CLD, STD, CLI, STI, CLAC, STAC; volume 3, I/O Sensitive Instructions.

import { flag, ones, statusFlags } from '../bits.ts';
import { peek, moveStack, push } from '../stack.ts';
import { cpl, flagsOf, gp, iopl, leave, low, protectedMode, setFlags, ud, v86, type Work } from '../work.ts';
import { imageIn8086, takeImage, virtual, virtual8086 } from '../virtual-interrupts.ts';
import type { Meaning, Meanings } from './meaning.ts';

const PUSHF: Meaning = (w) => {
  const size = w.i.operandSize;
  const image = virtual8086(w, size) ? imageIn8086(flagsOf(w.s)) : flagsOf(w.s);
  // VM and RF are clear in the image.
  push(w, BigInt(image) & 0xfcffffn & ones(size), size);
};
/** Bits that POPF and IRET may change: all but what the level keeps. */
export const changeable = (w: Work, size: number): number => {
  const level = cpl(w.s);
  let bits = statusFlags | flag.TF | flag.DF | flag.NT;
  if (size !== 2) bits |= flag.AC | flag.ID;
  if (level === 0 || !protectedMode(w.s)) bits |= flag.IOPL;
  if (level <= iopl(w.s) || !protectedMode(w.s)) bits |= flag.IF;
  return bits;
};
const POPF: Meaning = (w) => {
  const size = w.i.operandSize;
  const extended = virtual8086(w, size);
  const image = low(peek(w, 0n, size));
  if (extended) setFlags(w, changeable(w, size) | flag.VIF, takeImage(w, image));
  else setFlags(w, changeable(w, size), image);
  // Editions differ on whether VIF and VIP are cleared.
  if (size !== 2 && (flagsOf(w.before) & (flag.VIF | flag.VIP)) !== 0) leave(w, 'rflags', BigInt(flag.VIF | flag.VIP));
  moveStack(w, BigInt(size));
};
const interruptFlag =
  (on: boolean): Meaning =>
  (w) => {
    const { s } = w;
    if (protectedMode(s) && cpl(s) > iopl(s)) {
      if (!virtual(w)) gp('flag.iopl');
      if (on && (flagsOf(s) & flag.VIP) !== 0) gp('flag.virtual');
      s.shadow = 'none';
      setFlags(w, flag.VIF, on ? flag.VIF : 0);
      return;
    }
    if (on && (flagsOf(s) & flag.IF) === 0) s.shadow = 'sti';
    else s.shadow = 'none';
    setFlags(w, flag.IF, on ? flag.IF : 0);
  };
const accessFlag =
  (on: boolean): Meaning =>
  (w) => {
    if (cpl(w.s) !== 0 || v86(w.s)) ud('flag.smap');
    setFlags(w, flag.AC, on ? flag.AC : 0);
  };
const set =
  (bits: number, value: (flags: number) => number): Meaning =>
  (w) =>
    setFlags(w, bits, value(flagsOf(w.s)));
const low8 = flag.CF | flag.PF | flag.AF | flag.ZF | flag.SF;
export const flags: Meanings = {
  PUSHF,
  POPF,
  SAHF: (w) => setFlags(w, low8, Number((w.s.rax >> 8n) & 0xffn)),
  LAHF: (w) => {
    w.s.rax = (w.s.rax & ~0xff00n) | BigInt(((flagsOf(w.s) & low8) | 2) << 8);
  },
  CMC: set(flag.CF, (f) => f ^ flag.CF),
  CLC: set(flag.CF, () => 0),
  STC: set(flag.CF, () => flag.CF),
  CLD: set(flag.DF, () => 0),
  STD: set(flag.DF, () => flag.DF),
  CLI: interruptFlag(false),
  STI: interruptFlag(true),
  CLAC: accessFlag(false),
  STAC: accessFlag(true),
};
