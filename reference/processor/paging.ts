// Decides the physical address of a linear address, and the page fault where there is none.
// SDM volume 3, Paging: 32-bit, PAE, 4-level and 5-level paging; Access Rights; Accessed and Dirty Flags; Page-Fault Exceptions.

import { CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PGE, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_NXE, PAGE_FAULT } from './bits.ts';
import { type Cpu, FEW, TLB } from './cpu.ts';
import { raise } from './fault.ts';
import { wide } from './halves.ts';
import { storeBytes } from './ram.ts';

export type Kind = 0 | 1 | 2;
export const READ = 0;
export const WRITE = 1;
export const FETCH = 2;
/** Who accesses: a supervisor, a supervisor with EFLAGS.AC set, a user. A grant has three bits for each. */
export type Class = 0 | 1 | 2;
export const SUPERVISOR = 0;
export const USER = 2;

/** MAXPHYADDR. */
export const PHYSICAL_BITS = 46;
const HIGH_RESERVED = (0xf_ffff << (PHYSICAL_BITS - 32)) & 0xf_ffff;
const P = 1;
const RW = 2;
const US = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const PAGE_SIZE = 0x80;
const GLOBAL = 0x100;
const ERROR_RESERVED = 8;

interface Step {
  at: number;
  lo: number;
  hi: number;
}
const steps: Step[] = Array.from({ length: 5 }, () => ({ at: 0, lo: 0, hi: 0 }));

export const flushTlb = (c: Cpu, globals: boolean): void => {
  if (!globals) {
    for (let i = 0; i < TLB; i++) if (c.global[i] === 0) c.tagLo[i] = 0;
    return;
  }
  if (c.fills > FEW) c.tagLo.fill(0);
  else for (let n = 0; n < c.fills; n++) c.tagLo[c.filled[n]!] = 0;
  c.fills = 0;
  c.large = false;
};
/** INVLPG: a translation of the page is gone, and with it all of a large page. */
export const flushPage = (c: Cpu, lo: number): void => {
  if (c.large) flushTlb(c, true);
  else c.tagLo[(lo >>> 12) & (TLB - 1)] = 0;
};

const entryLo = (c: Cpu, at: number): number => (at + 4 <= c.ram.size ? c.ram.view.getInt32(at, true) : -1);
const store = (c: Cpu, at: number, lo: number, hi: number, length: number): void => {
  c.scratchView.setInt32(48, lo, true);
  c.scratchView.setInt32(52, hi, true);
  storeBytes(c.ram, at, length, c.scratch, 48);
};

const allowed = (c: Cpu, user: boolean, writable: boolean, executable: boolean, kind: Kind, who: Class): boolean => {
  if (who === USER) return user && (kind === READ || (kind === WRITE ? writable : executable));
  if (kind === FETCH) return executable && !(user && (c.cr4 & CR4_SMEP) !== 0);
  if (user && (c.cr4 & CR4_SMAP) !== 0 && who === SUPERVISOR) return false;
  return kind === READ || writable || (c.cr0 & CR0_WP) === 0;
};
const grants = new Int16Array(128).fill(-1);
const grantOf = (c: Cpu, user: boolean, writable: boolean, executable: boolean, dirty: boolean): number => {
  // Worked out once for all that it depends on.
  const key =
    (user ? 1 : 0) |
    (writable ? 2 : 0) |
    (executable ? 4 : 0) |
    (dirty ? 8 : 0) |
    ((c.cr4 & CR4_SMEP) !== 0 ? 16 : 0) |
    ((c.cr4 & CR4_SMAP) !== 0 ? 32 : 0) |
    ((c.cr0 & CR0_WP) !== 0 ? 64 : 0);
  const known = grants[key]!;
  if (known >= 0) return known;
  let grant = 0;
  for (const who of [0, 1, 2] as const)
    for (const kind of [0, 1, 2] as const)
      if ((kind !== WRITE || dirty) && allowed(c, user, writable, executable, kind, who)) grant |= 1 << (3 * who + kind);
  grants[key] = grant;
  return grant;
};

const pageFault = (c: Cpu, lo: number, hi: number, kind: Kind, who: Class, bits: number): never =>
  raise(PAGE_FAULT, pageFaultCode(c, lo, hi, kind, who, bits));
/** The error code; CR2 is set. */
const pageFaultCode = (c: Cpu, lo: number, hi: number, kind: Kind, who: Class, bits: number): number => {
  c.cr2 = BigInt.asUintN(64, (BigInt(hi) << 32n) | BigInt(lo >>> 0));
  const fetches = (c.cr4 & CR4_SMEP) !== 0 || ((c.cr4 & CR4_PAE) !== 0 && (c.efer & EFER_NXE) !== 0);
  return bits | (kind === WRITE ? 2 : 0) | (who === USER ? 4 : 0) | (kind === FETCH && fetches ? 16 : 0);
};

const fill = (c: Cpu, lo: number, hi: number, frame: number, grant: number, global: boolean, large: boolean): void => {
  if (frame + 4096 > c.ram.size) return;
  let kept = grant;
  for (const w of c.watches) if ((w.lo & -4096) === (lo & -4096) && w.hi === hi) kept &= 0o444;
  const i = (lo >>> 12) & (TLB - 1);
  c.tagLo[i] = (lo & -4096) | 1;
  c.tagHi[i] = hi;
  c.grant[i] = kept;
  c.page[i] = frame;
  c.global[i] = global ? 1 : 0;
  if (c.fills < FEW) c.filled[c.fills] = i;
  c.fills++;
  if (large) c.large = true;
};

/** The physical address; raises #GP or #SS (`c.av`) where the linear address is not canonical, and #PF. */
export const translate = (c: Cpu, lo: number, hi: number, kind: Kind, who: Class): number => {
  const i = (lo >>> 12) & (TLB - 1);
  if (c.tagLo[i] === ((lo & -4096) | 1) && c.tagHi[i] === hi && (c.grant[i]! & (1 << (3 * who + kind))) !== 0)
    return c.page[i]! + (lo & 4095);
  if ((c.cr0 & CR0_PG) === 0) {
    const at = lo >>> 0;
    fill(c, lo, hi, at - (at & 4095), 0o777, false, false);
    return at;
  }
  if ((c.cr4 & CR4_PAE) === 0) return walk32(c, lo, kind, who);
  if (!c.lma) return walk64(c, lo, 0, kind, who, 2);
  const five = (c.cr4 & CR4_LA57) !== 0;
  const sign = five ? hi >> 24 : hi >> 15;
  if (sign !== 0 && sign !== -1) return raise(c.av, 0);
  return walk64(c, lo, hi, kind, who, five ? 5 : 4);
};

/** PAE (from the PDPTE registers, level 2), 4-level and 5-level paging. */
const walk64 = (c: Cpu, lo: number, hi: number, kind: Kind, who: Class, levels: number): number => {
  const nxe = (c.efer & EFER_NXE) !== 0;
  let table: number;
  if (levels === 2) {
    const pdpte = c.pdpte[lo >>> 30]!;
    if ((pdpte & 1n) === 0n) return pageFault(c, lo, hi, kind, who, 0);
    table = Number(pdpte & 0xf_ffff_ffff_f000n);
  } else table = Number(c.cr3 & 0xf_ffff_ffff_f000n);
  let [user, writable, executable] = [true, true, true];
  let count = 0;
  for (let level = levels; ; level--) {
    const index =
      level === 1 ? lo >>> 12 : level === 2 ? lo >>> 21 : level === 3 ? (lo >>> 30) | (hi << 2) : level === 4 ? hi >>> 7 : hi >>> 16;
    const step = steps[count++]!;
    step.at = table + (index & 511) * 8;
    step.lo = entryLo(c, step.at);
    step.hi = entryLo(c, step.at + 4);
    if ((step.lo & P) === 0) return pageFault(c, lo, hi, kind, who, 0);
    const leaf = level === 1 || ((step.lo & PAGE_SIZE) !== 0 && level <= 3);
    let bad = (step.hi & HIGH_RESERVED) !== 0 || (step.hi < 0 && !nxe);
    if (levels === 2) bad ||= (step.hi & 0x7ff0_0000) !== 0;
    if ((step.lo & PAGE_SIZE) !== 0 && level > 3) bad = true;
    if (leaf && level === 2) bad ||= (step.lo & 0x001f_e000) !== 0;
    if (leaf && level === 3) bad ||= (step.lo & 0x3fff_e000) !== 0;
    if (bad) return pageFault(c, lo, hi, kind, who, P | ERROR_RESERVED);
    user &&= (step.lo & US) !== 0;
    writable &&= (step.lo & RW) !== 0;
    executable &&= step.hi >= 0;
    table = (step.hi & 0xf_ffff) * 0x1_0000_0000 + ((step.lo & -4096) >>> 0);
    if (!leaf) continue;
    if (!allowed(c, user, writable, executable, kind, who)) return pageFault(c, lo, hi, kind, who, P);
    mark(c, count, kind, 8);
    const offset = level === 1 ? 0 : level === 2 ? lo & 0x1f_f000 : lo & 0x3fff_f000;
    const base = level === 1 ? table : level === 2 ? table - (step.lo & 0x1f_f000) : table - (step.lo & 0x3fff_f000);
    const grant = grantOf(c, user, writable, executable, (step.lo & DIRTY) !== 0);
    fill(c, lo, hi, base + offset, grant, (step.lo & GLOBAL) !== 0 && (c.cr4 & CR4_PGE) !== 0, level !== 1);
    return base + offset + (lo & 4095);
  }
};

/** Sets the accessed flags from the root down, and the dirty flag of the last; after the access has been found allowed. */
const mark = (c: Cpu, count: number, kind: Kind, length: number): void => {
  for (let i = 0; i < count; i++) {
    const step = steps[i]!;
    const set = ACCESSED | (kind === WRITE && i === count - 1 ? DIRTY : 0);
    if ((step.lo & set) === set) continue;
    step.lo |= set;
    store(c, step.at, step.lo, step.hi, length);
  }
};

/** 32-bit paging, with 4-MByte pages where CR4.PSE is set. PSE-36 takes bits 39:32 from bits 20:13. */
const walk32 = (c: Cpu, lo: number, kind: Kind, who: Class): number => {
  const [pde, pte] = [steps[0]!, steps[1]!];
  pde.at = Number(c.cr3 & 0xffff_f000n) + (lo >>> 22) * 4;
  pde.lo = entryLo(c, pde.at);
  if ((pde.lo & P) === 0) return pageFault(c, lo, 0, kind, who, 0);
  const large = (pde.lo & PAGE_SIZE) !== 0 && (c.cr4 & CR4_PSE) !== 0;
  let leaf = pde;
  let frame: number;
  let [user, writable] = [(pde.lo & US) !== 0, (pde.lo & RW) !== 0];
  if (large) {
    if ((pde.lo & (1 << 21)) !== 0) return pageFault(c, lo, 0, kind, who, P | ERROR_RESERVED);
    frame = ((pde.lo >>> 13) & 0xff) * 0x1_0000_0000 + ((pde.lo & 0xffc0_0000) >>> 0) + (lo & 0x3f_f000);
  } else {
    leaf = pte;
    pte.at = ((pde.lo & -4096) >>> 0) + ((lo >>> 12) & 1023) * 4;
    pte.lo = entryLo(c, pte.at);
    if ((pte.lo & P) === 0) return pageFault(c, lo, 0, kind, who, 0);
    user &&= (pte.lo & US) !== 0;
    writable &&= (pte.lo & RW) !== 0;
    frame = (pte.lo & -4096) >>> 0;
  }
  if (!allowed(c, user, writable, true, kind, who)) return pageFault(c, lo, 0, kind, who, P);
  mark(c, large ? 1 : 2, kind, 4);
  const grant = grantOf(c, user, writable, true, (leaf.lo & DIRTY) !== 0);
  fill(c, lo, 0, frame, grant, (leaf.lo & GLOBAL) !== 0 && (c.cr4 & CR4_PGE) !== 0, large);
  return frame + (lo & 4095);
};

/** The bits of a grant that the current privilege needs: at every change of CPL, EFLAGS.AC, CR0.AM and of what is aligned. */
export const privilege = (c: Cpu, aligned: boolean): void => {
  const who = c.cpl === 3 ? 2 : (c.flags & (1 << 18)) !== 0 ? 1 : 0;
  // Where alignment is checked no translation is ready, so that every access looks.
  c.needRead = aligned ? 0 : 1 << (3 * who);
  c.needWrite = aligned ? 0 : 2 << (3 * who);
  c.needFetch = 4 << (3 * who);
};
/** Reloads the PDPTE registers; false where a present one has a reserved bit set, and then nothing has changed. */
export const loadPdptes = (c: Cpu, cr3: bigint): boolean => {
  const base = Number(cr3 & 0xffff_ffe0n);
  const read: bigint[] = [];
  for (let i = 0; i < 4; i++) {
    const [lo, hi] = [entryLo(c, base + 8 * i), entryLo(c, base + 8 * i + 4)];
    // Bits 2:1, 8:5 and those from MAXPHYADDR up are reserved. Entry 0 is not special.
    if ((lo & P) !== 0 && ((lo & 0x1e6) !== 0 || hi >>> (PHYSICAL_BITS - 32) !== 0)) return false;
    read.push(wide(lo, hi));
  }
  for (let i = 0; i < 4; i++) c.pdpte[i] = read[i]!;
  return true;
};
