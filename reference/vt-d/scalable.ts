// Decides how a request is translated in scalable mode: root, context, PASID directory and table, then the stages that the entry names.
// VT-d 4.1, Scalable Mode Address Translation; the order of checks is that of the fault conditions SRT, SCT, SPD, SPT, SFL, SSL, SGN.

import { type Context, contextSlot, type PasidEntry, pasidSlot } from './caches.ts';
import { firstStageDenies, NESTED, nest, walkFirstStage } from './first-stage.ts';
import { interruptRange } from './legacy.ts';
import { fetchPasidEntry, fetchScalableContext } from './scalable-tables.ts';
import { scalableReasons, second, widthOf } from './second-stage.ts';
import { DIRTY, EXECUTE, NO_PASID, READ, type Request, TRANSLATED, type Unit, UNTRANSLATED, WRITE } from './unit.ts';

/** PGTT. */
const FIRST_STAGE = 1;
const SECOND_STAGE = 2;

/** The context entry of the request's device, cached or fetched; `reason` when there is none to use. */
export const scalableContext = (unit: Unit, request: Request): Context => {
  const slot = contextSlot(unit.caches, request.sourceId);
  if (slot.sourceId !== request.sourceId || !slot.scalable) {
    slot.reason = fetchScalableContext(unit, request.sourceId, slot);
    // An entry that cannot be used is not kept; caching mode may keep one that is not present.
    if (slot.reason !== 0 && !(unit.profile.cachingMode && slot.reason === 0x41)) slot.sourceId = -1;
  }
  request.faultsDisabled = slot.faultsDisabled;
  return slot;
};

/** 0, or the fault reason. */
export const translateScalable = (unit: Unit, request: Request): number => {
  const { profile } = unit;
  const context = scalableContext(unit, request);
  if (context.reason !== 0) return context.reason;
  if (request.type !== UNTRANSLATED && !context.deviceTlb) return 0x44; // SCT.5
  let pasid = request.pasid;
  if (pasid !== NO_PASID) {
    if (!context.pasidEnabled) return 0x45; // SCT.6
    if (pasid >= context.pasidEnd) return 0x46; // SCT.7
  } else {
    pasid = profile.ridPasid ? context.ridPasid : 0;
    if (pasid >= context.pasidEnd) return 0x48; // SCT.9
    request.privileged = profile.ridPrivilege && context.ridPrivilege;
  }
  if (request.type === TRANSLATED) return passes(unit, request);

  const slot = pasidSlot(unit.caches, request.sourceId, pasid);
  if (slot.sourceId !== request.sourceId || slot.pasid !== pasid) {
    slot.reason = fetchPasidEntry(unit, context, request.sourceId, pasid, slot);
    if (slot.reason !== 0 && !(profile.cachingMode && (slot.reason === 0x51 || slot.reason === 0x59))) slot.sourceId = -1;
  }
  request.faultsDisabled ||= slot.faultsDisabled;
  if (slot.reason !== 0) return slot.reason;
  if (request.execute && !slot.execute) return 0x5c; // SPT.5
  if (request.privileged && !slot.supervisor) return 0x5d; // SPT.6

  switch (slot.type) {
    case SECOND_STAGE:
      return throughSecond(unit, request, slot);
    case FIRST_STAGE:
    case NESTED:
      return throughFirst(unit, request, slot, pasid);
    default:
      return passes(unit, request);
  }
};

/** SGN.8 */
const output = (request: Request): number => (interruptRange(request.hostPage) ? 0x87 : 0);

const passes = (unit: Unit, request: Request): number => {
  if (request.page >= unit.profile.hostPages) return 0x83; // SGN.4
  request.hostPage = request.page;
  request.order = 0;
  request.permissions = READ | WRITE | EXECUTE | DIRTY;
  return output(request);
};

/** Takes the translation from the cache; false where a walk is needed. */
const cached = (unit: Unit, request: Request, domain: number, tag: number): boolean => {
  const { iotlb } = unit.caches;
  const found = iotlb.find(domain, tag, request.page, request.low, request.high);
  if (found < 0) return false;
  const permissions = iotlb.permissions[found] ?? 0;
  // The first write has the dirty flag to set.
  if ((request.need & WRITE) !== 0 && (permissions & DIRTY) === 0) return false;
  request.permissions = permissions;
  request.order = iotlb.orders[found] ?? 0;
  request.hostPage = (iotlb.hostPages[found] ?? 0) + (request.low & (2 ** request.order - 1));
  return true;
};
const keep = (unit: Unit, request: Request, domain: number, tag: number): void =>
  unit.caches.iotlb.fill(domain, tag, request.page, request.order, request.hostPage, request.permissions, 0);

/** SSL.2 and SGN.3 as a walk would say them. */
const secondStageDenies = (request: Request, entry: PasidEntry): number => {
  const { permissions, need } = request;
  const asked = entry.secondExecute ? need : need & ~EXECUTE;
  if ((permissions & (READ | WRITE)) === 0 || (permissions & asked & (READ | WRITE)) !== (asked & (READ | WRITE)))
    return scalableReasons.read;
  return (permissions & asked) === asked ? 0 : scalableReasons.execute;
};

const throughSecond = (unit: Unit, request: Request, entry: PasidEntry): number => {
  if (request.page >= widthOf(unit, entry.levels)) return scalableReasons.beyond;
  if (cached(unit, request, entry.domain, NO_PASID)) return secondStageDenies(request, entry) || output(request);
  const need = entry.secondExecute ? request.need : request.need & ~EXECUTE;
  const reason = nest(unit, entry, request.page, need, scalableReasons.read);
  if (reason !== 0) return reason;
  request.hostPage = second.page;
  request.order = second.order;
  request.permissions = second.permissions | (second.dirty ? DIRTY : 0);
  keep(unit, request, entry.domain, NO_PASID);
  return output(request);
};

const throughFirst = (unit: Unit, request: Request, entry: PasidEntry, pasid: number): number => {
  if (cached(unit, request, entry.domain, pasid))
    return firstStageDenies(request, entry, request.permissions) || secondStageDenies(request, entry) || output(request);
  const reason = walkFirstStage(unit, request, entry);
  if (reason !== 0) return reason;
  keep(unit, request, entry.domain, pasid);
  return output(request);
};
