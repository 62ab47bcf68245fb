// Linear to physical: every paging mode, the rights of a page, the error code of a page fault, and which accessed and dirty flags are set.
// Intel SDM volume 3, Paging: Hierarchical Paging Structures; Access Rights; Page-Fault Exceptions; Accessed and Dirty Flags.

import { cr0, cr4, efer, flag, joined, low, numberOf, bigOf } from './bits.ts';
import type { Stops } from './vocabulary.ts';
import { cpl, cr0Of, cr4Of, eferOf, type Fault, flagsOf, ia32e, own, raiseAll, undecided, unseen, type Work } from './work.ts';

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

/** Asked of every byte: where they start is worked out once a machine. */
let knownStops: Stops | undefined;
let firstOfStops = 0;
/** What stands where the stops are is the target's own code. */
export const ofStops = (w: Work, at: number, size: number): void => {
  const { stops } = w.cpu;
  if (stops !== knownStops) {
    knownStops = stops;
    firstOfStops = numberOf(stops.at);
  }
  if (at + size > firstOfStops && at < firstOfStops + stops.stride * stops.count) undecided('memory of the stops');
};
/** A byte as foretold, or as it stands. */
export const byteAt = (w: Work, at: number): number => {
  const foretold = w.stores.size === 0 ? undefined : w.stores.get(at);
  if (foretold !== undefined) return foretold;
  return w.memory.u8(at) ?? undecided('memory beyond the end');
};
const isForetold = ({ stores, lowest, highest }: Work, at: number, size: number): boolean => {
  if (at > highest || at + size <= lowest) return false;
  for (let k = 0; k < size; k++) if (stores.has(at + k)) return true;
  return false;
};
/** Little-endian value of `size` bytes at a physical address. */
export const physical = (w: Work, at: number, size: number): bigint => {
  ofStops(w, at, size);
  if (!isForetold(w, at, size)) {
    const whole =
      size === 8
        ? w.memory.u64(at)
        : size === 4
          ? w.memory.u32(at)
          : size === 2
            ? w.memory.u16(at)
            : size === 1
              ? w.memory.u8(at)
              : undefined;
    if (whole !== undefined) {
      if (!w.memory.known(at, size)) return unseen('memory that was never seen');
      return typeof whole === 'bigint' ? whole : bigOf(whole);
    }
  }
  if (at + size > w.memory.size) undecided('memory beyond the end');
  if (!w.memory.known(at, size)) unseen('memory that was never seen');
  let value = 0n;
  for (let k = size - 1; k >= 0; k--) value = (value << 8n) | BigInt(byteAt(w, at + k));
  return value;
};
export const foretell = (w: Work, at: number, value: number, loose = 0): void => {
  if (at < 0 || at >= w.memory.size) undecided('memory beyond the end');
  ofStops(w, at, 1);
  if (w.journal !== undefined) w.journal.push(at, w.stores.get(at) ?? -1);
  if (at < w.lowest) w.lowest = at;
  if (at > w.highest) w.highest = at;
  w.stores = own(w.stores).set(at, value);
  // What is stored now is the instruction's own, whatever was set there before.
  if (w.marks.size !== 0) own(w.marks).delete(at);
  if (loose !== 0) w.loose = own(w.loose).set(at, loose);
  else if (w.loose.size !== 0) own(w.loose).delete(at);
};
/** The quadword around a byte, as it was. */
export const surround = (w: Work, at: number): void => {
  const around = own(w.around);
  for (let k = at & ~7; k < (at & ~7) + 8; k++) around.set(k, byteAt(w, k));
  w.around = around;
};
/** Sets flags in an entry whose low byte is known. */
const setFlag = (w: Work, at: number, now: number, bit: number): void => {
  if ((now & bit) === bit) return;
  surround(w, at);
  // A byte that an instruction has stored to is no less stored for that.
  const stored = w.stores.has(at) && !w.marks.has(at);
  foretell(w, at, now | bit);
  if (!stored) w.marks = own(w.marks).set(at, 'accessed');
};

interface Level {
  /** Lowest bit of the linear address that indexes it, and how many bits do. */
  readonly shift: number;
  readonly page: boolean;
  /** How many pages an entry covers, and how many entries there are: powers of two, worked out once. */
  readonly pages: number;
  readonly entries: number;
}
const levelOf = (shift: number, bits: number, page: boolean): Level => ({ shift, page, pages: 2 ** (shift - 12), entries: 2 ** bits });
const levels64: readonly Level[] = [
  levelOf(48, 9, false),
  levelOf(39, 9, false),
  levelOf(30, 9, true),
  levelOf(21, 9, true),
  levelOf(12, 9, true),
];
const levels4 = levels64.slice(1);
const levelsPae: readonly Level[] = [levelOf(30, 2, false), ...levels64.slice(3)];
const levels32: readonly Level[] = [levelOf(22, 10, true), levelOf(12, 10, true)];

/** Number of the page of an address. */
export const pageOf = (address: number): number => (address <= 0xffff_ffff ? address >>> 12 : Math.floor(address / 4096));
/** Physical address of a byte; throws #PF. Accessed and dirty flags that the access sets are foretold. */
export const translate = (w: Work, linear: bigint, access: Access): number => {
  const found = lookUp(w, linear, access);
  if (typeof found === 'number') return found;
  // #GP(0) or #SS(0), before any page, where the host has CR4.LASS set. SDM volume 3, Linear-Address Pre-Processing: Linear-Address-Space Separation.
  if (!w.system && linear >> 63n !== 0n && w.cpu.vendor === 'intel') undecided('the supervisor half of the address space of a host');
  return raiseAll(pageFaults(w, linear, access, found));
};
/** The same, but told, not thrown, why there is none. */
export const lookUp = (w: Work, linear: bigint, access: Access): number | Failure => {
  const { s } = w;
  if ((cr0Of(s) & cr0.PG) === 0) {
    const at = numberOf(linear);
    if (at >= w.memory.size) undecided('memory beyond the end');
    return at;
  }
  // Most addresses are numbers; of one that is not canonical positive the page is worked out whole.
  const whole = numberOf(linear);
  const small = whole >= 0 && whole <= Number.MAX_SAFE_INTEGER;
  const page = small ? pageOf(whole) : numberOf(linear >> 12n);
  const offset = small ? whole % 4096 : low(linear) & 0xfff;
  const user = ofUser(w, access);
  const key = page * 8 + (access.write ? 1 : 0) + (user ? 2 : 0) + (access.fetch ? 4 : 0);
  const { walks } = w;
  for (let i = 0; i < walks.length; i += 2) if (walks[i] === key) return (walks[i + 1] as number) + offset;
  const base = walk(w, linear, page, access, user);
  if (typeof base !== 'number') return base;
  walks.push(key, base);
  return base + offset;
};
const ofUser = ({ s }: Work, access: Access): boolean => !access.implicit && cpl(s) === 3;

/** Why an access is a page fault: walks give it back, because what is thrown in many places is thrown slowly. */
export interface Failure {
  readonly present: boolean;
  readonly reserved: boolean;
  readonly rule: string;
}
const absent: Failure = { present: false, reserved: false, rule: 'page.present' };
const reservedSet: Failure = { present: true, reserved: true, rule: 'page.reserved' };
const denied = (rule: string): Failure => ({ present: true, reserved: false, rule });
const noRights = denied('page.rights');
const noWrite = denied('page.write');
const smep = denied('page.smep');
const smap = denied('page.smap');
const nx = denied('page.nx');

/** #PF with the error code of the access and the failure. */
const pageFaults = (w: Work, linear: bigint, access: Access, why: Failure): readonly Fault[] => {
  const c4 = cr4Of(w.s);
  const nxe = (eferOf(w.s) & efer.NXE) !== 0 && (c4 & cr4.PAE) !== 0;
  const error =
    (why.present ? P : 0) |
    (access.write ? W : 0) |
    (ofUser(w, access) ? U : 0) |
    (why.reserved ? RSVD : 0) |
    (access.fetch && (nxe || (c4 & cr4.SMEP) !== 0) ? I : 0);
  const rule = access.fetch && why.rule === 'page.rights' ? 'page.fetch' : why.rule;
  const faults: Fault[] = [{ vector: 14, error, cr2: linear, rule }];
  // A read that precedes the write may report itself. readings.md.
  if (access.both && why.rule !== 'page.write') faults.push({ vector: 14, error: error & ~W, cr2: linear, rule });
  return faults;
};
/** Whether the instruction has stored something else to these bytes of an entry: what is cached of it, also ahead of need, may be used on (SDM volume 3,
 *  Caching Translation Information: Delayed Invalidation). Flags that walks set are no such change. */
const isChanged = (w: Work, at: number, size: number): boolean => {
  for (let k = at; k < at + size; k++) {
    const now = w.stores.get(k);
    if (now !== undefined && w.marks.get(k) !== 'accessed' && now !== w.memory.u8(k)) return true;
  }
  return false;
};
/** Half of an entry. */
const word32 = (w: Work, at: number): number => {
  if (isForetold(w, at, 4)) {
    if (isChanged(w, at, 4)) undecided('a translation whose entry the instruction has changed');
    return low(physical(w, at, 4));
  }
  ofStops(w, at, 4);
  const value = w.memory.u32(at);
  if (value === undefined) return undecided('memory beyond the end');
  if (!w.memory.known(at, 4)) unseen('memory that was never seen');
  return value;
};
const below = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? 0xffffffff : (bits === 31 ? 0x80000000 : 1 << bits) - 1);
/** Address bits of an entry: 51:12, in pieces of 32. */
const frameOf = (lo: number, hi: number): number => joined(hi & 0xfffff, (lo & 0xfffff000) >>> 0);

/** Where the entries of the walk at hand stand, and their low bytes. */
const entries: number[] = [0, 0, 0, 0, 0];
const lows: number[] = [0, 0, 0, 0, 0];
const walk = (w: Work, linear: bigint, page: number, access: Access, user: boolean): number | Failure => {
  const { s } = w;
  if (!w.ring3) return hostPage(w, linear, access);
  const c4 = cr4Of(s);
  if ((c4 & (cr4.PKE | cr4.PKS | cr4.CET)) !== 0) undecided('protection keys or shadow stacks');
  const long = ia32e(s);
  const pae = (c4 & cr4.PAE) !== 0;
  const nxe = (eferOf(s) & efer.NXE) !== 0 && pae;
  const levels = long ? ((c4 & cr4.LA57) !== 0 ? levels64 : levels4) : pae ? levelsPae : levels32;
  const wide = long || pae;
  let table = numberOf(s.cr3 & (long ? 0xffffffffff000n : pae ? 0xffffffe0n : 0xfffff000n));
  let writable = true;
  let userPage = true;
  let noExecute = false;
  let used = 0;
  let base = 0;
  // Bits 51 (62 with PAE) down to the physical width are reserved, and 63 without EFER.NXE.
  const width = w.cpu.physicalBits - 32;
  const reservedHigh = ((below(long ? 20 : 31) & ~below(width)) | (nxe ? 0 : 0x80000000)) >>> 0;
  for (let n = 0; n < levels.length; n++) {
    const level = levels[n] as Level;
    const index = Math.floor(page / level.pages) % level.entries;
    const at = table + index * (wide ? 8 : 4);
    const lo = word32(w, at);
    const hi = wide ? word32(w, at + 4) : 0;
    if ((lo & 1) === 0) return absent;
    if (pae && !long && n === 0) {
      if ((lo & 0x1e6) !== 0 || (hi & ~below(width)) !== 0) undecided('a PDPTE that MOV CR3 would not have loaded');
      table = frameOf(lo, hi);
      continue;
    }
    const ps = (lo & PS) !== 0;
    const leaf = level.shift === 12 || (level.page && ps && (wide || (c4 & cr4.PSE) !== 0));
    let reservedLow = 0;
    if (wide) {
      if (!leaf && long && level.shift >= 39) reservedLow = PS;
      if (level.shift === 30 && ps && !w.cpu.has.includes('gbpages')) undecided('1-GByte pages are not known to exist');
      if (leaf && level.shift > 12) reservedLow = below(level.shift) & ~0x1fff;
      if ((hi & reservedHigh) !== 0) return reservedSet;
    } else if (leaf && level.shift === 22) {
      // PSE-36: bits 20:13 are bits 39:32 of the address, 21 is reserved, and so are those above the width.
      reservedLow = (1 << 21) | ((0xff & ~below(Math.min(8, width))) << 13);
    }
    if ((lo & reservedLow) !== 0) return reservedSet;
    // AMD APM volume 2, Long-Mode Page Translation: bit 8 must be 0 there. Intel's processors ignore it.
    if (long && level.shift >= 39 && (lo & 0x100) !== 0 && w.cpu.vendor !== 'intel') undecided('bit 8 of a PML4E or PML5E');
    entries[used] = at;
    lows[used++] = lo & 0xff;
    writable &&= (lo & 2) !== 0;
    userPage &&= (lo & 4) !== 0;
    noExecute ||= nxe && hi >>> 31 === 1;
    if (leaf) {
      const { pages } = level;
      const frame = !wide && level.shift === 22 ? joined((lo >>> 13) & 0xff, (lo & 0xffc00000) >>> 0) : frameOf(lo, hi);
      base = pages === 1 ? frame : (Math.floor(frame / 4096 / pages) * pages + (page % pages)) * 4096;
      break;
    }
    table = wide ? frameOf(lo, hi) : (lo & 0xfffff000) >>> 0;
  }
  if (user) {
    if (!userPage) return noRights;
    if (access.write && !writable) return noWrite;
  } else {
    if (access.fetch && userPage && (c4 & cr4.SMEP) !== 0) return smep;
    // Explicit accesses are let through by RFLAGS.AC, implicit ones never (SDM volume 3, Access Rights).
    if (!access.fetch && userPage && (c4 & cr4.SMAP) !== 0 && (access.implicit || (flagsOf(s) & flag.AC) === 0 || cpl(s) === 3))
      return smap;
    if (access.write && !writable && (cr0Of(s) & cr0.WP) !== 0) return noWrite;
  }
  if (access.fetch && noExecute) return nx;
  for (let n = 0; n < used; n++)
    setFlag(w, entries[n] as number, lows[n] as number, n === used - 1 && access.write ? accessed | dirty : accessed);
  if (base >= w.memory.size) undecided('memory beyond the end');
  return base;
};

/** Ring 3 of a host: the pages are the host's; the furniture's addresses have the rights its own tables give them, but error codes are the host's. */
const hostPage = (_w: Work, linear: bigint, _access: Access): number => {
  if (linear >= 0x10000n && linear < 0x18000n) return Number(linear & ~0xfffn);
  if (linear >= 0x20000n && linear < 0x22000n) return Number(linear & ~0xfffn);
  return undecided("the page tables are the host's own");
};
