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
}

export const lengthOf = (segments: readonly Segment[]): number => segments.reduce((sum, s) => sum + s.length, 0);

/** The bytes [from, from + length) of a list of segments, as segments. */
export const slice = (segments: readonly Segment[], from: number, length: number): readonly Segment[] => {
  const out: Segment[] = [];
  let start = 0;
  for (const s of segments) {
    const lo = Math.max(from, start);
    const hi = Math.min(from + length, start + s.length);
    if (hi > lo) out.push({ at: (s.at + BigInt(lo - start)) as Segment['at'], length: hi - lo });
    start += s.length;
  }
  return out;
};

/** The bytes behind segments, or undefined where any of them is outside memory or not certain. */
export const gather = (memory: Memory, segments: readonly Segment[]): Uint8Array | undefined => {
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

export const overlaps = (a: Segment, at: bigint, length: number): boolean => a.at < at + BigInt(length) && at < a.at + BigInt(a.length);
export const anyOverlap = (as: readonly Segment[], bs: readonly Segment[]): boolean =>
  as.some((a) => bs.some((b) => overlaps(a, b.at, b.length)));

const aliases = (chain: Chain): boolean =>
  anyOverlap(chain.writable, chain.readable) ||
  chain.writable.some((a, i) => chain.writable.slice(i + 1).some((b) => overlaps(a, b.at, b.length)));

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
  const base = {
    chain,
    readable,
    writable,
    readableLength,
    writableLength,
    aliased: aliases(chain),
    ...(statusAt === undefined ? {} : { statusAt }),
    ...(statusBefore === undefined ? {} : { statusBefore }),
  };
  if (header === undefined) return base;
  const v = view(header);
  const type = v.getUint32(0, true);
  const sector = v.getBigUint64(8, true);
  const told = { ...base, type, reserved: v.getUint32(4, true), sector };
  switch (type) {
    case T.IN:
      return { ...told, ranges: [{ sector, count: Math.ceil(writableLength / sectorSize), flags: 0 }] };
    case T.OUT: {
      const payload = gather(memory, readable);
      const ranges = [{ sector, count: Math.ceil(readableLength / sectorSize), flags: 0 }];
      return payload === undefined ? { ...told, ranges } : { ...told, ranges, payload };
    }
    case T.DISCARD:
    case T.WRITE_ZEROES:
    case T.SECURE_ERASE: {
      const bytes = gather(memory, readable);
      return bytes === undefined ? told : { ...told, ranges: segmentsIn(bytes) };
    }
    default:
      return told;
  }
};
