// Block requests that break a driver's rule: sectors past the end, odd lengths, missing parts, too many segments.
// VIRTIO 1.4: Block Device, Device Operation.

import { F, HEADER, ID_LENGTH, NEXT, SECTOR, SEGMENT, T, WRITE } from './bits.ts';
import { ERASE, header, putSegment } from './blk-requests.ts';
import { get32 } from './bytes.ts';
import type { Crafted } from './craft.ts';
import { craft, launch } from './craft.ts';
import type { Driver } from './driver.ts';
import { capacity, flush } from './driver.ts';
import type { Queue } from './queue.ts';
import type { Violation } from './violate-common.ts';
import { live, which } from './violate-common.ts';

const KINDS = ['discard', 'write-zeroes', 'secure-erase'] as const;

const onQueue = (make: (d: Driver, q: Queue, n: number) => Crafted | undefined, features: readonly number[] = []): Violation =>
  function* (d, n) {
    const q = yield* live(d, n, features, []);
    if (q === undefined || capacity(d) < 1) return false;
    const c = make(d, q, n);
    if (c !== undefined) launch(d, c);
    return c !== undefined;
  };

/** Sectors whose last byte lies past the disk, or past 2^64 when multiplied by 512. */
const beyond = (disk: bigint, n: number): { readonly sector: bigint; readonly count: number } =>
  which(n, [
    // Over the end first: a device that looks at the first sector alone is right about all that begin beyond it.
    { sector: disk - 1n, count: 2 },
    { sector: disk, count: 1 },
    { sector: disk > 7n ? disk - 7n : 0n, count: 8 },
    { sector: disk - 1n, count: 3 },
    { sector: 2n ** 64n - 1n, count: 1 },
    { sector: 2n ** 55n, count: 1 },
    { sector: 2n ** 55n - 1n, count: 2 },
    { sector: 2n ** 64n - 1n, count: 2 },
    { sector: 2n ** 63n, count: 1 },
    { sector: disk + 1n, count: 1 },
  ]);

const rangeRequest = (type: number, sector: bigint, count: number, flags: number): Uint8Array => {
  const bytes = header(type, 0, SEGMENT);
  putSegment(bytes, HEADER, sector, count, flags);
  return bytes;
};
const eraseBeyond = (kind: (typeof KINDS)[number]): Violation =>
  onQueue(
    (d, q, n) => {
      const { sector, count } = n % 10 === 9 ? { sector: 0n, count: 0xffff_ffff } : beyond(BigInt(capacity(d)), n);
      return craft(d, q, rangeRequest(ERASE[kind].type, sector, count, 0), 1);
    },
    [ERASE[kind].feature],
  );

/** One segment more than the device takes. */
const tooMany = (kind: (typeof KINDS)[number]): Violation =>
  function* (d, n) {
    const { type, feature, segments } = ERASE[kind];
    const q = yield* live(d, n, [feature], []);
    if (q === undefined) return false;
    d.out.push({ do: 'virtio.config.read', at: segments, width: 4 });
    yield* flush(d);
    const count = get32(d.config, segments) + 1 + (n % 2);
    if (count * SEGMENT > d.granted.memory.size / 8) return false;
    const bytes = header(type, 0, count * SEGMENT);
    for (let i = 0; i < count; i++) putSegment(bytes, HEADER + i * SEGMENT, i % Math.max(1, capacity(d)), 1, 0);
    const c = craft(d, q, bytes, 1);
    if (c !== undefined) launch(d, c);
    return c !== undefined;
  };

const unmultiple = (kind: (typeof KINDS)[number]): Violation =>
  onQueue(
    (d, q, n) => {
      const whole = rangeRequest(ERASE[kind].type, 0n, 1, 0);
      const length = which(n, [1, 8, 15, 17, 24, 0]);
      const bytes = new Uint8Array(HEADER + length);
      bytes.set(whole.subarray(0, Math.min(whole.length, bytes.length)));
      return craft(d, q, bytes, 1);
    },
    [ERASE[kind].feature],
  );

/** A chain with nothing to write, whose status byte would be readable. */
const readableOnly = (d: Driver, q: Queue, n: number): Crafted | undefined => {
  const c = craft(d, q, header(which(n >> 1, [T.IN, T.OUT, T.FLUSH, T.GET_ID]), 0, 0), 1);
  if (c === undefined) return undefined;
  const [head, status] = c.chain;
  if (head === undefined || status === undefined) return undefined;
  if (n % 2 === 0) {
    head.flags = 0;
    c.chain.length = 1;
    c.slots.length = 1;
  } else status.flags &= ~WRITE;
  return c;
};

export const BLK_VIOLATIONS: Readonly<Record<string, Violation>> = {
  'virtio.blk.capacity.in': onQueue((d, q, n) => {
    const { sector, count } = beyond(BigInt(capacity(d)), n);
    return craft(d, q, header(T.IN, sector, 0), count * SECTOR + 1);
  }),
  'virtio.blk.capacity.out': onQueue((d, q, n) => {
    const { sector, count } = beyond(BigInt(capacity(d)), n);
    return craft(d, q, header(T.OUT, sector, count * SECTOR).fill(0x5a, HEADER), 1);
  }),
  'virtio.blk.capacity.discard': eraseBeyond('discard'),
  'virtio.blk.capacity.write-zeroes': eraseBeyond('write-zeroes'),
  'virtio.blk.capacity.secure-erase': eraseBeyond('secure-erase'),
  'virtio.blk.flush.sector': onQueue((d, q, n) => craft(d, q, header(T.FLUSH, which(n, [1n, 2n ** 64n - 1n, 2n ** 55n]), 0), 1), [F.FLUSH]),
  'virtio.blk.flush.data': onQueue(
    (d, q, n) => craft(d, q, header(T.FLUSH, 0, n % 2 === 0 ? SECTOR : 0), n % 2 === 0 ? 1 : SECTOR + 1),
    [F.FLUSH],
  ),
  'virtio.blk.data.multiple': onQueue((d, q, n) => {
    const length = which(n >> 1, [1, 511, 513, 256, 1023]);
    return n % 2 === 0 ? craft(d, q, header(T.IN, 0, 0), length + 1) : craft(d, q, header(T.OUT, 0, length), 1);
  }),
  'virtio.blk.get-id.length': onQueue((d, q, n) => craft(d, q, header(T.GET_ID, 0, 0), which(n, [19, 21, 0, 1, 512]) + 1)),
  'virtio.blk.discard.multiple': unmultiple('discard'),
  'virtio.blk.write-zeroes.multiple': unmultiple('write-zeroes'),
  'virtio.blk.secure-erase.multiple': unmultiple('secure-erase'),
  'virtio.blk.discard.segments': tooMany('discard'),
  'virtio.blk.write-zeroes.segments': tooMany('write-zeroes'),
  'virtio.blk.secure-erase.segments': tooMany('secure-erase'),
  'virtio.blk.discard.unmap': onQueue((d, q, n) => craft(d, q, rangeRequest(T.DISCARD, 0n, 1, n % 2 === 0 ? 1 : 3), 1), [F.DISCARD]),
  'virtio.blk.header.short': onQueue((d, q, n) => {
    const length = which(n, [15, 8, 1, 4]);
    return craft(d, q, header(T.IN, 0, 0).subarray(0, length), (n % 2 === 0 ? ID_LENGTH : SECTOR) + 1);
  }),
  /** Everything is writable: no header at all. */
  'virtio.blk.header.missing': onQueue((d, q) => {
    const c = craft(d, q, header(T.IN, 0, 0), SECTOR + 1);
    if (c === undefined) return undefined;
    const head = c.chain[0];
    if (head !== undefined) head.flags = NEXT | WRITE;
    return c;
  }),
  'virtio.blk.status.missing': onQueue(readableOnly),
};
