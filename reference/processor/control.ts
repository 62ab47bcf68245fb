// Decides control and debug registers: which values each takes, what a change of them flushes and changes of mode, and who may touch them.
// SDM volume 2, MOV (control registers), MOV (debug registers), LMSW SMSW CLTS; volume 3, Control Registers; Debug Registers.

import {
  ACCESS_L,
  CR0_CD,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NW,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR4_DE,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_UMIP,
  DB,
  DR6_BD,
  EFER_LME,
} from './bits.ts';
import { CS, type Cpu } from './cpu.ts';
import { debugRegisters } from './debug.ts';
import { type Build, type Entries, ending, plain } from './entry.ts';
import { gp, raiseWithoutResume, ud } from './fault.ts';
import { low, wide } from './halves.ts';
import { settle, settleLongMode, settleSegments } from './mode.ts';
import { getOf, setOf } from './operands.ts';
import { flushTlb, loadPdptes, PHYSICAL_BITS } from './paging.ts';

/** PE MP EM TS ET NE WP AM NW CD PG; the others ignore what is written. ET is always 1. */
const CR0_BITS = 0xe005_003f | 0;
/** VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP LA57 FSGSBASE PCIDE SMEP SMAP. */
const CR4_BITS = 0x0033_1fff;
/** Of PAE paging: a change of these loads the PDPTE registers anew. */
const CR0_RELOADS = CR0_CD | CR0_NW | CR0_PG;
const CR4_RELOADS = 0xb0 | (1 << 20);
const CR4_FLUSHES = 0xb0 | (1 << 20) | (1 << 21) | (1 << 17) | (1 << 12);

const pae = (c: Cpu, cr0: number, cr4: number): boolean => (cr0 & CR0_PG) !== 0 && (cr4 & CR4_PAE) !== 0 && (c.efer & EFER_LME) === 0;

/** MOV to CR0 of a whole value. */
export const writeCr0 = (c: Cpu, value: number): void => {
  const next = (value & CR0_BITS) | CR0_ET;
  const changed = next ^ c.cr0;
  if ((next & CR0_PG) !== 0 && (next & CR0_PE) === 0) gp();
  if ((next & CR0_NW) !== 0 && (next & CR0_CD) === 0) gp();
  if ((changed & CR0_PG) !== 0) {
    if ((next & CR0_PG) !== 0) {
      if ((c.efer & EFER_LME) !== 0) {
        if ((c.cr4 & CR4_PAE) === 0) gp();
        if ((c.seg[CS].access & ACCESS_L) !== 0) gp();
        // A 16-bit TSS cannot stay loaded in IA-32e mode.
        if ((c.tr.access & 15) === 3) gp();
      }
    } else {
      if (c.code === 64) gp();
      if ((c.cr4 & CR4_PCIDE) !== 0) gp();
    }
  }
  if (pae(c, next, c.cr4) && (changed & CR0_RELOADS) !== 0 && !loadPdptes(c, c.cr3)) gp();
  const was = c.cr0;
  c.cr0 = next;
  settleLongMode(c);
  flushTlb(c, true);
  if (((was ^ next) & CR0_PE) !== 0) {
    c.cpl = 0;
    settleSegments(c);
  }
  settle(c);
};
const writeCr3 = (c: Cpu, lo: number, hi: number): void => {
  let value = wide(lo, hi);
  const keep = c.code === 64 && (c.cr4 & CR4_PCIDE) !== 0 && hi < 0;
  if (keep) value &= ~(1n << 63n);
  if (c.code === 64 && value >> BigInt(PHYSICAL_BITS) !== 0n) gp();
  if (pae(c, c.cr0, c.cr4) && !loadPdptes(c, value)) gp();
  c.cr3 = value;
  // Translations of other process contexts are not kept, which is allowed at any time.
  flushTlb(c, false);
};
const writeCr4 = (c: Cpu, lo: number, hi: number): void => {
  if (hi !== 0 || (lo & ~CR4_BITS) !== 0) gp();
  const changed = lo ^ c.cr4;
  if (c.lma && ((lo & CR4_PAE) === 0 || (changed & CR4_LA57) !== 0)) gp();
  if ((changed & lo & CR4_PCIDE) !== 0 && (!c.lma || (c.cr3 & 0xfffn) !== 0n)) gp();
  if (pae(c, c.cr0, lo) && (changed & CR4_RELOADS) !== 0 && !loadPdptes(c, c.cr3)) gp();
  c.cr4 = lo;
  if ((changed & CR4_FLUSHES) !== 0) flushTlb(c, true);
  settle(c);
  if ((c.dr7 & 0xff) !== 0) debugRegisters(c);
};

const privileged = (c: Cpu): void => {
  if (c.cpl !== 0) gp();
};
const toControl: Build = (insn) => {
  const o = insn.ops[0]!;
  const which = o.kind === 'control' ? o.index : 0;
  const size = insn.bits === 64 ? 64 : 32;
  const get = getOf(insn, 1, size);
  return (c) => {
    privileged(c);
    const lo = get(c);
    const hi = size === 64 ? c.hi : 0;
    if (which === 0) {
      if (hi !== 0) gp();
      writeCr0(c, lo);
    } else if (which === 2) c.cr2 = wide(lo, hi);
    else if (which === 3) writeCr3(c, lo, hi);
    else if (which === 4) writeCr4(c, lo, hi);
    else {
      if (hi !== 0 || (lo & ~15) !== 0) gp();
      c.cr8 = lo;
      if (c.apic !== undefined) c.apic.priority = lo << 4;
      c.attention = 1;
    }
  };
};
const fromControl: Build = (insn) => {
  const o = insn.ops[1]!;
  const which = o.kind === 'control' ? o.index : 0;
  const set = setOf(insn, 0, insn.bits === 64 ? 64 : 32);
  return (c) => {
    privileged(c);
    if (which === 2 || which === 3) {
      const value = which === 2 ? c.cr2 : c.cr3;
      set(c, low(value), low(value >> 32n));
    } else set(c, which === 0 ? c.cr0 : which === 4 ? c.cr4 : c.cr8, 0);
  };
};

/** DR6: bits that software writes; the others read as 1, bit 12 as 0. DR7: bit 10 reads as 1, bits 11, 12, 14, 15 as 0. */
const DR6_WRITABLE = 0xe00f;
const DR6_ONES = 0xffff_0ff0 | 0;
const DR7_ZEROS = 0xd800;
/** In this order: #UD for DR4 and DR5 under CR4.DE, #GP above CPL 0, #DB under DR7.GD. The manual does not rank them. */
const guardDebug = (c: Cpu, which: number): number => {
  const alias = which === 4 || which === 5;
  if (alias && (c.cr4 & CR4_DE) !== 0) ud();
  privileged(c);
  if ((c.dr7 & (1 << 13)) !== 0) {
    c.dr6 |= DR6_BD;
    raiseWithoutResume(DB);
  }
  return alias ? which + 2 : which;
};
const toDebug: Build = (insn) => {
  const o = insn.ops[0]!;
  const named = o.kind === 'debug' ? o.index : 0;
  const size = insn.bits === 64 ? 64 : 32;
  const get = getOf(insn, 1, size);
  return (c) => {
    const which = guardDebug(c, named);
    const lo = get(c);
    const hi = size === 64 ? c.hi : 0;
    if (which < 4) c.dr[which] = wide(lo, hi);
    else {
      if (hi !== 0) gp();
      if (which === 6) c.dr6 = (lo & DR6_WRITABLE) | DR6_ONES;
      else c.dr7 = (lo & ~DR7_ZEROS) | 0x400;
    }
    flushTlb(c, true);
    debugRegisters(c);
    c.attention = 1;
  };
};
const fromDebug: Build = (insn) => {
  const o = insn.ops[1]!;
  const named = o.kind === 'debug' ? o.index : 0;
  const set = setOf(insn, 0, insn.bits === 64 ? 64 : 32);
  return (c) => {
    const which = guardDebug(c, named);
    // Halves, not one value from either arm: V8 of Node 20 aborts while it compiles a shift of a choice between two unsigned 64-bit BigInts.
    if (which < 4) set(c, low(c.dr[which]!), low(c.dr[which]! >> 32n));
    else set(c, which === 6 ? c.dr6 : c.dr7, 0);
  };
};

/** The low four bits of CR0; PE can be set but not cleared. */
const lmsw: Build = (insn) => {
  const get = getOf(insn, 0, 16);
  return (c) => {
    privileged(c);
    const bits = get(c) & (CR0_PE | CR0_MP | CR0_EM | CR0_TS);
    writeCr0(c, (c.cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | bits);
  };
};
const smsw: Build = (insn) => {
  const o = insn.ops[0]!;
  const set = setOf(insn, 0, o.kind === 'memory' ? 16 : o.size);
  return (c) => {
    if ((c.cr4 & CR4_UMIP) !== 0 && c.cpl > 0) gp();
    set(c, c.cr0, 0);
  };
};
const clts: Build = () => (c) => {
  privileged(c);
  c.cr0 &= ~CR0_TS;
};
export const controlOperations: Entries = {
  ...ending({ 'Mov to control': toControl, 'Mov to debug': toDebug, Lmsw: lmsw, Clts: clts }),
  ...plain({ 'Mov from control': fromControl, 'Mov from debug': fromDebug, Smsw: smsw }),
};
