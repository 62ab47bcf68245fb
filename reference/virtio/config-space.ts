// Decides what the device-specific configuration holds, what a driver may change in it, and when its generation changes.
// VIRTIO 1.4: Device Configuration Space; Block Device, Device configuration layout and Device Initialization.

import type { VirtioMachine } from '../../spec/virtio/vocabulary.ts';
import {
  has,
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_GEOMETRY,
  VIRTIO_BLK_F_MQ,
  VIRTIO_BLK_F_SECURE_ERASE,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_WRITE_ZEROES,
} from './features.ts';

/** struct virtio_blk_config up to secure_erase_sector_alignment; what ZONED adds is not offered. */
export const CONFIG_BYTES = 72;
const WRITEBACK = 32;

/** Limits of this device, in 512-byte sectors and in segments of one request. */
export const MAX_DISCARD_SECTORS = 32;
export const MAX_DISCARD_SEG = 4;
export const MAX_WRITE_ZEROES_SECTORS = 32;
export const MAX_WRITE_ZEROES_SEG = 4;
export const MAX_SECURE_ERASE_SECTORS = 16;
export const MAX_SECURE_ERASE_SEG = 2;
/** The largest single segment the device asks for, in bytes. */
const SIZE_MAX = 65536;
/** Of no meaning to the device: any geometry whose product does not exceed the capacity will do. */
const HEADS = 2;
const SECTORS_PER_TRACK = 8;

export interface ConfigSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** In sectors. */
  capacity: number;
  /** The cache mode, 1 writeback or 0 writethrough; a field of it exists where CONFIG_WCE is offered. */
  writeback: number;
  generation: number;
  /** The generation when the driver last read any part. */
  generationRead: number;
}

export const createConfigSpace = (): ConfigSpace => {
  const bytes = new Uint8Array(CONFIG_BYTES);
  return { bytes, view: new DataView(bytes.buffer), capacity: 0, writeback: 1, generation: 0, generationRead: 0 };
};

/** Writes all fields of the offered features; the others and the padding are 0. */
export const fillConfig = (config: ConfigSpace, machine: VirtioMachine, offered: bigint): void => {
  const { view } = config;
  const before = config.bytes[WRITEBACK];
  config.bytes.fill(0);
  putCapacity(config, config.capacity, offered);
  if (has(offered, VIRTIO_BLK_F_SIZE_MAX)) view.setUint32(8, SIZE_MAX, true);
  // Header and status take a descriptor each.
  if (has(offered, VIRTIO_BLK_F_SEG_MAX)) view.setUint32(12, Math.max(1, machine.queueSizeMax - 2), true);
  if (has(offered, VIRTIO_BLK_F_BLK_SIZE)) view.setUint32(20, machine.blk.blockSize, true);
  if (has(offered, VIRTIO_BLK_F_TOPOLOGY)) {
    view.setUint8(24, 0); // physical_block_exp: a physical block is a logical block
    view.setUint8(25, 0); // alignment_offset
    view.setUint16(26, 1, true); // min_io_size, in blocks
    view.setUint32(28, 8, true); // opt_io_size, in blocks
  }
  // The cache mode after reset is free until negotiation settles it.
  config.writeback = 1;
  if (has(offered, VIRTIO_BLK_F_CONFIG_WCE)) view.setUint8(WRITEBACK, config.writeback);
  if (has(offered, VIRTIO_BLK_F_MQ)) view.setUint16(34, machine.queues, true);
  if (has(offered, VIRTIO_BLK_F_DISCARD)) {
    view.setUint32(36, MAX_DISCARD_SECTORS, true);
    view.setUint32(40, MAX_DISCARD_SEG, true);
    view.setUint32(44, machine.blk.blockSize / 512, true); // discard_sector_alignment
  }
  if (has(offered, VIRTIO_BLK_F_WRITE_ZEROES)) {
    view.setUint32(48, MAX_WRITE_ZEROES_SECTORS, true);
    view.setUint32(52, MAX_WRITE_ZEROES_SEG, true);
    view.setUint8(56, 0); // write_zeroes_may_unmap: this device never deallocates
  }
  if (has(offered, VIRTIO_BLK_F_SECURE_ERASE)) {
    view.setUint32(60, MAX_SECURE_ERASE_SECTORS, true);
    view.setUint32(64, MAX_SECURE_ERASE_SEG, true);
    view.setUint32(68, machine.blk.blockSize / 512, true); // secure_erase_sector_alignment
  }
  if (config.bytes[WRITEBACK] !== before) nextGeneration(config);
};

const putCapacity = (config: ConfigSpace, sectors: number, offered: bigint): void => {
  config.capacity = sectors;
  config.view.setUint32(0, sectors % 0x1_0000_0000, true);
  config.view.setUint32(4, Math.floor(sectors / 0x1_0000_0000), true);
  if (!has(offered, VIRTIO_BLK_F_GEOMETRY)) return;
  config.view.setUint16(16, Math.min(0xffff, Math.floor(sectors / (HEADS * SECTORS_PER_TRACK))), true);
  config.view.setUint8(18, HEADS);
  config.view.setUint8(19, SECTORS_PER_TRACK);
};

// Device Configuration Space: the generation changes whenever two accesses could see different versions. It may be shown in 8 bits,
// so it never comes back, modulo 256, to the value it had when the driver last read the configuration.
const nextGeneration = (config: ConfigSpace): void => {
  config.generation = (config.generation + 1) >>> 0;
  if ((config.generation & 0xff) === (config.generationRead & 0xff)) config.generation = (config.generation + 1) >>> 0;
};

/** Device Operation: the capacity may change under a running device. Says whether it did. */
export const changeCapacity = (config: ConfigSpace, sectors: number, offered: bigint): boolean => {
  if (sectors === config.capacity) return false;
  putCapacity(config, sectors, offered);
  nextGeneration(config);
  return true;
};

/** Device Initialization: FLUSH negotiated means a writeback cache; with CONFIG_WCE and no FLUSH, writeback starts at 0. */
export const settleWriteback = (config: ConfigSpace, flush: boolean, offered: bigint): void => {
  config.writeback = flush ? 1 : 0;
  if (!has(offered, VIRTIO_BLK_F_CONFIG_WCE)) return;
  if (config.bytes[WRITEBACK] === config.writeback) return;
  config.bytes[WRITEBACK] = config.writeback;
  nextGeneration(config);
};

/** Any part at any time, FEATURES_OK or not; what lies behind the structure reads 0. */
export const readConfig = (config: ConfigSpace, at: number, width: number): Uint8Array => {
  config.generationRead = config.generation;
  const bytes = new Uint8Array(width);
  for (let i = 0; i < width; i += 1) bytes[i] = config.bytes[at + i] ?? 0;
  return bytes;
};

/** Device Initialization: writeback is the driver's where CONFIG_WCE was negotiated; the rest is read-only. */
export const writeConfig = (config: ConfigSpace, at: number, bytes: Uint8Array, writebackIsTheirs: boolean): void => {
  if (!writebackIsTheirs) return;
  const mode = bytes[WRITEBACK - at];
  if (mode !== 0 && mode !== 1) return;
  if (config.writeback === mode) return;
  config.writeback = mode;
  config.bytes[WRITEBACK] = mode;
  nextGeneration(config);
};
