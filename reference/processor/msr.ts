// Decides the model-specific registers that exist, what each takes, and #GP for the others.
// SDM volume 4, Architectural MSRs; volume 2, RDMSR WRMSR; volume 3, Extended Feature Enable Register; System-Call registers.

import { CR0_PG, EFER_LMA, EFER_LME, EFER_NXE, EFER_SCE } from './bits.ts';
import { canonical } from './branch.ts';
import { completed, type Cpu, FS, GS } from './cpu.ts';
import { gp } from './fault.ts';
import { high, low, wide } from './halves.ts';
import { settle } from './mode.ts';
import { flushTlb, PHYSICAL_BITS } from './paging.ts';

export const timestamp = (c: Cpu): bigint => BigInt.asUintN(64, BigInt(completed(c)) + c.tscOffset);

const checkCanonical = (c: Cpu, value: bigint): bigint => (canonical(c, high(value)) ? value : gp());
const half = (value: bigint): bigint => (value >> 32n === 0n ? value : gp());

interface Register {
  readonly read: (c: Cpu) => bigint;
  readonly write: (c: Cpu, value: bigint) => void;
}
const base = (index: number): Register => ({
  read: (c) => wide(c.seg[index]!.lo, c.seg[index]!.hi),
  write: (c, value) => {
    checkCanonical(c, value);
    c.seg[index]!.lo = low(value);
    c.seg[index]!.hi = high(value);
  },
});
const writeEfer = (c: Cpu, value: bigint): void => {
  const next = low(value);
  if (high(value) !== 0 || (next & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) !== 0) gp();
  // LMA is the processor's own: what is written to it is ignored.
  const kept = (next & ~EFER_LMA) | (c.efer & EFER_LMA);
  if (((kept ^ c.efer) & EFER_LME) !== 0 && (c.cr0 & CR0_PG) !== 0) gp();
  c.efer = kept;
  flushTlb(c, true);
  settle(c);
};
/** Kept as written where `valid`. */
const stored =
  (initial: bigint, valid: (value: bigint, c: Cpu) => boolean): ((address: number) => Register) =>
  (address) => ({
    read: (c) => c.msr.get(address) ?? initial,
    write: (c, value) => {
      if (!valid(value, c)) gp();
      c.msr.set(address, value);
    },
  });
const constant = (value: bigint): Register => ({ read: () => value, write: () => gp() });
/** Memory types 0, 1, 4, 5, 6 and, in the PAT, 7. */
const types = (value: bigint, allowed: readonly number[]): boolean => {
  for (let i = 0n; i < 8n; i++) if (!allowed.includes(Number((value >> (8n * i)) & 0xffn))) return false;
  return true;
};
const address = (value: bigint): boolean => value >> BigInt(PHYSICAL_BITS) === 0n;

const table = new Map<number, Register>([
  [0x10, { read: timestamp, write: (c, value) => void (c.tscOffset = BigInt.asUintN(64, value - BigInt(completed(c)))) }],
  [0x17, constant(0n)],
  // Local APIC base: enabled, bootstrap processor.
  [0x1b, stored(0xfee0_0900n, (v) => address(v) && (v & 0x6ffn) === 0n)(0x1b)],
  // IA32_FEATURE_CONTROL: locked, nothing enabled.
  [0x3a, constant(1n)],
  [0x8b, { read: () => 0n, write: () => {} }],
  // MTRRs: none but the default type.
  [0xfe, constant(0x400n)],
  [0x174, { read: (c) => c.sysenterCs, write: (c, value) => void (c.sysenterCs = value & 0xffff_ffffn) }],
  [0x175, { read: (c) => c.sysenterEsp, write: (c, value) => void (c.sysenterEsp = checkCanonical(c, value)) }],
  [0x176, { read: (c) => c.sysenterEip, write: (c, value) => void (c.sysenterEip = checkCanonical(c, value)) }],
  [0x179, constant(0n)],
  [0x17a, { read: () => 0n, write: (_c, value) => void (value === 0n || gp()) }],
  // IA32_MISC_ENABLE: fast strings.
  [0x1a0, stored(1n, (v) => (v & ~1n) === 0n)(0x1a0)],
  [0x1d9, stored(0n, (v) => v === 0n)(0x1d9)],
  [0x277, stored(0x0007_0406_0007_0406n, (v) => types(v, [0, 1, 4, 5, 6, 7]))(0x277)],
  [0x2ff, stored(0xc06n, (v) => (v & ~0xcffn) === 0n && [0, 1, 4, 5, 6].includes(Number(v & 0xffn)))(0x2ff)],
  [0xc000_0080, { read: (c) => BigInt(c.efer >>> 0), write: writeEfer }],
  [0xc000_0081, { read: (c) => c.star, write: (c, value) => void (c.star = value) }],
  [0xc000_0082, { read: (c) => c.lstar, write: (c, value) => void (c.lstar = checkCanonical(c, value)) }],
  [0xc000_0083, { read: (c) => c.cstar, write: (c, value) => void (c.cstar = checkCanonical(c, value)) }],
  [0xc000_0084, { read: (c) => c.sfmask, write: (c, value) => void (c.sfmask = half(value)) }],
  [0xc000_0100, base(FS)],
  [0xc000_0101, base(GS)],
  [0xc000_0102, { read: (c) => c.kernelGsBase, write: (c, value) => void (c.kernelGsBase = checkCanonical(c, value)) }],
  [0xc000_0103, { read: (c) => c.tscAux, write: (c, value) => void (c.tscAux = half(value)) }],
]);
/** Raises #GP(0) where there is no such register. */
export const readMsr = (c: Cpu, index: number): bigint => (table.get(index) ?? gp()).read(c);
export const writeMsr = (c: Cpu, index: number, value: bigint): void => (table.get(index) ?? gp()).write(c, value);
