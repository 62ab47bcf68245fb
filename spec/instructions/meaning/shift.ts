// Shifts and rotates: which count, which bits, and which flags are defined.
// Intel SDM volume 2: RCL/RCR/ROL/ROR, SAL/SAR/SHL/SHR, SHLD, SHRD.

import { flag, gpr, ones, signed, statusFlags, top } from '../bits.ts';
import { isMemory, update, value } from '../operands.ts';
import { flagsOf, leave, setFlags, undecided, type Work } from '../work.ts';
import { signZeroParity } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

/** 5 bits count, 6 with a 64-bit operand. */
const countOf = (w: Work, n: number): number =>
  Number(value(w, n) & (w.i.operandSize === 8 && w.i.form.operands[0]?.width !== 'b' ? 0x3fn : 0x1fn));
const counted =
  (change: (w: Work, old: bigint, count: number, size: number) => bigint, at = 1): Meaning =>
  (w) => {
    const count = countOf(w, at);
    if (count === 0) {
      // Whether a memory destination is written back is not said.
      if (isMemory(w, 0)) undecided('a shift by 0 in memory');
      update(w, 0, (old) => old);
      return;
    }
    update(w, 0, (old, size) => change(w, old, count, size));
  };
const bit = (v: bigint, n: number): number => Number((v >> BigInt(n)) & 1n);

/** ROL and ROR: CF from the end of the result, OF for counts of 1. */
const rotate = (left: boolean): Meaning =>
  counted((w, old, count, size) => {
    const bits = size * 8;
    const by = BigInt(left ? count % bits : (bits - (count % bits)) % bits);
    const result = ((old << by) | (old >> (BigInt(bits) - by))) & ones(size);
    const CF = bit(result, left ? 0 : bits - 1);
    const OF = left ? bit(result, bits - 1) ^ CF : bit(result, bits - 1) ^ bit(result, bits - 2);
    setFlags(w, flag.CF | flag.OF, (CF ? flag.CF : 0) | (OF ? flag.OF : 0), count === 1 ? 0 : flag.OF);
    return result;
  }, 1);
/** RCL and RCR: the carry is a bit of the value; the count is taken modulo bits + 1. */
const rotateCarry = (left: boolean): Meaning =>
  counted((w, old, count, size) => {
    const bits = size * 8;
    const all = BigInt(bits + 1);
    const by = BigInt(count % (bits + 1));
    const wide = old | (BigInt(flagsOf(w.s) & flag.CF) << BigInt(bits));
    const turn = left ? by : (all - by) % all;
    const turned = ((wide << turn) | (wide >> (all - turn))) & ((1n << all) - 1n);
    const result = turned & ones(size);
    const CF = bit(turned, bits);
    const OF = left ? bit(result, bits - 1) ^ CF : bit(result, bits - 1) ^ bit(result, bits - 2);
    setFlags(w, flag.CF | flag.OF, (CF ? flag.CF : 0) | (OF ? flag.OF : 0), count === 1 ? 0 : flag.OF);
    return result;
  }, 1);
const finish = (w: Work, result: bigint, size: number, CF: number, OF: number, open: number): bigint => {
  const cut = result & ones(size);
  setFlags(w, statusFlags, (CF ? flag.CF : 0) | (OF ? flag.OF : 0) | signZeroParity(cut, size), open | flag.AF);
  return cut;
};
const SHL: Meaning = counted((w, old, count, size) => {
  const bits = size * 8;
  const wide = old << BigInt(count);
  const CF = bit(wide, bits);
  return finish(w, wide, size, CF, bit(wide, bits - 1) ^ CF, (count === 1 ? 0 : flag.OF) | (count >= bits ? flag.CF : 0));
});
const SHR: Meaning = counted((w, old, count, size) =>
  finish(
    w,
    old >> BigInt(count),
    size,
    bit(old, count - 1),
    bit(old, size * 8 - 1),
    (count === 1 ? 0 : flag.OF) | (count >= size * 8 ? flag.CF : 0),
  ),
);
const SAR: Meaning = counted((w, old, count, size) => {
  const value = signed(old, size);
  return finish(w, value >> BigInt(count), size, Number((value >> BigInt(count - 1)) & 1n), 0, count === 1 ? 0 : flag.OF);
});
/** SHLD and SHRD: beyond the operand size nothing is defined. */
const double = (left: boolean): Meaning =>
  counted((w, old, count, size) => {
    const bits = size * 8;
    const source = value(w, 1);
    if (count > bits) {
      if (isMemory(w, 0)) undecided('a double shift beyond the operand size');
      // The frame of whatever comes next goes where nobody can say.
      if (gpr[w.i.rm] === 'rsp') undecided('a stack pointer that is undefined');
      leave(w, 'rflags', BigInt(statusFlags));
      leave(w, gpr[w.i.rm] as string, ones(size));
      return old;
    }
    const n = BigInt(count);
    const result = (left ? (old << n) | (source >> (BigInt(bits) - n)) : (old >> n) | (source << (BigInt(bits) - n))) & ones(size);
    const CF = left ? bit(old, bits - count) : bit(old, count - 1);
    const OF = (old ^ result) & top(size) ? 1 : 0;
    return finish(w, result, size, CF, OF, count === 1 ? 0 : flag.OF);
  }, 2);
export const shift: Meanings = {
  ROL: rotate(true),
  ROR: rotate(false),
  RCL: rotateCarry(true),
  RCR: rotateCarry(false),
  SHL,
  SHR,
  SAR,
  SHLD: double(true),
  SHRD: double(false),
};
