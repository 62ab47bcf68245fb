// Decides how the parts of one virtio block device work together: status, features, queues, configuration; what any bus calls.
// VIRTIO 1.4: Basic Facilities of a Virtio Device; General Initialization And Device Operation.

import type { VirtioMachine } from '../../spec/virtio/vocabulary.ts';
import type { Memory } from '../memory.ts';
import { type Blk, deviceId, execute } from './blk.ts';
import { changeCapacity, createConfigSpace, fillConfig, readConfig, settleWriteback, writeConfig } from './config-space.ts';
import { type Disk, SECTOR } from './disk.ts';
import {
  agreed,
  has,
  offering,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_MQ,
  VIRTIO_F_EVENT_IDX,
  VIRTIO_F_INDIRECT_DESC,
} from './features.ts';
import {
  createQueue,
  interruptWanted,
  type Malformed,
  putAvailEvent,
  putUsed,
  type Queue,
  resetQueue,
  ringsFit,
  type RingRules,
  take,
  waiting,
} from './split-ring.ts';
import { DRIVER_OK, FEATURES_OK, live, needReset, type StatusField, writeStatus } from './status.ts';

/** How the bus delivers notifications, and what of its own a device reset clears. */
export interface Signals {
  queueUsed(queue: number): void;
  configurationChanged(): void;
  deviceReset(): void;
}
export interface Device {
  readonly memory: Memory;
  readonly machine: VirtioMachine;
  readonly offered: bigint;
  readonly queues: readonly Queue[];
  readonly blk: Blk;
  readonly field: StatusField;
  readonly signals: Signals;
  accepted: bigint;
  rules: RingRules;
}

export const createDevice = (memory: Memory, machine: VirtioMachine, disk: Disk, signals: Signals): Device => {
  const offered = offering(machine);
  // Block Device, Virtqueues: without MQ there is one queue.
  const count = has(offered, VIRTIO_BLK_F_MQ) ? machine.queues : 1;
  const config = createConfigSpace();
  const device: Device = {
    memory,
    machine,
    offered,
    queues: Array.from({ length: count }, (_, index) => createQueue(index, machine.queueSizeMax)),
    blk: { memory, disk, config, id: deviceId(machine.blk.serial), offered, negotiated: 0n },
    field: {
      status: 0,
      whenReset: () => resetDevice(device),
      featuresAgreed: () => agreed(device.offered, device.accepted),
      whenNegotiated: () => negotiate(device),
      whenLive: () => goLive(device),
      configurationChanged: () => signals.configurationChanged(),
    },
    signals,
    accepted: 0n,
    rules: { indirect: false, eventIdx: false },
  };
  powerOn(device);
  return device;
};

/** As it was before the first stimulus: medium and capacity too. */
export const powerOn = (device: Device): void => {
  device.blk.disk.restore();
  device.blk.config.capacity = device.machine.blk.sectors;
  device.field.status = 0;
  resetDevice(device);
  device.blk.config.generation = 0;
  device.blk.config.generationRead = 0;
};

// Device Reset: nothing negotiated, no queue, no notification left over.
const resetDevice = (device: Device): void => {
  device.accepted = 0n;
  device.blk.negotiated = 0n;
  device.rules = { indirect: false, eventIdx: false };
  for (const queue of device.queues) resetQueue(queue);
  fillConfig(device.blk.config, device.machine, device.offered);
  device.signals.deviceReset();
};

// Feature Bits: what is accepted holds from FEATURES_OK on.
const negotiate = (device: Device): void => {
  device.blk.negotiated = device.accepted;
  device.rules = { indirect: has(device.accepted, VIRTIO_F_INDIRECT_DESC), eventIdx: has(device.accepted, VIRTIO_F_EVENT_IDX) };
  settleWriteback(device.blk.config, has(device.accepted, VIRTIO_BLK_F_FLUSH), device.offered);
};

// Device Initialization, step 8. A queue that cannot be used is an error only a reset cures.
const goLive = (device: Device): void => {
  for (const queue of device.queues) {
    if (queue.enabled && !ringsFit(device.memory, queue)) return needReset(device.field);
  }
};

export const setStatus = (device: Device, value: number): void => writeStatus(device.field, value);

/** Bits of `mask` become those of `accepted`; a bus writes 32 at a time. */
export const acceptFeatures = (device: Device, accepted: bigint, mask: bigint): void => {
  // Device Initialization, step 5: features are settled by FEATURES_OK.
  if ((device.field.status & FEATURES_OK) !== 0) return;
  device.accepted = (device.accepted & ~mask) | (accepted & mask);
};

/** A queue that the driver may use; one alone where MQ was declined. */
export const queueAt = (device: Device, index: number): Queue | undefined => {
  const settled = (device.field.status & FEATURES_OK) !== 0;
  if (settled && index > 0 && !has(device.blk.negotiated, VIRTIO_BLK_F_MQ)) return undefined;
  return device.queues[index];
};

/** From here on the queue runs, once the device is live. Its positions start at `base`. */
export const enableQueue = (device: Device, queue: Queue, base: number): void => {
  if (queue.enabled) return;
  queue.enabled = true;
  queue.desc = Number(queue.descArea);
  queue.driver = Number(queue.driverArea);
  queue.device = Number(queue.deviceArea);
  queue.nextAvail = base & 0xffff;
  queue.nextUsed = base & 0xffff;
  if (live(device.field) && !ringsFit(device.memory, queue)) needReset(device.field);
};

/** An available buffer notification; a spurious one finds nothing to do. */
export const notifyQueue = (device: Device, index: number): void => {
  // Device Status Field: no buffer is consumed before DRIVER_OK, nor past an error.
  if (!live(device.field)) return;
  const queue = queueAt(device, index);
  if (queue === undefined) return;
  if (!queue.enabled) return;
  const from = queue.nextUsed;
  const malformed = serve(device, queue);
  if (interruptWanted(device.memory, queue, device.rules, from)) device.signals.queueUsed(queue.index);
  if (malformed !== undefined) needReset(device.field);
};

/** Uses every buffer that was available when it began, in order. */
const serve = (device: Device, queue: Queue): Malformed | undefined => {
  const count = waiting(device.memory, queue);
  if (typeof count === 'string') return count;
  for (let done = 0; done < count; done += 1) {
    const chain = take(device.memory, queue, device.rules);
    if (typeof chain === 'string') return chain;
    const length = execute(device.blk, chain);
    if (length === undefined) return 'no byte for the status';
    putUsed(device.memory, queue, chain.head, length);
  }
  putAvailEvent(device.memory, queue, device.rules);
  return undefined;
};

export const readDeviceConfig = (device: Device, at: number, width: number): Uint8Array => readConfig(device.blk.config, at, width);
export const writeDeviceConfig = (device: Device, at: number, bytes: Uint8Array): void => {
  const writebackIsTheirs = has(device.blk.negotiated, VIRTIO_BLK_F_CONFIG_WCE);
  writeConfig(device.blk.config, at, bytes, writebackIsTheirs);
};

/** Device Operation: a new capacity is told by a configuration change notification, to a driver that can hear it. */
export const resizeDisk = (device: Device, sectors: number): void => {
  device.blk.disk.resize(sectors * SECTOR);
  if (!changeCapacity(device.blk.config, sectors, device.offered)) return;
  if ((device.field.status & DRIVER_OK) !== 0) device.signals.configurationChanged();
};
