// Decides the privileged instructions on tables, caches, MSRs and counters, and the unprivileged ones that look at the same things.
// SDM volume 2, LGDT SGDT LIDT SIDT INVLPG INVPCID INVD WBINVD RDMSR WRMSR RDTSC RDTSCP RDPID RDPMC CPUID SWAPGS MONITOR MWAIT RDFSBASE and its like.

import { read8, readScratch, writeScratch } from './access.ts';
import { CR4_FSGSBASE, CR4_PCE, CR4_PCIDE, CR4_TSD, CR4_UMIP } from './bits.ts';
import { canonical } from './branch.ts';
import { type Cpu, FS, GS, READABLE, WRITABLE } from './cpu.ts';
import { cpuid } from './cpuid.ts';
import { type Build, type Entries, ending, plain } from './entry.ts';
import { gp, ud } from './fault.ts';
import { high, low, wide } from './halves.ts';
import type { Insn } from './insn.ts';
import { readMsr, timestamp, writeMsr } from './msr.ts';
import { getOf, linear, offsetOf, type Run, setOf } from './operands.ts';
import { flushPage, flushTlb } from './paging.ts';

const privileged = (c: Cpu): void => {
  if (c.cpl !== 0) gp();
};
const set32 = (c: Cpu, register: number, value: number): void => {
  c.r[2 * register] = value;
  c.r[2 * register + 1] = 0;
};
const setPair = (c: Cpu, value: bigint): void => {
  set32(c, 0, low(value));
  set32(c, 2, high(value));
};

/** With a 16-bit operand the base has 24 bits. */
const loadTable =
  (which: 'gdt' | 'idt'): Build =>
  (insn) => {
    const mem = insn.mem!;
    const offset = offsetOf(mem);
    const bytes = insn.bits === 64 ? 10 : 6;
    const mask = insn.form.endsWith('_16') ? 0xff_ffff : -1;
    return (c) => {
      privileged(c);
      readScratch(c, linear(c, mem.seg, offset(c), bytes, READABLE), bytes);
      const limit = c.scratchView.getUint16(0, true);
      const lo = c.scratchView.getInt32(2, true) & mask;
      const hi = bytes === 10 ? c.scratchView.getInt32(6, true) : 0;
      if (!canonical(c, hi)) gp();
      if (which === 'gdt') [c.gdtLo, c.gdtHi, c.gdtLimit] = [lo, hi, limit];
      else [c.idtLo, c.idtHi, c.idtLimit] = [lo, hi, limit];
    };
  };
/** All 32 bits of the base are stored, whatever the operand size. */
const storeTable =
  (which: 'gdt' | 'idt'): Build =>
  (insn) => {
    const mem = insn.mem!;
    const offset = offsetOf(mem);
    const bytes = insn.bits === 64 ? 10 : 6;
    return (c) => {
      if ((c.cr4 & CR4_UMIP) !== 0 && c.cpl > 0) gp();
      const at = linear(c, mem.seg, offset(c), bytes, WRITABLE);
      c.scratchView.setInt16(0, which === 'gdt' ? c.gdtLimit : c.idtLimit, true);
      c.scratchView.setInt32(2, which === 'gdt' ? c.gdtLo : c.idtLo, true);
      c.scratchView.setInt32(6, which === 'gdt' ? c.gdtHi : c.idtHi, true);
      writeScratch(c, at, bytes);
    };
  };
/** The operand is an address, not memory: only the segment's base counts, and one that is not canonical has no translation. */
const invlpg: Build = (insn) => {
  const mem = insn.mem!;
  const offset = offsetOf(mem);
  return (c) => {
    privileged(c);
    flushPage(c, (offset(c) + (c.code === 64 && mem.seg < FS ? 0 : c.seg[mem.seg]!.lo)) | 0);
  };
};
const invpcid: Build = (insn) => {
  const mem = insn.mem!;
  const offset = offsetOf(mem);
  const get = getOf(insn, 0, insn.bits === 64 ? 64 : 32);
  return (c) => {
    privileged(c);
    const type = get(c);
    const high = insn.bits === 64 ? c.hi : 0;
    readScratch(c, linear(c, mem.seg, offset(c), 16, READABLE), 16);
    const [lo, hi, addressHi] = [c.scratchView.getInt32(0, true), c.scratchView.getInt32(4, true), c.scratchView.getInt32(12, true)];
    if (high !== 0 || type >>> 0 > 3) gp();
    if (type < 2 && ((lo & ~0xfff) !== 0 || hi !== 0)) gp();
    if (type < 2 && (c.cr4 & CR4_PCIDE) === 0 && (lo & 0xfff) !== 0) gp();
    if (type === 0 && !canonical(c, addressHi)) gp();
    flushTlb(c, type === 2 || type === 0);
  };
};
const cacheControl: Run = (c) => privileged(c);

const rdmsr: Run = (c) => {
  privileged(c);
  setPair(c, readMsr(c, c.r[2]! >>> 0));
};
const wrmsr: Run = (c) => {
  privileged(c);
  writeMsr(c, c.r[2]! >>> 0, wide(c.r[0]!, c.r[4]!));
  c.attention = 1;
};
const mayReadTime = (c: Cpu): void => {
  if ((c.cr4 & CR4_TSD) !== 0 && c.cpl > 0) gp();
};
/** Instructions completed since the machine began, this one not counted, with what WRMSR has added. */
const rdtsc: Run = (c) => {
  mayReadTime(c);
  setPair(c, timestamp(c));
};
const rdtscp: Run = (c) => {
  mayReadTime(c);
  setPair(c, timestamp(c));
  set32(c, 1, low(c.tscAux));
};
/** Eight counters and three fixed ones, all of which stand at 0. */
const rdpmc: Run = (c) => {
  if (c.protect && c.cpl > 0 && (c.cr4 & CR4_PCE) === 0) gp();
  const index = c.r[2]! >>> 0;
  if (!(index < 8 || (index >= 0x4000_0000 && index < 0x4000_0003))) gp();
  setPair(c, 0n);
};
const rdpid: Build = (insn) => {
  const set = setOf(insn, 0, insn.bits === 64 ? 64 : 32);
  return (c) => set(c, low(c.tscAux), 0);
};
const identify: Run = (c) => {
  const [eax, ebx, ecx, edx] = cpuid(c, c.r[0]!, c.r[2]!);
  set32(c, 0, eax);
  set32(c, 3, ebx);
  set32(c, 1, ecx);
  set32(c, 2, edx);
};
const swapgs: Run = (c) => {
  privileged(c);
  const gs = c.seg[GS];
  const base = wide(gs.lo, gs.hi);
  gs.lo = low(c.kernelGsBase);
  gs.hi = high(c.kernelGsBase);
  c.kernelGsBase = base;
};
const readBase =
  (index: number): Build =>
  (insn) => {
    const set = setOf(insn, 0, insn.size);
    return (c) => {
      if ((c.cr4 & CR4_FSGSBASE) === 0) ud();
      set(c, c.seg[index]!.lo, c.seg[index]!.hi);
    };
  };
const writeBase =
  (index: number): Build =>
  (insn: Insn) => {
    const get = getOf(insn, 0, insn.size);
    const wide = insn.size === 64;
    return (c) => {
      if ((c.cr4 & CR4_FSGSBASE) === 0) ud();
      const lo = get(c);
      const hi = wide ? c.hi : 0;
      if (!canonical(c, hi)) gp();
      c.seg[index]!.lo = lo;
      c.seg[index]!.hi = hi;
    };
  };

/** Nothing is armed, so that MWAIT finds its event come already: an implementation may return at any time. */
const monitor: Build = (insn) => {
  const { seg } = insn.mem!;
  const wide = insn.form.endsWith('q');
  const word = insn.form.endsWith('w');
  return (c) => {
    if (c.cpl !== 0) ud();
    if (c.r[2] !== 0) gp();
    c.ah = wide ? c.r[1]! : 0;
    read8(c, linear(c, seg, word ? c.r16[0]! : c.r[0]!, 1, READABLE));
  };
};
/** No extensions are announced. */
const mwait: Run = (c) => {
  if (c.cpl !== 0) ud();
  if (c.r[2] !== 0) gp();
};

export const systemOperations: Entries = {
  ...plain({
    Monitor: monitor,
    Mwait: () => mwait,
    Sgdt: storeTable('gdt'),
    Sidt: storeTable('idt'),
    Rdtsc: () => rdtsc,
    Rdtscp: () => rdtscp,
    Rdpmc: () => rdpmc,
    Rdpid: rdpid,
    Cpuid: () => identify,
    Swapgs: () => swapgs,
    Rdfsbase: readBase(FS),
    Rdgsbase: readBase(GS),
    Wrfsbase: writeBase(FS),
    Wrgsbase: writeBase(GS),
  }),
  ...ending({
    Rdmsr: () => rdmsr,
    Wrmsr: () => wrmsr,
    Lgdt: loadTable('gdt'),
    Lidt: loadTable('idt'),
    Invlpg: invlpg,
    Invpcid: invpcid,
    Invd: () => cacheControl,
    Wbinvd: () => cacheControl,
    Wbnoinvd: () => cacheControl,
  }),
};
