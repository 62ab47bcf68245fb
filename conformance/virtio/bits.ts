// The numbers a driver writes: device status, feature bits, descriptor flags, block requests.
// VIRTIO 1.4: Device Status Field; Reserved Feature Bits; The Virtqueue Descriptor Table; Block Device.

export const STATUS = { ACKNOWLEDGE: 1, DRIVER: 2, DRIVER_OK: 4, FEATURES_OK: 8, NEEDS_RESET: 64, FAILED: 128 } as const;

/** Feature bit numbers. */
export const F = {
  SIZE_MAX: 1,
  SEG_MAX: 2,
  GEOMETRY: 4,
  RO: 5,
  BLK_SIZE: 6,
  FLUSH: 9,
  TOPOLOGY: 10,
  CONFIG_WCE: 11,
  MQ: 12,
  DISCARD: 13,
  WRITE_ZEROES: 14,
  SECURE_ERASE: 16,
  INDIRECT_DESC: 28,
  EVENT_IDX: 29,
  VERSION_1: 32,
  ACCESS_PLATFORM: 33,
  IN_ORDER: 35,
  ORDER_PLATFORM: 36,
} as const;

/** Accepted whenever offered: the text asks for it, or (RO) recommends it. */
export const ALWAYS: readonly number[] = [F.VERSION_1, F.ACCESS_PLATFORM, F.ORDER_PLATFORM, F.RO];
/** What this driver understands and may decline. A choice `decline` has one bit for each, in this order. */
export const OPTIONAL: readonly number[] = [
  F.INDIRECT_DESC,
  F.EVENT_IDX,
  F.IN_ORDER,
  F.MQ,
  F.FLUSH,
  F.CONFIG_WCE,
  F.DISCARD,
  F.WRITE_ZEROES,
  F.SECURE_ERASE,
  F.SEG_MAX,
  F.SIZE_MAX,
  F.BLK_SIZE,
  F.TOPOLOGY,
  F.GEOMETRY,
];
export const bit = (n: number): bigint => 1n << BigInt(n);
const ALWAYS_MASK = ALWAYS.reduce((m, n) => m | bit(n), 0n);
const OPTIONAL_MASKS = OPTIONAL.map(bit);

/** The subset of an offer that a driver accepts which declines `decline`. */
export const accept = (offered: bigint, decline: number): bigint => {
  let wanted = ALWAYS_MASK;
  for (let i = 0; i < OPTIONAL_MASKS.length; i++) if (((decline >>> i) & 1) === 0) wanted |= OPTIONAL_MASKS[i] as bigint;
  return offered & wanted;
};

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

export const T = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8, DISCARD: 11, WRITE_ZEROES: 13, SECURE_ERASE: 14 } as const;
/** struct virtio_blk_req before its data: type, reserved, sector. */
export const HEADER = 16;
export const SECTOR = 512;
/** struct virtio_blk_discard_write_zeroes. */
export const SEGMENT = 16;
export const ID_LENGTH = 20;

/** Fields of struct virtio_blk_config: offset, natural width, and the feature bit that must be offered (-1: none). */
export const CONFIG: readonly { readonly name: string; readonly at: number; readonly width: 1 | 2 | 4 | 8; readonly feature: number }[] = [
  { name: 'capacity', at: 0, width: 8, feature: -1 },
  { name: 'size_max', at: 8, width: 4, feature: F.SIZE_MAX },
  { name: 'seg_max', at: 12, width: 4, feature: F.SEG_MAX },
  { name: 'cylinders', at: 16, width: 2, feature: F.GEOMETRY },
  { name: 'heads', at: 18, width: 1, feature: F.GEOMETRY },
  { name: 'geometry.sectors', at: 19, width: 1, feature: F.GEOMETRY },
  { name: 'blk_size', at: 20, width: 4, feature: F.BLK_SIZE },
  { name: 'physical_block_exp', at: 24, width: 1, feature: F.TOPOLOGY },
  { name: 'alignment_offset', at: 25, width: 1, feature: F.TOPOLOGY },
  { name: 'min_io_size', at: 26, width: 2, feature: F.TOPOLOGY },
  { name: 'opt_io_size', at: 28, width: 4, feature: F.TOPOLOGY },
  { name: 'writeback', at: 32, width: 1, feature: F.CONFIG_WCE },
  { name: 'unused0', at: 33, width: 1, feature: F.CONFIG_WCE },
  { name: 'num_queues', at: 34, width: 2, feature: F.MQ },
  { name: 'max_discard_sectors', at: 36, width: 4, feature: F.DISCARD },
  { name: 'max_discard_seg', at: 40, width: 4, feature: F.DISCARD },
  { name: 'discard_sector_alignment', at: 44, width: 4, feature: F.DISCARD },
  { name: 'max_write_zeroes_sectors', at: 48, width: 4, feature: F.WRITE_ZEROES },
  { name: 'max_write_zeroes_seg', at: 52, width: 4, feature: F.WRITE_ZEROES },
  { name: 'write_zeroes_may_unmap', at: 56, width: 1, feature: F.WRITE_ZEROES },
  // unused1 need not be there where nothing follows it.
  { name: 'unused1', at: 57, width: 1, feature: F.SECURE_ERASE },
  { name: 'unused1', at: 58, width: 2, feature: F.SECURE_ERASE },
  { name: 'max_secure_erase_sectors', at: 60, width: 4, feature: F.SECURE_ERASE },
  { name: 'max_secure_erase_seg', at: 64, width: 4, feature: F.SECURE_ERASE },
  { name: 'secure_erase_sector_alignment', at: 68, width: 4, feature: F.SECURE_ERASE },
];
