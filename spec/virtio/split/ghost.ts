// What a driver knows of its split virtqueues: what it offered, what came back, and who was told.
// VIRTIO 1.4, Split Virtqueues. Remembers, never judges.

import type { Memory } from '../../clause.ts';
import type { Granted } from '../../units.ts';
import { has } from '../features.ts';
import type { Segment } from '../vocabulary.ts';
import { descriptorBytes, type Walked } from './chain.ts';

/** Traits of chains that a rule of their own speaks about. */
export type Trait = 'any' | 'indirect' | 'mixed' | 'write-flagged' | 'after-spurious' | 'at-zero';
/** From the first byte to one past the last of several stretches; most writes are nowhere near, and are seen to be so at once. */
export interface Hull {
  readonly at: number;
  readonly end: number;
}
export interface Outstanding extends Omit<Walked, 'indirect'> {
  /** The indirect table, if any. */
  readonly indirect: Segment | undefined;
  /** Of its descriptors, direct and indirect; of its elements; of those that the device writes. */
  readonly hulls: { readonly entries: Hull; readonly elements: Hull; readonly writable: Hull };
  readonly order: number;
  /** Free-running index of the entry of the available ring that offers it. */
  readonly position: number;
  /** The driver has told the device of it, or was right not to. */
  told: boolean;
  readonly traits: readonly Trait[];
  /** Writes seen into its writable segments: offset from the first writable byte, and length. */
  readonly written: [number, number][];
}
export interface Queue {
  readonly index: number;
  readonly size: number;
  readonly desc: bigint;
  readonly avail: bigint;
  readonly used: bigint;
  /** The same as numbers, exact inside any memory: where its words that events are looked through for stand. */
  readonly words: {
    readonly availFlags: Hull;
    readonly availIdx: Hull;
    readonly usedEvent: Hull;
    readonly usedFlags: Hull;
    readonly usedIdx: Hull;
    readonly used: Hull;
  };
  /** Used flags and idx as the driver left them before DRIVER_OK; undefined outside memory. */
  left: { readonly flags: number | undefined; readonly idx: number | undefined };
  /** Next free-running index in each ring. */
  availIdx: number;
  usedIdx: number;
  submitted: number;
  readonly outstanding: Map<number, Outstanding>;
  /** Order of the chain that the last virtq.completed spoke of. */
  lastOrder: number;
  /** Chains just used, by order, until their virtq.completed has been judged. */
  readonly returned: Map<number, Outstanding>;
  /** Used slots written and not yet published by idx. */
  readonly slotsWritten: Set<number>;
  /** Described as writable by chains that break a duty: still the device's to write. */
  readonly loose: Segment[];
  /** The driver notified without having offered anything new. */
  spurious: boolean;
  // Since the last settle:
  /** A notification is owed: something used while none was suppressed. */
  owed: boolean;
  owedBy: { readonly eventIgnored: boolean; readonly flagsIgnored: boolean };
  /** A notification came after the last used buffer (or, where order is not seen, at all). */
  notified: boolean;
  /** A notification came that can only be about this queue. */
  named: boolean;
  /** Used buffers came, and every one of them was suppressed all the time. */
  quietUse: boolean;
  loudUse: boolean;
  /** Suppression was changed while something was outstanding, or used and perhaps not yet told: what was owed is not known. */
  raced: boolean;
  finished: Record<Trait, number>;
}
export interface SplitGhost {
  features: bigint;
  live: boolean;
  /** The program touches registers itself: an interrupt line that it did not acknowledge stays asserted, and shows no new edge. */
  raw: boolean;
  /** Nothing was done since the last settle but memory writes. */
  still: boolean;
  /** Something malformed was offered since the machine started, and the device was reset since. */
  hurt: boolean;
  malformed: boolean;
  /** A queue was set up anew while the device was live, or with no entries: what the device works on is not known until a reset. */
  lost: boolean;
  readonly queues: Map<number, Queue>;
  /** The same, in the order in which they were set up. */
  readonly all: Queue[];
  /** The device was at rest at least once since it was last reset. */
  rested: boolean;
  /** What was the device's to write when it was last reset; and before earlier resets, as far as it has not rested since. */
  former: readonly Segment[];
}
export const initialSplit = (_granted: Granted): SplitGhost => ({
  features: 0n,
  live: false,
  raw: false,
  lost: false,
  still: false,
  hurt: false,
  malformed: false,
  queues: new Map(),
  all: [],
  rested: false,
  former: [],
});
export const noneFinished = (): Record<Trait, number> => ({
  any: 0,
  indirect: 0,
  mixed: 0,
  'write-flagged': 0,
  'after-spurious': 0,
  'at-zero': 0,
});

/** struct virtq_avail: le16 flags, le16 idx, le16 ring[size], le16 used_event; The Virtqueue Available Ring. */
export const availFlags = (q: Queue, m: Memory): number => m.u16(q.avail) ?? 0;
export const usedEvent = (q: Queue, m: Memory): number => m.u16(q.avail + 4n + 2n * BigInt(q.size)) ?? 0;
export const availBytes = (q: Pick<Queue, 'size'>): number => 6 + 2 * q.size;
/** struct virtq_used: le16 flags, le16 idx, {le32 id, le32 len} ring[size], le16 avail_event; The Virtqueue Used Ring. */
export const usedFlags = (q: Queue, m: Memory): number => m.u16(q.used) ?? 0;
export const availEvent = (q: Queue, m: Memory): number => m.u16(q.used + 4n + 8n * BigInt(q.size)) ?? 0;
export const usedBytes = (q: Pick<Queue, 'size'>): number => 6 + 8 * q.size;
export const tableBytes = (q: Pick<Queue, 'size'>): number => descriptorBytes * q.size;

/** Whether two stretches meet. As numbers they are exact inside any memory, and far outside they meet nothing there. */
export const touches = (at: bigint, length: number, start: bigint, size: number): boolean => {
  const a = Number(at);
  const s = Number(start);
  return a < s + size && a + length > s;
};
export const meet = (a: Hull, b: Hull): boolean => a.at < b.end && a.end > b.at;
export const hullAt = (at: bigint, length: number): Hull => {
  const start = Number(at);
  return { at: start, end: start + length };
};
const wordAt = (at: number): Hull => ({ at, end: at + 2 });
export const wordsOf = (q: Pick<Queue, 'size' | 'avail' | 'used'>): Queue['words'] => {
  const [avail, used] = [Number(q.avail), Number(q.used)];
  return {
    availFlags: wordAt(avail),
    availIdx: wordAt(avail + 2),
    usedEvent: wordAt(avail + 4 + 2 * q.size),
    usedFlags: wordAt(used),
    usedIdx: wordAt(used + 2),
    used: { at: used, end: used + usedBytes(q) },
  };
};
const hullOf = (segments: readonly Segment[]): Hull => {
  let at = Infinity;
  let end = 0;
  for (const s of segments) {
    const a = Number(s.at);
    if (a < at) at = a;
    if (a + s.length > end) end = a + s.length;
  }
  return { at, end };
};
const around = (a: Hull, b: Hull): Hull => ({ at: Math.min(a.at, b.at), end: Math.max(a.end, b.end) });
export const hullsOf = (q: Queue, w: Walked): Outstanding['hulls'] => {
  const writable = hullOf(w.chain.writable);
  const [first, last] = [Math.min(...w.slots), Math.max(...w.slots)];
  const table = { at: Number(q.desc) + first * descriptorBytes, end: Number(q.desc) + (last + 1) * descriptorBytes };
  return {
    entries: w.indirect === undefined ? table : around(table, hullOf([w.indirect])),
    elements: around(writable, hullOf(w.chain.readable)),
    writable,
  };
};
export const total = (segments: readonly Segment[]): number => segments.reduce((sum, s) => sum + s.length, 0);
/** Whether moving a free-running index from `from` to `to` passes the entry with index `event`: vring_need_event of virtio_ring.h. */
export const passes = (event: number, from: number, to: number): boolean => ((to - event - 1) & 0xffff) < ((to - from) & 0xffff);

/** The driver may leave out a notification: the device said so while it was idle. */
export const excused = (g: SplitGhost, q: Queue, m: Memory, from: number, to: number): boolean =>
  g.still && (has(g.features, 'EVENT_IDX') ? !passes(availEvent(q, m), from, to) : (usedFlags(q, m) & 1) === 1);

/** Length of the stretch from the first writable byte that was written without a gap. */
export const writtenPrefix = (o: Outstanding): number => {
  let end = 0;
  for (const [from, length] of [...o.written].sort((a, b) => a[0] - b[0])) if (from <= end) end = Math.max(end, from + length);
  return end;
};
export const remaining = (q: Queue, trait: Trait): readonly Outstanding[] =>
  q.outstanding.size === 0 ? [] : [...q.outstanding.values()].filter((o) => o.told && o.traits.includes(trait));
