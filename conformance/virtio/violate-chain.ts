// Descriptor chains that break a driver's rule: loops, ranges, order, indirect tables. One chain, one broken rule.
// VIRTIO 1.4: Message Framing; The Virtqueue Descriptor Table; Indirect Descriptors.

import { F, INDIRECT, NEXT, WRITE } from './bits.ts';
import type { Bendable, Crafted, Tabled } from './craft.ts';
import { craftIn, craftOut, launch, launchTable, tabled } from './craft.ts';
import { allot } from './allot.ts';
import type { Driver } from './driver.ts';
import type { Queue } from './queue.ts';
import type { Violation } from './violate-common.ts';
import { live, which } from './violate-common.ts';

type Bend = (d: Driver, q: Queue, n: number) => boolean;
/** Needs a live queue with room; `features` must hold, `without` must not. */
const onQueue = (bend: Bend, features: readonly number[] = [], without: readonly number[] = []): Violation =>
  function* (d, n) {
    const q = yield* live(d, n, features, without);
    return q !== undefined && bend(d, q, n);
  };

const last = <T>(list: readonly T[]): T => list[list.length - 1] as T;
const bent = (d: Driver, c: Crafted | undefined, bend: (c: Crafted) => void): boolean => {
  if (c === undefined) return false;
  bend(c);
  launch(d, c);
  return true;
};
const bentTable = (d: Driver, c: Crafted | undefined, bend: (c: Tabled) => void): boolean => {
  if (c === undefined) return false;
  const t = tabled(c);
  bend(t);
  launchTable(d, t);
  return true;
};

/** Addresses and lengths that are not all in memory. */
const astray = (d: Driver, n: number): { readonly at: bigint; readonly length: number } => {
  const end = BigInt(d.granted.memory.size);
  return which(n, [
    { at: end, length: 512 },
    { at: end - 511n, length: 512 },
    { at: end - 1n, length: 0xffff_ffff },
    { at: 2n ** 64n - 8n, length: 512 },
    { at: 2n ** 64n - 512n, length: 512 },
    { at: 2n ** 63n, length: 512 },
    { at: 2n ** 32n, length: 512 },
    { at: 64n, length: 0xffff_ffff },
  ]);
};

export const CHAIN_VIOLATIONS: Readonly<Record<string, Violation>> = {
  'virtio.split.desc.loop': onQueue((d, q, n) =>
    bent(d, craftIn(d, q), (c) => {
      const at = n % 2 === 0 ? last(c.chain) : (c.chain[c.chain.length - 2] as Bendable);
      at.flags |= NEXT;
      at.next = which(n >> 1, [c.slots[0] as number, last(c.slots), c.slots[1] as number]);
      if (n % 2 === 1) at.next = c.slots[c.chain.length - 2] as number;
    }),
  ),
  'virtio.split.desc.next-range': onQueue((d, q, n) =>
    bent(d, craftIn(d, q), (c) => {
      const at = which(n, c.chain);
      at.flags |= NEXT;
      at.next = which(n, [q.size, q.size + 1, 0xffff, 0x8000]);
    }),
  ),
  'virtio.split.desc.total-length': onQueue((d, q) =>
    bent(d, craftIn(d, q), (c) => {
      for (const e of c.chain.slice(0, 2)) e.length = 0xffff_ffff;
    }),
  ),
  'virtio.split.desc.memory': onQueue((d, q, n) =>
    bent(d, n % 2 === 0 ? craftIn(d, q) : craftOut(d, q), (c) => {
      const { at, length } = astray(d, n >> 1);
      const e = which(n >> 1, c.chain);
      e.at = at;
      e.length = Math.max(length, 1);
    }),
  ),
  'virtio.split.framing.order': onQueue((d, q, n) =>
    bent(d, n % 2 === 0 ? craftIn(d, q) : craftOut(d, q), (c) => {
      const first = c.chain[0] as Bendable;
      first.flags |= WRITE;
      last(c.chain).flags &= ~WRITE;
    }),
  ),
  'virtio.split.desc.in-order': onQueue(
    (d, q) => {
      if (q.size < 4) return false;
      return bent(d, craftIn(d, q), (c) => {
        const [a, b] = [c.slots[1] as number, c.slots[2] as number];
        c.slots[1] = b;
        c.slots[2] = a;
        (c.chain[0] as Bendable).next = b;
        (c.chain[1] as Bendable).next = a;
      });
    },
    [F.IN_ORDER],
  ),
  'virtio.split.indirect.negotiated': onQueue((d, q) => bentTable(d, craftIn(d, q), () => {}), [], [F.INDIRECT_DESC]),
  'virtio.split.indirect.nested': onQueue(
    (d, q, n) =>
      bentTable(d, craftIn(d, q), (t) => {
        const inner = which(n, t.entries);
        inner.flags |= INDIRECT;
        if (n % 2 === 0) {
          inner.at = t.spare;
          inner.length = 16 * t.entries.length;
        }
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.next': onQueue(
    (d, q) =>
      bentTable(d, craftIn(d, q), (t) => {
        const pointer = t.chain[0] as Bendable;
        pointer.flags |= NEXT;
        pointer.next = (t.slots[0] as number) === 0 ? 1 : 0;
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.length': onQueue(
    (d, q, n) =>
      bentTable(d, craftIn(d, q), (t) => {
        const pointer = t.chain[0] as Bendable;
        pointer.length = which(n, [0, 1, 8, 15, 17, pointer.length - 1, pointer.length + 8, 0xffff_ffff]);
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.memory': onQueue(
    (d, q, n) =>
      bentTable(d, craftIn(d, q), (t) => {
        const end = BigInt(d.granted.memory.size);
        const pointer = t.chain[0] as Bendable;
        pointer.at = which(n, [end, end - 16n, end - 8n, 2n ** 64n - 16n, 2n ** 64n - 48n, 2n ** 63n]);
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.loop': onQueue(
    (d, q, n) =>
      bentTable(d, craftIn(d, q), (t) => {
        const e = last(t.entries);
        e.flags |= NEXT;
        e.next = which(n, [0, t.entries.length - 1, 1]);
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.next-range': onQueue(
    (d, q, n) =>
      bentTable(d, craftIn(d, q), (t) => {
        const e = which(n, t.entries);
        e.flags |= NEXT;
        e.next = which(n, [t.entries.length, t.entries.length + 1, 0xffff, q.size]);
      }),
    [F.INDIRECT_DESC],
  ),
  'virtio.split.indirect.in-order': onQueue(
    (d, q) => {
      if (q.size < 4) return false;
      return bentTable(d, craftIn(d, q), (t) => {
        const [a, b] = [t.entries[1], t.entries[2]];
        if (a === undefined || b === undefined) return;
        t.entries[1] = b;
        t.entries[2] = { ...a, next: 1 };
        (t.entries[0] as Bendable).next = 2;
      });
    },
    [F.INDIRECT_DESC, F.IN_ORDER],
  ),
  /** One byte, named again and again, makes the chain long: only its length is wrong. */
  'virtio.split.chain.length': onQueue(
    (d, q, n) => {
      const count = which(n, [q.size + 1, q.size + 2, 2 * q.size, 1025]);
      const table = allot(d.memory, 16 * count, 1, 'low');
      const c = table === undefined ? undefined : craftIn(d, q);
      return bentTable(d, c, (t) => {
        const at = t.spare - 1;
        const head = t.entries[0] as Bendable;
        t.entries.length = 0;
        t.entries.push({ ...head, next: 1 });
        while (t.entries.length < count - 1) t.entries.push({ at, length: 1, flags: NEXT | WRITE, next: t.entries.length + 1 });
        t.entries.push({ at, length: 1, flags: WRITE, next: 0 });
        t.table = table ?? 0;
        const pointer = t.chain[0] as Bendable;
        pointer.at = t.table;
        pointer.length = 16 * count;
      });
    },
    [F.INDIRECT_DESC],
  ),
};
