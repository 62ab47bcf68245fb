// Decides loads and stores at linear addresses: straight through a ready translation, else byte by byte after walks for both pages.
// SDM volume 3, Protected-Mode Memory Management; Alignment-Check Exception; Debug Registers (data breakpoints).

import { ALIGNMENT } from './bits.ts';
import { type Cpu, TLB } from './cpu.ts';
import { raise } from './fault.ts';
import { type Class, type Kind, READ, SUPERVISOR, translate, USER, WRITE } from './paging.ts';
import { loadBytes, logStore, note, storeBytes } from './ram.ts';

const LAST = TLB - 1;
const who = (c: Cpu): Class => (c.cpl === 3 ? USER : (c.flags & (1 << 18)) !== 0 ? 1 : SUPERVISOR);

/** Data breakpoints hit by an access: they trap after the instruction. SDM volume 3, Breakpoint Field Recognition. */
const watch = (c: Cpu, lo: number, hi: number, size: number, kind: Kind): void => {
  for (const w of c.watches) {
    if (!(kind === WRITE ? w.write : w.read) || w.hi !== hi) continue;
    const [start, from] = [w.lo >>> 0, lo >>> 0];
    if (from < start + w.length && start < from + size) {
      c.debug |= 1 << w.index;
      c.attention = 1;
    }
  }
};
/** High half of the linear address that starts the page after that of (lo, hi). */
const nextPage = (c: Cpu, lo: number, hi: number): number => ((lo & -4096) === -4096 ? (c.code === 64 ? (hi + 1) | 0 : 0) : hi);

let first = 0;
let second = 0;
/** Translates both pages of an access; the second only where it reaches there. */
const reach = (c: Cpu, lo: number, hi: number, size: number, kind: Kind, as: Class): void => {
  first = translate(c, lo, hi, kind, as);
  const here = 4096 - (lo & 4095);
  if (here < size) second = translate(c, ((lo & -4096) + 4096) | 0, nextPage(c, lo, hi), kind, as);
};
const checked = (c: Cpu, lo: number, hi: number, size: number, kind: Kind): void => {
  reach(c, lo, hi, size, kind, who(c));
  if (c.needRead === 0 && (lo & (size - 1)) !== 0) raise(ALIGNMENT, 0);
  if (c.watches.length !== 0) watch(c, lo, hi, size, kind);
};
const gather = (c: Cpu, lo: number, size: number): void => {
  const here = 4096 - (lo & 4095);
  loadBytes(c.ram, first, Math.min(here, size), c.scratch, 0);
  if (here < size) loadBytes(c.ram, second, size - here, c.scratch, here);
};
const scatter = (c: Cpu, lo: number, size: number): void => {
  const here = 4096 - (lo & 4095);
  storeBytes(c.ram, first, Math.min(here, size), c.scratch, 0);
  if (here < size) storeBytes(c.ram, second, size - here, c.scratch, here);
};
const slowLoad = (c: Cpu, lo: number, size: number): DataView => {
  checked(c, lo, c.ah, size, READ);
  gather(c, lo, size);
  return c.scratchView;
};
const slowStore = (c: Cpu, lo: number, size: number): void => {
  checked(c, lo, c.ah, size, WRITE);
  scatter(c, lo, size);
};

/** Offset into memory of an access that needs no care, or -1. */
const ready = (c: Cpu, lo: number, need: number, size: number): number => {
  const i = (lo >>> 12) & LAST;
  const offset = lo & 4095;
  return c.tagLo[i] === ((lo & -4096) | 1) && c.tagHi[i] === c.ah && (c.grant[i]! & need) !== 0 && offset <= 4096 - size
    ? c.page[i]! + offset
    : -1;
};

// The high half of every address is `c.ah`.
export const read8 = (c: Cpu, lo: number): number => {
  const at = ready(c, lo, c.needRead, 1);
  return at < 0 ? slowLoad(c, lo, 1).getUint8(0) : c.ram.bytes[at]!;
};
export const read16 = (c: Cpu, lo: number): number => {
  const at = ready(c, lo, c.needRead, 2);
  return at < 0 ? slowLoad(c, lo, 2).getUint16(0, true) : c.ram.view.getUint16(at, true);
};
export const read32 = (c: Cpu, lo: number): number => {
  const at = ready(c, lo, c.needRead, 4);
  return at < 0 ? slowLoad(c, lo, 4).getInt32(0, true) : c.ram.view.getInt32(at, true);
};
/** Low half; the high half is in `c.hi`. */
export const read64 = (c: Cpu, lo: number): number => {
  const at = ready(c, lo, c.needRead, 8);
  const view = at < 0 ? slowLoad(c, lo, 8) : c.ram.view;
  const from = at < 0 ? 0 : at;
  c.hi = view.getInt32(from + 4, true);
  return view.getInt32(from, true);
};
export const write8 = (c: Cpu, lo: number, value: number): void => {
  const at = ready(c, lo, c.needWrite, 1);
  if (at < 0) {
    c.scratch[0] = value;
    slowStore(c, lo, 1);
    return;
  }
  const flagged = c.ram.flags[at >>> 12]!;
  if (flagged !== 0) note(c.ram, at);
  c.ram.bytes[at] = value;
  if (flagged !== 0 && c.ram.log.on) logStore(c.ram, at, 1);
};
export const write16 = (c: Cpu, lo: number, value: number): void => {
  const at = ready(c, lo, c.needWrite, 2);
  if (at < 0) {
    c.scratchView.setInt16(0, value, true);
    slowStore(c, lo, 2);
    return;
  }
  const flagged = c.ram.flags[at >>> 12]!;
  if (flagged !== 0) note(c.ram, at);
  c.ram.view.setInt16(at, value, true);
  if (flagged !== 0 && c.ram.log.on) logStore(c.ram, at, 2);
};
export const write32 = (c: Cpu, lo: number, value: number): void => {
  const at = ready(c, lo, c.needWrite, 4);
  if (at < 0) {
    c.scratchView.setInt32(0, value, true);
    slowStore(c, lo, 4);
    return;
  }
  const flagged = c.ram.flags[at >>> 12]!;
  if (flagged !== 0) note(c.ram, at);
  c.ram.view.setInt32(at, value, true);
  if (flagged !== 0 && c.ram.log.on) logStore(c.ram, at, 4);
};
export const write64 = (c: Cpu, lo: number, low: number, high: number): void => {
  const at = ready(c, lo, c.needWrite, 8);
  if (at < 0) {
    c.scratchView.setInt32(0, low, true);
    c.scratchView.setInt32(4, high, true);
    slowStore(c, lo, 8);
    return;
  }
  const flagged = c.ram.flags[at >>> 12]!;
  if (flagged !== 0) note(c.ram, at);
  c.ram.view.setInt32(at, low, true);
  c.ram.view.setInt32(at + 4, high, true);
  if (flagged !== 0 && c.ram.log.on) logStore(c.ram, at, 8);
};
/** Raises what a store there would; nothing is stored. */
export const probe = (c: Cpu, lo: number, size: number): void => {
  if (ready(c, lo, c.needWrite, size) < 0) checked(c, lo, c.ah, size, WRITE);
};
/** Loads `size` bytes (at most 16) into `c.scratch`. */
export const readScratch = (c: Cpu, lo: number, size: number): void => {
  checked(c, lo, c.ah, size, READ);
  gather(c, lo, size);
};
export const writeScratch = (c: Cpu, lo: number, size: number): void => slowStore(c, lo, size);

// Accesses of the processor's own to descriptor tables and task-state segments: supervisor-mode whatever the CPL, EFLAGS.AC is no excuse.
const implicitly = (c: Cpu, lo: number, hi: number, size: number, kind: Kind): void => {
  c.av = 13;
  reach(c, lo, hi, size, kind, SUPERVISOR);
};
/** As `ready`, for a load of theirs. */
const systemReady = (c: Cpu, lo: number, hi: number, size: number): number => {
  c.av = 13;
  const i = (lo >>> 12) & LAST;
  const offset = lo & 4095;
  return c.tagLo[i] === ((lo & -4096) | 1) && c.tagHi[i] === hi && (c.grant[i]! & 1) !== 0 && offset <= 4096 - size
    ? c.page[i]! + offset
    : -1;
};
export const system16 = (c: Cpu, lo: number, hi: number): number => {
  const at = systemReady(c, lo, hi, 2);
  if (at >= 0) return c.ram.view.getUint16(at, true);
  implicitly(c, lo, hi, 2, READ);
  gather(c, lo, 2);
  return c.scratchView.getUint16(0, true);
};
export const system32 = (c: Cpu, lo: number, hi: number): number => {
  const at = systemReady(c, lo, hi, 4);
  if (at >= 0) return c.ram.view.getInt32(at, true);
  implicitly(c, lo, hi, 4, READ);
  gather(c, lo, 4);
  return c.scratchView.getInt32(0, true);
};
/** Low half; the high half is in `c.hi`. */
export const system64 = (c: Cpu, lo: number, hi: number): number => {
  const at = systemReady(c, lo, hi, 8);
  if (at >= 0) {
    c.hi = c.ram.view.getInt32(at + 4, true);
    return c.ram.view.getInt32(at, true);
  }
  implicitly(c, lo, hi, 8, READ);
  gather(c, lo, 8);
  c.hi = c.scratchView.getInt32(4, true);
  return c.scratchView.getInt32(0, true);
};
export const systemWrite = (c: Cpu, lo: number, hi: number, size: number, value: number): void => {
  implicitly(c, lo, hi, size, WRITE);
  c.scratchView.setInt32(0, value, true);
  scatter(c, lo, size);
};
