// Decides what the device's accesses to guest memory do: every one is counted and bounds-checked, every store is reported in order.
// An access outside, or more accesses than a stimulus can need, is a dead machine: it throws, and the machine answers `broke`.

import type { MachineConfig } from '../spec/units.ts';

/** Guest memory from address 0. Addresses are numbers: past 2^53 they lose low bits, but so far out nothing is inside. */
export interface Memory {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly fill: number;
  /** What stands over the fill. */
  readonly image: NonNullable<MachineConfig['image']>;
  /** Accesses that the device may still make for the stimulus at hand. */
  left: number;
  /** Told of each store, in order, with a copy of its bytes. */
  readonly stored: (at: number, bytes: Uint8Array) => void;
}

const dead = (name: string, message: string): Error => Object.assign(new Error(message), { name });

export const createMemory = (
  size: number,
  fill: number,
  stored: (at: number, bytes: Uint8Array) => void,
  image: MachineConfig['image'] = [],
): Memory => {
  const bytes = new Uint8Array(size);
  const memory: Memory = { size, bytes, view: new DataView(bytes.buffer), fill, image, left: 0, stored };
  refill(memory);
  return memory;
};

/** Every byte as it was before the first stimulus. */
export const refill = (memory: Memory): void => {
  memory.bytes.fill(memory.fill);
  for (const { at, bytes } of memory.image) memory.bytes.set(bytes, Number(at));
};

/** Whether all bytes of the range exist; said without a sum, so that nothing can wrap. */
export const inside = (memory: Memory, at: number, length: number): boolean => at <= memory.size && length <= memory.size - at;

const touch = (memory: Memory, at: number, length: number): void => {
  memory.left -= 1;
  if (memory.left < 0) throw dead('Exhausted', 'the device does not come to an end: access budget spent');
  if (!inside(memory, at, length)) throw dead('Outside', 'the device accessed memory that does not exist');
};

export const load16 = (memory: Memory, at: number): number => {
  touch(memory, at, 2);
  return memory.view.getUint16(at, true);
};
export const load32 = (memory: Memory, at: number): number => {
  touch(memory, at, 4);
  return memory.view.getUint32(at, true);
};
/** Two 32-bit halves, the low one first. */
export const load64 = (memory: Memory, at: number): number => load32(memory, at) + load32(memory, at + 4) * 0x1_0000_0000;

/** A view, valid until the next store. */
export const load = (memory: Memory, at: number, length: number): Uint8Array => {
  touch(memory, at, length);
  return memory.bytes.subarray(at, at + length);
};

export const store = (memory: Memory, at: number, bytes: Uint8Array): void => {
  touch(memory, at, bytes.length);
  memory.bytes.set(bytes, at);
  memory.stored(at, memory.bytes.slice(at, at + bytes.length));
};
export const store16 = (memory: Memory, at: number, value: number): void => {
  touch(memory, at, 2);
  memory.view.setUint16(at, value, true);
  memory.stored(at, memory.bytes.slice(at, at + 2));
};
export const store32 = (memory: Memory, at: number, value: number): void => {
  touch(memory, at, 4);
  memory.view.setUint32(at, value, true);
  memory.stored(at, memory.bytes.slice(at, at + 4));
};
