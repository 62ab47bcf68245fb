// Numbers of the block device: feature bits, request types, status values, configuration layout.
// Every table is VIRTIO 1.4, Block Device; offsets follow from the field widths of struct virtio_blk_config.

import type { Feature } from '../../clause.ts';

/** Feature bit numbers (Block Device, Feature bits), and the one reserved bit the block rules depend on. */
export const feature = {
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
  LIFETIME: 15,
  SECURE_ERASE: 16,
  ZONED: 17,
} as const;
export type FeatureName = keyof typeof feature;

/** Whether the bit of a name stands in a set of feature bits. */
export const includes = (bits: bigint, name: FeatureName): boolean => (bits & masks[name]) !== 0n;
const masks = Object.fromEntries(Object.entries(feature).map(([name, n]) => [name, 1n << BigInt(n)])) as Readonly<
  Record<FeatureName, bigint>
>;

/** What a clause names that speaks only of devices which offer it. */
export const offered = (name: FeatureName): Feature => ({ name: `VIRTIO_BLK_F_${name}`, bit: masks[name] });

/** Request types (Device Operation). */
export const T = {
  IN: 0,
  OUT: 1,
  FLUSH: 4,
  GET_ID: 8,
  GET_LIFETIME: 10,
  DISCARD: 11,
  WRITE_ZEROES: 13,
  SECURE_ERASE: 14,
} as const;
/** The zone commands: types of a zoned device only. */
export const zoneTypes: ReadonlySet<number> = new Set([15, 16, 18, 20, 22, 24, 26]);
/** Types that only the legacy interface gives a meaning: SCSI_CMD, SCSI_CMD_OUT, FLUSH_OUT, and any type under the BARRIER bit. */
export const isLegacyType = (type: number): boolean => type === 2 || type === 3 || type === 5 || type >= 0x80000000;

/** The feature that announces a type; IN, OUT and GET_ID need none. */
export const featureOf: ReadonlyMap<number, FeatureName> = new Map<number, FeatureName>([
  [T.FLUSH, 'FLUSH'],
  [T.GET_LIFETIME, 'LIFETIME'],
  [T.DISCARD, 'DISCARD'],
  [T.WRITE_ZEROES, 'WRITE_ZEROES'],
  [T.SECURE_ERASE, 'SECURE_ERASE'],
]);
const names: ReadonlyMap<number, string> = new Map(Object.entries(T).map(([name, type]) => [type, name]));
export const typeName = (type: number): string => names.get(type) ?? (zoneTypes.has(type) ? `zone command ${type}` : `type ${type}`);

export const S = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;
export const statusName = (status: number): string => ['OK', 'IOERR', 'UNSUPP'][status] ?? `0x${status.toString(16)}`;

export const sectorSize = 512;
export const headerSize = 16;
/** struct virtio_blk_discard_write_zeroes: le64 sector, le32 num_sectors, le32 flags. */
export const segmentSize = 16;
/** The device ID string. */
export const idSize = 20;
export const unmapFlag = 1;

export type FieldName =
  | 'capacity'
  | 'size_max'
  | 'seg_max'
  | 'geometry'
  | 'blk_size'
  | 'physical_block_exp'
  | 'alignment_offset'
  | 'writeback'
  | 'num_queues'
  | 'max_discard_sectors'
  | 'max_discard_seg'
  | 'discard_sector_alignment'
  | 'max_write_zeroes_sectors'
  | 'max_write_zeroes_seg'
  | 'write_zeroes_may_unmap'
  | 'max_secure_erase_sectors'
  | 'max_secure_erase_seg'
  | 'secure_erase_sector_alignment';
type Field = readonly [offset: number, width: number, exists?: FeatureName];
/** Offset, width, and the feature that makes the field exist. */
export const field: Readonly<Record<FieldName, Field>> = {
  capacity: [0, 8],
  size_max: [8, 4, 'SIZE_MAX'],
  seg_max: [12, 4, 'SEG_MAX'],
  geometry: [16, 4, 'GEOMETRY'],
  blk_size: [20, 4, 'BLK_SIZE'],
  physical_block_exp: [24, 1, 'TOPOLOGY'],
  alignment_offset: [25, 1, 'TOPOLOGY'],
  writeback: [32, 1, 'CONFIG_WCE'],
  num_queues: [34, 2, 'MQ'],
  max_discard_sectors: [36, 4, 'DISCARD'],
  max_discard_seg: [40, 4, 'DISCARD'],
  discard_sector_alignment: [44, 4, 'DISCARD'],
  max_write_zeroes_sectors: [48, 4, 'WRITE_ZEROES'],
  max_write_zeroes_seg: [52, 4, 'WRITE_ZEROES'],
  write_zeroes_may_unmap: [56, 1, 'WRITE_ZEROES'],
  max_secure_erase_sectors: [60, 4, 'SECURE_ERASE'],
  max_secure_erase_seg: [64, 4, 'SECURE_ERASE'],
  secure_erase_sector_alignment: [68, 4, 'SECURE_ERASE'],
};

/** Padding that must be 0, and features of which any puts a field behind it: without one the configuration may end before it. */
export const padding: readonly {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  readonly past: readonly FeatureName[];
}[] = [
  { at: 33, length: 1, name: 'unused0', past: ['MQ', 'DISCARD', 'WRITE_ZEROES', 'SECURE_ERASE', 'ZONED'] },
  { at: 57, length: 3, name: 'unused1', past: ['SECURE_ERASE', 'ZONED'] },
];

/** struct virtio_blk_config with the zoned characteristics. */
export const configSize = 96;
