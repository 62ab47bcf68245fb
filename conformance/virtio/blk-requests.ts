// From a choice to the bytes of a block request: header, data, and how much the device may write.
// VIRTIO 1.4, Block Device, Device Operation. Everything here keeps the driver's rules; violations.ts breaks them.

import { F, HEADER, ID_LENGTH, SECTOR, SEGMENT, T } from './bits.ts';
import type { EraseChoice, TransferChoice, UnknownChoice } from './blk-choices.ts';
import { get32, put32, put64 } from './bytes.ts';
import type { Driver } from './driver.ts';
import { capacity, has } from './driver.ts';
import type { Request } from './frame.ts';

/** Type, reserved 0, sector, and room for `data` bytes to follow. */
export const header = (type: number, sector: number | bigint, data: number): Uint8Array => {
  const bytes = new Uint8Array(HEADER + data);
  put32(bytes, 0, type);
  put64(bytes, 8, sector);
  return bytes;
};
/** Data that tells requests, sectors and bytes apart. */
export const fillData = (bytes: Uint8Array, from: number, serial: number): void => {
  const seed = serial * 151 + 17;
  for (let i = from; i < bytes.length; i++) bytes[i] = seed + i * 7 + (i >>> 9) * 41;
};

/** The longest data that one request may carry here: a quarter of memory, so that several fit. */
const mostSectors = (d: Driver): number => Math.max(1, Math.floor(d.granted.memory.size / 4 / SECTOR));

/** First sector of `count` sectors: modulo what fits; negative counts back from the last place where it fits. */
export const start = (sector: number, count: number, disk: number): number => {
  const places = disk - count + 1;
  return ((sector % places) + places) % places;
};

export const transfer = (d: Driver, c: TransferChoice, copy: number): Request => {
  const disk = capacity(d);
  const count = Math.min(c.sectors, disk, mostSectors(d));
  const sector = start(c.sector + copy, count, disk);
  if (c.way === 'in') return { readable: header(T.IN, sector, 0), writable: count * SECTOR + 1 };
  const readable = header(T.OUT, sector, count * SECTOR);
  fillData(readable, HEADER, d.serial);
  return { readable, writable: 1 };
};

export const command = (kind: 'flush' | 'get-id'): Request =>
  kind === 'flush' ? { readable: header(T.FLUSH, 0, 0), writable: 1 } : { readable: header(T.GET_ID, 0, 0), writable: ID_LENGTH + 1 };

/** Type, feature bit, and where the limits on sectors and segments stand in the configuration. */
export const ERASE: Readonly<
  Record<EraseChoice['kind'], { readonly type: number; readonly feature: number; readonly sectors: number; readonly segments: number }>
> = {
  discard: { type: T.DISCARD, feature: F.DISCARD, sectors: 36, segments: 40 },
  'write-zeroes': { type: T.WRITE_ZEROES, feature: F.WRITE_ZEROES, sectors: 48, segments: 52 },
  'secure-erase': { type: T.SECURE_ERASE, feature: F.SECURE_ERASE, sectors: 60, segments: 64 },
};
const UNMAP = 1;
/** More would only be slow. */
const REASONABLE = 16;

export const putSegment = (bytes: Uint8Array, at: number, sector: number | bigint, count: number, flags: number): void => {
  put64(bytes, at, sector);
  put32(bytes, at + 8, count);
  put32(bytes, at + 12, flags);
};

/** Within the device's limits when the feature holds, else one segment. A driver must not set unmap in a discard. Flags that nobody knows stand in the
 *  last segment alone: devices look at the first. */
export const erase = (d: Driver, c: EraseChoice, copy: number): Request => {
  const kind = ERASE[c.kind];
  const negotiated = has(d, kind.feature);
  const disk = capacity(d);
  const most = negotiated ? Math.max(1, get32(d.config, kind.segments)) : 1;
  const segments = Math.min(c.segments === 0 ? most : c.segments, most, REASONABLE);
  const longest = negotiated ? Math.max(1, get32(d.config, kind.sectors)) : disk;
  const count = Math.min(Math.max(1, c.sectors), disk, longest);
  const flags = c.kind === 'discard' ? c.flags - (c.flags & UNMAP) : c.flags;
  const readable = header(kind.type, 0, segments * SEGMENT);
  for (let i = 0; i < segments; i++) {
    const known = i === segments - 1 ? flags : flags & UNMAP;
    putSegment(readable, HEADER + i * SEGMENT, start(c.sector + copy + i * count, count, disk), count, known);
  }
  return { readable, writable: 1 };
};

export const unknown = (c: UnknownChoice): Request => ({
  readable: header(c.type, 0, c.data === 'readable' ? SECTOR : 0),
  writable: c.data === 'writable' ? SECTOR + 1 : 1,
});
