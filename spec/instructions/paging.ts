// Linear to physical: every paging mode, the rights of a page, the error code of a page fault, and which accessed and dirty flags are set.
// Intel SDM volume 3, Paging: Hierarchical Paging Structures; Access Rights; Page-Fault Exceptions; Accessed and Dirty Flags.

import { cr0, cr4, efer, flag } from './bits.ts';
import { cpl, type Fault, flagsOf, ia32e, low, raise, undecided, unseen, type Work } from './work.ts';

export interface Access {
  readonly write: boolean;
  /** Instruction fetch. */
  readonly fetch?: true;
  /** Made for the processor's own tables: supervisor whatever the CPL. SDM volume 3, Access Rights: implicit supervisor-mode accesses. */
  readonly implicit?: true;
  /** Read and write: either may be reported first. */
  readonly both?: true;
}
/** Error-code bits. SDM volume 3, Page-Fault Exceptions. */
const P = 1;
const W = 2;
const U = 4;
const RSVD = 8;
const I = 16;
const accessed = 0x20;
const dirty = 0x40;
const PS = 0x80;

/** What stands where the stops are is the target's own code. */
const ofStops = (w: Work, at: number, size: number): void => {
  const { at: start, stride, count } = w.cpu.stops;
  if (at + size > Number(start) && at < Number(start) + stride * count) undecided('memory of the stops');
};
/** A byte as foretold, or as it stands. */
export const byteAt = (w: Work, at: number): number => {
  const foretold = w.stores.size === 0 ? undefined : w.stores.get(at);
  if (foretold !== undefined) return foretold;
  return w.memory.u8(BigInt(at)) ?? undecided('memory beyond the end');
};
/** Little-endian value of `size` bytes at a physical address. */
export const physical = (w: Work, at: number, size: number): bigint => {
  ofStops(w, at, size);
  if (w.stores.size === 0) {
    const a = BigInt(at);
    const whole =
      size === 8 ? w.memory.u64(a) : size === 4 ? w.memory.u32(a) : size === 2 ? w.memory.u16(a) : size === 1 ? w.memory.u8(a) : undefined;
    if (whole !== undefined) {
      if (!w.memory.known(a, size)) return unseen('memory that was never seen');
      return BigInt(whole);
    }
  }
  if (at + size > w.memory.size) undecided('memory beyond the end');
  if (!w.memory.known(BigInt(at), size)) unseen('memory that was never seen');
  let value = 0n;
  for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(byteAt(w, at + k));
  return value;
};
export const foretell = (w: Work, at: number, value: number, loose = 0): void => {
  if (at < 0 || at >= w.memory.size) undecided('memory beyond the end');
  ofStops(w, at, 1);
  w.stores.set(at, value);
  if (loose !== 0) w.loose.set(at, loose);
  else if (w.loose.size !== 0) w.loose.delete(at);
};
/** The quadword around a byte, as it was. */
export const surround = (w: Work, at: number): void => {
  for (let k = at & ~7; k < (at & ~7) + 8; k++) w.around.set(k, byteAt(w, k));
};
const setFlag = (w: Work, at: number, bit: number): void => {
  const now = byteAt(w, at);
  if ((now & bit) !== bit) {
    surround(w, at);
    foretell(w, at, now | bit);
    w.marks.set(at, 'accessed');
  }
};

const reservedAbove = (w: Work, top: number): bigint => ((1n << BigInt(top)) - 1n) & ~((1n << BigInt(w.cpu.physicalBits)) - 1n);

interface Level {
  /** Lowest bit of the linear address that indexes it, and how many bits do. */
  readonly shift: number;
  readonly bits: number;
  readonly page: boolean;
}
const levels64: readonly Level[] = [
  { shift: 48, bits: 9, page: false },
  { shift: 39, bits: 9, page: false },
  { shift: 30, bits: 9, page: true },
  { shift: 21, bits: 9, page: true },
  { shift: 12, bits: 9, page: true },
];
const levels4 = levels64.slice(1);
const levelsPae: readonly Level[] = [{ shift: 30, bits: 2, page: false }, ...levels64.slice(3)];
const levels32: readonly Level[] = [
  { shift: 22, bits: 10, page: true },
  { shift: 12, bits: 10, page: true },
];

/** Physical address of a byte; throws #PF. Accessed and dirty flags that the access sets are foretold. */
export const translate = (w: Work, linear: bigint, access: Access): number => {
  const { s } = w;
  if ((low(s.cr0) & cr0.PG) === 0) {
    if (linear >= BigInt(w.memory.size)) undecided('memory beyond the end');
    return Number(linear);
  }
  const page = Number(linear >> 12n);
  const user = !access.implicit && cpl(s) === 3;
  const key = page * 8 + (access.write ? 1 : 0) + (user ? 2 : 0) + (access.fetch ? 4 : 0);
  const cached = w.walks.get(key);
  if (cached !== undefined) return cached + Number(linear & 0xfffn);
  const base = walk(w, linear, access, user);
  w.walks.set(key, base);
  return base + Number(linear & 0xfffn);
};

const walk = (w: Work, linear: bigint, access: Access, user: boolean): number => {
  const { s } = w;
  if (!w.system) return hostPage(w, linear, access);
  const c4 = low(s.cr4);
  if ((c4 & (cr4.PKE | cr4.PKS | cr4.CET)) !== 0) undecided('protection keys or shadow stacks');
  const long = ia32e(s);
  const pae = (c4 & cr4.PAE) !== 0;
  const nxe = (low(s.efer) & efer.NXE) !== 0 && pae;
  const levels = long ? ((c4 & cr4.LA57) !== 0 ? levels64 : levels4) : pae ? levelsPae : levels32;
  const wide = long || pae;
  const errorOf = (present: boolean, reserved: boolean, write: boolean): number =>
    (present ? P : 0) | (write ? W : 0) | (user ? U : 0) | (reserved ? RSVD : 0) | (access.fetch && (nxe || (c4 & cr4.SMEP) !== 0) ? I : 0);
  const fail = (present: boolean, reserved: boolean, why: string, write = access.write): never => {
    const rule = access.fetch && why === 'page.rights' ? 'page.fetch' : why;
    const faults: Fault[] = [{ vector: 14, error: errorOf(present, reserved, write), cr2: linear, rule }];
    // A read that precedes the write may report itself. readings.md.
    if (access.both && why !== 'page.write') faults.push({ vector: 14, error: errorOf(present, reserved, false), cr2: linear, rule });
    return raise(...faults);
  };
  let table = Number(s.cr3 & (long ? 0xffffffffff000n : pae ? 0xffffffe0n : 0xfffff000n));
  let writable = true;
  let userPage = true;
  let noExecute = false;
  const entries: number[] = [];
  let base = 0;
  for (const [n, level] of levels.entries()) {
    const index = Number((linear >> BigInt(level.shift)) & ((1n << BigInt(level.bits)) - 1n));
    const at = table + index * (wide ? 8 : 4);
    const entry = physical(w, at, wide ? 8 : 4);
    const leaf = level.shift === 12 || (level.page && (Number(entry & 0xffn) & PS) !== 0 && (wide || (c4 & cr4.PSE) !== 0));
    const pdpte = pae && !long && n === 0;
    if ((entry & 1n) === 0n) {
      fail(false, false, 'page.present');
    }
    if (pdpte) {
      table = Number(entry & 0xffffffffff000n);
      if ((entry & (0x1e6n | reservedAbove(w, 64))) !== 0n) undecided('a PDPTE that MOV CR3 would not have loaded');
      continue;
    }
    let reserved = 0n;
    if (wide) {
      reserved |= long ? reservedAbove(w, 52) : reservedAbove(w, 63);
      if (!nxe) reserved |= 1n << 63n;
      const psBit = BigInt(PS);
      if (!leaf && long && level.shift >= 39) reserved |= psBit;
      if (level.shift === 30 && (entry & psBit) !== 0n && !w.cpu.has.includes('gbpages')) undecided('1-GByte pages are not known to exist');
      if (leaf && level.shift > 12) reserved |= ((1n << BigInt(level.shift)) - 1n) & ~0x1fffn;
    } else if (leaf && level.shift === 22) {
      // PSE-36: bits 20:13 are bits 39:32 of the address, 21 is reserved, and so are those above the width.
      const supported = Math.max(0, Math.min(8, w.cpu.physicalBits - 32));
      reserved |= 1n << 21n;
      reserved |= (0xffn & ~((1n << BigInt(supported)) - 1n)) << 13n;
    }
    if ((entry & reserved) !== 0n) fail(true, true, 'page.reserved');
    entries.push(at);
    writable &&= (entry & 2n) !== 0n;
    userPage &&= (entry & 4n) !== 0n;
    noExecute ||= nxe && entry >> 63n === 1n;
    if (leaf) {
      const span = (1n << BigInt(level.shift)) - 1n;
      const frame = !wide && level.shift === 22 ? (entry & 0xffc00000n) | ((entry & 0x1fe000n) << 19n) : entry & 0xffffffffff000n & ~span;
      base = Number(frame | (linear & span & ~0xfffn));
      break;
    }
    table = Number(entry & (wide ? 0xffffffffff000n : 0xfffff000n));
  }
  const protect = (low(s.cr0) & cr0.WP) !== 0;
  if (user) {
    if (!userPage) fail(true, false, 'page.rights');
    if (access.write && !writable) fail(true, false, 'page.write');
  } else {
    if (access.fetch && userPage && (c4 & cr4.SMEP) !== 0) fail(true, false, 'page.smep');
    // Explicit accesses are let through by RFLAGS.AC, implicit ones never (SDM volume 3, Access Rights).
    if (!access.fetch && userPage && (c4 & cr4.SMAP) !== 0 && (access.implicit || (flagsOf(s) & flag.AC) === 0 || cpl(s) === 3))
      fail(true, false, 'page.smap');
    if (access.write && !writable && protect) fail(true, false, 'page.write');
  }
  if (access.fetch && noExecute) fail(true, false, 'page.nx');
  for (const [n, at] of entries.entries()) setFlag(w, at, n === entries.length - 1 && access.write ? accessed | dirty : accessed);
  if (base >= w.memory.size) undecided('memory beyond the end');
  return base;
};

/** Ring 3 of a host: the pages are the host's; the furniture's addresses have the rights its own tables give them, but error codes are the host's. */
const hostPage = (_w: Work, linear: bigint, _access: Access): number => {
  if (linear >= 0x10000n && linear < 0x18000n) return Number(linear & ~0xfffn);
  if (linear >= 0x20000n && linear < 0x22000n) return Number(linear & ~0xfffn);
  return undecided("the page tables are the host's own");
};
