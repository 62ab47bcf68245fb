// What is known of the rings of a virtio-mmio device: where its registers put them, and whether the device owes bit 0 of InterruptStatus for them.
// VIRTIO 1.4, MMIO Device Register Layout; Used Buffer Notification Suppression. Facts for the clauses; no clause here.

import type { Memory } from '../../clause.ts';

export interface Rings {
  /** DriverFeatures of window 0 as last written, and whether RING_PACKED may have been accepted: its areas hold something else. */
  features: number | undefined;
  packed: boolean;
  /** FEATURES_OK was written: what a later write of features does is not said. */
  settled: boolean;
  /** The halves of the driver and device areas as last written, by register and queue. */
  readonly areas: Map<string, number>;
  /** Queues whose used idx was stored to since the device was last at rest, and what it was then. */
  readonly used: Set<number>;
  readonly idx: Map<number, number>;
  /** Since then the driver acknowledged bit 0, or changed avail flags: whether the bit of what was used still stands nobody knows. */
  unsure: boolean;
  /** A used buffer notification was owed, and bit 0 not acknowledged since. */
  due: boolean;
}
export const newRings = (): Rings => ({
  features: undefined,
  packed: false,
  settled: false,
  areas: new Map(),
  used: new Set(),
  idx: new Map(),
  unsure: false,
  due: false,
});
export const forgetRings = (r: Rings): void => {
  r.features = undefined;
  r.packed = false;
  r.settled = false;
  r.areas.clear();
  r.used.clear();
  r.idx.clear();
  r.unsure = false;
  r.due = false;
};

const FEATURES_OK = 8;
/** RING_PACKED, bit 34, in window 1. */
const PACKED = 2 ** 2;
const halves: ReadonlySet<string> = new Set(['QueueDriverLow', 'QueueDriverHigh', 'QueueDeviceLow', 'QueueDeviceHigh']);
export const ringWritten = (
  r: Rings,
  name: string,
  select: { readonly driver: number | undefined; readonly queue: number | undefined },
  value: number,
): void => {
  if (name === 'Status') r.settled ||= (value & FEATURES_OK) !== 0;
  else if (name === 'DriverFeatures' && (select.driver === undefined || r.settled)) r.features = undefined;
  else if (name === 'DriverFeatures' && select.driver === 0) r.features = value >>> 0;
  else if (name === 'DriverFeatures' && select.driver === 1) r.packed = (value & PACKED) !== 0;
  else if (halves.has(name) && select.queue === undefined) r.areas.clear();
  else if (halves.has(name)) r.areas.set(`${name}:${select.queue}`, value >>> 0);
};
const areaOf = (r: Rings, area: 'Driver' | 'Device', queue: number): bigint | undefined => {
  const [low, high] = ['Low', 'High'].map((half) => r.areas.get(`Queue${area}${half}:${queue}`));
  return low === undefined || high === undefined ? undefined : BigInt(low) | (BigInt(high) << 32n);
};
/** Queues that are ready and the part of their rings that a store touches: two bytes at this distance from the start of the area. */
const touched = (
  r: Rings,
  ready: ReadonlyMap<number, number>,
  area: 'Driver' | 'Device',
  from: bigint,
  at: bigint,
  length: number,
): readonly number[] =>
  [...ready].flatMap(([queue, value]) => {
    const start = value === 1 ? areaOf(r, area, queue) : undefined;
    return start !== undefined && at < start + from + 2n && at + BigInt(length) > start + from ? [queue] : [];
  });

export const driverStored = (r: Rings, ready: ReadonlyMap<number, number>, at: bigint, length: number): void => {
  r.unsure ||= touched(r, ready, 'Driver', 0n, at, length).length > 0;
};
export const targetStored = (
  r: Rings,
  ready: ReadonlyMap<number, number>,
  writes: readonly { readonly at: bigint; readonly bytes: Uint8Array }[],
): void => {
  for (const w of writes) for (const queue of touched(r, ready, 'Device', 2n, w.at, w.bytes.length)) r.used.add(queue);
};
export const acknowledged = (r: Rings): void => {
  r.unsure = true;
  r.due = false;
};

const EVENT_IDX = 2 ** 29;
/** A notification was owed for certain: EVENT_IDX declined, avail flags 0 all the time, and used idx moved. */
const owing = (r: Rings, memory: Memory): boolean => {
  if (r.unsure || r.packed || r.features === undefined || (r.features & EVENT_IDX) !== 0) return false;
  return [...r.used].some((queue) => {
    const [avail, device] = [areaOf(r, 'Driver', queue), areaOf(r, 'Device', queue)];
    if (device === undefined || memory.u16(device + 2n) === (r.idx.get(queue) ?? 0)) return false;
    return avail !== undefined && memory.known(avail, 2) && memory.u16(avail) === 0;
  });
};
export const rested = (r: Rings, memory: Memory): void => {
  r.due ||= owing(r, memory);
  for (const queue of r.used) {
    const device = areaOf(r, 'Device', queue);
    const idx = device === undefined ? undefined : memory.u16(device + 2n);
    if (idx !== undefined) r.idx.set(queue, idx);
  }
  r.used.clear();
  r.unsure = false;
};
