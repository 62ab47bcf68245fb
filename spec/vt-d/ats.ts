// Device TLBs: invalidation requests that a device must get, whether it answers them, page responses that it must get.
// PCI Express Base, Address Translation Services; VT-d 4.1, Device-TLB Invalidate Descriptor; Page Group Response Descriptor.

import type { VtdMachine, VtdObservation } from './vocabulary.ts';

interface Owed {
  readonly requester: number;
  readonly at: bigint;
  /** 0: everything. */
  readonly pages: bigint;
  readonly pasid: number | undefined;
  /** The device keeps silent: whether it says that it was asked is its own affair. */
  readonly mute: boolean;
  seen: boolean;
}
interface Response {
  readonly requester: number;
  readonly group: number;
  readonly code: number;
  readonly pasid: number | undefined;
  seen: boolean;
}
export interface Devices {
  /** Requesters that do not answer invalidation requests. */
  readonly mute: Set<number>;
  invalidations: Owed[];
  responses: Response[];
}
export const newDevices = (): Devices => ({ mute: new Set(), invalidations: [], responses: [] });
const find = (machine: VtdMachine, sourceId: number): number => machine.requesters.findIndex((r) => r.sourceId === sourceId);

/** The unit sends an invalidation request; whether an answer will come. Undefined: nobody is there to answer, and what that makes is not judged. */
export const asked = (
  d: Devices,
  machine: VtdMachine,
  e: { readonly sourceId: number; readonly at: bigint; readonly pages: bigint; readonly pasid?: number },
): boolean | undefined => {
  const requester = find(machine, e.sourceId);
  if (requester < 0 || machine.requesters[requester]?.can.includes('ats') !== true) return undefined;
  const mute = d.mute.has(requester);
  d.invalidations.push({ requester, at: e.at, pages: e.pages, pasid: e.pasid, mute, seen: false });
  return !mute;
};
export const responded = (
  d: Devices,
  machine: VtdMachine,
  e: { readonly sourceId: number; readonly group: number; readonly code: number; readonly pasid?: number },
): void => {
  const requester = find(machine, e.sourceId);
  if (requester < 0) return;
  d.responses.push({ requester, group: e.group, code: e.code, pasid: e.pasid, seen: false });
};
/** Marks the invalidation that this is; false: nobody asked for it. */
export const gotInvalidation = (d: Devices, e: Extract<VtdObservation, { readonly saw: 'ats.invalidation' }>): boolean => {
  const fits = d.invalidations.find(
    (o) => !o.seen && o.requester === e.requester && o.pages === e.pages && (o.pages === 0n || o.at === e.at) && o.pasid === e.pasid,
  );
  if (fits !== undefined) fits.seen = true;
  return fits !== undefined;
};
export const gotResponse = (d: Devices, e: Extract<VtdObservation, { readonly saw: 'pri.response' }>): boolean => {
  const fits = d.responses.find(
    (o) => !o.seen && o.requester === e.requester && o.group === e.group && o.code === e.code && o.pasid === e.pasid,
  );
  if (fits !== undefined) fits.seen = true;
  return fits !== undefined;
};
