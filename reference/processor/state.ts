// Decides how a whole state is loaded into the processor and read back, hidden parts of segments included.
// The layout of access rights is that of the VMCS; what a state cannot say (the PDPTE registers) is loaded as MOV to CR3 would.

import type { CpuState, Segment } from '../../spec/instructions/vocabulary.ts';
import { CR0_PG, CR4_PAE, VM } from './bits.ts';
import { CS, type Cpu, DS, ES, FS, GS, type Seg, SS } from './cpu.ts';
import { debugRegisters } from './debug.ts';
import { readFlags, writeFlags } from './flags.ts';
import { high, low, wide } from './halves.ts';
import { setSeg, settle, settleSegments } from './mode.ts';
import { flushTlb, loadPdptes } from './paging.ts';

export const SHADOWS = ['none', 'sti', 'mov-ss'] as const;
const loadSeg = (s: Seg, from: Segment): void => setSeg(s, from.selector, low(from.base), high(from.base), from.limit >>> 0, from.access);
/** Of two halves; what is as it was loaded is told by the value that was loaded, because to make one takes longer than most instructions do. */
const told = (lo: number, hi: number, was: bigint): bigint => (low(was) === lo && high(was) === hi ? was : wide(lo, hi));
const seen = (s: Seg, was: Segment): Segment =>
  s.selector === was.selector && s.limit === was.limit && s.access === was.access && low(was.base) === s.lo && high(was.base) === s.hi
    ? was
    : { selector: s.selector, base: wide(s.lo, s.hi), limit: s.limit, access: s.access };
const table = (lo: number, hi: number, limit: number, was: CpuState['gdtr']): CpuState['gdtr'] =>
  limit === was.limit && low(was.base) === lo && high(was.base) === hi ? was : { base: wide(lo, hi), limit };

/** Everything that was running is forgotten; memory stays. */
export const loadState = (c: Cpu, state: CpuState): void => {
  const { r64 } = c;
  r64[0] = state.rax;
  r64[1] = state.rcx;
  r64[2] = state.rdx;
  r64[3] = state.rbx;
  r64[4] = state.rsp;
  r64[5] = state.rbp;
  r64[6] = state.rsi;
  r64[7] = state.rdi;
  r64[8] = state.r8;
  r64[9] = state.r9;
  r64[10] = state.r10;
  r64[11] = state.r11;
  r64[12] = state.r12;
  r64[13] = state.r13;
  r64[14] = state.r14;
  r64[15] = state.r15;
  c.ipLo = low(state.rip);
  c.ipHi = high(state.rip);
  const { seg } = c;
  loadSeg(seg[ES], state.es);
  loadSeg(seg[CS], state.cs);
  loadSeg(seg[SS], state.ss);
  loadSeg(seg[DS], state.ds);
  loadSeg(seg[FS], state.fs);
  loadSeg(seg[GS], state.gs);
  loadSeg(c.ldtr, state.ldtr);
  loadSeg(c.tr, state.tr);
  c.gdtLo = low(state.gdtr.base);
  c.gdtHi = high(state.gdtr.base);
  c.gdtLimit = state.gdtr.limit & 0xffff;
  c.idtLo = low(state.idtr.base);
  c.idtHi = high(state.idtr.base);
  c.idtLimit = state.idtr.limit & 0xffff;
  c.cr0 = low(state.cr0);
  c.cr2 = state.cr2;
  c.cr3 = state.cr3;
  c.cr4 = low(state.cr4);
  c.cr8 = low(state.cr8) & 15;
  c.efer = low(state.efer);
  c.dr[0] = state.dr0;
  c.dr[1] = state.dr1;
  c.dr[2] = state.dr2;
  c.dr[3] = state.dr3;
  c.dr6 = low(state.dr6);
  c.dr7 = low(state.dr7);
  c.star = state.star;
  c.lstar = state.lstar;
  c.cstar = state.cstar;
  c.sfmask = state.sfmask;
  c.kernelGsBase = state.kernelGsBase;
  c.sysenterCs = state.sysenterCs;
  c.sysenterEsp = state.sysenterEsp;
  c.sysenterEip = state.sysenterEip;
  c.tscAux = state.tscAux;
  c.shadow = SHADOWS.indexOf(state.shadow);
  c.debug = 0;
  c.halted = false;
  c.shutdown = false;
  c.interrupt = -1;
  c.nmi = false;
  c.nmiBlocked = false;
  c.attention = 1;
  writeFlags(c, low(state.rflags));
  // CPL is the DPL of SS (SDM volume 3, Guest Register State); a virtual-8086 task runs at 3.
  c.cpl = (c.cr0 & 1) === 0 ? 0 : (c.flags & VM) !== 0 ? 3 : (state.ss.access >>> 5) & 3;
  flushTlb(c, true);
  debugRegisters(c);
  settleSegments(c);
  settle(c);
  if ((c.cr0 & CR0_PG) !== 0 && (c.cr4 & CR4_PAE) !== 0 && !c.lma) loadPdptes(c, c.cr3);
};

/** `was`: the state that was loaded last. */
export const saveState = (c: Cpu, was: CpuState): CpuState => {
  const { r } = c;
  return {
    rax: told(r[0]!, r[1]!, was.rax),
    rcx: told(r[2]!, r[3]!, was.rcx),
    rdx: told(r[4]!, r[5]!, was.rdx),
    rbx: told(r[6]!, r[7]!, was.rbx),
    rsp: told(r[8]!, r[9]!, was.rsp),
    rbp: told(r[10]!, r[11]!, was.rbp),
    rsi: told(r[12]!, r[13]!, was.rsi),
    rdi: told(r[14]!, r[15]!, was.rdi),
    r8: told(r[16]!, r[17]!, was.r8),
    r9: told(r[18]!, r[19]!, was.r9),
    r10: told(r[20]!, r[21]!, was.r10),
    r11: told(r[22]!, r[23]!, was.r11),
    r12: told(r[24]!, r[25]!, was.r12),
    r13: told(r[26]!, r[27]!, was.r13),
    r14: told(r[28]!, r[29]!, was.r14),
    r15: told(r[30]!, r[31]!, was.r15),
    rip: told(c.ipLo, c.ipHi, was.rip),
    rflags: told(readFlags(c), 0, was.rflags),
    cs: seen(c.seg[CS], was.cs),
    ss: seen(c.seg[SS], was.ss),
    ds: seen(c.seg[DS], was.ds),
    es: seen(c.seg[ES], was.es),
    fs: seen(c.seg[FS], was.fs),
    gs: seen(c.seg[GS], was.gs),
    ldtr: seen(c.ldtr, was.ldtr),
    tr: seen(c.tr, was.tr),
    gdtr: table(c.gdtLo, c.gdtHi, c.gdtLimit, was.gdtr),
    idtr: table(c.idtLo, c.idtHi, c.idtLimit, was.idtr),
    cr0: told(c.cr0, 0, was.cr0),
    cr2: c.cr2,
    cr3: c.cr3,
    cr4: told(c.cr4, 0, was.cr4),
    cr8: told(c.cr8, 0, was.cr8),
    efer: told(c.efer, 0, was.efer),
    dr0: c.dr[0]!,
    dr1: c.dr[1]!,
    dr2: c.dr[2]!,
    dr3: c.dr[3]!,
    dr6: told(c.dr6, 0, was.dr6),
    dr7: told(c.dr7, 0, was.dr7),
    star: c.star,
    lstar: c.lstar,
    cstar: c.cstar,
    sfmask: c.sfmask,
    kernelGsBase: c.kernelGsBase,
    sysenterCs: c.sysenterCs,
    sysenterEsp: c.sysenterEsp,
    sysenterEip: c.sysenterEip,
    tscAux: c.tscAux,
    shadow: SHADOWS[c.shadow] ?? 'none',
  };
};
