// Decides what each invalidation descriptor does, and which are malformed.
// VT-d 4.1, Queued Invalidation Descriptors; layouts also in VirtualBox iommu-intel.h and Linux drivers/iommu/intel/iommu.h.

import { inside, store32 } from '../memory.ts';
import { forgetContexts } from './caches.ts';
import { ITE, signal } from './events.ts';
import { domainsContexts, forgetDomainPages, forgetPagesOf, forgetPasidEntries, forgetPasidPages, functionMask } from './invalidate.ts';
import { interruptRange } from './legacy.ts';
import { IQERCD_REG, get, set } from './registers.ts';
import { NO_PASID, type Unit } from './unit.ts';

/** IQERCD_REG.IQEI. */
const INVALID_TYPE = 3;
const RESERVED_FIELD = 4;
const INVALID_WIDTH = 5;

/** Types. */
const CONTEXT_CACHE = 1;
const IOTLB = 2;
const DEVICE_TLB = 3;
const INTERRUPT_ENTRY_CACHE = 4;
const WAIT = 5;
const PASID_IOTLB = 6;
const PASID_CACHE = 7;
const PASID_DEVICE_TLB = 8;
const PAGE_GROUP_RESPONSE = 9;

/** Executes one descriptor of eight 32-bit words (the upper four 0 where it is 128 bits wide). 0, or IQEI. */
export const execute = (unit: Unit, w: Uint32Array, wide: boolean): number => {
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = w;
  const { profile } = unit;
  // Type bits 6:4 stand in bits 11:9; no type uses them.
  const type = (w0 & 0xf) | ((w0 & 0xe00) >>> 5);
  if (type < CONTEXT_CACHE || type > PAGE_GROUP_RESPONSE) return INVALID_TYPE;
  if ((type === DEVICE_TLB || type === PASID_DEVICE_TLB) && !profile.deviceTlb) return INVALID_TYPE;
  if (type === INTERRUPT_ENTRY_CACHE && !profile.interruptRemapping) return INVALID_TYPE;
  if (type === PAGE_GROUP_RESPONSE && !profile.pageRequests) return INVALID_TYPE;
  if (type >= PASID_IOTLB) {
    if (!profile.scalable) return INVALID_TYPE;
    if (!wide) return INVALID_WIDTH;
  }
  if (type !== PAGE_GROUP_RESPONSE && ((w[4] ?? 0) | (w[5] ?? 0) | (w[6] ?? 0) | (w[7] ?? 0)) !== 0) return RESERVED_FIELD;
  switch (type) {
    case CONTEXT_CACHE:
      return contextCache(unit, w0, w1, w2, w3);
    case IOTLB:
      return iotlb(unit, w0, w1, w2, w3);
    case DEVICE_TLB:
      return deviceTlb(unit, w0, w1, w2, w3);
    case INTERRUPT_ENTRY_CACHE:
      return interruptEntryCache(unit, w0, w1, w2, w3);
    case WAIT:
      return wait(unit, w0, w1, w2, w3);
    case PASID_IOTLB:
      return pasidIotlb(unit, w0, w1, w2, w3);
    case PASID_CACHE:
      return pasidCache(unit, w0, w1, w2, w3);
    case PASID_DEVICE_TLB:
      return pasidDeviceTlb(unit, w0, w1, w2, w3);
    default:
      return pageGroupResponse(unit, w0, w1, w2, w3);
  }
};

const pageOf = (low: number, high: number): number => high * 2 ** 20 + (low >>> 12);

const contextCache = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0xf1c0) !== 0 || (w1 & 0xfffc_0000) !== 0 || (w2 | w3) !== 0) return RESERVED_FIELD;
  switch ((w0 >>> 4) & 3) {
    case 1:
      unit.caches.contexts.clear();
      return 0;
    case 2:
      domainsContexts(unit, w0 >>> 16);
      return 0;
    case 3: {
      const mask = functionMask((w1 >>> 16) & 3);
      const sourceId = w1 & 0xffff;
      forgetContexts(unit.caches.contexts.slots, (c) => (c.sourceId & mask) === (sourceId & mask));
      return 0;
    }
    default:
      return RESERVED_FIELD;
  }
};

const iotlb = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0xf100) !== 0 || w1 !== 0 || (w2 & 0xf80) !== 0) return RESERVED_FIELD;
  const domain = w0 >>> 16;
  const mask = w2 & 0x3f;
  switch ((w0 >>> 4) & 3) {
    case 1:
      unit.caches.iotlb.clear();
      return 0;
    case 2:
      forgetDomainPages(unit, domain);
      return 0;
    case 3:
      // MAMV says something only where PSI is set; without, the whole domain is meant.
      if (!unit.profile.pageSelective) {
        forgetDomainPages(unit, domain);
        return 0;
      }
      if (mask > unit.profile.maximumMask) return RESERVED_FIELD;
      forgetPagesOf(unit, domain, pageOf(w2, w3), mask);
      return 0;
    default:
      return RESERVED_FIELD;
  }
};

/** PFSID is a field only with invalidation throttling. */
const PFSID_LOW = 0xf000;
const PFSID_HIGH = 0xfff0_0000;

const deviceTlb = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  const throttle = unit.profile.throttle;
  if ((w0 & 0xffe0_01f0) !== 0 || (w1 & 0x000f_0000) !== 0 || (w2 & 0xffe) !== 0) return RESERVED_FIELD;
  if (!throttle && ((w0 & PFSID_LOW) !== 0 || (w1 & PFSID_HIGH) !== 0)) return RESERVED_FIELD;
  invalidateDevice(unit, w1 & 0xffff, pageOf(w2, w3), (w2 & 1) !== 0, NO_PASID);
  return 0;
};

/** One page; with S set 2^(n+1), n the number of ones that the page number ends in. All ones: everything. */
const invalidateDevice = (unit: Unit, sourceId: number, page: number, sized: boolean, pasid: number): void => {
  let pages = 1;
  let left = page;
  if (sized) {
    pages = 2;
    while (left % 2 === 1) {
      pages *= 2;
      left = (left - 1) / 2;
    }
  }
  const everything = pages >= 2 ** 52;
  const first = everything ? 0 : page - (page % pages);
  if (!unit.invalidateDevice(sourceId, first, everything ? 0n : BigInt(pages), pasid)) unit.silent = sourceId;
};

const interruptEntryCache = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0x07ff_f1e0) !== 0 || w1 >>> 16 !== 0 || (w2 | w3) !== 0) return RESERVED_FIELD;
  const { interrupts } = unit.caches;
  if ((w0 & 0x10) === 0) {
    interrupts.clear();
    return 0;
  }
  const mask = w0 >>> 27;
  if (mask > unit.profile.maximumHandleMask) return RESERVED_FIELD;
  const first = w1 & 0xffff & ~(2 ** mask - 1);
  for (const entry of interrupts.slots) if (entry.index >= first && entry.index < first + 2 ** mask) entry.index = -1;
  return 0;
};

/** Word 0. */
const INTERRUPT_FLAG = 0x10;
const STATUS_WRITE = 0x20;
const PAGE_DRAIN = 0x80;
/** ICS_REG.IWC. */
const IWC = 1;

const wait = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0xffff_f100) !== 0 || (w2 & 3) !== 0) return RESERVED_FIELD;
  if ((w0 & PAGE_DRAIN) !== 0 && !unit.profile.drain) return RESERVED_FIELD;
  // Everything before has been done, but for a device that does not answer: then this wait is aborted.
  if (unit.silent >= 0) {
    timeOut(unit);
    return 0;
  }
  if ((w0 & STATUS_WRITE) !== 0) {
    const at = w3 * 2 ** 32 + w2;
    if (inside(unit.memory, at, 4) && !interruptRange(Math.floor(at / 4096))) store32(unit.memory, at, w1);
  }
  if ((w0 & INTERRUPT_FLAG) !== 0) signal(unit, 'completion', IWC);
  return 0;
};

/** An invalidation request was not answered in time: fetching stops. */
export const timeOut = (unit: Unit): void => {
  const { registers } = unit;
  set(registers, IQERCD_REG + 4, (get(registers, IQERCD_REG + 4) & 0xffff_0000) | unit.silent);
  unit.silent = -1;
  signal(unit, 'fault', ITE);
};

const pasidIotlb = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0xf1c0) !== 0 || (w1 & 0xfff0_0000) !== 0 || (w2 & 0xf80) !== 0) return RESERVED_FIELD;
  const domain = w0 >>> 16;
  const pasid = w1 & 0xf_ffff;
  const mask = w2 & 0x3f;
  switch ((w0 >>> 4) & 3) {
    case 2:
      unit.caches.iotlb.forgetPasid(domain, pasid);
      return 0;
    case 3:
      // Any address mask: MAMV is about the second stage (CAP_REG, MAMV).
      forgetPasidPages(unit, domain, pasid, pageOf(w2, w3), mask);
      return 0;
    default:
      return RESERVED_FIELD;
  }
};

const pasidCache = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0xf1c0) !== 0 || (w1 & 0xfff0_0000) !== 0 || (w2 | w3) !== 0) return RESERVED_FIELD;
  const domain = w0 >>> 16;
  switch ((w0 >>> 4) & 3) {
    case 0:
      forgetPasidEntries(unit, domain);
      return 0;
    case 1:
      forgetPasidEntries(unit, domain, w1 & 0xf_ffff);
      return 0;
    case 3:
      unit.caches.pasids.clear();
      unit.caches.iotlb.clear();
      return 0;
    default:
      return RESERVED_FIELD;
  }
};

const pasidDeviceTlb = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w2 & 0x7fe) !== 0) return RESERVED_FIELD;
  if (!unit.profile.throttle && ((w0 & PFSID_LOW) !== 0 || (w1 & PFSID_HIGH) !== 0)) return RESERVED_FIELD;
  const everyPasid = (w2 & 1) !== 0;
  invalidateDevice(unit, w0 >>> 16, pageOf(w2, w3), (w2 & 0x800) !== 0, everyPasid ? NO_PASID : w1 & 0xf_ffff);
  return 0;
};

/** PP in bit 4, response code in 15:12, requester in 31:16; PASID in word 1; LPIG in bit 2 and the group in 11:3 of word 2. */
const pageGroupResponse = (unit: Unit, w0: number, w1: number, w2: number, w3: number): number => {
  if ((w0 & 0x01e0) !== 0 || (w1 & 0xfff0_0000) !== 0 || (w2 & 0xffff_f003) !== 0 || w3 !== 0) return RESERVED_FIELD;
  const present = (w0 & 0x10) !== 0;
  unit.respond(w0 >>> 16, (w2 >>> 3) & 0x1ff, (w0 >>> 12) & 0xf, present ? w1 & 0xf_ffff : NO_PASID);
  return 0;
};
