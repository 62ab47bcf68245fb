// The stack as instructions use it: where a word goes, how the pointer moves, by the width of the stack segment.
// Intel SDM volume 1, Procedure Stack; Address-Size Attribute for Stack.

import { faultsOf, linearOf, place, reading, readAt, save, writing } from './access.ts';
import { cr0, ones, bigOf, low } from './bits.ts';
import { anew, cr0Of, type Fault, raiseAll, stackSize, undecided, type Work } from './work.ts';

const SS = 2;
/** Moves the stack pointer, keeping the bits above the stack's width. */
export const moveStack = (w: Work, by: bigint): void => setStack(w, w.s.rsp + by);
export const setStack = (w: Work, pointer: bigint): void => {
  const width = stackSize(w.s);
  w.s.rsp = width === 2 ? (w.s.rsp & ~0xffffn) | (pointer & 0xffffn) : pointer & ones(width);
};
/** Offset of the top of the stack, moved by some bytes. */
export const stackAt = (w: Work, by = 0n): bigint => (w.s.rsp + by) & ones(stackSize(w.s));
/** `loose`: bits of the slot that are not judged. */
export const push = (w: Work, value: bigint, size: number, loose = 0n): void => {
  const linear = linearOf(w, SS, stackAt(w, -bigOf(size)), size, 'write');
  save(w, place(w, linear, size, writing), size, value, loose);
  moveStack(w, -bigOf(size));
};
/** A selector in a wider slot: the upper part may be written as zero or left. SDM volume 2, PUSH. */
export const pushSelector = (w: Work, selector: number, size: number): void => {
  const fits = (bytes: number): boolean => faultsOf(() => linearOf(w, SS, stackAt(w, -BigInt(size)), bytes, 'write')).length === 0;
  if (size > 2 && fits(2) !== fits(size)) undecided('how much of the slot a selector takes');
  push(w, BigInt(selector), size, ones(size) & ~0xffffn);
};
const same = (a: Fault, b: Fault): boolean => a.vector === b.vector && a.error === b.error && a.cr2 === b.cr2;
/** PUSH of a segment register with a 32-bit operand writes 4 bytes or 2: the faults of either. SDM volume 2, PUSH. */
export const pushSegment = (w: Work, selector: number, size: number): void => {
  if (size !== 4) {
    pushSelector(w, selector, size);
    return;
  }
  const over = (bytes: number): readonly Fault[] => faultsOf(() => placeOf(w, bytes));
  const narrow = over(2);
  const met = w.watch?.met;
  const wide = over(4);
  if (w.watch?.met !== met) undecided('a breakpoint on the upper half of what is pushed');
  if (narrow.length > 0) raiseAll([...wide, ...narrow.filter((a) => !wide.some((b) => same(a, b)))]);
  if (wide.length > 0) {
    save(w, placeOf(w, 2), 2, BigInt(selector));
    w.also.push(...wide);
    moveStack(w, -4n);
    return;
  }
  // A page that the upper half alone lies in may become dirty, or not.
  const within = low(linearOf(w, SS, stackAt(w, -4n), 2, 'write')) & 0xfff;
  if ((within === 0xffd || within === 0xffe) && (cr0Of(w.s) & cr0.PG) !== 0) undecided('how much of the slot a selector takes');
  push(w, BigInt(selector), 4, ones(4) & ~0xffffn);
};
const placeOf = (w: Work, bytes: number): readonly number[] => place(w, linearOf(w, SS, stackAt(w, -4n), bytes, 'write'), bytes, writing);
/** POP of a segment register with a wider operand: the Operation section copies the whole slot, Bochs and KVM read its first word. The faults
 *  of either. SDM volume 2, POP; readings.md. */
export const popSelector = (w: Work, size: number): number => {
  if (size === 2) return low(peek(w, 0n, 2));
  // Apart, so that no accessed flag of a page that the upper part alone lies in is demanded.
  const apart = anew(w);
  apart.i = w.i;
  if (w.watch !== undefined) apart.watch = { ...w.watch };
  const wide = faultsOf(() => place(apart, linearOf(apart, SS, stackAt(w), size, 'read'), size, reading));
  let selector = 0;
  const narrow = faultsOf(() => {
    selector = low(peek(w, 0n, 2));
  });
  if (wide.length === 0 && narrow.length === 0 && apart.watch?.met !== w.watch?.met)
    undecided('a breakpoint on the upper part of what is popped');
  const more = wide.filter((a) => !narrow.some((b) => same(a, b)));
  if (narrow.length > 0) raiseAll([...narrow, ...more]);
  w.also.push(...more);
  return selector;
};
export const peek = (w: Work, by: bigint, size: number): bigint => readAt(w, SS, stackAt(w, by), size);
export const pop = (w: Work, size: number): bigint => {
  const value = peek(w, 0n, size);
  moveStack(w, bigOf(size));
  return value;
};
