// Decides the two-operand and one-operand instructions of the ALU: where operands come from, and where results go.
// SDM volume 2, ADD ADC SUB SBB CMP AND OR XOR TEST INC DEC NEG NOT XADD CMPXCHG XCHG.

import { probe, read16, read32, read64, read8, readScratch, write16, write32, write64, write8, writeScratch } from './access.ts';
import { narrow, sub, wide } from './alu.ts';
import type { Cpu } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { gp } from './fault.ts';
import { setZero } from './flags.ts';
import type { Insn } from './insn.ts';
import { type Get, get64, getOf, type Run, setRegister, storeAddress } from './operands.ts';

const zero: Get = (c) => {
  c.hi = 0;
  return 0;
};
const shiftOf = (size: number): number => (size === 64 ? 0 : 32 - size);

/** Replaces operand 0 by a function of it and `b`: the one address is checked for writing before it is read. */
const modify = (insn: Insn, b: Get): Run => {
  const o = insn.ops[0]!;
  const { size } = o;
  const shift = shiftOf(size);
  const f = narrow[insn.name]!;
  const w = wide[insn.name]!;
  if (o.kind === 'register') return modifyRegister(insn, o.index, size, b);
  const address = storeAddress(insn, o);
  if (size === 8)
    return (c) => {
      const at = address(c);
      probe(c, at, 1);
      write8(c, at, f(c, read8(c, at), b(c), shift));
    };
  if (size === 16)
    return (c) => {
      const at = address(c);
      probe(c, at, 2);
      write16(c, at, f(c, read16(c, at), b(c), shift));
    };
  if (size === 32)
    return (c) => {
      const at = address(c);
      probe(c, at, 4);
      write32(c, at, f(c, read32(c, at), b(c), 0));
    };
  return (c) => {
    const at = address(c);
    probe(c, at, 8);
    const al = read64(c, at);
    const ah = c.hi;
    const bl = b(c);
    const lo = w(c, al, ah, bl, c.hi);
    write64(c, at, lo, c.hi);
  };
};
const modifyRegister = (insn: Insn, index: number, size: number, b: Get): Run => {
  const f = narrow[insn.name]!;
  const w = wide[insn.name]!;
  const i = 2 * index;
  if (size === 8)
    return (c) => {
      c.r8[index] = f(c, c.r8[index]!, b(c), 24);
    };
  if (size === 16)
    return (c) => {
      c.r16[4 * index] = f(c, c.r16[4 * index]!, b(c), 16);
    };
  if (size === 32) {
    const o = insn.ops[1];
    if (o?.kind === 'register') {
      const j = 2 * o.index;
      return (c) => {
        c.r[i] = f(c, c.r[i]!, c.r[j]!, 0);
        c.r[i + 1] = 0;
      };
    }
    return (c) => {
      const right = b(c);
      c.r[i] = f(c, c.r[i]!, right, 0);
      c.r[i + 1] = 0;
    };
  }
  const o = insn.ops[1];
  if (o?.kind === 'immediate') {
    const { lo, hi } = o;
    return (c) => {
      c.r[i] = w(c, c.r[i]!, c.r[i + 1]!, lo, hi);
      c.r[i + 1] = c.hi;
    };
  }
  if (o?.kind === 'register') {
    const j = 2 * o.index;
    return (c) => {
      c.r[i] = w(c, c.r[i]!, c.r[i + 1]!, c.r[j]!, c.r[j + 1]!);
      c.r[i + 1] = c.hi;
    };
  }
  return (c) => {
    const bl = b(c);
    c.r[i] = w(c, c.r[i]!, c.r[i + 1]!, bl, c.hi);
    c.r[i + 1] = c.hi;
  };
};
const two: Build = (insn) => modify(insn, getOf(insn, 1, insn.size));
const one: Build = (insn) => modify(insn, zero);
/** Flags only. */
const compare: Build = (insn) => {
  const { size } = insn;
  const shift = shiftOf(size);
  if (size === 64) {
    const w = wide[insn.name]!;
    const [a, b] = [get64(insn, 0), get64(insn, 1)];
    return (c) => {
      const al = a(c);
      const ah = c.hi;
      const bl = b(c);
      w(c, al, ah, bl, c.hi);
    };
  }
  const f = narrow[insn.name]!;
  const [a, b] = [getOf(insn, 0, size), getOf(insn, 1, size)];
  return (c) => {
    const left = a(c);
    f(c, left, b(c), shift);
  };
};

/** Reads operand 0 where it may be memory, checked for writing; gives its address to the store. */
const reader = (size: number): ((c: Cpu, at: number) => number) => {
  if (size === 8) return read8;
  if (size === 16) return read16;
  if (size === 32) return read32;
  return read64;
};
const writer = (size: number): ((c: Cpu, at: number, lo: number, hi: number) => void) => {
  if (size === 8) return write8;
  if (size === 16) return write16;
  if (size === 32) return write32;
  return write64;
};
export interface Place {
  /** Address, where it is memory: to be asked once, before the load. */
  readonly at: Get;
  readonly load: (c: Cpu, at: number) => number;
  readonly store: (c: Cpu, at: number, lo: number, hi: number) => void;
}
/** Operand `n` for reading and then writing. */
export const placeOf = (insn: Insn, n: number): Place => {
  const o = insn.ops[n]!;
  const { size } = o;
  if (o.kind === 'memory') {
    const address = storeAddress(insn, o);
    const bytes = size >> 3;
    return {
      at: (c) => {
        const at = address(c);
        probe(c, at, bytes);
        return at;
      },
      load: reader(size),
      store: writer(size),
    };
  }
  const [load, store] = [getOf(insn, n, size), setRegister(o.kind === 'register' ? o.index : 0, size)];
  return { at: zero, load: (c) => load(c), store: (c, _at, lo, hi) => store(c, lo, hi) };
};

/** The register operand takes the old value of the other, whose new value is stored first. */
const xadd: Build = (insn) => {
  const { size } = insn;
  const place = placeOf(insn, 0);
  const b = getOf(insn, 1, size);
  const r = placeOf(insn, 1);
  const [f, w] = [narrow['Add']!, wide['Add']!];
  const shift = shiftOf(size);
  return (c) => {
    const at = place.at(c);
    const high = c.ah;
    const al = place.load(c, at);
    const ah = c.hi;
    const bl = b(c);
    const lo = size === 64 ? w(c, al, ah, bl, c.hi) : f(c, al, bl, shift);
    const hi = c.hi;
    c.ah = high;
    if (insn.ops[0]!.kind === 'memory') {
      place.store(c, at, lo, hi);
      r.store(c, 0, al, ah);
    } else {
      // Both may name one register: the sum stays.
      r.store(c, 0, al, ah);
      place.store(c, at, lo, hi);
    }
  };
};
const xchg: Build = (insn) => {
  const first = insn.ops[0]!.kind === 'memory' ? 0 : 1;
  const [p, q] = [placeOf(insn, first), placeOf(insn, 1 - first)];
  return (c) => {
    const at = p.at(c);
    const al = p.load(c, at);
    const ah = c.hi;
    const bl = q.load(c, 0);
    p.store(c, at, bl, c.hi);
    q.store(c, 0, al, ah);
  };
};
/** Where unequal, memory is written all the same, with what it held; the accumulator keeps its high half where it is equal. */
const cmpxchg: Build = (insn) => {
  const { size } = insn;
  const place = placeOf(insn, 0);
  const b = getOf(insn, 1, size);
  const accumulator = setRegister(0, size);
  const w = wide['Cmp']!;
  const shift = shiftOf(size);
  return (c) => {
    const at = place.at(c);
    const al = place.load(c, at);
    const ah = c.hi;
    const al0 = size === 8 ? c.r8[0]! : size === 16 ? c.r16[0]! : c.r[0]!;
    if (size === 64) w(c, al0, c.r[1]!, al, ah);
    else sub(c, al0, al, shift);
    if (c.z === 0) {
      const bl = b(c);
      place.store(c, at, bl, c.hi);
    } else {
      place.store(c, at, al, ah);
      accumulator(c, al, ah);
    }
  };
};
/** CMPXCHG8B and CMPXCHG16B: only ZF changes; the latter wants alignment, or #GP(0). */
const compareWide =
  (bytes: 8 | 16): Build =>
  (insn) => {
    const address = storeAddress(insn, { kind: 'memory', size: bytes === 8 ? 64 : 128 });
    return (c) => {
      const at = address(c);
      if (bytes === 16 && (at & 15) !== 0) gp();
      const { ah } = c;
      probe(c, at, bytes);
      readScratch(c, at, bytes);
      const view = c.scratchView;
      const words = bytes >> 3;
      const half = (n: number, register: number): number => (bytes === 8 ? c.r[2 * register]! : c.r[2 * register + (n & 1)]!);
      // Words of 32 bits: the low half against rAX, the high half against rDX.
      let equal = true;
      for (let n = 0; n < 2 * words; n++) if (view.getInt32(4 * n, true) !== half(n, n < words ? 0 : 2)) equal = false;
      const old = [0, 1, 2, 3].map((n) => view.getInt32(4 * n, true));
      setZero(c, equal);
      if (equal) for (let n = 0; n < 2 * words; n++) view.setInt32(4 * n, half(n, n < words ? 3 : 1), true);
      c.ah = ah;
      writeScratch(c, at, bytes);
      if (equal) return;
      if (bytes === 8) [c.r[0], c.r[1], c.r[4], c.r[5]] = [old[0]!, 0, old[1]!, 0];
      else [c.r[0], c.r[1], c.r[4], c.r[5]] = [old[0]!, old[1]!, old[2]!, old[3]!];
    };
  };

export const arithmetic: Entries = plain({
  ...Object.fromEntries(['Add', 'Adc', 'Sub', 'Sbb', 'And', 'Or', 'Xor'].map((name) => [name, two])),
  ...Object.fromEntries(['Inc', 'Dec', 'Neg', 'Not'].map((name) => [name, one])),
  Cmp: compare,
  Test: compare,
  Xadd: xadd,
  Xchg: xchg,
  Cmpxchg: cmpxchg,
  Cmpxchg8b: compareWide(8),
  Cmpxchg16b: compareWide(16),
});
