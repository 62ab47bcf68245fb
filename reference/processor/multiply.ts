// Decides multiplication and division: products of twice the width, CF and OF, and #DE where a quotient does not fit.
// SDM volume 2, MUL IMUL DIV IDIV MULX AAM AAD. Undefined: SF ZF PF as of the product's low half and AF 0; all flags unchanged by division.

import { logic, logic64 } from './alu.ts';
import { DE } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { raise } from './fault.ts';
import { setCarryOverflow } from './flags.ts';
import { high as highOf, low as lowOf, wide as big } from './halves.ts';
import { getOf, setOf, setRegister } from './operands.ts';

const flags = (c: Cpu, lo: number, hi: number, size: number, overflow: boolean): void => {
  if (size === 64) logic64(c, lo, hi);
  else logic(c, lo, 32 - size);
  setCarryOverflow(c, overflow ? 1 : 0, overflow ? 1 : 0);
};

/** One operand: the product in AX, DX:AX, EDX:EAX or RDX:RAX. */
const full =
  (signed: boolean): Build =>
  (insn) => {
    const { size } = insn;
    const get = getOf(insn, 0, size);
    if (size === 8)
      return (c) => {
        const [a, b] = [c.r8[0]!, get(c)];
        const product = signed ? Math.imul((a << 24) >> 24, (b << 24) >> 24) : a * b;
        c.r16[0] = product;
        flags(c, product, 0, 8, signed ? (product << 24) >> 24 !== product : product > 0xff);
      };
    if (size === 16)
      return (c) => {
        const [a, b] = [c.r16[0]!, get(c)];
        const product = Math.imul(signed ? (a << 16) >> 16 : a, signed ? (b << 16) >> 16 : b);
        c.r16[0] = product;
        c.r16[8] = product >> 16;
        flags(c, product, 0, 16, signed ? (product << 16) >> 16 !== product : product >>> 16 !== 0);
      };
    if (size === 32)
      return (c) => {
        const [a, b] = [c.r[0]!, get(c)];
        const product = signed ? BigInt(a) * BigInt(b) : BigInt(a >>> 0) * BigInt(b >>> 0);
        const [lo, hi] = [lowOf(product), highOf(product)];
        c.r[0] = lo;
        c.r[1] = 0;
        c.r[4] = hi;
        c.r[5] = 0;
        flags(c, lo, 0, 32, signed ? hi !== lo >> 31 : hi !== 0);
      };
    return (c) => {
      const b = big(get(c), c.hi);
      const a = c.r64[0]!;
      const product = signed ? BigInt.asIntN(64, a) * BigInt.asIntN(64, b) : a * b;
      c.r64[0] = BigInt.asUintN(64, product);
      c.r64[2] = BigInt.asUintN(64, product >> 64n);
      flags(c, c.r[0]!, c.r[1]!, 64, signed ? BigInt.asIntN(64, product) !== product : product >> 64n !== 0n);
    };
  };
/** Two or three operands: the product's low half. */
const truncated: Build = (insn) => {
  if (insn.ops.length === 1) return full(true)(insn);
  const { size } = insn;
  const third = insn.ops.length === 3;
  const [first, second] = [getOf(insn, third ? 1 : 0, size), getOf(insn, third ? 2 : 1, size)];
  const set = setOf(insn, 0, size);
  if (size === 64)
    return (c) => {
      const a = big(first(c), c.hi);
      const b = big(second(c), c.hi);
      const product = BigInt.asIntN(64, a) * BigInt.asIntN(64, b);
      const [lo, hi] = [lowOf(product), highOf(product)];
      flags(c, lo, hi, 64, BigInt.asIntN(64, product) !== product);
      set(c, lo, hi);
    };
  const shift = 32 - size;
  return (c) => {
    const a = (first(c) << shift) >> shift;
    const b = (second(c) << shift) >> shift;
    const lo = Math.imul(a, b);
    // The product as a double is exact enough to tell whether it fits: it loses only low bits, far above 2^53.
    const overflow = a * b !== (lo << shift) >> shift;
    flags(c, lo, 0, size, overflow);
    set(c, lo, 0);
  };
};

const divide =
  (signed: boolean): Build =>
  (insn) => {
    const { size } = insn;
    const get = getOf(insn, 0, size);
    const [quotientTo, remainderTo] = [setRegister(0, size), size === 8 ? setRegister(1, 8) : setRegister(2, size)];
    const w = size;
    const dividend = (c: Cpu): bigint => {
      if (size === 8) return BigInt(c.r16[0]!);
      if (size === 16) return BigInt(c.r16[8]!) * 0x1_0000n + BigInt(c.r16[0]!);
      if (size === 32) return big(c.r[0]!, c.r[4]!);
      return (c.r64[2]! << 64n) | c.r64[0]!;
    };
    return (c) => {
      const lo = get(c);
      const raw = size === 64 ? big(lo, c.hi) : BigInt.asUintN(size, BigInt(lo));
      const by = signed ? BigInt.asIntN(w, raw) : raw;
      if (by === 0n) raise(DE);
      const all = signed ? BigInt.asIntN(2 * w, dividend(c)) : dividend(c);
      const quotient = all / by;
      if ((signed ? BigInt.asIntN(w, quotient) : BigInt.asUintN(w, quotient)) !== quotient) raise(DE);
      const remainder = all % by;
      quotientTo(c, lowOf(quotient), highOf(quotient));
      remainderTo(c, lowOf(remainder), highOf(remainder));
    };
  };
/** Digits of a number of the immediate's base. */
const aam: Build = (insn) => {
  const o = insn.ops[0]!;
  const base = o.kind === 'immediate' ? o.lo & 0xff : 10;
  return (c) => {
    if (base === 0) raise(DE);
    const al = c.r8[0]!;
    c.r8[1] = Math.floor(al / base);
    c.r8[0] = al % base;
    logic(c, c.r8[0]!, 24);
  };
};
const aad: Build = (insn) => {
  const o = insn.ops[0]!;
  const base = o.kind === 'immediate' ? o.lo & 0xff : 10;
  return (c) => {
    const sum = (c.r8[0]! + c.r8[1]! * base) & 0xff;
    c.r16[0] = sum;
    logic(c, sum, 24);
  };
};
/** No flag changes; where both destinations are one, it takes the high half. */
const mulx: Build = (insn) => {
  const { size } = insn;
  const get = getOf(insn, 2, size);
  const [high, low] = [setOf(insn, 0, size), setOf(insn, 1, size)];
  return (c) => {
    const lo = get(c);
    const b = size === 64 ? big(lo, c.hi) : BigInt(lo >>> 0);
    const product = (size === 64 ? c.r64[2]! : BigInt(c.r[4]! >>> 0)) * b;
    const top = product >> BigInt(size);
    low(c, lowOf(product), highOf(product));
    high(c, lowOf(top), highOf(top));
  };
};
export const multiplication: Entries = plain({
  Mul: full(false),
  Imul: truncated,
  Div: divide(false),
  Idiv: divide(true),
  Mulx: mulx,
  Aam: aam,
  Aad: aad,
});
