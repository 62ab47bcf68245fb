// Model-specific registers that the state names, their reserved bits, and XCR0. Others are not judged.
// Intel SDM volume 4; volume 3, Extended Feature Enable Register; volume 2: RDMSR, WRMSR, XGETBV, XSETBV.

import { cr0, cr4, efer } from '../bits.ts';
import type { CpuState } from '../vocabulary.ts';
import { withBase } from '../segments.ts';
import { canonicalBase, gp, has, leave, low, ofSystem, setRegister, ud, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

interface Msr {
  readonly name: keyof CpuState | 'fs' | 'gs';
  /** Must hold a canonical address. */
  readonly address?: true;
}
const msrs: Readonly<Record<number, Msr>> = {
  372: { name: 'sysenterCs' },
  373: { name: 'sysenterEsp', address: true },
  374: { name: 'sysenterEip', address: true },
  3221225600: { name: 'efer' },
  3221225601: { name: 'star' },
  3221225602: { name: 'lstar', address: true },
  3221225603: { name: 'cstar', address: true },
  3221225604: { name: 'sfmask' },
  3221225728: { name: 'fs', address: true },
  3221225729: { name: 'gs', address: true },
  3221225730: { name: 'kernelGsBase', address: true },
  3221225731: { name: 'tscAux' },
};
/** Time-stamp counter and page-attribute table: no part of the state, so of them that they exist, and what the latter refuses. */
const TSC = 0x10;
const PAT = 0x277;
/** UC, WC, WT, WP, WB, UC-. SDM volume 3, table Memory Types That Can Be Encoded With PAT. */
const types = new Set([0n, 1n, 4n, 5n, 6n, 7n]);
const apart = (w: Work): boolean => {
  const n = low(w.s.rcx);
  return (n === TSC && has(w, 'tsd')) || (n === PAT && has(w, 'syscall'));
};
const find = (w: Work): Msr => {
  const found = msrs[low(w.s.rcx)] ?? undecided('a model-specific register that the state does not name');
  const { name } = found;
  // They came with SYSENTER, RDTSCP, and 64-bit mode. SDM volume 4, Architectural MSRs.
  const feature = name.startsWith('sysenter') ? 'sep' : name === 'tscAux' ? 'rdtscp' : 'syscall';
  if (name === 'efer' && has(w, 'nx')) return found;
  if (!has(w, feature)) undecided(`${name}, which may be absent`);
  return found;
};
const RDMSR: Meaning = (w) => {
  if (apart(w)) {
    for (const name of ['rax', 'rdx'] as const) {
      w.s[name] = 0n;
      leave(w, name, 0xffffffffn);
    }
    return;
  }
  const { name } = find(w);
  const value = name === 'fs' || name === 'gs' ? w.s[name].base : (w.s[name] as bigint);
  setRegister(w, 0, 4, value & 0xffffffffn);
  setRegister(w, 2, 4, value >> 32n);
};
const toEfer = (w: Work, value: bigint): void => {
  const known = efer.SCE | efer.LME | efer.LMA | efer.NXE;
  const next = low(value);
  // AMD APM volume 2, Extended Feature Enable Register: 7:1 read as zero.
  if (w.cpu.vendor !== 'intel' && (value >> 16n !== 0n || (value & 0xfen) !== 0n))
    undecided('bits of IA32_EFER that vendors define for themselves');
  if ((value & 0xfffffffffffff2fen & ~0xf000n) !== 0n) gp('msr.reserved');
  if ((next & ~known) !== 0) undecided('bits of IA32_EFER of which support is not known');
  if ((next & efer.NXE) !== 0 && !has(w, 'nx')) gp('msr.reserved');
  if ((next & efer.SCE) !== 0 && !has(w, 'syscall')) undecided('EFER.SCE, which may be absent');
  const now = low(w.s.efer);
  if (((now ^ next) & efer.LME) !== 0 && (low(w.s.cr0) & cr0.PG) !== 0) gp('msr.lme');
  // LMA is the processor's own: a write that would change it is ignored in this bit, or refused.
  if (((now ^ next) & efer.LMA) !== 0) w.also.push({ vector: 13, error: 0, rule: 'msr.reserved' });
  w.s.efer = (value & ~BigInt(efer.LMA)) | (w.s.efer & BigInt(efer.LMA));
  w.walks.length = 0;
};
const WRMSR: Meaning = (w) => {
  if (apart(w)) {
    if (low(w.s.rcx) === TSC) return;
    for (const half of [w.s.rax, w.s.rdx]) for (let k = 0n; k < 32n; k += 8n) if (!types.has((half >> k) & 0xffn)) gp('msr.reserved');
    return;
  }
  const { name, address } = find(w);
  const value = ((w.s.rdx & 0xffffffffn) << 32n) | (w.s.rax & 0xffffffffn);
  if (address && !canonicalBase(w, value)) {
    // Elsewhere than on Intel's, the SYSENTER registers need not hold 64 bits.
    if (w.cpu.vendor !== 'intel' && name.startsWith('sysenter')) undecided('the upper half of a SYSENTER register');
    // The page names the registers that are checked, and this one, which Intel's processors do not use, is not among them.
    if (w.cpu.vendor === 'intel' && name === 'cstar') undecided('IA32_CSTAR, which is not used');
    gp('msr.canonical');
  }
  if (name === 'efer') toEfer(w, value);
  else if (name === 'fs' || name === 'gs') w.s[name] = withBase(w.s[name], value);
  else if (name === 'tscAux') {
    if (value >> 32n !== 0n) {
      if (w.cpu.vendor !== 'intel') undecided('the upper half of IA32_TSC_AUX');
      gp('msr.reserved');
    }
    w.s.tscAux = value;
  } else if (name === 'sysenterCs' || name === 'sfmask') {
    // Reserved: refused, kept or lost.
    if (value >> 32n !== 0n) {
      w.also.push({ vector: 13, error: 0, rule: 'msr.reserved' });
      leave(w, name, 0xffffffff00000000n);
    }
    w.s[name] = value;
    // Bits 31:16 of IA32_SYSENTER_CS are not used (Volume 4, Architectural MSRs): whether they are kept is open.
    if (name === 'sysenterCs') leave(w, name, value >> 32n === 0n ? 0xffff0000n : 0xffffffffffff0000n);
  } else w.s[name as 'star'] = value;
};
const extended: Meaning = (w) => {
  ofSystem(w, 'CR4.OSXSAVE');
  if (!has(w, 'xsave') || (low(w.s.cr4) & cr4.OSXSAVE) === 0) ud('ud.feature');
  undecided('the value of XCR0');
};
export const msr: Meanings = { RDMSR, WRMSR, XGETBV: extended, XSETBV: extended };
