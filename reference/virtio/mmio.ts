// Decides what the virtio-mmio registers of the device answer and do, and when its interrupt line rises.
// VIRTIO 1.4, Virtio Over MMIO, MMIO Device Register Layout (version 2, no legacy interface).

import type { VirtioMachine, VirtioStimulus } from '../../spec/virtio/vocabulary.ts';
import type { Memory } from '../memory.ts';
import type { Face, See } from './control.ts';
import {
  acceptFeatures,
  createDevice,
  type Device,
  enableQueue,
  notifyQueue,
  queueAt,
  readDeviceConfig,
  setStatus,
  writeDeviceConfig,
} from './device.ts';
import type { Disk } from './disk.ts';
import { word } from './features.ts';
import { lower, type Queue, upper } from './split-ring.ts';

const MAGIC = 0x74726976;
const VERSION = 2;
const BLOCK_DEVICE = 2;
/** No vendor is registered for us; the letters 'VMMC'. */
const VENDOR = 0x434d4d56;
const CONFIG = 0x100;
const USED_BUFFER = 1;
const CONFIGURATION_CHANGE = 2;

interface Registers {
  readonly device: Device;
  readonly see: See;
  deviceFeaturesSel: number;
  driverFeaturesSel: number;
  queueSel: number;
  interruptStatus: number;
}

export const mmioRegisters = (memory: Memory, machine: VirtioMachine, disk: Disk, see: See): Face => {
  const selected = { deviceFeaturesSel: 0, driverFeaturesSel: 0, queueSel: 0, interruptStatus: 0 };
  const device = createDevice(memory, machine, disk, {
    queueUsed: () => raise(registers, USED_BUFFER),
    configurationChanged: () => raise(registers, CONFIGURATION_CHANGE),
    deviceReset: () => {
      selected.deviceFeaturesSel = 0;
      selected.driverFeaturesSel = 0;
      selected.queueSel = 0;
      selected.interruptStatus = 0;
    },
  });
  const registers: Registers = Object.assign(selected, { device, see });
  return { device, apply: (stimulus) => applyMmio(registers, stimulus), powerOn: () => {} };
};

/** Seen when the event becomes pending; while its bit stays set the line just stays up. */
const raise = (registers: Registers, event: number): void => {
  if ((registers.interruptStatus & event) !== 0) return;
  registers.interruptStatus |= event;
  registers.see({ saw: 'interrupt', from: event === USED_BUFFER ? 'queue' : 'config' });
};

const applyMmio = (registers: Registers, s: VirtioStimulus): boolean => {
  switch (s.do) {
    case 'mmio.read':
      registers.see({ saw: 'mmio', at: s.at, width: s.width, value: read(registers, s.at, s.width) });
      return true;
    case 'mmio.write':
      write(registers, s.at, s.width, s.value >>> 0);
      return true;
    default:
      return false;
  }
};

const read = (registers: Registers, at: number, width: 1 | 2 | 4): number => {
  const { device } = registers;
  if (at >= CONFIG) {
    let value = 0;
    for (const byte of readDeviceConfig(device, at - CONFIG, width).reverse()) value = value * 256 + byte;
    return value;
  }
  // Control registers are 32 bits wide; nothing is owed to other accesses.
  if (width !== 4) return 0;
  const queue = queueAt(device, registers.queueSel);
  switch (at) {
    case 0x000: // MagicValue
      return MAGIC;
    case 0x004: // Version
      return VERSION;
    case 0x008: // DeviceID
      return BLOCK_DEVICE;
    case 0x00c: // VendorID
      return VENDOR;
    case 0x010: // DeviceFeatures
      return word(device.offered, registers.deviceFeaturesSel);
    case 0x034: // QueueSizeMax
      return queue?.sizeMax ?? 0;
    case 0x044: // QueueReady
      return queue?.enabled === true ? 1 : 0;
    case 0x060: // InterruptStatus
      return registers.interruptStatus;
    case 0x070: // Status
      return device.field.status;
    case 0x0b0: // SHMLenLow: no shared memory region
    case 0x0b4: // SHMLenHigh
    case 0x0b8: // SHMBaseLow
    case 0x0bc: // SHMBaseHigh
      return 0xffff_ffff;
    case 0x0fc: // ConfigGeneration
      return device.blk.config.generation;
    default: // write-only, QueueReset without RING_RESET, or nothing
      return 0;
  }
};

const write = (registers: Registers, at: number, width: 1 | 2 | 4, value: number): void => {
  const { device } = registers;
  if (at >= CONFIG) {
    const bytes = new Uint8Array(width);
    for (let i = 0; i < width; i += 1) bytes[i] = (value >>> (8 * i)) & 0xff;
    writeDeviceConfig(device, at - CONFIG, bytes);
    return;
  }
  if (width !== 4) return;
  switch (at) {
    case 0x014: // DeviceFeaturesSel
      registers.deviceFeaturesSel = value;
      return;
    case 0x020: // DriverFeatures
      if (registers.driverFeaturesSel > 1) return;
      acceptFeatures(
        device,
        BigInt(value) << BigInt(32 * registers.driverFeaturesSel),
        0xffff_ffffn << BigInt(32 * registers.driverFeaturesSel),
      );
      return;
    case 0x024: // DriverFeaturesSel
      registers.driverFeaturesSel = value;
      return;
    case 0x030: // QueueSel
      registers.queueSel = value;
      return;
    case 0x050: // QueueNotify
      notifyQueue(device, value);
      return;
    case 0x064: // InterruptACK
      registers.interruptStatus &= ~value;
      return;
    case 0x070: // Status
      // Writing zero, all 32 bits of it, resets.
      if (value === 0 || (value & 0xff) !== 0) setStatus(device, value & 0xff);
      return;
    default: {
      const queue = queueAt(device, registers.queueSel);
      if (queue !== undefined) writeQueue(device, queue, at, value);
    }
  }
};

const writeQueue = (device: Device, queue: Queue, at: number, value: number): void => {
  if (at === 0x044) {
    // QueueReady: 0 stops the queue; made ready again it starts at the beginning of its rings.
    if (value === 1) enableQueue(device, queue, 0);
    if (value === 0) queue.enabled = false;
    return;
  }
  // The rest is fixed while the queue is ready.
  if (queue.enabled) return;
  switch (at) {
    case 0x038: // QueueSize
      queue.size = value;
      return;
    case 0x080: // QueueDescLow
      queue.descArea = lower(queue.descArea, value);
      return;
    case 0x084: // QueueDescHigh
      queue.descArea = upper(queue.descArea, value);
      return;
    case 0x090: // QueueDriverLow
      queue.driverArea = lower(queue.driverArea, value);
      return;
    case 0x094: // QueueDriverHigh
      queue.driverArea = upper(queue.driverArea, value);
      return;
    case 0x0a0: // QueueDeviceLow
      queue.deviceArea = lower(queue.deviceArea, value);
      return;
    case 0x0a4: // QueueDeviceHigh
      queue.deviceArea = upper(queue.deviceArea, value);
      return;
    default: // read-only, or nothing
      return;
  }
};
