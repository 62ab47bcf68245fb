// What both transports share: how wide values are cut into accesses and put together again, and the 16 bits of a configuration write.
// VIRTIO 1.4, PCI Device Layout and MMIO Device Register Layout: 64-bit fields are two 32-bit halves, low half first.

import type { Observation } from '../../spec/vocabulary.ts';
import type { BusOp, Lifted, Place, Turns, Unsupported, Width } from './bus.ts';
import { read, write } from './bus.ts';

/** A field's place: `at` bytes into a structure, `width` wide. */
export type Field = (at: number, width: Width) => Place;

export const low = (value: bigint): number => Number(BigInt.asUintN(32, value));
export const high = (value: bigint): number => Number(BigInt.asUintN(32, value >> 32n));
export const joined = (lowHalf: number, highHalf: number): bigint => (BigInt(highHalf) << 32n) | BigInt(lowHalf);

/** No results matter. */
export const nothing = (): readonly Observation[] => [];

/** A 64-bit field written as its two halves. */
export const write64 = (field: Field, at: number, value: bigint): readonly BusOp[] => [
  write(field(at, 4), low(value)),
  write(field(at + 4, 4), high(value)),
];

const littleEndian = (value: number, width: number): number[] => Array.from({ length: width }, (_, i) => (value >>> (8 * i)) & 0xff);

/** Device-specific configuration: its structure, and the bytes of it that can be reached. */
export interface DeviceConfig {
  readonly field: Field;
  readonly length: number;
}
const outside = (at: number): Unsupported => ({ unsupported: `device configuration at ${at} is outside its structure` });

/** Device-specific configuration, read in one access (8 bytes: two). */
export function readConfig({ field, length }: DeviceConfig, at: number, width: 1 | 2 | 4 | 8): Lifted | Unsupported {
  if (at < 0 || at + width > length) return outside(at);
  const widths: readonly Width[] = width === 8 ? [4, 4] : [width];
  return {
    ops: widths.map((each, i) => read(field(at + 4 * i, each))),
    saw: (results) => [
      { saw: 'virtio.config', at, bytes: Uint8Array.from(results.flatMap((value, i) => littleEndian(value, widths[i] ?? 4))) },
    ],
  };
}

/** Device-specific configuration, written in the widest accesses that are aligned. */
export function writeConfig({ field, length }: DeviceConfig, at: number, bytes: Uint8Array): Lifted | Unsupported {
  if (at < 0 || at + bytes.length > length) return outside(at);
  const ops: BusOp[] = [];
  for (let i = 0; i < bytes.length; ) {
    const width = ([4, 2, 1] as const).find((w) => (at + i) % w === 0 && i + w <= bytes.length) ?? 1;
    let value = 0;
    for (let b = 0; b < width; b++) value |= (bytes[i + b] ?? 0) << (8 * b);
    ops.push(write(field(at + i, width), value));
    i += width;
  }
  return { ops, saw: nothing };
}

/** Writes 0 to the status and reads it until it is 0, as a driver must before it goes on; false: it never became 0. */
export function* resetDevice(status: Place): Turns<boolean> {
  let [, value] = yield [write(status, 0), read(status)];
  for (let tries = 0; value !== 0 && tries < 1000; tries++) [value] = yield [read(status)];
  return value === 0;
}
