// Which values a choice is drawn from: four in five from a table of edges, the fifth from the whole range.
// Uniform values hit every clause and still let faults live; the edges are where implementations differ.

import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';

/** Every single bit of a word of `bits` bits, as numbers. */
export const singleBits = (bits: number): readonly number[] => Array.from({ length: bits }, (_, i) => 2 ** i);

const tableAsInteger = 4;
/** Four times in five one of `edges`, else an integer of min…max. The first edge is the simplest. */
export const edged = (edges: readonly number[], min: number, max: number): Arbitrary<number> =>
  fc.oneof({ weight: tableAsInteger, arbitrary: fc.constantFrom(...edges) }, { weight: 1, arbitrary: fc.integer({ min, max }) });

/** Virtqueue start indices: where 16-bit arithmetic wraps, and where its sign changes. */
export const INDEX16: readonly number[] = [0, 65535, 65534, 65533, 65530, 65528, 65280, 32767, 32768, 1];
/** Positions in a byte stream with a 16-byte header and 512-byte sectors; negative counts from the end, where the status byte is. */
export const STREAM_CUTS: readonly number[] = [16, -1, 1, 8, 15, 17, 4, 24, 528, 527, 529, 511, 512, 513, -2, -512, -513, -514];
/** Sectors counted from the start, or from the end when negative (-1: as late as it fits). */
export const SECTORS: readonly number[] = [0, -1, 1, 2, -2, 7, 8, -8, 63, 64];
/** Lengths in sectors. */
export const SECTOR_COUNTS: readonly number[] = [1, 2, 1, 3, 1, 4, 7, 8, 0];
/** Request types that no VIRTIO 1.4 block device knows without further features: holes, legacy ones, zone commands, high bits. */
export const UNKNOWN_TYPES: readonly number[] = [
  2, 3, 5, 6, 7, 9, 10, 12, 15, 16, 17, 18, 20, 22, 24, 25, 26, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff,
];
