// Decides shifts and rotates: the masked count, the result, CF and OF; a masked count of 0 changes no flag but writes the destination all the same.
// SDM volume 2, SAL/SAR/SHL/SHR RCL/RCR/ROL/ROR SHLD SHRD. OF for counts above 1 is undefined: as for 1, from the result. AF after shifts: 0.

import { logic, logic64 } from './alu.ts';
import { placeOf } from './arithmetic.ts';
import type { Cpu } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { setCarryOverflow } from './flags.ts';
import { high, low, wide } from './halves.ts';
import { getOf } from './operands.ts';

/** `count` is masked and not 0. Gives the result; sets the flags. */
type Shift = (c: Cpu, lo: number, hi: number, count: number, size: number) => number;

const shl: Shift = (c, lo, hi, n, size) => {
  if (size === 64) {
    const outLo = n >= 32 ? 0 : lo << n;
    const outHi = n >= 32 ? lo << (n - 32) : (hi << n) | ((lo >>> 1) >>> (31 - n));
    const cf = n <= 32 ? (hi >>> (32 - n)) & 1 : (lo >>> (64 - n)) & 1;
    logic64(c, outLo, outHi);
    setCarryOverflow(c, cf, cf ^ (outHi >>> 31));
    return outLo;
  }
  const out = lo << n;
  const cf = size === 32 ? (lo >>> (32 - n)) & 1 : (out >>> size) & 1;
  logic(c, out, 32 - size);
  setCarryOverflow(c, cf, cf ^ ((out >>> (size - 1)) & 1));
  return out;
};
const shr: Shift = (c, lo, hi, n, size) => {
  if (size === 64) {
    const outLo = n >= 32 ? hi >>> (n - 32) : (lo >>> n) | ((hi << 1) << (31 - n));
    const outHi = n >= 32 ? 0 : hi >>> n;
    const cf = n <= 32 ? (lo >>> (n - 1)) & 1 : (hi >>> (n - 33)) & 1;
    logic64(c, outLo | 0, outHi | 0);
    setCarryOverflow(c, cf, n === 1 ? hi >>> 31 : 0);
    return outLo | 0;
  }
  const from = size === 32 ? lo : lo & ((1 << size) - 1);
  const out = (from >>> n) | 0;
  logic(c, out, 32 - size);
  setCarryOverflow(c, (from >>> (n - 1)) & 1, n === 1 ? (from >>> (size - 1)) & 1 : 0);
  return out;
};
const sar: Shift = (c, lo, hi, n, size) => {
  if (size === 64) {
    const outLo = n >= 32 ? hi >> (n - 32) : (lo >>> n) | ((hi << 1) << (31 - n));
    const outHi = n >= 32 ? hi >> 31 : hi >> n;
    const cf = n <= 32 ? (lo >>> (n - 1)) & 1 : (hi >>> (n - 33)) & 1;
    logic64(c, outLo | 0, outHi);
    setCarryOverflow(c, cf, 0);
    return outLo | 0;
  }
  const from = (lo << (32 - size)) >> (32 - size);
  const out = from >> n;
  logic(c, out, 32 - size);
  setCarryOverflow(c, (from >> (n - 1)) & 1, 0);
  return out;
};

const mask = (size: number): bigint => (1n << BigInt(size)) - 1n;
const whole = (lo: number, hi: number, size: number): bigint => BigInt.asUintN(size, wide(lo, size === 64 ? hi : 0));
const split = (c: Cpu, value: bigint): number => {
  c.hi = high(value);
  return low(value);
};
const bit = (value: bigint, n: number): number => Number((value >> BigInt(n)) & 1n);

const rol: Shift = (c, lo, hi, n, size) => {
  const [v, k] = [whole(lo, hi, size), BigInt(n % size)];
  const out = ((v << k) | (v >> (BigInt(size) - k))) & mask(size);
  const cf = bit(out, 0);
  setCarryOverflow(c, cf, cf ^ bit(out, size - 1));
  return split(c, out);
};
const ror: Shift = (c, lo, hi, n, size) => {
  const [v, k] = [whole(lo, hi, size), BigInt(n % size)];
  const out = ((v >> k) | (v << (BigInt(size) - k))) & mask(size);
  const cf = bit(out, size - 1);
  setCarryOverflow(c, cf, cf ^ bit(out, size - 2));
  return split(c, out);
};
/** The carry is one more bit above the operand. */
const rcl: Shift = (c, lo, hi, n, size) => {
  const k = BigInt(n % (size + 1));
  if (k === 0n) return split(c, whole(lo, hi, size));
  const v = whole(lo, hi, size) | (BigInt(c.c >>> 31) << BigInt(size));
  const all = BigInt(size + 1);
  const out = ((v << k) | (v >> (all - k))) & mask(size + 1);
  const cf = bit(out, size);
  setCarryOverflow(c, cf, cf ^ bit(out, size - 1));
  return split(c, out & mask(size));
};
const rcr: Shift = (c, lo, hi, n, size) => {
  const k = BigInt(n % (size + 1));
  if (k === 0n) return split(c, whole(lo, hi, size));
  const v = whole(lo, hi, size) | (BigInt(c.c >>> 31) << BigInt(size));
  const all = BigInt(size + 1);
  const out = ((v >> k) | (v << (all - k))) & mask(size + 1);
  setCarryOverflow(c, bit(out, size), bit(out, size - 1) ^ bit(out, size - 2));
  return split(c, out & mask(size));
};

const shift =
  (f: Shift): Build =>
  (insn) => {
    const { size } = insn;
    const [o, by] = [insn.ops[0]!, insn.ops[1]!];
    const most = size === 64 ? 63 : 31;
    if (o.kind === 'register' && by.kind === 'immediate' && (by.lo & most) !== 0 && size >= 32) {
      const [i, n] = [2 * o.index, by.lo & most];
      if (size === 32)
        return (c) => {
          c.r[i] = f(c, c.r[i]!, 0, n, 32);
          c.r[i + 1] = 0;
        };
      return (c) => {
        c.r[i] = f(c, c.r[i]!, c.r[i + 1]!, n, 64);
        c.r[i + 1] = c.hi;
      };
    }
    const place = placeOf(insn, 0);
    const count = getOf(insn, 1, 8);
    return (c) => {
      const at = place.at(c);
      const n = count(c) & most;
      const lo = place.load(c, at);
      if (n === 0) place.store(c, at, lo, c.hi);
      else {
        const out = f(c, lo, c.hi, n, size);
        place.store(c, at, out, c.hi);
      }
    };
  };
/** A 16-bit count above 16 is undefined: what comes in after the source is the destination again, as Intel processors do. */
const double =
  (left: boolean): Build =>
  (insn) => {
    const { size } = insn;
    const place = placeOf(insn, 0);
    const [source, count] = [getOf(insn, 1, size), getOf(insn, 2, 8)];
    const w = BigInt(size);
    return (c) => {
      const at = place.at(c);
      const n = count(c) & (size === 64 ? 63 : 31);
      const lo = place.load(c, at);
      if (n === 0) {
        place.store(c, at, lo, c.hi);
        return;
      }
      const to = whole(lo, c.hi, size);
      const fromLo = source(c);
      const from = whole(fromLo, c.hi, size);
      const k = BigInt(n);
      const row = (to << (2n * w)) | (from << w) | to;
      const moved = left ? (row << k) >> (2n * w) : row >> k;
      const out = moved & mask(size);
      const outLo = split(c, out);
      const outHi = c.hi;
      if (size === 64) logic64(c, outLo, outHi);
      else logic(c, outLo, 32 - size);
      const cf = left ? bit(row, 3 * size - n) : bit(row, n - 1);
      setCarryOverflow(c, cf, left ? cf ^ bit(out, size - 1) : bit(out, size - 1) ^ bit(out, size - 2));
      place.store(c, at, outLo, outHi);
    };
  };
export const shifts: Entries = plain({
  Shl: shift(shl),
  Sal: shift(shl),
  Shr: shift(shr),
  Sar: shift(sar),
  Rol: shift(rol),
  Ror: shift(ror),
  Rcl: shift(rcl),
  Rcr: shift(rcr),
  Shld: double(true),
  Shrd: double(false),
});
