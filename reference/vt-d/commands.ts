// Decides what writes to registers do beyond storing: global commands, register-based invalidation, events, status bits.
// VT-d 4.1, Global Command Register, Context Command Register, IOTLB Invalidate Register.

import { forgetContexts } from './caches.ts';
import { serviced, unmasked } from './events.ts';
import { recordCleared } from './faults.ts';
import { domainsContexts, forgetDomainPages, forgetPagesOf, functionMask } from './invalidate.ts';
import { runQueue } from './queue.ts';
import {
  CCMD_REG,
  FECTL_REG,
  FSTS_REG,
  GCMD_REG,
  GSTS_REG,
  get,
  ICS_REG,
  IECTL_REG,
  IQH_REG,
  IQT_REG,
  IRTA_REG,
  PECTL_REG,
  PMEN_REG,
  PRS_REG,
  pageAt,
  putWord,
  RTADDR_REG,
  set,
} from './registers.ts';
import type { Unit } from './unit.ts';

/** GCMD_REG and GSTS_REG have the same bits. */
const TE = 2 ** 31;
const SRTP = 1 << 30;
const QIE = 1 << 26;
const IRE = 1 << 25;
const SIRTP = 1 << 24;
const CFI = 1 << 23;

/** Software writes one or two words; each 64-bit register acts once both are in place. */
export const writeRegister = (unit: Unit, at: number, width: 4 | 8, value: bigint): void => {
  const { registers } = unit;
  if (at % width !== 0 || at + width > registers.end) return;
  const low = Number(value & 0xffff_ffffn);
  putWord(registers, at, low);
  if (width === 4) {
    act(unit, at, low);
    return;
  }
  const high = Number((value >> 32n) & 0xffff_ffffn);
  putWord(registers, at + 4, high);
  act(unit, at, low);
  act(unit, at + 4, high);
};

const act = (unit: Unit, at: number, value: number): void => {
  const { registers, profile } = unit;
  switch (at) {
    case GCMD_REG:
      globalCommand(unit, value);
      return;
    case CCMD_REG + 4:
      if ((value & 0x8000_0000) !== 0) contextCommand(unit);
      return;
    case FSTS_REG:
      serviced(unit, 'fault');
      runQueue(unit);
      return;
    case FECTL_REG:
      unmasked(unit, 'fault');
      return;
    case ICS_REG:
      serviced(unit, 'completion');
      return;
    case IECTL_REG:
      unmasked(unit, 'completion');
      return;
    case PRS_REG:
      serviced(unit, 'page');
      return;
    case PECTL_REG:
      unmasked(unit, 'page');
      return;
    case PMEN_REG:
      // PRS follows EPM at once.
      set(registers, PMEN_REG, (get(registers, PMEN_REG) & ~1) | ((get(registers, PMEN_REG) >>> 31) & 1));
      return;
    case IQT_REG:
      runQueue(unit);
      return;
    default:
  }
  if (at === profile.invalidateAt + 12) {
    if ((value & 0x8000_0000) !== 0) iotlbCommand(unit);
  } else if (at >= profile.faultAt && at < profile.faultAt + 16 * profile.faultRecords) {
    if ((at - profile.faultAt) % 16 === 12 && (value & 0x8000_0000) !== 0) recordCleared(unit);
  }
};

const globalCommand = (unit: Unit, command: number): void => {
  const { registers, profile } = unit;
  let status = get(registers, GSTS_REG);
  const change = (bit: number): void => {
    status = (command & bit) !== 0 ? (status | bit) >>> 0 : (status & ~bit) >>> 0;
  };
  const changed = (command ^ status) >>> 0;

  const starts = profile.queue && (changed & QIE) !== 0;
  if (starts) {
    change(QIE);
    // Disabling resets the head.
    if ((command & QIE) === 0) set(registers, IQH_REG, 0);
  }
  if (profile.interruptRemapping) {
    if ((command & SIRTP) !== 0) {
      unit.interruptPage = pageAt(registers, IRTA_REG);
      unit.interruptEntries = 2 ** ((get(registers, IRTA_REG) & 0xf) + 1);
      unit.extendedInterrupts = (get(registers, IRTA_REG) & 0x800) !== 0;
      if (profile.interruptRootInvalidates) unit.caches.interrupts.clear();
      status |= SIRTP;
    }
    change(IRE);
    change(CFI);
  }
  if ((command & SRTP) !== 0) {
    unit.rootPage = pageAt(registers, RTADDR_REG);
    unit.mode = (get(registers, RTADDR_REG) >>> 10) & 3;
    if (profile.rootInvalidates) {
      unit.caches.contexts.clear();
      unit.caches.pasids.clear();
      unit.caches.iotlb.clear();
    }
    status |= SRTP;
  }
  change(TE);
  // WBF: nothing is buffered, so the flush is over before WBFS can be read as 1.
  set(registers, GSTS_REG, status);
  // The index of the next record is 0 whenever neither addresses nor interrupts are translated.
  if ((status & (TE | IRE)) === 0) unit.faultIndex = 0;
  if (starts) runQueue(unit);
};

/** CCMD_REG.ICC: CIRG in bits 30:29 of the upper word, CAIG in 28:27. */
const contextCommand = (unit: Unit): void => {
  const { registers, caches } = unit;
  const low = get(registers, CCMD_REG);
  const high = get(registers, CCMD_REG + 4);
  let done = 0;
  // Not while the queue is enabled, and in legacy mode alone.
  if ((get(registers, GSTS_REG) & QIE) === 0 && unit.mode === 0) {
    done = (high >>> 29) & 3;
    if (done === 1) caches.contexts.clear();
    if (done === 2) domainsContexts(unit, low & 0xffff);
    if (done === 3) {
      const mask = functionMask(high & 3);
      const sourceId = low >>> 16;
      forgetContexts(caches.contexts.slots, (c) => (c.sourceId & mask) === (sourceId & mask));
    }
  }
  set(registers, CCMD_REG + 4, (high & ~0x9800_0000) | (done << 27));
};

/** IOTLB_REG.IVT: IIRG in bits 29:28 of the upper word, IAIG in 26:25. */
const iotlbCommand = (unit: Unit): void => {
  const { registers, profile, caches } = unit;
  const at = profile.invalidateAt;
  const high = get(registers, at + 12);
  const domain = high & 0xffff;
  let done = 0;
  if ((get(registers, GSTS_REG) & QIE) === 0 && unit.mode === 0) {
    done = (high >>> 28) & 3;
    if (done === 3 && !profile.pageSelective) done = 2;
    if (done === 1) caches.iotlb.clear();
    if (done === 2) forgetDomainPages(unit, domain);
    if (done === 3) {
      const mask = get(registers, at) & 0x3f;
      if (mask > profile.maximumMask) done = 0;
      else forgetPagesOf(unit, domain, pageAt(registers, at), mask);
    }
  }
  set(registers, at + 12, (high & ~0x8600_0000) | (done << 25));
};
