// What is known of the MSI-X table: entries and masks as written or read, vectors whose event happened while masked, messages that are due.
// PCI Express Base Specification, MSI-X Capability and Table Structure; MSI and MSI-X Operation. Facts for the clauses; no clause here.

import type { Moment } from '../../clause.ts';
import type { Event, EventOf } from '../../vocabulary.ts';
import { notified } from './function.ts';
import type { PciGhost } from './ghost.ts';
import { decodes, msixEnabled, msixOf } from './ghost.ts';
import { commandBits, entry, header, msixControl, noVector } from './layout.ts';

export interface VectorTrack {
  /** High byte of Message Control as the driver last wrote it. */
  control: number | undefined;
  functionMask: boolean | undefined;
  /** Double words of the table as last written, by offset. */
  readonly entries: Map<number, number>;
  /** Double words as read before this trace wrote them: where the target itself looks for messages. */
  readonly found: Map<number, number>;
  /** The mask bit of a vector as last written or read. */
  readonly masks: Map<number, boolean>;
  /** No mask, entry or control changed since the last settle: what is seen now is of today's. */
  steady: boolean;
  /** Masked vectors whose queue owed a notification. */
  readonly happened: Set<number>;
  /** Vectors that were at rest unmasked, and nothing was done since that could be an event: pending bits stay clear. */
  readonly calm: Set<number>;
  /** Masked vectors whose pending bit was read set. */
  readonly pending: Set<number>;
  /** Unmasked with the pending bit set: their message is due at the next settle. */
  readonly due: Set<number>;
  /** Vectors whose message was seen since the last settle. */
  readonly heard: Set<number>;
}
export const newVectors = (): VectorTrack => ({
  control: undefined,
  functionMask: undefined,
  entries: new Map(),
  found: new Map(),
  masks: new Map(),
  steady: false,
  happened: new Set(),
  calm: new Set(),
  pending: new Set(),
  due: new Set(),
  heard: new Set(),
});
/** The device was reset, or somebody else used it: what was pending nobody knows. The table itself belongs to PCI and stays. */
export const forgetVectors = (t: VectorTrack): void => {
  for (const set of [t.happened, t.calm, t.pending, t.due, t.heard]) set.clear();
};

/** Whether a vector is masked, by its own bit or by the function's. */
export const masked = (t: VectorTrack, vector: number): boolean | undefined => {
  const own = t.masks.get(vector);
  if (t.functionMask === true || own === true) return true;
  return t.functionMask === false && own === false ? false : undefined;
};
/** The vector that an event was mapped to by this trace's own writes. */
const vectorFor = (g: PciGhost, from: 'queue' | 'config', queue?: number): number | undefined => {
  if (!g.own || (from === 'queue' && queue === undefined)) return undefined;
  const vector = g.written.get(from === 'config' ? 'config_msix_vector:0' : `queue_msix_vector:${queue}`)?.value;
  return vector === undefined || vector === noVector || vector > (msixOf(g.space)?.table ?? -1) ? undefined : vector;
};
export const heardOf = (g: PciGhost, e: EventOf<'interrupt'>): number | undefined =>
  msixEnabled(g) === true ? vectorFor(g, e.from, e.queue) : undefined;
/** Vectors of the queues that owed a notification since the last settle. */
export const owing = (m: Moment<PciGhost>): readonly number[] =>
  msixEnabled(m.before) !== true || m.before.fn.master === 'ceasing' || m.before.fn.master === 'off'
    ? []
    : notified(m).flatMap((queue) => vectorFor(m.before, 'queue', queue) ?? []);

/** Where an access lies in the table or in the pending bits; only aligned double words mean anything there. */
interface Spot {
  readonly part: 'table' | 'pending';
  readonly at: number;
  readonly whole: boolean;
}
export const spotOf = (g: PciGhost, bar: number, at: number, width: number): Spot | undefined => {
  const cap = msixOf(g.space);
  if (cap?.table === undefined || !decodes(g, bar)) return undefined;
  const inside = (place: number | undefined, size: number, part: Spot['part']): Spot | undefined => {
    if (place === undefined || (place & 7) !== bar) return undefined;
    const offset = at - ((place & ~7) >>> 0);
    return offset < 0 || offset >= size ? undefined : { part, at: offset, whole: width === 4 && offset % 4 === 0 };
  };
  const vectors = cap.table + 1;
  return inside(cap.tablePlace, vectors * entry.size, 'table') ?? inside(cap.pendingPlace, 8 * Math.ceil(vectors / 64), 'pending');
};
/** Where the messages of a vector go: to the target, which tells them as interrupts; to a double word of guest memory; or out of sight. */
export const sentTo = (m: Moment<PciGhost>, vector: number): 'target' | 'nowhere' | { readonly at: bigint; readonly data: number } => {
  const { entries, found } = m.before.vectors;
  const offsets = [entry.address, entry.upper, entry.data].map((o) => vector * entry.size + o);
  if (offsets.every((o) => !entries.has(o) || entries.get(o) === found.get(o))) return 'target';
  const [low, high, data] = offsets.map((o) => entries.get(o) ?? found.get(o));
  if (low === undefined || high === undefined || data === undefined) return 'nowhere';
  const at = BigInt((low & ~3) >>> 0) | (BigInt(high) << 32n);
  return at + 4n <= BigInt(m.granted.memory.size) ? { at, data } : 'nowhere';
};
/** Whether the message of a vector was seen by now. */
export const arrived = (m: Moment<PciGhost>, vector: number): boolean => {
  const to = sentTo(m, vector);
  return typeof to === 'string' ? m.before.vectors.heard.has(vector) : m.memory.u32(to.at) === to.data;
};

/** Masks change by `change`; what was pending and no longer is masked becomes due. */
const remask = (m: Moment<PciGhost>, change: () => void): void => {
  const { before: g } = m;
  const t = g.vectors;
  const before = [...t.pending].filter((v) => masked(t, v) === true);
  change();
  t.steady = false;
  for (const v of before) {
    if (masked(t, v) === true) continue;
    t.pending.delete(v);
    const sends = msixEnabled(g) === true && ((g.command ?? 0) & commandBits.master) !== 0;
    if (masked(t, v) === false && sends && sentTo(m, v) !== 'nowhere') t.due.add(v);
  }
  for (const v of t.due) if (masked(t, v) !== false) t.due.delete(v);
  for (const v of t.happened) if (masked(t, v) !== true) t.happened.delete(v);
};
const control = (g: PciGhost, at: number, width: number, value: number): number | undefined => {
  const cap = msixOf(g.space);
  if (cap === undefined || at > cap.at + 3 || at + width <= cap.at + 3) return undefined;
  return Math.floor(value / 256 ** (cap.at + 3 - at)) % 256;
};

const did = (m: Moment<PciGhost>, e: Extract<Event, { do: string }>): void => {
  const { before: g } = m;
  const t = g.vectors;
  if (e.do === 'memory.write' || e.do === 'host.resize') t.calm.clear();
  else if (e.do === 'pci.config.write') {
    t.steady = false;
    if (e.at <= header.command && e.at + e.width > header.command) t.due.clear();
    const byte = control(g, e.at, e.width, e.value);
    if (byte === undefined) return;
    if ((byte & msixControl.enable) === 0) forgetVectors(t);
    remask(m, () => {
      t.control = byte;
      t.functionMask = (byte & msixControl.functionMask) !== 0;
    });
  } else if (e.do === 'pci.bar.write') {
    const spot = spotOf(g, e.bar, e.at, e.width);
    if (spot === undefined) {
      t.calm.clear();
      return;
    }
    const vector = Math.floor(spot.at / entry.size);
    remask(m, () => {
      if (!spot.whole || spot.part === 'pending') {
        t.entries.clear();
        t.found.clear();
        t.masks.clear();
        forgetVectors(t);
        return;
      }
      t.entries.set(spot.at, e.value >>> 0);
      if (spot.at % entry.size === entry.control) t.masks.set(vector, (e.value & entry.masked) !== 0);
    });
  }
};
export const observeVectors = (g: PciGhost, m: Moment<PciGhost>): void => {
  const t = g.vectors;
  const { event: e } = m;
  if ('do' in e) return did(m, e);
  if (e.saw === 'interrupt') {
    const vector = heardOf(g, e);
    if (vector !== undefined) t.heard.add(vector);
  } else if (e.saw === 'pci.bar') {
    const spot = spotOf(g, e.bar, e.at, e.width);
    if (spot === undefined || !spot.whole) return;
    if (spot.part === 'table') {
      if (!t.entries.has(spot.at) && !t.found.has(spot.at)) t.found.set(spot.at, e.value >>> 0);
      if (spot.at % entry.size === entry.control) t.masks.set(Math.floor(spot.at / entry.size), (e.value & entry.masked) !== 0);
    } else
      for (let i = 0; i < 32; i++) {
        const vector = 8 * spot.at + i;
        if (masked(t, vector) === true && g.own && ((e.value >>> i) & 1) === 1) t.pending.add(vector);
      }
  } else if (e.saw === 'pci.config') {
    const byte = control(g, e.at, e.width, e.value);
    if (byte !== undefined) t.functionMask = (byte & msixControl.functionMask) !== 0;
  } else if (e.saw === 'settled' && e.by !== 'bound') {
    if (t.steady) for (const vector of owing(m)) if (masked(t, vector) === true) t.happened.add(vector);
    t.steady = true;
    t.due.clear();
    t.heard.clear();
    if (!g.own || msixEnabled(g) !== true) return;
    // The configuration may change whenever the device likes: its vector is never calm.
    const config = vectorFor(g, 'config');
    for (const vector of t.masks.keys()) if (vector !== config && masked(t, vector) === false) t.calm.add(vector);
  }
};
