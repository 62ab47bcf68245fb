// The operands of the instruction under judgement: what each holds and what becomes of it when it is written.
// Intel SDM volume 2, appendix A, Key to Abbreviations; volume 1, Operand Addressing.

import { accessFor, linearOf, load, offsetOf, place, save, type Use } from './access.ts';
import { gpr, type Size, ones } from './bits.ts';
import type { Operand } from './forms/index.ts';
import { has, leave, register, setRegister, undecided, type Work } from './work.ts';

export const sizeOf = (w: Work, operand: Operand): Size => {
  const { operandSize } = w.i;
  switch (operand.width) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return w.i.code === 64 ? 8 : 4;
    case 'z':
      return operandSize === 8 ? 4 : operandSize;
    case 'y':
      return operandSize === 8 ? 8 : 4;
    default:
      return operandSize;
  }
};
const operandAt = (w: Work, n: number): Operand => w.i.form.operands[n] ?? undecided('an operand too few');

/** Where the memory operand lies, for one access of `size` bytes. */
export const memoryPlace = (w: Work, size: number, use: Use, extra = 0n, aligned: number = size): readonly number[] => {
  const offset = (offsetOf(w) + extra) & ones(w.i.addressSize);
  const linear = linearOf(w, w.i.address?.segment ?? 3, offset, size, use);
  return place(w, linear, size, accessFor(use), aligned);
};
export const isMemory = (w: Work, n: number): boolean => {
  const { at } = operandAt(w, n);
  return (at === 'E' || at === 'M' || at === 'O') && w.i.address !== undefined;
};

/** Reads operand `n`. */
export const value = (w: Work, n: number): bigint => {
  const operand = operandAt(w, n);
  const size = sizeOf(w, operand);
  const { i } = w;
  switch (operand.at) {
    case 'E':
    case 'M':
    case 'R':
    case 'O':
      if (i.address !== undefined) return load(w, memoryPlace(w, size, 'read'), size);
      return register(w, i.rm, size);
    case 'G':
      return register(w, i.reg, size);
    case 'Z':
      return register(w, i.rm, size);
    case 'B':
      return register(w, i.vvvv, size);
    case 'acc':
      return register(w, 0, size);
    case 'CL':
      return w.s.rcx & 0xffn;
    case 'DX':
      return w.s.rdx & 0xffffn;
    case 'one':
      return 1n;
    case 'I':
      return (n === i.form.operands.length - 1 && n > 0 && i.form.mnemonic === 'ENTER' ? BigInt(i.second) : i.immediate) & ones(8);
    default:
      return undecided(`operand ${operand.at}`);
  }
};
/** Writes operand `n`. */
export const assign = (w: Work, n: number, result: bigint): void => {
  const operand = operandAt(w, n);
  const size = sizeOf(w, operand);
  switch (operand.at) {
    case 'E':
    case 'M':
    case 'R':
    case 'O':
      if (w.i.address !== undefined) save(w, memoryPlace(w, size, 'write'), size, result);
      else setRegister(w, w.i.rm, size, result);
      return;
    case 'G':
      setRegister(w, w.i.reg, size, result);
      return;
    case 'Z':
      setRegister(w, w.i.rm, size, result);
      return;
    case 'B':
      setRegister(w, w.i.vvvv, size, result);
      return;
    case 'acc':
      setRegister(w, 0, size, result);
      return;
    default:
      undecided(`operand ${operand.at}`);
  }
};
/** Writes 16 bits to the memory operand, whatever the operand size. */
export const assignWord = (w: Work, result: bigint): void => save(w, memoryPlace(w, 2, 'write'), 2, result);
/** A selector to the register of ModRM. Above it 32 bits are not defined on processors before the P6 family. SDM volume 2, MOV—Move; SLDT. */
export const setSelector = (w: Work, selector: bigint): void => {
  setRegister(w, w.i.rm, w.i.operandSize, selector);
  if (w.i.operandSize === 4 && !has(w, 'syscall')) leave(w, gpr[w.i.rm] as string, 0xffff0000n);
};
/** Reads operand `n`, and writes what `change` makes of it to the same place: one access that must be writable. */
export const update = (w: Work, n: number, change: (old: bigint, size: Size) => bigint): void => {
  const operand = operandAt(w, n);
  const size = sizeOf(w, operand);
  if (w.i.address !== undefined && (operand.at === 'E' || operand.at === 'M')) {
    const places = memoryPlace(w, size, 'modify');
    save(w, places, size, change(load(w, places, size), size));
  } else assign(w, n, change(value(w, n), size));
};
