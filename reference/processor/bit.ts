// Decides the instructions on single bits: bit strings in registers and memory, scans and counts.
// SDM volume 2, BT BTS BTR BTC BSF BSR POPCNT LZCNT TZCNT ANDN BEXTR BLSI BLSMSK BLSR BZHI PDEP PEXT RORX SARX SHLX SHRX ADCX ADOX.

import { logic, logic64 } from './alu.ts';
import { placeOf } from './arithmetic.ts';
import { type Cpu, READABLE, WRITABLE } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { setCarry, setCarryOverflow, setZero } from './flags.ts';
import { high as highOf, low as lowOf, wide } from './halves.ts';
import type { Insn } from './insn.ts';
import { type Get, getOf, linear, offsetOf, type Run, setOf } from './operands.ts';
import { probe, read16, read32, read64, write16, write32, write64 } from './access.ts';
import { unprotected } from './mode.ts';
import { ud } from './fault.ts';

type Change = (word: bigint, bit: bigint) => bigint;
const big = (lo: number, hi: number, size: number): bigint => BigInt.asUintN(size, wide(lo, size === 64 ? hi : 0));

/** With a register as index into memory, the bit may be anywhere in a string of 2^size bits around the operand. */
const test =
  (change: Change | undefined): Build =>
  (insn) => {
    const { size } = insn;
    const [o, by] = [insn.ops[0]!, insn.ops[1]!];
    if (o.kind === 'memory' && by.kind === 'register') return testString(insn, change);
    const place = change === undefined ? { at: zero, load: getOf(insn, 0, size), store: () => {} } : placeOf(insn, 0);
    const index = getOf(insn, 1, by.kind === 'immediate' ? 8 : size);
    return (c) => {
      const at = place.at(c);
      const lo = place.load(c, at);
      const word = big(lo, c.hi, size);
      const n = BigInt(index(c) & (size - 1));
      setCarry(c, Number((word >> n) & 1n));
      if (change === undefined) return;
      const out = change(word, 1n << n);
      place.store(c, at, lowOf(out), highOf(out));
    };
  };
const zero: Get = () => 0;
const testString = (insn: Insn, change: Change | undefined): Run => {
  const { size } = insn;
  const mem = insn.mem!;
  const offset = offsetOf(mem);
  const index = getOf(insn, 1, size);
  const bytes = size >> 3;
  const mask = mem.asize === 16 ? 0xffff : -1;
  return (c) => {
    const lo = index(c);
    const n = BigInt.asIntN(size, big(lo, c.hi, size));
    const base = offset(c);
    // Signed: words below the operand too.
    const at = (n >> BigInt(size === 16 ? 4 : size === 32 ? 5 : 6)) * BigInt(bytes) + ((BigInt(c.ah) << 32n) | BigInt(base >>> 0));
    c.ah = mem.asize === 64 ? highOf(at) : 0;
    const where = linear(c, mem.seg, lowOf(at) & mask, bytes, change === undefined ? READABLE : WRITABLE);
    if (change !== undefined) probe(c, where, bytes);
    const wordLo = size === 16 ? read16(c, where) : size === 32 ? read32(c, where) : read64(c, where);
    const word = big(wordLo, c.hi, size);
    const bit = n & BigInt(size - 1);
    setCarry(c, Number((word >> bit) & 1n));
    if (change === undefined) return;
    const out = change(word, 1n << bit);
    if (size === 16) write16(c, where, lowOf(out));
    else if (size === 32) write32(c, where, lowOf(out));
    else write64(c, where, lowOf(out), highOf(out));
  };
};

const lowest = (lo: number, hi: number, size: number): number => {
  if (lo !== 0) return 31 - Math.clz32(lo & -lo);
  return size === 64 && hi !== 0 ? 63 - Math.clz32(hi & -hi) : size;
};
const highest = (lo: number, hi: number, size: number): number => {
  if (size === 64 && hi !== 0) return 63 - Math.clz32(hi);
  return lo === 0 ? -1 : 31 - Math.clz32(lo);
};
/** Where the source is 0 the destination is undefined: unchanged, as Intel processors do. Flags other than ZF are undefined: unchanged. */
const scan =
  (find: (lo: number, hi: number, size: number) => number): Build =>
  (insn) => {
    const { size } = insn;
    const [get, set] = [getOf(insn, 1, size), setOf(insn, 0, size)];
    return (c) => {
      const lo = get(c);
      const hi = size === 64 ? c.hi : 0;
      setZero(c, (lo | hi) === 0);
      if ((lo | hi) !== 0) set(c, find(lo, hi, size), 0);
    };
  };
/** CF: the source was 0; ZF: the count is. */
const count =
  (find: (lo: number, hi: number, size: number) => number): Build =>
  (insn) => {
    const { size } = insn;
    const [get, set] = [getOf(insn, 1, size), setOf(insn, 0, size)];
    return (c) => {
      const lo = get(c);
      const n = find(lo, size === 64 ? c.hi : 0, size);
      setCarry(c, n === size ? 1 : 0);
      setZero(c, n === 0);
      set(c, n, 0);
    };
  };
const ones = (x: number): number => {
  let [v, n] = [x, 0];
  for (; v !== 0; n++) v &= v - 1;
  return n;
};
const popcnt: Build = (insn) => {
  const { size } = insn;
  const [get, set] = [getOf(insn, 1, size), setOf(insn, 0, size)];
  return (c) => {
    const lo = get(c);
    const n = ones(lo) + (size === 64 ? ones(c.hi) : 0);
    c.c = 0;
    c.a = 0;
    c.p = 1;
    c.s = 0;
    setZero(c, n === 0);
    set(c, n, 0);
  };
};

/** VEX-coded: invalid opcodes in real-address and virtual-8086 mode. `f` works on whole values; `flags` as logic leaves them, CF apart. */
const vex = (
  a: number,
  b: number,
  f: (x: bigint, y: bigint, size: number) => bigint,
  flags?: (c: Cpu, x: bigint, y: bigint, size: number) => number,
): Build => {
  return (insn) => {
    const { size } = insn;
    const [first, second] = [getOf(insn, a, size), b < 0 ? zero : getOf(insn, b, insn.ops[b]!.kind === 'immediate' ? 8 : size)];
    const set = setOf(insn, 0, size);
    return (c) => {
      if (unprotected(c)) ud();
      const x = big(first(c), c.hi, size);
      const yLo = second(c);
      const y = big(yLo, c.hi, size);
      const out = BigInt.asUintN(size, f(x, y, size));
      const [lo, hi] = [lowOf(out), highOf(out)];
      if (flags !== undefined) {
        if (size === 64) logic64(c, lo, hi);
        else logic(c, lo, 0);
        setCarryOverflow(c, flags(c, x, y, size), 0);
      }
      set(c, lo, hi);
    };
  };
};
const none = (): number => 0;
const ifZero = (_c: Cpu, x: bigint): number => (x === 0n ? 1 : 0);
const ifNot = (_c: Cpu, x: bigint): number => (x === 0n ? 0 : 1);
const turned = (x: bigint, by: bigint, size: number): bigint => {
  const n = by & BigInt(size - 1);
  return (x >> n) | (x << (BigInt(size) - n));
};
const scatterBits = (from: bigint, mask: bigint): bigint => {
  let [out, k] = [0n, 0n];
  for (let i = 0n; i < 64n; i++) if (((mask >> i) & 1n) === 1n) out |= ((from >> k++) & 1n) << i;
  return out;
};
const gatherBits = (from: bigint, mask: bigint): bigint => {
  let [out, k] = [0n, 0n];
  for (let i = 0n; i < 64n; i++) if (((mask >> i) & 1n) === 1n) out |= ((from >> i) & 1n) << k++;
  return out;
};
const bextr = (x: bigint, y: bigint): bigint => (x >> (y & 0xffn)) & ((1n << ((y >> 8n) & 0xffn)) - 1n);
const bzhi = (x: bigint, y: bigint, size: number): bigint => ((y & 0xffn) >= BigInt(size) ? x : x & ((1n << (y & 0xffn)) - 1n));
/** Carry chains through CF or OF alone. */
const chain =
  (through: 'cf' | 'of'): Build =>
  (insn) => {
    const { size } = insn;
    const [a, b, set] = [getOf(insn, 0, size), getOf(insn, 1, size), setOf(insn, 0, size)];
    return (c) => {
      const x = big(a(c), c.hi, size);
      const y = big(b(c), c.hi, size);
      const [cf, of] = [c.c >>> 31, (c.c ^ (c.c << 1)) >>> 31];
      const sum = x + y + BigInt(through === 'cf' ? cf : of);
      const out = Number(sum >> BigInt(size));
      setCarryOverflow(c, through === 'cf' ? out : cf, through === 'of' ? out : of);
      set(c, lowOf(sum), highOf(sum));
    };
  };

export const bits: Entries = plain({
  Bt: test(undefined),
  Bts: test((word, bit) => word | bit),
  Btr: test((word, bit) => word & ~bit),
  Btc: test((word, bit) => word ^ bit),
  Bsf: scan(lowest),
  Bsr: scan((lo, hi, size) => highest(lo, hi, size)),
  Tzcnt: count(lowest),
  Lzcnt: count((lo, hi, size) => size - 1 - highest(lo, hi, size)),
  Popcnt: popcnt,
  Andn: vex(1, 2, (x, y) => ~x & y, none),
  Bextr: vex(1, 2, bextr, none),
  Blsi: vex(1, -1, (x) => x & -x, ifNot),
  Blsmsk: vex(1, -1, (x) => x ^ (x - 1n), ifZero),
  Blsr: vex(1, -1, (x) => x & (x - 1n), ifZero),
  Bzhi: vex(1, 2, bzhi, (_c, _x, y, size) => ((y & 0xffn) >= BigInt(size) ? 1 : 0)),
  Pdep: vex(1, 2, scatterBits),
  Pext: vex(1, 2, gatherBits),
  Rorx: vex(1, 2, turned),
  Sarx: vex(1, 2, (x, y, size) => BigInt.asIntN(size, x) >> (y & BigInt(size - 1))),
  Shlx: vex(1, 2, (x, y, size) => x << (y & BigInt(size - 1))),
  Shrx: vex(1, 2, (x, y, size) => x >> (y & BigInt(size - 1))),
  Adcx: chain('cf'),
  Adox: chain('of'),
});
