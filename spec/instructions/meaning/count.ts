// Counts of bits, bit fields and masks, shifts that leave the flags, and the carry chains of ADCX and ADOX. The flags that are not named are undefined.
// Intel SDM volume 2: POPCNT, TZCNT, LZCNT, ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI, PDEP, PEXT, RORX, SARX/SHLX/SHRX, MULX, ADCX, ADOX, MOVBE.

import { flag, ones, type Size, statusFlags, top } from '../bits.ts';
import { assign, sizeOf, value } from '../operands.ts';
import { flagsOf, setFlags, setRegister, register, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

const sizeHere = (w: Work): Size => sizeOf(w, w.i.form.operands[0] ?? { at: 'G', width: 'v' });
const digits = (v: bigint): readonly number[] => v.toString(2).split('').reverse().map(Number);
const zero = (v: bigint): number => (v === 0n ? flag.ZF : 0);
const sign = (v: bigint, size: Size): number => ((v & top(size)) === 0n ? 0 : flag.SF);

const POPCNT: Meaning = (w) => {
  const source = value(w, 1);
  setFlags(w, statusFlags, zero(source));
  assign(w, 0, BigInt(digits(source).filter((d) => d === 1).length));
};
const counted =
  (zeros: (source: bigint, bits: number) => number): Meaning =>
  (w) => {
    const bits = sizeHere(w) * 8;
    const source = value(w, 1);
    const count = source === 0n ? bits : zeros(source, bits);
    setFlags(w, flag.CF | flag.ZF, (source === 0n ? flag.CF : 0) | (count === 0 ? flag.ZF : 0), flag.OF | flag.SF | flag.PF | flag.AF);
    assign(w, 0, BigInt(count));
  };
/** What the result and the source make of the flags. */
type Sets = (result: bigint, source: bigint, size: Size) => { readonly value: number; readonly open: number };
const half = flag.AF | flag.PF;
const computed =
  (change: (first: bigint, second: bigint, size: Size) => bigint, sets?: Sets): Meaning =>
  (w) => {
    const size = sizeHere(w);
    const sources = w.i.form.operands.slice(1).map((_, k) => value(w, k + 1) & ones(size));
    const [first = 0n, second = 0n] = sources;
    const result = change(first, second, size) & ones(size);
    if (sets !== undefined) {
      const { value: flags, open } = sets(result, sources.length === 1 ? first : second, size);
      setFlags(w, statusFlags & ~open, flags, open);
    }
    assign(w, 0, result);
  };
const carryOf =
  (is: (source: bigint, size: Size) => boolean, zeroToo = true): Sets =>
  (result, source, size) => ({
    value: (is(source, size) ? flag.CF : 0) | (zeroToo ? zero(result) : 0) | sign(result, size),
    open: half,
  });
const never = (): boolean => false;
const isZero = (source: bigint): boolean => source === 0n;
const low8 = (v: bigint): number => Number(v & 0xffn);
/** Bits of `from`, lowest first, to the places that are set in `mask`; and back. */
const places = (mask: bigint): readonly bigint[] => digits(mask).flatMap((d, k) => (d === 1 ? [1n << BigInt(k)] : []));
const deposit = (from: bigint, mask: bigint): bigint =>
  places(mask).reduce((sum, place, k) => sum | (((from >> BigInt(k)) & 1n) === 0n ? 0n : place), 0n);
const extract = (from: bigint, mask: bigint): bigint =>
  places(mask).reduce((sum, place, k) => sum | ((from & place) === 0n ? 0n : 1n << BigInt(k)), 0n);
const masked = (count: bigint, size: Size): bigint => count & BigInt(size * 8 - 1);
const signedOf = (v: bigint, size: Size): bigint => BigInt.asIntN(size * 8, v);
const fieldOf = (from: bigint, control: bigint): bigint => {
  const length = low8(control >> 8n);
  return (from >> BigInt(low8(control))) & ((1n << BigInt(length)) - 1n);
};
const chained =
  (through: number): Meaning =>
  (w) => {
    const size = sizeHere(w);
    const sum = value(w, 0) + value(w, 1) + ((flagsOf(w.s) & through) === 0 ? 0n : 1n);
    setFlags(w, through, sum > ones(size) ? through : 0);
    assign(w, 0, sum & ones(size));
  };
const MULX: Meaning = (w) => {
  const size = sizeHere(w);
  const product = register(w, 2, size) * value(w, 2);
  // Where both destinations are one register it holds the high half.
  setRegister(w, w.i.vvvv, size, product & ones(size));
  setRegister(w, w.i.reg, size, product >> BigInt(size * 8));
};
export const counts: Meanings = {
  POPCNT,
  TZCNT: counted((source) => digits(source).indexOf(1)),
  LZCNT: counted((source, bits) => bits - digits(source).length),
  ANDN: computed((a, b) => ~a & b, carryOf(never)),
  BEXTR: computed(fieldOf, (result) => ({ value: zero(result), open: half | flag.SF })),
  BLSR: computed((a) => a & (a - 1n), carryOf(isZero)),
  BLSMSK: computed((a) => a ^ (a - 1n), carryOf(isZero, false)),
  BLSI: computed(
    (a) => a & -a,
    carryOf((source) => source !== 0n),
  ),
  BZHI: computed(
    (a, b, size) => (low8(b) < size * 8 ? a & ((1n << BigInt(low8(b))) - 1n) : a),
    carryOf((source, size) => low8(source) > size * 8 - 1),
  ),
  PDEP: computed(deposit),
  PEXT: computed(extract),
  SARX: computed((a, b, size) => signedOf(a, size) >> masked(b, size)),
  SHLX: computed((a, b, size) => a << masked(b, size)),
  SHRX: computed((a, b, size) => a >> masked(b, size)),
  RORX: computed((a, b, size) => (a >> masked(b, size)) | (a << (BigInt(size * 8) - masked(b, size)))),
};
export const chains: Meanings = { ADCX: chained(flag.CF), ADOX: chained(flag.OF) };
export const wideMultiply: Meanings = { MULX };
const reversed = (v: bigint, size: Size): bigint => {
  let result = 0n;
  for (let k = 0; k < size; k++) result = (result << 8n) | ((v >> BigInt(8 * k)) & 0xffn);
  return result;
};
export const swaps: Meanings = { MOVBE: (w) => assign(w, 0, reversed(value(w, 1), sizeHere(w))) };
