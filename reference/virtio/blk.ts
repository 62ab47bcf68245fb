// Decides what a block request does: finds header, data and status in a chain however it is cut, checks, transfers, reports.
// VIRTIO 1.4, Block Device, Device Operation. Every check comes before the first effect.

import { load, type Memory, store } from '../memory.ts';
import {
  type ConfigSpace,
  MAX_DISCARD_SECTORS,
  MAX_DISCARD_SEG,
  MAX_SECURE_ERASE_SECTORS,
  MAX_SECURE_ERASE_SEG,
  MAX_WRITE_ZEROES_SECTORS,
  MAX_WRITE_ZEROES_SEG,
} from './config-space.ts';
import { type Disk, SECTOR } from './disk.ts';
import {
  has,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_WRITE_ZEROES,
} from './features.ts';
import type { Chain, Piece } from './split-ring.ts';

const VIRTIO_BLK_T_IN = 0;
const VIRTIO_BLK_T_OUT = 1;
const VIRTIO_BLK_T_FLUSH = 4;
const VIRTIO_BLK_T_GET_ID = 8;
const VIRTIO_BLK_T_DISCARD = 11;
const VIRTIO_BLK_T_WRITE_ZEROES = 13;
const VIRTIO_BLK_T_SECURE_ERASE = 14;

const VIRTIO_BLK_S_OK = 0;
const VIRTIO_BLK_S_IOERR = 1;
const VIRTIO_BLK_S_UNSUPP = 2;

/** struct virtio_blk_req: type at 0, reserved at 4, sector at 8, data at 16; the status byte is the last writable one. */
const HEADER = 16;
const ID_BYTES = 20;
/** struct virtio_blk_discard_write_zeroes: sector at 0, num_sectors at 8, flags at 12. */
const RANGE = 16;
const UNMAP = 1;

export interface Blk {
  readonly memory: Memory;
  readonly disk: Disk;
  readonly config: ConfigSpace;
  /** The device ID string, NUL-padded. */
  readonly id: Uint8Array;
  offered: bigint;
  negotiated: bigint;
}
interface Request {
  readonly blk: Blk;
  readonly chain: Chain;
  sector: number;
  /** Bytes of data written to the chain so far, from its first writable byte. */
  written: number;
}

export const deviceId = (serial: string): Uint8Array => {
  const id = new Uint8Array(ID_BYTES);
  for (let i = 0; i < Math.min(serial.length, ID_BYTES); i += 1) id[i] = serial.charCodeAt(i) & 0x7f;
  return id;
};

/** Executes one request. The answer is the used length, or undefined where there is no byte for the status. */
export const execute = (blk: Blk, chain: Chain): number | undefined => {
  const last = chain.writable[chain.writable.length - 1];
  if (last === undefined) return undefined;
  const request: Request = { blk, chain, sector: 0, written: 0 };
  const status = perform(request);
  const statusAt = last.at + last.length - 1;
  store(blk.memory, statusAt, Uint8Array.of(status));
  // The Virtqueue Used Ring: len counts from the first writable byte without a gap, so a status behind untouched data is not in it.
  return request.written === chain.writableBytes - 1 ? request.written + 1 : request.written;
};

const perform = (request: Request): number => {
  const { chain } = request;
  if (chain.readableBytes < HEADER) return VIRTIO_BLK_S_IOERR;
  const header = new DataView(gather(request, 0, HEADER).buffer);
  const type = header.getUint32(0, true);
  request.sector = header.getUint32(8, true) + header.getUint32(12, true) * 0x1_0000_0000;
  const { negotiated } = request.blk;
  switch (type) {
    case VIRTIO_BLK_T_IN:
      return read(request);
    case VIRTIO_BLK_T_OUT:
      return write(request);
    case VIRTIO_BLK_T_FLUSH:
      if (!has(negotiated, VIRTIO_BLK_F_FLUSH)) return VIRTIO_BLK_S_UNSUPP;
      return request.blk.disk.flush() ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
    case VIRTIO_BLK_T_GET_ID:
      return getId(request);
    case VIRTIO_BLK_T_DISCARD:
      if (!has(negotiated, VIRTIO_BLK_F_DISCARD)) return VIRTIO_BLK_S_UNSUPP;
      return clear(request, 0, MAX_DISCARD_SEG, MAX_DISCARD_SECTORS);
    case VIRTIO_BLK_T_WRITE_ZEROES:
      if (!has(negotiated, VIRTIO_BLK_F_WRITE_ZEROES)) return VIRTIO_BLK_S_UNSUPP;
      return clear(request, UNMAP, MAX_WRITE_ZEROES_SEG, MAX_WRITE_ZEROES_SECTORS);
    case VIRTIO_BLK_T_SECURE_ERASE:
      if (!has(negotiated, VIRTIO_BLK_F_SECURE_ERASE)) return VIRTIO_BLK_S_UNSUPP;
      return clear(request, 0, MAX_SECURE_ERASE_SEG, MAX_SECURE_ERASE_SECTORS);
    default:
      return VIRTIO_BLK_S_UNSUPP;
  }
};

/** Whether the sectors lie within the capacity; subtracted, not added, so that nothing can wrap. */
const onDisk = (blk: Blk, sector: number, count: number): boolean => {
  if (sector > blk.config.capacity) return false;
  if (count > blk.config.capacity - sector) return false;
  return true;
};

const readOnly = (blk: Blk): boolean => has(blk.offered, VIRTIO_BLK_F_RO);

const read = (request: Request): number => {
  const { blk, chain, sector } = request;
  const wanted = chain.writableBytes - 1;
  if (wanted % SECTOR !== 0) return VIRTIO_BLK_S_IOERR;
  if (!onDisk(blk, sector, wanted / SECTOR)) return VIRTIO_BLK_S_IOERR;
  const data = blk.disk.read(sector * SECTOR, wanted);
  if (data === undefined) return VIRTIO_BLK_S_IOERR;
  scatter(request, data);
  return VIRTIO_BLK_S_OK;
};

const write = (request: Request): number => {
  const { blk, chain, sector } = request;
  // Device Operation: a read-only device fails writes and writes nothing.
  if (readOnly(blk)) return VIRTIO_BLK_S_IOERR;
  const given = chain.readableBytes - HEADER;
  if (given % SECTOR !== 0) return VIRTIO_BLK_S_IOERR;
  if (!onDisk(blk, sector, given / SECTOR)) return VIRTIO_BLK_S_IOERR;
  if (!blk.disk.write(sector * SECTOR, gather(request, HEADER, given))) return VIRTIO_BLK_S_IOERR;
  return stable(blk);
};

/** A write is reported when it is stable, unless the driver agreed to a writeback cache. */
const stable = (blk: Blk): number => {
  if (blk.config.writeback === 1) return VIRTIO_BLK_S_OK;
  return blk.disk.flush() ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
};

const getId = (request: Request): number => {
  if (request.chain.writableBytes - 1 !== ID_BYTES) return VIRTIO_BLK_S_IOERR;
  scatter(request, request.blk.id);
  return VIRTIO_BLK_S_OK;
};

/** Discard, write zeroes and secure erase: one or more ranges whose bytes this device sets to zero. */
const clear = (request: Request, knownFlags: number, rangesMax: number, sectorsMax: number): number => {
  const { blk, chain } = request;
  const bytes = chain.readableBytes - HEADER;
  if (bytes === 0) return VIRTIO_BLK_S_IOERR;
  if (bytes % RANGE !== 0) return VIRTIO_BLK_S_IOERR;
  if (bytes / RANGE > rangesMax) return VIRTIO_BLK_S_IOERR;
  const ranges = new DataView(gather(request, HEADER, bytes).buffer);
  // Any unknown flag, and unmap where it is not for write zeroes, makes the whole request unsupported.
  for (let range = 0; range < bytes; range += RANGE) {
    if ((ranges.getUint32(range + 12, true) & ~knownFlags) !== 0) return VIRTIO_BLK_S_UNSUPP;
  }
  if (readOnly(request.blk)) return VIRTIO_BLK_S_IOERR;
  for (let at = 0; at < bytes; at += RANGE) {
    const count = ranges.getUint32(at + 8, true);
    if (count > sectorsMax) return VIRTIO_BLK_S_IOERR;
    if (!onDisk(blk, rangeSector(ranges, at), count)) return VIRTIO_BLK_S_IOERR;
  }
  for (let at = 0; at < bytes; at += RANGE) {
    const zeroed = blk.disk.zero(rangeSector(ranges, at) * SECTOR, ranges.getUint32(at + 8, true) * SECTOR);
    if (!zeroed) return VIRTIO_BLK_S_IOERR;
  }
  return stable(blk);
};
const rangeSector = (ranges: DataView, at: number): number => ranges.getUint32(at, true) + ranges.getUint32(at + 4, true) * 0x1_0000_0000;

// Message Framing: header, data and status may be cut anywhere, so both directions are streams of bytes.
/** Copies bytes out of the readable part; each piece is fetched once. */
const gather = (request: Request, from: number, length: number): Uint8Array => {
  const gathered = new Uint8Array(length);
  let skip = from;
  let done = 0;
  for (const piece of request.chain.readable) {
    if (done === length) break;
    if (skip >= piece.length) {
      skip -= piece.length;
      continue;
    }
    const take = Math.min(piece.length - skip, length - done);
    gathered.set(load(request.blk.memory, piece.at + skip, take), done);
    done += take;
    skip = 0;
  }
  return gathered;
};

/** Stores bytes from the first writable byte on. */
const scatter = (request: Request, data: Uint8Array): void => {
  for (const piece of request.chain.writable) {
    if (request.written === data.length) break;
    const put = data.subarray(request.written, request.written + shorter(piece, data.length - request.written));
    store(request.blk.memory, piece.at, put);
    request.written += put.length;
  }
};
const shorter = (piece: Piece, rest: number): number => Math.min(piece.length, rest);
