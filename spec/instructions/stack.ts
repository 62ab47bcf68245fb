// The stack as instructions use it: where a word goes, how the pointer moves, by the width of the stack segment.
// Intel SDM volume 1, Procedure Stack; Address-Size Attribute for Stack.

import { faultsOf, linearOf, place, readAt, save, writing } from './access.ts';
import { ones, bigOf } from './bits.ts';
import { stackSize, undecided, type Work } from './work.ts';

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
export const peek = (w: Work, by: bigint, size: number): bigint => readAt(w, SS, stackAt(w, by), size);
export const pop = (w: Work, size: number): bigint => {
  const value = peek(w, 0n, size);
  moveStack(w, bigOf(size));
  return value;
};
