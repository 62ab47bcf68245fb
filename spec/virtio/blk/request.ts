// What a descriptor chain asks of a block device: header, data and status found by byte offset, wherever the pieces are cut.
// VIRTIO 1.4, Block Device, Device Operation (struct virtio_blk_req); Message Framing lets the driver cut it anywhere.

import type { Memory } from '../../clause.ts';
import type { Chain, Segment } from '../vocabulary.ts';
import { headerSize, sectorSize, segmentSize, T } from './layout.ts';

/** Sectors that a request names. `flags` only in discard, write zeroes and secure erase segments. */
export interface Range {
  readonly sector: bigint;
  readonly count: number;
  readonly flags: number;
}
/** A chain read as a block request. Absent fields could not be read: not described, or memory not known. */
export interface Request {
  readonly chain: Chain;
  readonly type?: number;
  readonly reserved?: number;
  readonly sector?: bigint;
  /** Device-readable bytes past the header, in order; likewise device-writable bytes before the status byte. */
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  readonly readableLength: number;
  readonly writableLength: number;
  readonly statusAt?: bigint;
  /** The status byte as the driver left it. */
  readonly statusBefore?: number;
  /** What it names on the disk; absent for types that name nothing. */
  readonly ranges?: readonly Range[];
  /** The data of an OUT. */
  readonly payload?: Uint8Array;
  /** Some device-writable byte is described twice: what lands there depends on the device's order. */
  readonly aliased: boolean;
  /** Where its buffers are: those the device writes, and those it reads; header and status included, and data: without the status. */
  readonly spans: { readonly writable: Spans; readonly readable: Spans; readonly data: Spans };
}

export const lengthOf = (segments: readonly Segment[]): number => segments.reduce((sum, s) => sum + s.length, 0);

/** The bytes [from, from + length) of a list of segments, as segments. */
export const slice = (segments: readonly Segment[], from: number, length: number): readonly Segment[] => {
  const out: Segment[] = [];
  const [whole] = segments;
  if (segments.length === 1 && whole !== undefined && from === 0 && length === whole.length && length > 0) return segments;
  let start = 0;
  for (const s of segments) {
    const lo = Math.max(from, start);
    const hi = Math.min(from + length, start + s.length);
    if (hi > lo) out.push(hi - lo === s.length ? s : { at: (s.at + BigInt(lo - start)) as Segment['at'], length: hi - lo });
    start += s.length;
  }
  return out;
};

/** The bytes behind segments, or undefined where any of them is outside memory or not certain. */
export const gather = (memory: Memory, segments: readonly Segment[]): Uint8Array | undefined => {
  const [whole] = segments;
  if (segments.length === 1 && whole !== undefined)
    return memory.known(whole.at, whole.length) ? memory.read(whole.at, whole.length) : undefined;
  const out = new Uint8Array(lengthOf(segments));
  let to = 0;
  for (const s of segments) {
    const bytes = memory.known(s.at, s.length) ? memory.read(s.at, s.length) : undefined;
    if (bytes === undefined) return undefined;
    out.set(bytes, to);
    to += s.length;
  }
  return out;
};

/** A stretch of guest memory, as numbers: what was submitted lies inside it, so they are exact. `end` is one past. */
export interface Span {
  readonly at: number;
  readonly end: number;
}
export const spanOf = (at: bigint, length: number): Span => ({ at: Number(at), end: Number(at) + length });
export const meet = (a: Span, b: Span): boolean => a.at < b.end && b.at < a.end;
/** The segments of a request that hold bytes, ordered by address, and the stretch from the first to the last. */
export interface Spans {
  readonly ordered: readonly Span[];
  readonly hull: Span;
}
export const spansOf = (segments: readonly Segment[]): Spans => {
  const ordered = segments.filter((s) => s.length > 0).map((s) => spanOf(s.at, s.length));
  ordered.sort((a, b) => a.at - b.at);
  return { ordered, hull: { at: ordered[0]?.at ?? 0, end: ordered.reduce((end, s) => Math.max(end, s.end), 0) } };
};
export const touched = (spans: Spans, by: Span): boolean => meet(spans.hull, by) && spans.ordered.some((s) => meet(s, by));
/** One pass over both in order of address: a span meets an earlier one if it starts before the furthest end so far. */
export const anyMeet = (a: Spans, b: Spans): boolean => {
  if (!meet(a.hull, b.hull)) return false;
  let [i, k, endA, endB] = [0, 0, 0, 0];
  for (;;) {
    const [s, t] = [a.ordered[i], b.ordered[k]];
    if (s !== undefined && (t === undefined || s.at <= t.at)) {
      if (s.at < endB) return true;
      endA = Math.max(endA, s.end);
      i++;
    } else if (t !== undefined) {
      if (t.at < endA) return true;
      endB = Math.max(endB, t.end);
      k++;
    } else return false;
  }
};
/** Two of the same kind meet. */
const crowded = ({ ordered }: Spans): boolean => {
  let end = 0;
  for (const s of ordered) {
    if (s.at < end) return true;
    end = Math.max(end, s.end);
  }
  return false;
};

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The whole segments in the data of a discard, write zeroes or secure erase. */
const segmentsIn = (bytes: Uint8Array): readonly Range[] =>
  Array.from({ length: Math.floor(bytes.length / segmentSize) }, (_, i) => {
    const v = view(bytes);
    return { sector: v.getBigUint64(i * 16, true), count: v.getUint32(i * 16 + 8, true), flags: v.getUint32(i * 16 + 12, true) };
  });

/** Reads a chain as a block request from memory as it is now. */
export const parse = (chain: Chain, memory: Memory): Request => {
  const readableTotal = lengthOf(chain.readable);
  const writableTotal = lengthOf(chain.writable);
  const readableLength = Math.max(0, readableTotal - headerSize);
  const writableLength = Math.max(0, writableTotal - 1);
  const readable = slice(chain.readable, headerSize, readableLength);
  const writable = slice(chain.writable, 0, writableLength);
  const statusAt = slice(chain.writable, writableTotal - 1, 1)[0]?.at;
  const statusBefore = statusAt !== undefined && memory.known(statusAt, 1) ? memory.u8(statusAt) : undefined;
  const header = readableTotal < headerSize ? undefined : gather(memory, slice(chain.readable, 0, headerSize));
  const spans = { writable: spansOf(chain.writable), readable: spansOf(chain.readable), data: spansOf(writable) };
  const told: { -readonly [K in keyof Request]: Request[K] } = {
    chain,
    spans,
    readable,
    writable,
    readableLength,
    writableLength,
    aliased: anyMeet(spans.writable, spans.readable) || crowded(spans.writable),
  };
  if (statusAt !== undefined) told.statusAt = statusAt;
  if (statusBefore !== undefined) told.statusBefore = statusBefore;
  if (header === undefined) return told;
  const v = view(header);
  const type = v.getUint32(0, true);
  const sector = v.getBigUint64(8, true);
  told.type = type;
  told.reserved = v.getUint32(4, true);
  told.sector = sector;
  switch (type) {
    case T.IN:
      told.ranges = [{ sector, count: Math.ceil(writableLength / sectorSize), flags: 0 }];
      return told;
    case T.OUT: {
      const payload = gather(memory, readable);
      told.ranges = [{ sector, count: Math.ceil(readableLength / sectorSize), flags: 0 }];
      if (payload !== undefined) told.payload = payload;
      return told;
    }
    case T.DISCARD:
    case T.WRITE_ZEROES:
    case T.SECURE_ERASE: {
      const bytes = gather(memory, readable);
      if (bytes !== undefined) told.ranges = segmentsIn(bytes);
      return told;
    }
    default:
      return told;
  }
};
