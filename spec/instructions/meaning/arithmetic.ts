// Flags of integer results, as formulae over whole values. Intel SDM volume 1, Status Flags; volume 2, appendix A of volume 1, EFLAGS Cross-Reference.

import { flag, ones, statusFlags, top } from '../bits.ts';
import { setFlags, type Work } from '../work.ts';

/** Even number of ones in the low byte. */
const parity: readonly number[] = Array.from({ length: 256 }, (_, n) => {
  let odd = n;
  odd ^= odd >> 4;
  odd ^= odd >> 2;
  odd ^= odd >> 1;
  return (odd & 1) === 0 ? flag.PF : 0;
});
/** SF, ZF, PF of a result. */
export const signZeroParity = (result: bigint, size: number): number =>
  ((result & top(size)) !== 0n ? flag.SF : 0) | ((result & ones(size)) === 0n ? flag.ZF : 0) | (parity[Number(result & 0xffn)] as number);

/** a + b + carry. */
export const added = (w: Work, a: bigint, b: bigint, carry: bigint, size: number, written: number = statusFlags): bigint => {
  const sum = a + b + carry;
  const result = sum & ones(size);
  const overflow = (a ^ result) & (b ^ result) & top(size);
  setFlags(
    w,
    written,
    (sum > ones(size) ? flag.CF : 0) |
      (overflow === 0n ? 0 : flag.OF) |
      (((a ^ b ^ result) & 0x10n) === 0n ? 0 : flag.AF) |
      signZeroParity(result, size),
  );
  return result;
};
/** a - b - borrow. */
export const subtracted = (w: Work, a: bigint, b: bigint, borrow: bigint, size: number, written: number = statusFlags): bigint => {
  const result = (a - b - borrow) & ones(size);
  const overflow = (a ^ b) & (a ^ result) & top(size);
  setFlags(
    w,
    written,
    (a < b + borrow ? flag.CF : 0) |
      (overflow === 0n ? 0 : flag.OF) |
      (((a ^ b ^ result) & 0x10n) === 0n ? 0 : flag.AF) |
      signZeroParity(result, size),
  );
  return result;
};
/** AND, OR, XOR, TEST: CF and OF clear, AF undefined. */
export const logical = (w: Work, result: bigint, size: number): bigint => {
  setFlags(w, statusFlags, signZeroParity(result, size), flag.AF);
  return result & ones(size);
};
/** Condition number 0 to 15 over flags. SDM volume 1, appendix B, EFLAGS Condition Codes. */
export const condition = (flags: number, code: number): boolean => {
  const CF = (flags & flag.CF) !== 0;
  const ZF = (flags & flag.ZF) !== 0;
  const differ = ((flags & flag.SF) !== 0) !== ((flags & flag.OF) !== 0);
  const base = [(flags & flag.OF) !== 0, CF, ZF, CF || ZF, (flags & flag.SF) !== 0, (flags & flag.PF) !== 0, differ, ZF || differ][
    code >> 1
  ] as boolean;
  return base !== ((code & 1) === 1);
};
