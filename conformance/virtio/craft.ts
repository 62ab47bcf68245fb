// A single request whose descriptors are at hand before they are offered: what the violations bend.
// Without bending it is a legal read or write of sector 0 in a chain of three, or of two where the queue is that small.

import { allot } from './allot.ts';
import { INDIRECT, NEXT, SECTOR, T, WRITE } from './bits.ts';
import { header } from './blk-requests.ts';
import { store } from './bytes.ts';
import type { Driver } from './driver.ts';
import { notify } from './driver.ts';
import type { Descriptor, Queue } from './queue.ts';
import { encode, offer, publish, takeSlots, writeDescriptors } from './queue.ts';

export type Bendable = { -readonly [K in keyof Descriptor]: Descriptor[K] };
export interface Crafted {
  readonly q: Queue;
  /** Slots of the descriptor table, and what they will hold. */
  readonly slots: number[];
  readonly chain: Bendable[];
  /** Memory that belongs to the request; from `spare` on there is room for a table. */
  readonly block: number;
  readonly spare: number;
}
/** Bytes after a crafted request: enough for an indirect table. */
const SPARE = 1024;

/** A request laid out in memory with free slots taken; undefined where the queue or memory is too full. */
export const craft = (d: Driver, q: Queue, bytes: Uint8Array, writable: number): Crafted | undefined => {
  const pieces = q.size > 2 && writable > 1 ? 3 : 2;
  if (q.freeCount < pieces || q.stuck) return undefined;
  const length = bytes.length + writable;
  const block = allot(d.memory, length + SPARE, 1, 'skewed');
  if (block === undefined) return undefined;
  const content = new Uint8Array(length + SPARE).fill(0xc5);
  content.set(bytes);
  d.out.push(store(block, content));
  const slots = takeSlots(q, pieces);
  const chain: Bendable[] = [{ at: block, length: bytes.length, flags: NEXT, next: slots[1] as number }];
  const data = block + bytes.length;
  if (pieces === 3) chain.push({ at: data, length: writable - 1, flags: NEXT | WRITE, next: slots[2] as number });
  chain.push(
    pieces === 3 ? { at: data + writable - 1, length: 1, flags: WRITE, next: 0 } : { at: data, length: writable, flags: WRITE, next: 0 },
  );
  return { q, slots, chain, block, spare: block + length };
};
/** A read of sector 0. */
export const craftIn = (d: Driver, q: Queue): Crafted | undefined => craft(d, q, header(T.IN, 0, 0), SECTOR + 1);
/** A write of sector 0. */
export const craftOut = (d: Driver, q: Queue): Crafted | undefined => craft(d, q, header(T.OUT, 0, SECTOR), 1);

/** Writes the chain and its head, makes them visible and kicks; `head` is what the ring names. Nothing more goes on that queue. */
export const launch = (d: Driver, c: Crafted, head: number = c.slots[0] as number): void => {
  writeDescriptors(c.q, c.slots, c.chain, d.out);
  offer(c.q, { head, slots: c.slots, block: c.block }, d.out);
  publish(c.q, d.out);
  notify(d, c.q);
  c.q.stuck = true;
};

/** The chain moved into an indirect table at the spare memory: entries numbered from 0, and the descriptor that names them. */
export interface Tabled extends Crafted {
  readonly entries: Bendable[];
  /** Where the table is stored, whatever the descriptor says. */
  table: number;
}
export const tabled = (c: Crafted): Tabled => {
  const entries = c.chain.map((e, i) => ({ ...e, next: (e.flags & NEXT) === 0 ? 0 : i + 1 }));
  const chain: Bendable[] = [{ at: c.spare, length: 16 * entries.length, flags: INDIRECT, next: 0 }];
  return { ...c, slots: c.slots.slice(0, 1), chain, entries, table: c.spare };
};
/** Writes the table, then launches. Slots that the chain does not need stay taken until the reset. */
export const launchTable = (d: Driver, c: Tabled): void => {
  const bytes = new Uint8Array(16 * c.entries.length);
  c.entries.forEach((e, i) => encode(bytes, 16 * i, e));
  d.out.push(store(c.table, bytes));
  launch(d, c);
};
