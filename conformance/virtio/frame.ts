// How one request becomes a descriptor chain: cut into pieces, pieces placed in one block of memory, named directly or through a table.
// VIRTIO 1.4, Message Framing; Indirect Descriptors (the table may lie anywhere, follow direct descriptors, and be out of order).

import type { Stimulus } from '../../spec/vocabulary.ts';
import type { Spot } from './allot.ts';
import { allot } from './allot.ts';
import { F, INDIRECT, NEXT, WRITE } from './bits.ts';
import { store } from './bytes.ts';
import type { Pieces } from './cut.ts';
import { cut } from './cut.ts';
import type { Driver } from './driver.ts';
import { has, segMax, sizeMax } from './driver.ts';
import type { Descriptor, Queue } from './queue.ts';
import { encode, offer, takeSlots, writeDescriptors } from './queue.ts';

/** row: one after another; reverse: the last first; apart: aligned, with gaps; the others: a row at that spot. */
export const PLACES = ['row', 'reverse', 'apart', 'page-end', 'top', 'bottom'] as const;
export type Place = (typeof PLACES)[number];
/** indirect-write: the table's descriptor has WRITE too, to be ignored; shuffled: next goes backwards; long: with unused entries. */
export const TABLES = ['direct', 'indirect', 'mixed', 'indirect-write', 'indirect-shuffled', 'indirect-long'] as const;
export type Table = (typeof TABLES)[number];

export interface Framing {
  readonly cuts: readonly number[];
  /** Cut at every multiple too; 0: no. */
  readonly every: number;
  readonly table: Table;
  readonly place: Place;
}
/** Bytes for the device to read, and how many it may write. */
export interface Request {
  readonly readable: Uint8Array;
  readonly writable: number;
}

/** More pieces would be what the text calls excessive. */
const REASONABLE = 40;
const DESCRIPTOR = 16;
const SPOT: Readonly<Record<Place, Spot>> = {
  row: 'skewed',
  reverse: 'low',
  apart: 'low',
  'page-end': 'page-end',
  top: 'top',
  bottom: 'bottom',
};

interface Block {
  readonly length: number;
  readonly pieces: readonly number[];
  readonly table: number;
}
/** Offsets of the pieces and of the table within one block. */
const arrange = (lengths: readonly number[], table: number, place: Place): Block => {
  const pieces: number[] = new Array(lengths.length);
  let at = place === 'top' ? 0 : table;
  if (place === 'reverse') {
    for (let i = lengths.length - 1; i >= 0; i--) {
      pieces[i] = at;
      at += lengths[i] as number;
    }
  } else {
    for (let i = 0; i < lengths.length; i++) {
      if (place === 'apart') at = (at + 31) & ~15;
      pieces[i] = at;
      at += lengths[i] as number;
    }
  }
  return place === 'top' ? { length: at + table, pieces, table: at } : { length: at, pieces, table: 0 };
};

/** How many pieces go through the table, and how many descriptors the queue needs: or undefined when the queue has not enough. */
const share = (q: Queue, table: Table, pieces: number): { readonly direct: number; readonly slots: number } | undefined => {
  const direct = table === 'direct' ? pieces : table === 'mixed' ? Math.min(pieces >> 1, q.freeCount - 1) : 0;
  const slots = table === 'direct' ? pieces : direct + 1;
  return slots > q.freeCount || direct < 0 ? undefined : { direct, slots };
};

/** A byte that is no status, different from request to request. */
const canary = (serial: number): number => 0x80 | ((serial * 37) & 0x7f);

const describe = (block: number, b: Block, p: Pieces, i: number, flags: number, next: number): Descriptor => ({
  at: block + (b.pieces[i] as number),
  length: p.lengths[i] as number,
  flags: flags | (i >= p.readable ? WRITE : 0),
  next,
});

/** The indirect table for pieces from `from` on; `long` leaves entries unused, `shuffled` links backwards. */
const fillTable = (into: Uint8Array, block: number, b: Block, p: Pieces, from: number, shuffled: boolean): void => {
  const n = p.lengths.length - from;
  const slot = (i: number): number => (shuffled && i > 0 ? n - i : i);
  for (let i = 0; i < n; i++) {
    const last = i === n - 1;
    encode(into, b.table + DESCRIPTOR * slot(i), describe(block, b, p, from + i, last ? 0 : NEXT, last ? 0xffff : slot(i + 1)));
  }
};

/** Pours the stream into the readable pieces. */
const fillPieces = (into: Uint8Array, b: Block, p: Pieces, stream: Uint8Array): void => {
  let from = 0;
  for (let i = 0; i < p.readable; i++) {
    const length = p.lengths[i] as number;
    into.set(stream.subarray(from, from + length), b.pieces[i] as number);
    from += length;
  }
};

/** Offers the request on the queue, invisible until `publish`; false when there is no room for it. */
export const post = (d: Driver, q: Queue, r: Request, f: Framing, out: Stimulus[]): boolean => {
  const indirectFits = has(d, F.INDIRECT_DESC) && q.size > 2;
  const table: Table = !indirectFits ? 'direct' : f.table === 'indirect-shuffled' && q.inOrder ? 'indirect' : f.table;
  // All entries count, the table's own descriptor among them: the stricter reading of "longer than the Queue Size".
  const room = table === 'direct' ? q.freeCount : q.size - 1;
  const most = Math.min(room, Math.max(2, segMax(d)), REASONABLE);
  const p = cut(r.readable.length, r.writable, f.cuts, f.every, most, sizeMax(d));
  if (p === undefined || p.lengths.length > room) return false;
  const shared = share(q, table, p.lengths.length);
  if (shared === undefined) return false;
  const entries = table === 'direct' ? 0 : p.lengths.length - shared.direct;
  const spare = table === 'indirect-long' ? Math.min(3, room - entries) : 0;
  const b = arrange(p.lengths, DESCRIPTOR * (entries + spare), f.place);
  const block = allot(d.memory, b.length, f.place === 'apart' ? 16 : 1, SPOT[f.place]);
  if (block === undefined) return false;
  const bytes = new Uint8Array(b.length).fill(canary(d.serial++));
  fillPieces(bytes, b, p, r.readable);
  if (entries > 0) fillTable(bytes, block, b, p, shared.direct, table === 'indirect-shuffled');
  out.push(store(block, bytes));
  const slots = takeSlots(q, shared.slots);
  const descriptors: Descriptor[] = [];
  for (let i = 0; i < shared.slots; i++) {
    const more = i + 1 < shared.slots;
    const next = more ? (slots[i + 1] as number) : 0xffff;
    if (i < shared.direct) descriptors.push(describe(block, b, p, i, more ? NEXT : 0, next));
    else
      descriptors.push({
        at: block + b.table,
        length: DESCRIPTOR * (entries + spare),
        flags: INDIRECT | (table === 'indirect-write' ? WRITE : 0),
        next,
      });
  }
  writeDescriptors(q, slots, descriptors, out);
  offer(q, { head: slots[0] as number, slots, block }, out);
  return true;
};
