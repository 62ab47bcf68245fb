// Decides what the unit's registers hold, which bits software can write, clear by writing 1, or never read back.
// VT-d 4.1, Remapping Hardware Register Descriptions; offsets and masks also in VirtualBox iommu-intel.h and QEMU vtd_init.

import type { Profile } from './profile.ts';

export const VER_REG = 0x00;
export const CAP_REG = 0x08;
export const ECAP_REG = 0x10;
export const GCMD_REG = 0x18;
export const GSTS_REG = 0x1c;
export const RTADDR_REG = 0x20;
export const CCMD_REG = 0x28;
export const FSTS_REG = 0x34;
export const FECTL_REG = 0x38;
export const PMEN_REG = 0x64;
export const PLMBASE_REG = 0x68;
export const PLMLIMIT_REG = 0x6c;
export const PHMBASE_REG = 0x70;
export const PHMLIMIT_REG = 0x78;
export const IQH_REG = 0x80;
export const IQT_REG = 0x88;
export const IQA_REG = 0x90;
export const ICS_REG = 0x9c;
export const IECTL_REG = 0xa0;
export const IQERCD_REG = 0xb0;
export const IRTA_REG = 0xb8;
export const PQH_REG = 0xc0;
export const PQT_REG = 0xc8;
export const PQA_REG = 0xd0;
export const PRS_REG = 0xdc;
export const PECTL_REG = 0xe0;
const MTRRDEF_REG = 0x108;
const MTRR_FIRST_RANGE = 0x120;
const MTRR_END = 0x220;

/** Version 1.0: what QEMU says; register-based invalidation exists below major version 6. */
const VERSION = 0x10;
/** IM of FECTL, IECTL, PECTL. */
export const INTERRUPT_MASK = 0x8000_0000;
export const INTERRUPT_PENDING = 0x4000_0000;

export interface Registers {
  /** 32-bit words by offset / 4. */
  readonly words: Uint32Array;
  readonly writable: Uint32Array;
  /** Cleared by writing 1. */
  readonly clears: Uint32Array;
  /** Read as 0 whatever they hold. */
  readonly unread: Uint32Array;
  /** Bytes that belong to registers. */
  readonly end: number;
}

/** Protected regions are as coarse as 2 MiB: bits below read as 0. */
const PROTECTED_GRAIN = 0xffe0_0000;
const ALL = 0xffff_ffff;

export const createRegisters = (p: Profile): Registers => {
  const end = Math.max(MTRR_END, p.faultAt + 16 * p.faultRecords, p.invalidateAt + 16);
  const words = new Uint32Array(end / 4);
  const writable = new Uint32Array(end / 4);
  const clears = new Uint32Array(end / 4);
  const unread = new Uint32Array(end / 4);
  const low = (at: number, mask: number): void => void (writable[at / 4] = mask);
  const quad = (at: number, mask: number, high = ALL): void => {
    low(at, mask);
    low(at + 4, high);
  };
  // Address registers keep what lies above the host address width: a table there cannot be reached, and the walk says so.
  quad(RTADDR_REG, 0xffff_fc00);
  quad(CCMD_REG, ALL, 0x6000_0003);
  unread[CCMD_REG / 4] = 0xffff_0000;
  unread[CCMD_REG / 4 + 1] = 0x3;
  clears[FSTS_REG / 4] = 0x71; // PFO, IQE, ICE, ITE
  event(FECTL_REG);
  if (p.lowProtected || p.highProtected) low(PMEN_REG, 0x8000_0000);
  if (p.lowProtected) {
    low(PLMBASE_REG, PROTECTED_GRAIN);
    low(PLMLIMIT_REG, PROTECTED_GRAIN);
  }
  if (p.highProtected) {
    const above = p.hostPages > 2 ** 20 ? p.hostPages / 2 ** 20 - 1 : 0;
    quad(PHMBASE_REG, PROTECTED_GRAIN, above);
    quad(PHMLIMIT_REG, PROTECTED_GRAIN, above);
  }
  if (p.queue) {
    low(IQT_REG, 0x7_fff0);
    quad(IQA_REG, 0xffff_f007 | (p.scalable || p.abortMode ? 0x800 : 0));
    clears[ICS_REG / 4] = 1;
    event(IECTL_REG);
  }
  if (p.interruptRemapping) quad(IRTA_REG, 0xffff_f00f | (p.extendedInterrupts ? 0x800 : 0));
  if (p.pageRequests) {
    low(PQH_REG, 0x7_ffe0);
    quad(PQA_REG, 0xffff_f007);
    clears[PRS_REG / 4] = 3;
    event(PECTL_REG);
  }
  if (p.memoryTypes) {
    quad(MTRRDEF_REG, 0xcff, 0);
    for (let at = MTRR_FIRST_RANGE; at < MTRR_END; at += 8) quad(at, ALL);
  }
  quad(p.invalidateAt, 0xffff_f07f);
  unread[p.invalidateAt / 4] = ALL;
  unread[p.invalidateAt / 4 + 1] = ALL;
  // DID, DW, DR, IIRG; IVT is not kept.
  quad(p.invalidateAt + 8, 0, 0x3003_ffff);
  for (let n = 0; n < p.faultRecords; n += 1) clears[p.faultAt / 4 + 4 * n + 3] = 0x8000_0000;
  const registers = { words, writable, clears, unread, end };
  resetRegisters(registers, p);
  return registers;

  /** Control, data, address, upper address of one of the unit's own events. */
  function event(control: number): void {
    low(control, INTERRUPT_MASK);
    low(control + 4, 0xffff);
    low(control + 8, 0xffff_fffc);
    if (p.extendedInterrupts) low(control + 12, ALL);
  }
};

/** Everything as after power-on. */
export const resetRegisters = ({ words }: Registers, p: Profile): void => {
  words.fill(0);
  words[VER_REG / 4] = VERSION;
  words[CAP_REG / 4] = Number(p.cap & 0xffff_ffffn);
  words[CAP_REG / 4 + 1] = Number(p.cap >> 32n);
  words[ECAP_REG / 4] = Number(p.ecap & 0xffff_ffffn);
  words[ECAP_REG / 4 + 1] = Number(p.ecap >> 32n);
  words[FECTL_REG / 4] = INTERRUPT_MASK;
  if (p.queue) words[IECTL_REG / 4] = INTERRUPT_MASK;
  if (p.pageRequests) words[PECTL_REG / 4] = INTERRUPT_MASK;
};

/** What software reads; nothing stands outside. */
export const readWord = ({ words, unread, end }: Registers, at: number): number =>
  at + 4 <= end ? ((words[at >> 2] ?? 0) & ~(unread[at >> 2] ?? 0)) >>> 0 : 0;

/** Puts what software writes where it may. */
export const putWord = ({ words, writable, clears }: Registers, at: number, value: number): void => {
  const index = at >> 2;
  const mask = writable[index] ?? 0;
  const kept = (words[index] ?? 0) & ~mask & ~(value & (clears[index] ?? 0));
  words[index] = kept | (value & mask);
};

export const get = (registers: Registers, at: number): number => registers.words[at >> 2] ?? 0;
export const set = (registers: Registers, at: number, value: number): void => {
  registers.words[at >> 2] = value;
};
/** The page number that bits 63:12 of a 64-bit register hold. */
export const pageAt = (registers: Registers, at: number): number => get(registers, at + 4) * 2 ** 20 + (get(registers, at) >>> 12);
