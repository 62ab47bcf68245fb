// Decides where an instruction's operands are: effective address, segment checks, linear address, and reads and writes of each size.
// SDM volume 1, Operand Addressing; volume 3, Limit Checking; Type Checking; Canonical Addressing.

import { read16, read32, read64, read8, write16, write32, write64, write8 } from './access.ts';
import { type Cpu, FS, READABLE, type Seg, SS, WRITABLE } from './cpu.ts';
import { gp, ss } from './fault.ts';
import type { Insn, Mem, Operand } from './insn.ts';

export type Run = (c: Cpu) => void;
/** Gives the low 32 bits (zero-extended for 8 and 16); of 64 bits the high half is in `c.hi`. Addresses: in `c.ah`. */
export type Get = (c: Cpu) => number;

/** Offset of the memory operand in its segment; 64-bit addressing leaves its high half in `c.ah`. */
export const offsetOf = (mem: Mem): Get => {
  const { base, index, scale, lo, hi } = mem;
  const [b, x] = [2 * base, 2 * index];
  if (mem.asize === 64) return offset64(b, x, scale, lo, hi);
  const mask = mem.asize === 16 ? 0xffff : -1;
  if (base < 0 && index < 0) {
    const at = lo & mask;
    return (c) => {
      c.ah = 0;
      return at;
    };
  }
  if (index < 0)
    return (c) => {
      c.ah = 0;
      return (c.r[b]! + lo) & mask;
    };
  if (base < 0)
    return (c) => {
      c.ah = 0;
      return (Math.imul(c.r[x]!, scale) + lo) & mask;
    };
  return (c) => {
    c.ah = 0;
    return (c.r[b]! + Math.imul(c.r[x]!, scale) + lo) & mask;
  };
};
const offset64 = (b: number, x: number, scale: number, lo: number, hi: number): Get => {
  if (b < 0 && x < 0)
    return (c) => {
      c.ah = hi;
      return lo;
    };
  if (x < 0) {
    const unsigned = lo >>> 0;
    return (c) => {
      const sum = (c.r[b]! + lo) | 0;
      c.ah = (c.r[b + 1]! + hi + (sum >>> 0 < unsigned ? 1 : 0)) | 0;
      return sum;
    };
  }
  const unsigned = lo >>> 0;
  return (c) => {
    const sum = (b < 0 ? 0 : c.r[b]! >>> 0) + (c.r[x]! >>> 0) * scale + unsigned;
    c.ah = ((b < 0 ? 0 : c.r[b + 1]!) + Math.imul(c.r[x + 1]!, scale) + hi + Math.floor(sum / 0x1_0000_0000)) | 0;
    return sum | 0;
  };
};

/** Linear address of `bytes` bytes at an offset in a segment, outside 64-bit mode. */
export const segmented = (c: Cpu, s: Seg, stack: boolean, offset: number, bytes: number, need: number): number => {
  const o = offset >>> 0;
  if ((s.rights & need) === 0 || o < s.lower || o + bytes - 1 > s.upper) segmentFault(stack);
  c.ah = 0;
  c.av = stack ? 12 : 13;
  return (s.lo + offset) | 0;
};
const segmentFault = (stack: boolean): never => (stack ? ss() : gp());
/** The same for any mode: in 64-bit mode only FS and GS have a base, and the high half of the offset is in `c.ah`. */
export const linear = (c: Cpu, index: number, offset: number, bytes: number, need: number): number => {
  const s = c.seg[index]!;
  if (c.code !== 64) return segmented(c, s, index === SS, offset, bytes, need);
  c.av = index === SS ? 12 : 13;
  if (index < FS) return offset;
  return based(c, s, offset);
};
const based = (c: Cpu, s: Seg, offset: number): number => {
  const sum = (s.lo + offset) | 0;
  c.ah = (c.ah + s.hi + (sum >>> 0 < offset >>> 0 ? 1 : 0)) | 0;
  return sum;
};
const BYTES = { 8: 1, 16: 2, 32: 4, 64: 8, 128: 16 } as const;

/** Linear address of the memory operand, checked for a load (`need` READABLE) or a store of that many bytes. */
export const linearOf = (insn: Insn, bytes: number, need: number): Get => {
  const mem = insn.mem!;
  const { seg } = mem;
  const offset = offsetOf(mem);
  const stack = seg === SS;
  if (insn.bits !== 64) return (c) => segmented(c, c.seg[seg]!, stack, offset(c), bytes, need);
  const av = stack ? 12 : 13;
  if (seg >= FS)
    return (c) => {
      c.av = 13;
      return based(c, c.seg[seg]!, offset(c));
    };
  return (c) => {
    c.av = av;
    return offset(c);
  };
};
export const loadAddress = (insn: Insn, o: Operand): Get => linearOf(insn, BYTES[o.size], READABLE);
export const storeAddress = (insn: Insn, o: Operand): Get => linearOf(insn, BYTES[o.size], WRITABLE);

const constant =
  (value: number): Get =>
  () =>
    value;
export const get8 = (insn: Insn, n: number): Get => {
  const o = insn.ops[n]!;
  if (o.kind === 'immediate') return constant(o.lo & 0xff);
  if (o.kind === 'register') {
    const { index } = o;
    return (c) => c.r8[index]!;
  }
  const at = linearOf(insn, 1, READABLE);
  return (c) => read8(c, at(c));
};
export const get16 = (insn: Insn, n: number): Get => {
  const o = insn.ops[n]!;
  if (o.kind === 'immediate') return constant(o.lo & 0xffff);
  if (o.kind === 'register') {
    const index = 4 * o.index;
    return (c) => c.r16[index]!;
  }
  const at = linearOf(insn, 2, READABLE);
  return (c) => read16(c, at(c));
};
export const get32 = (insn: Insn, n: number): Get => {
  const o = insn.ops[n]!;
  if (o.kind === 'immediate') return constant(o.lo);
  if (o.kind === 'register') {
    const index = 2 * o.index;
    return (c) => c.r[index]!;
  }
  const at = linearOf(insn, 4, READABLE);
  return (c) => read32(c, at(c));
};
export const get64 = (insn: Insn, n: number): Get => {
  const o = insn.ops[n]!;
  if (o.kind === 'immediate') {
    const { lo, hi } = o;
    return (c) => {
      c.hi = hi;
      return lo;
    };
  }
  if (o.kind === 'register') {
    const index = 2 * o.index;
    return (c) => {
      c.hi = c.r[index + 1]!;
      return c.r[index]!;
    };
  }
  const at = linearOf(insn, 8, READABLE);
  return (c) => read64(c, at(c));
};
export const getOf = (insn: Insn, n: number, size: number): Get =>
  size === 8 ? get8(insn, n) : size === 16 ? get16(insn, n) : size === 32 ? get32(insn, n) : get64(insn, n);

/** Writes the low `size` bits of (lo, hi); a 32-bit register's high half becomes 0. */
export type Set = (c: Cpu, lo: number, hi: number) => void;
export const setOf = (insn: Insn, n: number, size: number): Set => {
  const o = insn.ops[n]!;
  if (o.kind === 'register') return setRegister(o.index, size);
  const at = linearOf(insn, size >> 3, WRITABLE);
  if (size === 8) return (c, lo) => write8(c, at(c), lo);
  if (size === 16) return (c, lo) => write16(c, at(c), lo);
  if (size === 32) return (c, lo) => write32(c, at(c), lo);
  return (c, lo, hi) => write64(c, at(c), lo, hi);
};
/** For size 8, `index` is that of the byte. */
export const setRegister = (index: number, size: number): Set => {
  const i = 2 * index;
  if (size === 8)
    return (c, lo) => {
      c.r8[index] = lo;
    };
  if (size === 16)
    return (c, lo) => {
      c.r16[4 * index] = lo;
    };
  if (size === 32)
    return (c, lo) => {
      c.r[i] = lo;
      c.r[i + 1] = 0;
    };
  return (c, lo, hi) => {
    c.r[i] = lo;
    c.r[i + 1] = hi;
  };
};
