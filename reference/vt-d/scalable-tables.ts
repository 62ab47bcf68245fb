// Decides what scalable-mode root, context, PASID-directory and PASID-table entries say, and which are unusable.
// VT-d 4.1, Scalable-Mode Root Entry, Context Entry, PASID Directory Entry, PASID Table Entry; layouts also in VirtualBox iommu-intel.h.

import { inside, load32 } from '../memory.ts';
import type { Context, PasidEntry } from './caches.ts';
import { NESTED } from './first-stage.ts';
import type { Unit } from './unit.ts';

const PRESENT = 1;
const FPD = 2;

/** 0, or the fault. */
export const fetchScalableContext = (unit: Unit, sourceId: number, into: Context): number => {
  const { memory, profile } = unit;
  into.sourceId = sourceId;
  into.scalable = true;
  into.faultsDisabled = false;
  into.domain = 0;
  // Root entry: 16 bytes a bus, the upper half for devices 16 to 31.
  const root = unit.rootPage * 4096 + (sourceId >>> 8) * 16 + ((sourceId & 0x80) !== 0 ? 8 : 0);
  if (!inside(memory, root, 8)) return 0x38; // SRT.1
  const r0 = load32(memory, root);
  if ((r0 & PRESENT) === 0) return 0x39; // SRT.2
  const contextPage = load32(memory, root + 4) * 2 ** 20 + (r0 >>> 12);
  if ((r0 & 0xffe) !== 0 || contextPage >= profile.hostPages) return 0x3a; // SRT.3

  // Context entry: 32 bytes, 128 to a table.
  const at = contextPage * 4096 + (sourceId & 0x7f) * 32;
  if (!inside(memory, at, 32)) return 0x40; // SCT.1
  const c0 = load32(memory, at);
  into.faultsDisabled = (c0 & FPD) !== 0;
  if ((c0 & PRESENT) === 0) return 0x41; // SCT.2
  const c2 = load32(memory, at + 8);
  const directoryPage = load32(memory, at + 4) * 2 ** 20 + (c0 >>> 12);
  // SCT.3: bits 8:5, 127:85 and 255:128, the pointer above the host address width.
  let reserved = (c0 & 0x1e0) | (c2 & 0xffe0_0000);
  for (let i = 12; i < 32; i += 4) reserved |= load32(memory, at + i);
  if (reserved !== 0 || directoryPage >= profile.hostPages) return 0x42;
  into.deviceTlb = (c0 & 4) !== 0;
  into.pasidEnabled = (c0 & 8) !== 0;
  into.pageRequests = (c0 & 0x10) !== 0;
  // SCT.4: what the unit does not support.
  if (into.deviceTlb && !profile.deviceTlb) return 0x43;
  if (into.pasidEnabled && !profile.pasid) return 0x43;
  if (into.pageRequests && !profile.pageRequests) return 0x43;
  into.directoryPage = directoryPage;
  // A directory of 2^(PDTS + 7) entries, each a table of 64.
  into.pasidEnd = 2 ** (((c0 >>> 9) & 7) + 7 + 6);
  into.ridPasid = c2 & 0xf_ffff;
  into.ridPrivilege = (c2 & 0x10_0000) !== 0;
  return 0;
};

/** PASID-table entry: where its words' fields stand. */
const SLADE = 1 << 9;
const SLEE = 1 << 5;
const PWSNP = 1 << 23;
const SRE = 1;
const ERE = 2;
const WPE = 1 << 4;
const NXE = 1 << 5;
const SMEP = 1 << 6;
const EAFE = 1 << 7;

/** 0, or the fault. */
export const fetchPasidEntry = (unit: Unit, context: Context, sourceId: number, pasid: number, into: PasidEntry): number => {
  const { memory, profile } = unit;
  into.sourceId = sourceId;
  into.pasid = pasid;
  into.domain = 0;
  into.faultsDisabled = false;
  const directory = context.directoryPage * 4096 + (pasid >>> 6) * 8;
  if (!inside(memory, directory, 8)) return 0x50; // SPD.1
  const d0 = load32(memory, directory);
  into.faultsDisabled = (d0 & FPD) !== 0;
  if ((d0 & PRESENT) === 0) return 0x51; // SPD.2
  const tablePage = load32(memory, directory + 4) * 2 ** 20 + (d0 >>> 12);
  if ((d0 & 0xffc) !== 0 || tablePage >= profile.hostPages) return 0x52; // SPD.3

  const at = tablePage * 4096 + (pasid & 0x3f) * 64;
  if (!inside(memory, at, 64)) return 0x58; // SPT.1
  const p0 = load32(memory, at);
  into.faultsDisabled ||= (p0 & FPD) !== 0;
  if ((p0 & PRESENT) === 0) return 0x59; // SPT.2
  const p2 = load32(memory, at + 8);
  const p4 = load32(memory, at + 16);
  const secondPage = load32(memory, at + 4) * 2 ** 20 + (p0 >>> 12);
  const firstPage = load32(memory, at + 20) * 2 ** 20 + (p4 >>> 12);
  const type = (p0 >>> 6) & 7;
  const usesFirst = type === 1 || type === NESTED;
  const usesSecond = type === 2 || type === NESTED;
  // SPT.3: bits 11:10, 86:80, 139:136 and 511:192; flags of features that are absent; pointers in use above the host address width.
  let reserved = (p0 & 0xc00) | (p2 & 0x7f_0000) | (p4 & 0xf00);
  for (let i = 24; i < 64; i += 4) reserved |= load32(memory, at + i);
  if (!profile.secondAccessed) reserved |= p0 & SLADE;
  if (!profile.executeRequests) reserved |= (p4 & ERE) | (p0 & SLEE);
  if (!profile.supervisorRequests) reserved |= p4 & SRE;
  if (!profile.extendedAccessed) reserved |= p4 & EAFE;
  if (reserved !== 0) return 0x5a;
  if (usesSecond && secondPage >= profile.hostPages) return 0x5a;
  if (type === 1 && firstPage >= profile.hostPages) return 0x5a;
  // SPT.4
  if (type < 1 || type > 4) return 0x5b;
  if (usesFirst && !profile.firstStage) return 0x5b;
  if (usesSecond && !profile.secondStage) return 0x5b;
  if (type === NESTED && !profile.nesting) return 0x5b;
  if (type === 4 && !profile.passThrough) return 0x5b;
  const width = (p0 >>> 2) & 7;
  if (usesSecond && (profile.widths & (1 << width)) === 0) return 0x5b;
  const mode = (p4 >>> 2) & 3;
  if (usesFirst && (mode > 1 || (mode === 1 && !profile.fiveLevel))) return 0x5b;
  into.type = type;
  into.domain = p2 & 0xffff;
  into.levels = width + 2;
  into.secondPage = secondPage;
  into.secondAccessed = (p0 & SLADE) !== 0;
  into.secondExecute = (p0 & SLEE) !== 0;
  into.firstPage = firstPage;
  into.firstLevels = mode === 1 ? 5 : 4;
  into.supervisor = (p4 & SRE) !== 0;
  into.execute = (p4 & ERE) !== 0;
  into.writeProtect = (p4 & WPE) !== 0;
  into.noExecute = (p4 & NXE) !== 0;
  into.smep = (p4 & SMEP) !== 0;
  into.extendedAccessed = (p4 & EAFE) !== 0;
  // PWSNP means something only where walks can be told to be snooped.
  into.snooped = !profile.snoopedWalks || (p2 & PWSNP) !== 0;
  return 0;
};
