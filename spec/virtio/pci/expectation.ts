// What a read of a common configuration register must return by what was last written to it, or by a reset.
// VIRTIO 1.4, Common configuration structure layout; MSI-X Vector Configuration. Facts for the clauses; no clause here.

import type { Moment } from '../../clause.ts';
import type { EventOf } from '../../vocabulary.ts';
import type { Access, PciGhost, Via } from './ghost.ts';
import { accessOf, commonField, keyOf, msixEnabled, msixOf, queues } from './ghost.ts';
import { featuresOk, noVector, window0 } from './layout.ts';

export type Read = Moment<PciGhost, EventOf<'pci.bar' | 'pci.config'>>;
const unsigned = (n: number): number => n >>> 0;
export const hex = (n: number): string => `0x${n.toString(16)}`;

/** The register this event reads whole, with its value. */
export const readOf = (m: Read): { readonly name: string; readonly value: number; readonly access: Access } | undefined => {
  const access = accessOf(m.before, m.event);
  const name = commonField(access);
  return access?.value === undefined || name === undefined ? undefined : { name, value: access.value, access };
};
export const addresses: readonly string[] = ['desc', 'driver', 'device'].flatMap((x) => [`queue_${x}_lo`, `queue_${x}_hi`]);
export const vectors: readonly string[] = ['config_msix_vector', 'queue_msix_vector'];
/** The selected queue is one the device has. Once features are settled a second one is there with MQ alone (Block Device, Virtqueues). */
export const exists = (g: PciGhost): boolean => {
  const count = queues(g);
  const { queue } = g.select;
  if (count === undefined || queue === undefined || queue >= count) return false;
  const accepted = g.written.get('driver_feature:0')?.value;
  const unsettled = g.status !== undefined && (g.status & featuresOk) === 0;
  return queue === 0 || unsettled || (accepted !== undefined && (accepted & window0.MQ) !== 0);
};
export const vectorCount = (g: PciGhost): number | undefined => {
  const table = msixOf(g.space)?.table;
  return table === undefined ? undefined : table + 1;
};

/** What a read of a register must return, and why. */
export interface Expectation {
  readonly permits: (value: number) => boolean;
  readonly expected: string;
  readonly via: Via;
}
export const exactly = (value: number, via: Via): Expectation => ({ permits: (v) => v === value, expected: hex(value), via });

/** Expectations by what the driver wrote last; undefined where the text leaves the value open or the write is not known. */
export const fromWrite = (g: PciGhost, name: string): Expectation | undefined => {
  const key = keyOf(g, name);
  const w = key === undefined ? undefined : g.written.get(key);
  if (w === undefined) return undefined;
  if (name === 'driver_feature') {
    const may = g.select.driver === undefined || g.select.driver > 1 ? 0 : g.shown.get(`device_feature:${g.select.driver}`);
    if (may === undefined) return undefined;
    // Valid bits come back; invalid ones may; bits that were not written do not.
    return {
      permits: (v) => unsigned(v & may & w.value) === unsigned(w.value & may) && (v & ~w.value) === 0,
      expected: hex(unsigned(w.value & may)),
      via: w.via,
    };
  }
  if (vectors.includes(name)) {
    const count = vectorCount(g);
    if (msixEnabled(g) !== true || count === undefined) return undefined;
    if (w.value >= count) return exactly(noVector, w.via);
    return { permits: (v) => v === w.value || v === noVector, expected: `${hex(w.value)}, or 0xffff where mapping failed`, via: w.via };
  }
  if (addresses.includes(name)) return exists(g) ? exactly(w.value, w.via) : undefined;
  // A size that is none, or above the maximum, is the driver's mistake.
  if (name === 'queue_size')
    return exists(g) && w.value > 0 && w.value <= (g.shown.get(key ?? '') ?? 0) ? exactly(w.value, w.via) : undefined;
  if (name === 'queue_enable') return exists(g) && w.value === 1 ? exactly(1, w.via) : undefined;
  // A selector that names no queue may be refused.
  if (name === 'queue_select') return w.value < (queues(g) ?? 0) ? exactly(w.value, w.via) : undefined;
  return name === 'device_feature_select' || name === 'driver_feature_select' ? exactly(w.value, w.via) : undefined;
};
/** Expectations by a reset that was seen through and not written over since. */
export const fromReset = (g: PciGhost, name: string): number | undefined => {
  const key = keyOf(g, name);
  if (g.reset !== 'done' || key === undefined || g.written.has(key)) return undefined;
  if (name.startsWith('queue_') && !exists(g)) return undefined;
  if (name === 'queue_enable') return 0;
  if (vectors.includes(name)) return msixOf(g.space) === undefined ? undefined : noVector;
  return name === 'queue_size' ? g.shown.get(key) : undefined;
};
