// Walks a descriptor chain as a driver offered it: the legal chain, or the first rule of the driver that it breaks.
// VIRTIO 1.4, The Virtqueue Descriptor Table; Indirect Descriptors; Message Framing.

import type { Memory } from '../../clause.ts';
import type { Gpa } from '../../units.ts';
import { has } from '../features.ts';
import type { Chain, Segment } from '../vocabulary.ts';

/** struct virtq_desc: le64 addr, le32 len, le16 flags, le16 next; The Virtqueue Descriptor Table. */
export const descriptorBytes = 16;
const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;

export interface Table {
  readonly index: number;
  readonly size: number;
  readonly desc: bigint;
}
/** A legal chain, and where its entries stand. */
export interface Walked {
  readonly chain: Chain;
  /** Entries in the queue's descriptor table. */
  readonly slots: readonly number[];
  /** The indirect table, if any. */
  readonly indirect?: Segment;
  /** VIRTQ_DESC_F_WRITE is set where it means nothing: on the descriptor of the indirect table. */
  readonly writeFlagged: boolean;
}
/** The duty that is broken, and everything described as writable as far as the chain can be followed. */
export interface Malformed {
  readonly duty: string;
  readonly why: string;
  readonly writable: readonly Segment[];
}

interface Entry {
  readonly addr: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}
const entryAt = (memory: Memory, at: bigint): Entry | undefined => {
  const addr = memory.u64(at);
  const length = memory.u32(at + 8n);
  const flags = memory.u16(at + 12n);
  const next = memory.u16(at + 14n);
  return addr === undefined || length === undefined || flags === undefined || next === undefined
    ? undefined
    : { addr, length, flags, next };
};

/** Whether the bytes lie inside guest memory, without wrapping. */
export const inside = (memory: Memory, at: bigint, length: number): boolean => at + BigInt(length) <= BigInt(memory.size);

const top = 1n << 64n;
/** The bytes that an element names: one that runs over the last 64-bit address goes on at 0, for a device whose addresses have no more bits. */
const named = ({ addr, length }: Entry): readonly Segment[] => {
  const over = Number(addr + BigInt(length) - top);
  const whole = { at: addr as Gpa, length };
  return over > 0 ? [whole, { at: 0n as Gpa, length: over }] : [whole];
};

/** Whatever a device could take for a writable element: all entries that the head leads to, one table inside another included. */
const everythingWritable = (memory: Memory, table: Table, head: number): readonly Segment[] => {
  const found: Segment[] = [];
  const scan = (at: bigint, count: number, depth: number): void => {
    for (let i = 0; i < Math.min(count, 1024); i++) {
      const e = entryAt(memory, at + BigInt(i * descriptorBytes));
      if (e === undefined) return;
      collect(e, depth);
    }
  };
  const collect = (e: Entry, depth: number): void => {
    if ((e.flags & WRITE) !== 0) found.push(...named(e));
    if ((e.flags & INDIRECT) !== 0 && depth < 2) scan(e.addr, Math.floor(e.length / descriptorBytes), depth + 1);
  };
  for (let i = head, steps = 0; steps <= table.size; steps++) {
    const e = entryAt(memory, table.desc + BigInt(i * descriptorBytes));
    if (e === undefined) break;
    collect(e, 0);
    if ((e.flags & NEXT) === 0) break;
    i = e.next;
  }
  return found;
};

export const walk = (memory: Memory, table: Table, head: number, features: bigint): Walked | Malformed => {
  const readable: Segment[] = [];
  const writable: Segment[] = [];
  const slots: number[] = [];
  const broken = (duty: string, why: string): Malformed => ({
    duty: `virtio.split.${duty}`,
    why,
    writable: [...writable, ...everythingWritable(memory, table, head)],
  });
  const inOrder = has(features, 'IN_ORDER');
  let bytes = 0n;

  const add = (e: Entry): Malformed | undefined => {
    if (e.length === 0) return broken('driver.no-empty-element', 'a descriptor of length 0');
    const segment = { at: e.addr as Gpa, length: e.length };
    const write = (e.flags & WRITE) !== 0;
    if (write) writable.push(segment);
    if (!inside(memory, e.addr, e.length))
      return broken('driver.inside-memory', `${e.length} bytes at 0x${e.addr.toString(16)} leave guest memory`);
    bytes += BigInt(e.length);
    if (bytes > 1n << 32n) return broken('driver.chain-total', 'more than 2^32 bytes');
    if (!write && writable.length > 0) return broken('driver.readable-first', 'a device-readable element after a device-writable one');
    if (!write) readable.push(segment);
    return undefined;
  };
  const done = (indirect: Segment | undefined, entries: number, writeFlagged: boolean): Walked => ({
    chain: {
      queue: table.index,
      head,
      readable,
      writable,
      entries,
      indirect: indirect !== undefined,
      mixed: indirect !== undefined && slots.length > 1,
    },
    slots,
    ...(indirect === undefined ? {} : { indirect }),
    writeFlagged,
  });

  const walkIndirect = (e: Entry): Walked | Malformed => {
    if (!has(features, 'INDIRECT_DESC')) return broken('driver.indirect-negotiated', 'INDIRECT without VIRTIO_F_INDIRECT_DESC');
    if ((e.flags & NEXT) !== 0) return broken('driver.indirect-not-next', 'INDIRECT and NEXT in one descriptor');
    if (e.length === 0 || e.length % descriptorBytes !== 0)
      return broken('driver.indirect-whole', `an indirect table of ${e.length} bytes`);
    if (!inside(memory, e.addr, e.length)) return broken('driver.inside-memory', 'an indirect table that leaves guest memory');
    const count = e.length / descriptorBytes;
    for (let i = 0, n = 1; ; n++) {
      const inner = entryAt(memory, e.addr + BigInt(i * descriptorBytes));
      if (inner === undefined) return broken('driver.inside-memory', 'an indirect table that leaves guest memory');
      if ((inner.flags & INDIRECT) !== 0) return broken('driver.indirect-not-nested', 'INDIRECT inside an indirect table');
      const wrong = add(inner);
      if (wrong !== undefined) return wrong;
      if (n + slots.length - 1 > table.size) return broken('driver.chain-length', `more than ${table.size} entries`);
      if ((inner.flags & NEXT) === 0) return done({ at: e.addr as Gpa, length: e.length }, n + slots.length - 1, (e.flags & WRITE) !== 0);
      if (inner.next >= count) return broken('driver.next-in-table', `next ${inner.next} of ${count}`);
      if (inOrder && inner.next !== i + 1) return broken('driver.in-order-entries', `next ${inner.next} after ${i}`);
      if (n > count) return broken('driver.chain-length', 'a loop in an indirect table');
      i = inner.next;
    }
  };

  if (head >= table.size) return broken('driver.head-in-table', `head ${head} of ${table.size}`);
  for (let i = head; ; ) {
    if (slots.length >= table.size) return broken('driver.chain-length', `more than ${table.size} entries, or a loop`);
    const e = entryAt(memory, table.desc + BigInt(i * descriptorBytes));
    if (e === undefined) return broken('driver.inside-memory', 'a descriptor table that leaves guest memory');
    slots.push(i);
    if ((e.flags & INDIRECT) !== 0) return walkIndirect(e);
    const wrong = add(e);
    if (wrong !== undefined) return wrong;
    if ((e.flags & NEXT) === 0) return done(undefined, slots.length, false);
    if (e.next >= table.size) return broken('driver.next-in-table', `next ${e.next} of ${table.size}`);
    if (inOrder && e.next !== (i + 1) % table.size) return broken('driver.in-order-entries', `next ${e.next} after ${i}`);
    i = e.next;
  }
};
