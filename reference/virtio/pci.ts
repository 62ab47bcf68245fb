// Decides how accesses to the PCI function reach the device, and how its notifications reach the driver: ISR and INTx, or MSI-X.
// VIRTIO 1.4, Virtio Over PCI Bus: PCI Device Layout; PCI-specific Initialization And Device Operation.

import type { VirtioMachine, VirtioStimulus } from '../../spec/virtio/vocabulary.ts';
import { inside, type Memory, store32 } from '../memory.ts';
import type { Face, See } from './control.ts';
import { createDevice, notifyQueue, readDeviceConfig, writeDeviceConfig } from './device.ts';
import type { Disk } from './disk.ts';
import { clearMsix, createMsix, type Msix, readPending, readTable, release, signal, VIRTIO_MSI_NO_VECTOR, writeTable } from './msix.ts';
import { COMMON_BYTES, type Common, readCommon, resetCommon, writeCommon } from './pci-common.ts';
import {
  BUS_MASTER,
  clearPciConfig,
  COMMAND,
  COMMON_AT,
  createPciConfig,
  DEVICE_AT,
  INTERRUPT_DISABLE,
  INTERRUPT_STATUS,
  ISR_AT,
  MEMORY_SPACE,
  MSIX,
  MSIX_BAR,
  MSIX_ENABLE,
  MSIX_FUNCTION_MASK,
  NOTIFY_AT,
  NOTIFY_MULTIPLIER,
  PENDING_AT,
  type PciConfig,
  readPciConfig,
  STATUS,
  STRUCTURES_BAR,
  WINDOW,
  WINDOW_DATA,
  writePciConfig,
} from './pci-config.ts';

/** ISR status bits. */
const QUEUE_INTERRUPT = 1;
const CONFIGURATION_INTERRUPT = 2;
const ONES = 0xffff_ffff;

interface PciFunction {
  readonly memory: Memory;
  readonly see: See;
  readonly config: PciConfig;
  readonly msix: Msix;
  readonly common: Common;
  isr: number;
  /** ISR bits that the INTx line has already been seen to rise for. */
  risen: number;
  /** Queues notified while the function was no bus master. */
  readonly held: Set<number>;
}

export const pciFunction = (memory: Memory, machine: VirtioMachine, disk: Disk, see: See): Face => {
  // One vector for each queue and one for the configuration.
  const vectors = machine.queues + 1;
  const selected = {
    vectors,
    deviceFeatureSelect: 0,
    driverFeatureSelect: 0,
    queueSelect: 0,
    configVector: 0,
    queueVectors: [] as number[],
  };
  for (let index = 0; index < machine.queues; index += 1) selected.queueVectors.push(VIRTIO_MSI_NO_VECTOR);
  const msix = createMsix(vectors, (vector, address, data) => deliver(fn, vector, address, data));
  const state = { memory, see, msix, isr: 0, risen: 0, held: new Set<number>() };
  const device = createDevice(memory, machine, disk, {
    queueUsed: (queue) => queueUsed(fn, queue),
    configurationChanged: () => configurationChanged(fn),
    deviceReset: () => {
      resetCommon(selected);
      state.isr = 0;
      state.risen = 0;
      state.held.clear();
      msix.pending.fill(0);
    },
  });
  const common: Common = Object.assign(selected, { device });
  const fn: PciFunction = Object.assign(state, { common, config: createPciConfig(device.queues.length, vectors) });
  const powerOn = (): void => {
    clearPciConfig(fn.config);
    clearMsix(msix);
    configWritten(fn);
  };
  powerOn();
  return { device, apply: (stimulus) => applyPci(fn, stimulus), powerOn };
};

const applyPci = (fn: PciFunction, s: VirtioStimulus): boolean => {
  switch (s.do) {
    case 'pci.config.read':
      fn.see({ saw: 'pci.config', at: s.at, width: s.width, value: readConfigSpace(fn, s.at, s.width) });
      return true;
    case 'pci.config.write':
      writeConfigSpace(fn, s.at, s.width, cut(s.value, s.width));
      return true;
    case 'pci.bar.read': {
      // PCI: with Memory Space off nobody answers, and a read is all ones.
      const value = enabled(fn, MEMORY_SPACE) ? readBar(fn, s.bar, s.at, s.width) : ONES >>> (32 - 8 * s.width);
      fn.see({ saw: 'pci.bar', bar: s.bar, at: s.at, width: s.width, value });
      return true;
    }
    case 'pci.bar.write':
      if (enabled(fn, MEMORY_SPACE)) writeBar(fn, s.bar, s.at, s.width, cut(s.value, s.width));
      return true;
    default:
      return false;
  }
};

/** As many bits as the access is wide. */
const cut = (value: number, width: number): number => (value & (ONES >>> (32 - 8 * width))) >>> 0;

const enabled = (fn: PciFunction, bit: number): boolean => (fn.config.bytes.getUint16(COMMAND, true) & bit) !== 0;

// Configuration space.
const readConfigSpace = (fn: PciFunction, at: number, width: number): number => {
  // PCI configuration access capability: reading pci_cfg_data reads through the window.
  if (at + width > WINDOW_DATA && at < WINDOW_DATA + 4) {
    const window = windowOf(fn);
    if (window !== undefined) putData(fn, window.length, readBar(fn, window.bar, window.offset, window.length));
  }
  return readPciConfig(fn.config, at, width);
};

const writeConfigSpace = (fn: PciFunction, at: number, width: number, value: number): void => {
  writePciConfig(fn.config, at, width, value);
  // Writing pci_cfg_data writes its first bytes through the window.
  if (at + width > WINDOW_DATA && at < WINDOW_DATA + 4) {
    const window = windowOf(fn);
    if (window !== undefined) {
      writeBar(fn, window.bar, window.offset, window.length, readPciConfig(fn.config, WINDOW_DATA, window.length));
    }
  }
  configWritten(fn);
};

interface Window {
  readonly bar: number;
  readonly offset: number;
  readonly length: 1 | 2 | 4;
}
/** Undefined: not an access that the capability can make. */
const windowOf = (fn: PciFunction): Window | undefined => {
  const bar = fn.config.bytes.getUint8(WINDOW + 4);
  const offset = fn.config.bytes.getUint32(WINDOW + 8, true);
  const length = fn.config.bytes.getUint32(WINDOW + 12, true);
  if (bar !== STRUCTURES_BAR) return undefined;
  if (length !== 1 && length !== 2 && length !== 4) return undefined;
  if (offset % length !== 0) return undefined;
  return { bar, offset, length };
};
const putData = (fn: PciFunction, length: number, value: number): void => writePciConfig(fn.config, WINDOW_DATA, length, value);

/** What follows from the command register and from Message Control. */
const configWritten = (fn: PciFunction): void => {
  const control = fn.config.bytes.getUint16(MSIX + 2, true);
  fn.msix.enabled = (control & MSIX_ENABLE) !== 0;
  fn.msix.functionMask = (control & MSIX_FUNCTION_MASK) !== 0;
  fn.msix.master = enabled(fn, BUS_MASTER);
  if (fn.msix.master && fn.held.size > 0) {
    const held = [...fn.held];
    fn.held.clear();
    for (const queue of held) notifyQueue(fn.common.device, queue);
  }
  release(fn.msix);
  updateLine(fn);
};

// Base address registers.
const readBar = (fn: PciFunction, bar: number, at: number, width: number): number => {
  if (bar === MSIX_BAR) {
    if (width !== 4) return 0;
    return at >= PENDING_AT ? readPending(fn.msix, at - PENDING_AT) : readTable(fn.msix, at);
  }
  if (bar !== STRUCTURES_BAR) return ONES >>> (32 - 8 * width);
  if (at >= NOTIFY_AT) return 0;
  if (at >= DEVICE_AT) return number(readDeviceConfig(fn.common.device, at - DEVICE_AT, width));
  if (at >= ISR_AT) return at === ISR_AT ? readIsr(fn) : 0;
  return at < COMMON_AT + COMMON_BYTES ? readCommon(fn.common, at - COMMON_AT, width) : 0;
};

const writeBar = (fn: PciFunction, bar: number, at: number, width: number, value: number): void => {
  if (bar === MSIX_BAR) {
    if (width === 4 && at < PENDING_AT) writeTable(fn.msix, at, value);
    return;
  }
  if (bar !== STRUCTURES_BAR) return;
  if (at >= NOTIFY_AT) return notify(fn, at - NOTIFY_AT, value);
  if (at >= DEVICE_AT) return writeDeviceConfig(fn.common.device, at - DEVICE_AT, bytesOf(width, value));
  if (at >= ISR_AT) return;
  writeCommon(fn.common, at - COMMON_AT, width, value);
  updateLine(fn);
};

// Available Buffer Notifications: the queue's index, written to the queue's own address.
const notify = (fn: PciFunction, at: number, value: number): void => {
  const queue = value & 0xffff;
  if (at !== queue * NOTIFY_MULTIPLIER) return;
  // PCI: a function that is no bus master cannot look at its queues; it does when it is one again.
  if (!enabled(fn, BUS_MASTER)) {
    fn.held.add(queue);
    return;
  }
  notifyQueue(fn.common.device, queue);
};

const number = (bytes: Uint8Array): number => {
  let value = 0;
  for (const byte of bytes.reverse()) value = value * 256 + byte;
  return value;
};
const bytesOf = (width: number, value: number): Uint8Array => {
  const bytes = new Uint8Array(width);
  for (let i = 0; i < width; i += 1) bytes[i] = (value >>> (8 * i)) & 0xff;
  return bytes;
};

// ISR status capability: reading resets it to 0 and de-asserts the interrupt.
const readIsr = (fn: PciFunction): number => {
  const isr = fn.isr;
  fn.isr = 0;
  updateLine(fn);
  return isr;
};

// Used Buffer Notifications.
const queueUsed = (fn: PciFunction, queue: number): void => {
  if (!fn.msix.enabled) {
    fn.isr |= QUEUE_INTERRUPT;
    updateLine(fn);
    return;
  }
  const vector = fn.common.queueVectors[queue] ?? VIRTIO_MSI_NO_VECTOR;
  if (vector === VIRTIO_MSI_NO_VECTOR) return;
  signal(fn.msix, vector);
};

// Notification of Device Configuration Changes: the ISR bit is set in either mode.
const configurationChanged = (fn: PciFunction): void => {
  fn.isr |= CONFIGURATION_INTERRUPT;
  if (!fn.msix.enabled) {
    updateLine(fn);
    return;
  }
  const { configVector } = fn.common;
  if (configVector === VIRTIO_MSI_NO_VECTOR) return;
  signal(fn.msix, configVector);
};

/** The Interrupt Status bit is the OR of the ISR bits while MSI-X is off; INTx follows it unless disabled. */
const updateLine = (fn: PciFunction): void => {
  const status = fn.config.bytes.getUint16(STATUS, true) & ~INTERRUPT_STATUS;
  const asserting = fn.msix.enabled ? 0 : fn.isr;
  fn.config.bytes.setUint16(STATUS, asserting === 0 ? status : status | INTERRUPT_STATUS, true);
  const line = enabled(fn, INTERRUPT_DISABLE) ? 0 : asserting;
  const rising = line & ~fn.risen;
  fn.risen = line;
  if ((rising & QUEUE_INTERRUPT) !== 0) fn.see({ saw: 'interrupt', from: 'queue' });
  if ((rising & CONFIGURATION_INTERRUPT) !== 0) fn.see({ saw: 'interrupt', from: 'config' });
};

/** A message lands in guest memory where its address lies in it; elsewhere it is an interrupt controller's, seen as an interrupt. */
const deliver = (fn: PciFunction, vector: number, address: bigint, data: number): void => {
  const at = Number(address);
  if (inside(fn.memory, at, 4)) {
    store32(fn.memory, at, data);
    return;
  }
  const queue = fn.common.queueVectors.indexOf(vector);
  fn.see(queue < 0 ? { saw: 'interrupt', from: 'config' } : { saw: 'interrupt', from: 'queue', queue });
};
