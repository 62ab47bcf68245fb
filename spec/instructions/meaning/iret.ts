// IRET: which flags it loads, which it drops silently, and where it returns to: the same level, an outer one, or virtual-8086 mode.
// Intel SDM volume 2, IRET/IRETD/IRETQ—Interrupt Return.

import { faultsOf, inAnyOrder } from '../access.ts';
import { flag, ones, statusFlags } from '../bits.ts';
import { rplOf } from '../descriptors.ts';
import { dropPrivileged, enter, go8086, isLong, returned, returnedStack, within } from '../far.ts';
import { moveStack, peek, setStack } from '../stack.ts';
import { returnToTask } from '../task.ts';
import type { Segment } from '../vocabulary.ts';
import { cpl, flagsOf, gp, ia32e, in64, leave, like8086, low, ofSystem, protectedMode, raise, undecided, v86, type Work } from '../work.ts';
import { takeImage, virtual8086 } from '../virtual-interrupts.ts';
import { changeable } from './flag.ts';
import type { Meaning } from './meaning.ts';

/** Flags from the image, as far as the level that executes IRET may change them. */
const loadFlags = (w: Work, image: number, size: number): number => {
  let bits = changeable(w, size);
  if (size !== 2) {
    bits |= flag.RF;
    if (protectedMode(w.s) && cpl(w.s) === 0) bits |= flag.VIF | flag.VIP;
  }
  w.flagsWritten |= bits;
  return (flagsOf(w.s) & ~bits) | (image & bits) | 2;
};
const loadVirtual = (w: Work, image: number): number => {
  const bits = changeable(w, 2) | flag.VIF;
  w.flagsWritten |= bits;
  return (flagsOf(w.s) & ~bits) | (takeImage(w, image) & bits) | 2;
};
const eightySix = (selector: number): Segment => ({ selector, base: BigInt(selector) << 4n, limit: 0xffff, access: 0xf3 });

export const IRET: Meaning = (w) => {
  const size = w.i.operandSize;
  const { s } = w;
  // An image of 16 bits has no RF. IRET is excepted from what clears it, for the sake of images that have.
  if (size === 2) leave(w, 'rflags', BigInt(flag.RF));
  // Below IOPL 3 IRET's page knows #GP(0) alone; by Class 2 in Virtual-8086 Mode the extensions have it load VIF, as POPF does.
  const extended = protectedMode(s) && virtual8086(w, size);
  if (extended) w.also.push({ vector: 13, error: 0, rule: 'flag.iopl' });
  if (!v86(s) && protectedMode(s) && (flagsOf(s) & flag.NT) !== 0) {
    if (ia32e(s)) gp('return.nested');
    ofSystem(w, 'the descriptor tables');
    returnToTask(w, s.rip + BigInt(w.i.length));
    return;
  }
  const word = (n: number): bigint => peek(w, BigInt(n * size), size);
  const [offset = 0n, second = 0n, third = 0n] = inAnyOrder(
    () => word(0),
    () => word(1),
    () => word(2),
  );
  const selector = Number(second & 0xffffn);
  const image = low(third);
  if (like8086(s)) {
    const flags = extended ? loadVirtual(w, image) : loadFlags(w, image, size);
    go8086(w, selector, offset);
    moveStack(w, BigInt(3 * size));
    s.rflags = BigInt(flags);
    return;
  }
  ofSystem(w, 'the descriptor tables');
  const level = cpl(s);
  if (size !== 2 && (image & flag.VM) !== 0 && level === 0 && !ia32e(s)) {
    to8086(w, offset, selector, image);
    return;
  }
  const next = rplOf(selector);
  const stack = (): readonly bigint[] =>
    inAnyOrder(
      () => word(3),
      () => word(4),
    );
  // The page pops SS and RSP before it tests CS where the operands have 64 bits, and after it elsewhere: either may be reported.
  const refused = faultsOf(() => returned(w, selector));
  if (refused.length > 0) raise(...refused, ...(next > level || in64(s) ? faultsOf(stack) : []));
  const d = returned(w, selector);
  const flags = loadFlags(w, image, size);
  if (next === level && !in64(s)) {
    within(w, d, offset);
    enter(w, d, selector, next, offset);
    moveStack(w, BigInt(3 * size));
  } else {
    const [pointer = 0n, fifth = 0n] = stack();
    const segment = returnedStack(w, Number(fifth & 0xffffn), next, ia32e(s) && isLong(d), true);
    within(w, d, offset);
    enter(w, d, selector, next, offset);
    s.ss = segment;
    if (in64(s)) s.rsp = pointer;
    else setStack(w, pointer & ones(size));
    if (next > level) dropPrivileged(w, next);
  }
  s.rflags = BigInt(flags);
};
const to8086 = (w: Work, offset: bigint, selector: number, image: number): void => {
  const { s } = w;
  const word = (n: number): bigint => peek(w, BigInt(n * 4), 4);
  const [rsp, ss, es, ds, fs, gs] = [3, 4, 5, 6, 7, 8].map(word) as [bigint, bigint, bigint, bigint, bigint, bigint];
  // The page says #GP(0); Bochs and QEMU cut it to 16 bits.
  if (offset > 0xffffn) undecided('an offset past FFFFH in virtual-8086 mode');
  const bits =
    statusFlags | flag.TF | flag.IF | flag.DF | flag.IOPL | flag.NT | flag.RF | flag.VM | flag.AC | flag.VIF | flag.VIP | flag.ID;
  w.flagsWritten |= bits;
  s.rflags = BigInt((image & bits) | 2);
  s.cs = eightySix(selector);
  s.rip = offset;
  w.moved = true;
  s.rsp = rsp;
  s.ss = eightySix(Number(ss & 0xffffn));
  s.es = eightySix(Number(es & 0xffffn));
  s.ds = eightySix(Number(ds & 0xffffn));
  s.fs = eightySix(Number(fs & 0xffffn));
  s.gs = eightySix(Number(gs & 0xffffn));
};
