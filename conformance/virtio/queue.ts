// The driver's side of one split virtqueue: free descriptors, what is offered and not yet used, and whether a kick is owed.
// It knows the used ring only through its own mirror of memory. VIRTIO 1.4, Split Virtqueues.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { get16, get32, gpa, put16, put32, put64, store, store16 } from './bytes.ts';
import type { Rings } from './rings.ts';
import { partSize } from './rings.ts';

export interface Descriptor {
  readonly at: number | bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}
/** A chain the driver made available, and what to give back when it is used. */
export interface Held {
  readonly head: number;
  /** Descriptor table slots. */
  readonly slots: readonly number[];
  /** Start of the memory range it owns. */
  readonly block: number;
}
export interface QueueOptions {
  readonly base: number;
  readonly eventIdx: boolean;
  readonly inOrder: boolean;
  /** Last freed descriptor first; otherwise round robin, which IN_ORDER demands. */
  readonly lifo: boolean;
}
export interface Queue extends QueueOptions {
  readonly index: number;
  readonly size: number;
  readonly rings: Rings;
  readonly usedEnd: number;
  readonly mirror: Uint8Array;
  readonly free: Uint16Array;
  firstFree: number;
  freeCount: number;
  /** Published available index, and heads in the ring that it does not cover yet. */
  idx: number;
  added: number;
  /** Used index up to which entries were taken. */
  seen: number;
  readonly byHead: (Held | undefined)[];
  readonly flying: Held[];
  /** The driver wants no notifications now: avail flags 1, or a used_event that is far away. */
  quiet: boolean;
  usedEvent: number;
  /** Published while the device asked to be kicked for it. */
  owed: boolean;
  /** Published, and not yet decided whether a kick is owed: available index before. */
  unsure: number | undefined;
  /** Kicked since memory was last looked at: what the mirror says about suppression may be old. */
  stale: boolean;
  /** The device did not use what it should have; nothing more is offered until a reset. */
  stuck: boolean;
}

const u16 = (n: number): number => n & 0xffff;

/** No head of any queue: an entry that was announced and not written names nothing. */
const UNUSED = 0xee;

const COUNTING = Uint16Array.from({ length: 32768 }, (_, i) => i);

/** What the used ring is written as, by size and base: programs share it, nobody alters it. */
const fresh = new Map<number, Uint8Array>();
const freshUsed = (size: number, base: number): Uint8Array => {
  const key = size * 0x10000 + base;
  const known = fresh.get(key);
  if (known !== undefined) return known;
  if (fresh.size >= 64) fresh.clear();
  // The whole used ring is written: where changes are only compared, a mirror of unknown bytes would miss equal ones.
  const bytes = new Uint8Array(partSize('used', size)).fill(UNUSED);
  put16(bytes, 0, 0);
  put16(bytes, 2, base);
  put16(bytes, 4 + 8 * size, base);
  fresh.set(key, bytes);
  return bytes;
};

/** Lays the queue out and initialises both rings in `out`: flags 0, both indices at base, the events at base. */
export const layOut = (index: number, size: number, rings: Rings, o: QueueOptions, out: Stimulus[]): Queue => {
  const used = freshUsed(size, o.base);
  const mirror = used.slice();
  const free = COUNTING.slice(0, size);
  const avail = new Uint8Array(4);
  put16(avail, 2, o.base);
  out.push(store(rings.avail, avail), store(rings.used, used));
  if (o.eventIdx) out.push(store16(rings.avail + 4 + 2 * size, o.base));
  return {
    // Field by field: a spread in front of so many more costs 50 µs.
    base: o.base,
    eventIdx: o.eventIdx,
    inOrder: o.inOrder,
    lifo: o.lifo,
    index,
    size,
    rings,
    usedEnd: rings.used + mirror.length,
    mirror,
    free,
    firstFree: 0,
    freeCount: size,
    idx: o.base,
    added: 0,
    seen: o.base,
    byHead: [],
    flying: [],
    quiet: false,
    usedEvent: o.base,
    owed: false,
    unsure: undefined,
    stale: false,
    stuck: false,
  };
};

export const setQueue = (q: Queue, withBase: boolean): Stimulus => {
  const [desc, avail, used] = [gpa(q.rings.desc), gpa(q.rings.avail), gpa(q.rings.used)];
  return withBase
    ? { do: 'virtq.set', queue: q.index, size: q.size, desc, avail, used, base: q.base }
    : { do: 'virtq.set', queue: q.index, size: q.size, desc, avail, used };
};

/** Takes `count` free slots; the caller made sure that there are so many. */
export const takeSlots = (q: Queue, count: number): number[] => {
  const slots: number[] = [];
  for (let i = 0; i < count; i++) {
    if (q.lifo) slots.push(q.free[(q.firstFree + q.freeCount - 1 - i) % q.size] as number);
    else slots.push(q.free[(q.firstFree + i) % q.size] as number);
  }
  if (!q.lifo) q.firstFree = (q.firstFree + count) % q.size;
  q.freeCount -= count;
  return slots;
};
const giveSlots = (q: Queue, slots: readonly number[]): void => {
  for (const slot of slots) q.free[(q.firstFree + q.freeCount++) % q.size] = slot;
};

export const encode = (into: Uint8Array, at: number, d: Descriptor): void => {
  put64(into, at, d.at);
  put32(into, at + 8, d.length);
  put16(into, at + 12, d.flags);
  put16(into, at + 14, d.next);
};

/** Writes descriptors into their slots, neighbours in one go. */
export const writeDescriptors = (q: Queue, slots: readonly number[], descriptors: readonly Descriptor[], out: Stimulus[]): void => {
  for (let i = 0; i < slots.length; ) {
    const first = slots[i] as number;
    let n = 1;
    while (i + n < slots.length && slots[i + n] === first + n) n++;
    const bytes = new Uint8Array(16 * n);
    for (let k = 0; k < n; k++) encode(bytes, 16 * k, descriptors[i + k] as Descriptor);
    out.push(store(q.rings.desc + 16 * first, bytes));
    i += n;
  }
};

/** Puts a head into the next entry of the available ring; it stays invisible until `publish`. */
export const offer = (q: Queue, held: Held, out: Stimulus[]): void => {
  out.push(store16(q.rings.avail + 4 + 2 * (u16(q.idx + q.added) % q.size), held.head));
  q.added++;
  q.byHead[held.head] = held;
  q.flying.push(held);
};

/** Makes all held heads visible with one index update. */
export const publish = (q: Queue, out: Stimulus[]): void => {
  if (q.added === 0) return;
  if (q.unsure === undefined) q.unsure = q.idx;
  q.idx = u16(q.idx + q.added);
  q.added = 0;
  out.push(store16(q.rings.avail + 2, q.idx));
  q.owed = q.owed || wantsKick(q);
};

/** Whether the device, as far as the mirror tells, wants a kick for what was published since `unsure`. */
export const wantsKick = (q: Queue): boolean => {
  if (q.unsure === undefined) return false;
  if (!q.eventIdx) return (get16(q.mirror, 0) & 1) === 0;
  return u16(q.idx - get16(q.mirror, 4 + 8 * q.size) - 1) < u16(q.idx - q.unsure);
};

/** Copies what memory.changed says about this used ring into the mirror. */
export const absorb = (q: Queue, at: number, bytes: Uint8Array): void => {
  const from = Math.max(at, q.rings.used);
  const to = Math.min(at + bytes.length, q.usedEnd);
  for (let p = from; p < to; p++) q.mirror[p - q.rings.used] = bytes[p - at] as number;
};

/** Takes back what the device used. Entries that name nothing outstanding are ignored; too many of them make the queue stuck. */
export const retire = (q: Queue, release: (block: number) => void): number => {
  const used = get16(q.mirror, 2);
  const count = u16(used - q.seen);
  if (count === 0) return 0;
  if (count > q.flying.length - q.added) {
    q.stuck = true;
    return 0;
  }
  let done = 0;
  for (let i = 0; i < count; i++) {
    const id = get32(q.mirror, 4 + 8 * (u16(q.seen + i) % q.size));
    const held = q.inOrder ? q.flying[0] : q.byHead[id];
    const at = held === undefined ? -1 : q.flying.indexOf(held);
    if (held === undefined || at >= q.flying.length - q.added) continue;
    q.byHead[held.head] = undefined;
    q.flying.splice(at, 1);
    giveSlots(q, held.slots);
    release(held.block);
    done++;
  }
  q.seen = used;
  return done;
};

/** Used index once everything published is used. */
export const usedWhenDone = (q: Queue): number => u16(q.seen + q.flying.length - q.added);
/** Whether using everything published must notify, as the driver asked. */
export const expectsInterrupt = (q: Queue): boolean => {
  if (q.flying.length === q.added) return false;
  if (!q.eventIdx) return !q.quiet;
  const end = usedWhenDone(q);
  return u16(end - q.usedEvent - 1) < u16(end - q.seen);
};
/** avail flags, or used_event `distance` entries past what was taken. */
export const suppress = (q: Queue, quiet: boolean, distance: number, out: Stimulus[]): void => {
  if (q.eventIdx) {
    q.usedEvent = u16(q.seen + distance);
    // The flag means nothing here, and the device has to know: Used Buffer Notification Suppression.
    out.push(store16(q.rings.avail + 4 + 2 * q.size, q.usedEvent), store16(q.rings.avail, quiet ? 1 : 0));
  } else {
    q.quiet = quiet;
    out.push(store16(q.rings.avail, quiet ? 1 : 0));
  }
};
