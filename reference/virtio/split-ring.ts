// Decides how a split virtqueue is read and written: available ring, descriptor chains, used ring, notification suppression.
// VIRTIO 1.4, Split Virtqueues, in the order of its sections. Whatever a driver puts there, the work is bounded by the queue size.

import { inside, load16, load32, load64, type Memory, store, store16 } from '../memory.ts';

const VIRTQ_DESC_F_NEXT = 1;
const VIRTQ_DESC_F_WRITE = 2;
const VIRTQ_DESC_F_INDIRECT = 4;
const VIRTQ_AVAIL_F_NO_INTERRUPT = 1;

/** Largest queue size: the highest power of 2 that fits in 16 bits. */
export const QUEUE_SIZE_LIMIT = 32768;
const CHAIN_BYTES_LIMIT = 0x1_0000_0000;

/** One queue's registers and the device's two positions, free-running modulo 65536. */
export interface Queue {
  readonly index: number;
  readonly sizeMax: number;
  size: number;
  /** The three address registers: Descriptor Area, Driver Area, Device Area. */
  descArea: bigint;
  driverArea: bigint;
  deviceArea: bigint;
  /** Where the rings of the enabled queue are. */
  desc: number;
  driver: number;
  device: number;
  enabled: boolean;
  nextAvail: number;
  nextUsed: number;
}
/** What was negotiated about rings. */
export interface RingRules {
  readonly indirect: boolean;
  readonly eventIdx: boolean;
}
export interface Piece {
  readonly at: number;
  readonly length: number;
}
/** A descriptor chain with indirect tables unfolded; pieces of no bytes left out. */
export interface Chain {
  readonly head: number;
  readonly readable: Piece[];
  readonly writable: Piece[];
  readableBytes: number;
  writableBytes: number;
  /** A device-writable element was seen, even one of no bytes. */
  writing: boolean;
}
/** Why the driver's bytes cannot be followed. */
export type Malformed = string;

export const createQueue = (index: number, sizeMax: number): Queue => {
  const areas = { descArea: 0n, driverArea: 0n, deviceArea: 0n };
  return { index, sizeMax, size: sizeMax, ...areas, desc: 0, driver: 0, device: 0, enabled: false, nextAvail: 0, nextUsed: 0 };
};

export const resetQueue = (queue: Queue): void => {
  queue.size = queue.sizeMax;
  queue.descArea = 0n;
  queue.driverArea = 0n;
  queue.deviceArea = 0n;
  queue.enabled = false;
  queue.nextAvail = 0;
  queue.nextUsed = 0;
};

/** A 64-bit register is two of 32 bits: the low one written, the high one written. */
export const lower = (area: bigint, value: number): bigint => (area & ~0xffff_ffffn) | BigInt(value);
export const upper = (area: bigint, value: number): bigint => (area & 0xffff_ffffn) | (BigInt(value) << 32n);

// Split Virtqueues: size is a power of 2; three parts, each aligned and physically contiguous.
export const sizeAllowed = (queue: Queue, size: number): boolean => {
  if (size < 1) return false;
  if (size > queue.sizeMax) return false;
  if ((size & (size - 1)) !== 0) return false;
  return true;
};
export const ringsFit = (memory: Memory, queue: Queue): boolean => {
  if (!sizeAllowed(queue, queue.size)) return false;
  if (queue.desc % 16 !== 0) return false;
  if (queue.driver % 2 !== 0) return false;
  if (queue.device % 4 !== 0) return false;
  if (!inside(memory, queue.desc, 16 * queue.size)) return false;
  if (!inside(memory, queue.driver, 6 + 2 * queue.size)) return false;
  if (!inside(memory, queue.device, 6 + 8 * queue.size)) return false;
  return true;
};

// The Virtqueue Available Ring: flags at 0, idx at 2, ring at 4, used_event behind the ring.
/** How many buffers wait; more than the queue can hold means that idx is no index. */
export const waiting = (memory: Memory, queue: Queue): number | Malformed => {
  const idx = load16(memory, queue.driver + 2);
  const distance = (idx - queue.nextAvail) & 0xffff;
  if (distance > queue.size) return 'available idx is further ahead than the queue is long';
  return distance;
};

/** Takes the next available buffer. */
export const take = (memory: Memory, queue: Queue, rules: RingRules): Chain | Malformed => {
  const slot = queue.driver + 4 + 2 * (queue.nextAvail % queue.size);
  const head = load16(memory, slot);
  queue.nextAvail = (queue.nextAvail + 1) & 0xffff;
  if (head >= queue.size) return 'head outside the descriptor table';
  return walk(memory, queue, rules, head);
};

// The Virtqueue Descriptor Table: addr at 0, len at 8, flags at 12, next at 14.
const walk = (memory: Memory, queue: Queue, rules: RingRules, head: number): Chain | Malformed => {
  const chain: Chain = { head, readable: [], writable: [], readableBytes: 0, writableBytes: 0, writing: false };
  let table = queue.desc;
  let entries = queue.size;
  let inTable = false;
  let index = head;
  let count = 0;
  for (;;) {
    const descriptor = table + 16 * index;
    const addr = load64(memory, descriptor);
    const len = load32(memory, descriptor + 8);
    const flags = load16(memory, descriptor + 12);
    const next = load16(memory, descriptor + 14);

    // Indirect Descriptors: one table, at the end of the chain; WRITE on the descriptor that refers to it means nothing.
    if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
      if (!rules.indirect) return 'INDIRECT without the feature';
      if (inTable) return 'INDIRECT inside an indirect table';
      if ((flags & VIRTQ_DESC_F_NEXT) !== 0) return 'INDIRECT with NEXT';
      if (len === 0) return 'indirect table of no bytes';
      if (len % 16 !== 0) return 'indirect table cut inside a descriptor';
      if (!inside(memory, addr, len)) return 'indirect table outside memory';
      table = addr;
      entries = len / 16;
      inTable = true;
      index = 0;
      continue;
    }

    // No chain is longer than the queue size: this ends loops as well.
    count += 1;
    if (count > queue.size) return 'chain longer than the queue';

    const malformed = append(memory, chain, addr, len, (flags & VIRTQ_DESC_F_WRITE) !== 0);
    if (malformed !== undefined) return malformed;

    if ((flags & VIRTQ_DESC_F_NEXT) === 0) return chain;
    if (next >= entries) return 'next outside its table';
    index = next;
  }
};

const append = (memory: Memory, chain: Chain, at: number, length: number, write: boolean): Malformed | undefined => {
  // Message Framing: device-writable elements come after all device-readable ones.
  if (!write && chain.writing) return 'readable after writable';
  chain.writing = write;
  // An element of no bytes is nowhere.
  if (length === 0) return undefined;
  if (!inside(memory, at, length)) return 'buffer outside memory';
  if (write) {
    chain.writable.push({ at, length });
    chain.writableBytes += length;
  } else {
    chain.readable.push({ at, length });
    chain.readableBytes += length;
  }
  if (chain.readableBytes + chain.writableBytes > CHAIN_BYTES_LIMIT) return 'chain of more than 2^32 bytes';
  return undefined;
};

// The Virtqueue Used Ring: flags at 0 (left at the driver's 0), idx at 2, elements at 4, avail_event behind the ring.
// In-order use of descriptors: each buffer is used before the next is taken, so IN_ORDER holds without batches.
const element = new Uint8Array(8);
const elementView = new DataView(element.buffer);
export const putUsed = (memory: Memory, queue: Queue, id: number, len: number): void => {
  elementView.setUint32(0, id, true);
  elementView.setUint32(4, len, true);
  store(memory, queue.device + 4 + 8 * (queue.nextUsed % queue.size), element);
  // len before idx.
  queue.nextUsed = (queue.nextUsed + 1) & 0xffff;
  store16(memory, queue.device + 2, queue.nextUsed);
};

// Used Buffer Notification Suppression.
/** Whether using the buffers from position `from` up to now is to be told. */
export const interruptWanted = (memory: Memory, queue: Queue, rules: RingRules, from: number): boolean => {
  if (queue.nextUsed === from) return false;
  if (!rules.eventIdx) {
    const flags = load16(memory, queue.driver);
    return (flags & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
  }
  const usedEvent = load16(memory, queue.driver + 4 + 2 * queue.size);
  // Whether one of the positions from … nextUsed - 1 was used_event, across the wrap at 65536.
  const sinceEvent = (queue.nextUsed - usedEvent - 1) & 0xffff;
  const used = (queue.nextUsed - from) & 0xffff;
  return sinceEvent < used;
};

// Available Buffer Notification Suppression: the next buffer is worth a notification.
export const putAvailEvent = (memory: Memory, queue: Queue, rules: RingRules): void => {
  if (!rules.eventIdx) return;
  store16(memory, queue.device + 4 + 8 * queue.size, queue.nextAvail);
};
