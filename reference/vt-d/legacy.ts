// Decides how a request is translated in legacy mode: root entry, context entry, then pass-through or the second stage.
// VT-d 4.1, Legacy Mode Address Translation; the order of checks is that of the fault conditions LRT, LCT, LSL, LGN.

import { inside, load32 } from '../memory.ts';
import { type Context, contextSlot } from './caches.ts';
import { legacyReasons, NO_FLAGS, second, walkSecondStage, widthOf } from './second-stage.ts';
import { DIRTY, NO_PASID, READ, type Request, TRANSLATED, type Unit, UNTRANSLATED, WRITE } from './unit.ts';

/** Translation types. */
const DEVICE_TLB = 1;
const PASS_THROUGH = 2;

/** 0, or the fault reason. */
export const translateLegacy = (unit: Unit, request: Request): number => {
  // RTA.2: requests with PASID need scalable mode.
  if (request.pasid !== NO_PASID) return 0x31;
  const context = contextSlot(unit.caches, request.sourceId);
  if (context.sourceId !== request.sourceId || context.scalable) {
    context.reason = fetchContext(unit, request.sourceId, context);
    // An entry that cannot be used is not kept; caching mode may keep one that is not present.
    if (context.reason !== 0 && !(unit.profile.cachingMode && context.reason === 0x02)) context.sourceId = -1;
  }
  request.faultsDisabled = context.faultsDisabled;
  if (context.reason !== 0) return context.reason;

  // LCT.5
  if (request.type !== UNTRANSLATED && context.type !== DEVICE_TLB) return 0x0d;
  const { hostPages } = unit.profile;
  if (context.type === PASS_THROUGH || request.type === TRANSLATED) {
    // LGN.1: limited by the host address width.
    if (request.page >= hostPages) return 0x04;
    return identity(request);
  }

  if (request.page >= widthOf(unit, context.levels)) return legacyReasons.beyond;
  const { iotlb } = unit.caches;
  const found = iotlb.find(context.domain, NO_PASID, request.page, request.low, request.high);
  if (found >= 0) {
    request.permissions = iotlb.permissions[found] ?? 0;
    request.order = iotlb.orders[found] ?? 0;
    request.hostPage = (iotlb.hostPages[found] ?? 0) + (request.low & ((1 << request.order) - 1));
    return permitted(request, legacyReasons.write, legacyReasons.read);
  }
  const reason = walkSecondStage(
    unit,
    request.page,
    context.tablePage,
    context.levels,
    request.need,
    READ | WRITE,
    NO_FLAGS,
    false,
    legacyReasons,
  );
  if (reason !== 0) {
    request.permissions = 0;
    if (unit.profile.cachingMode && (reason === legacyReasons.write || reason === legacyReasons.read) && second.permissions === 0)
      iotlb.fill(context.domain, NO_PASID, request.page, 0, 0, 0, 0);
    return reason;
  }
  request.hostPage = second.page;
  request.order = second.order;
  request.permissions = second.permissions | DIRTY;
  iotlb.fill(context.domain, NO_PASID, request.page, second.order, second.page, request.permissions, 0);
  return interruptRange(request.hostPage) ? 0x0e : 0;
};

/** The translation found allows what the request needs: as a walk would say it. */
export const permitted = (request: Request, write: number, read: number): number => {
  const { permissions, need } = request;
  if ((permissions & need) === need && (permissions & (READ | WRITE)) !== 0) return interruptRange(request.hostPage) ? 0x0e : 0;
  return (need & WRITE) !== 0 && (permissions & WRITE) === 0 ? write : read;
};

/** Input and output are one. */
export const identity = (request: Request): number => {
  request.hostPage = request.page;
  request.order = 0;
  request.permissions = READ | WRITE | DIRTY;
  return interruptRange(request.page) ? 0x0e : 0;
};

/** Pages FEE00H to FEEFFH. */
export const interruptRange = (page: number): boolean => page >= 0xf_ee00 && page <= 0xf_eeff;

const fetchContext = (unit: Unit, sourceId: number, into: Context): number => {
  const { memory, profile } = unit;
  into.sourceId = sourceId;
  into.scalable = false;
  into.faultsDisabled = false;
  into.domain = 0;

  // Root entry: 16 bytes, by bus.
  const root = unit.rootPage * 4096 + (sourceId >>> 8) * 16;
  if (!inside(memory, root, 16)) return 0x08; // LRT.1
  const r0 = load32(memory, root);
  if ((r0 & 1) === 0) return 0x01; // LRT.2
  const r1 = load32(memory, root + 4);
  const contextPage = r1 * 2 ** 20 + (r0 >>> 12);
  // LRT.3
  if ((r0 & 0xffe) !== 0 || contextPage >= profile.hostPages || load32(memory, root + 8) !== 0 || load32(memory, root + 12) !== 0)
    return 0x0a;

  // Context entry: 16 bytes, by device and function.
  const at = contextPage * 4096 + (sourceId & 0xff) * 16;
  if (!inside(memory, at, 16)) return 0x09; // LCT.1
  const c0 = load32(memory, at);
  into.faultsDisabled = (c0 & 2) !== 0;
  if ((c0 & 1) === 0) return 0x02; // LCT.2
  const c1 = load32(memory, at + 4);
  const c2 = load32(memory, at + 8);
  const c3 = load32(memory, at + 12);
  const tablePage = c1 * 2 ** 20 + (c0 >>> 12);
  // LCT.3: bits 11:4, the table pointer above the host address width, bits 71 and 127:88.
  if ((c0 & 0xff0) !== 0 || tablePage >= profile.hostPages || (c2 & 0xff00_0080) !== 0 || c3 !== 0) return 0x0b;
  const type = (c0 >>> 2) & 3;
  const width = c2 & 7;
  // LCT.4
  if (type === 3) return 0x03;
  if (type === DEVICE_TLB && !profile.deviceTlb) return 0x03;
  if (type === PASS_THROUGH && !profile.passThrough) return 0x03;
  if ((profile.widths & (1 << width)) === 0) return 0x03;
  into.type = type;
  into.levels = width + 2;
  into.domain = (c2 >>> 8) & 0xffff;
  into.tablePage = tablePage;
  return 0;
};
