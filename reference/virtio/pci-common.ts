// Decides what the common configuration structure of virtio-pci answers and does.
// VIRTIO 1.4, Virtio Over PCI Bus, Common configuration structure layout; MSI-X Vector Configuration.

import { acceptFeatures, type Device, enableQueue, queueAt, setStatus } from './device.ts';
import { word } from './features.ts';
import { VIRTIO_MSI_NO_VECTOR } from './msix.ts';
import { lower, type Queue, sizeAllowed, upper } from './split-ring.ts';

/** Up to queue_device; what later features append is not offered. */
export const COMMON_BYTES = 56;

export interface Common {
  readonly device: Device;
  /** Entries of the MSI-X table. */
  readonly vectors: number;
  deviceFeatureSelect: number;
  driverFeatureSelect: number;
  queueSelect: number;
  configVector: number;
  readonly queueVectors: number[];
}

export const resetCommon = (common: Omit<Common, 'device'>): void => {
  common.deviceFeatureSelect = 0;
  common.driverFeatureSelect = 0;
  common.queueSelect = 0;
  // MSI-X Vector Configuration: every event is unmapped upon reset.
  common.configVector = VIRTIO_MSI_NO_VECTOR;
  common.queueVectors.fill(VIRTIO_MSI_NO_VECTOR);
};

/** The bytes of each field: a driver uses accesses of the field's width, 32 bits for either half of 64. */
const widths: Readonly<Record<number, 1 | 2 | 4>> = {
  0: 4, // device_feature_select
  4: 4, // device_feature
  8: 4, // driver_feature_select
  12: 4, // driver_feature
  16: 2, // config_msix_vector
  18: 2, // num_queues
  20: 1, // device_status
  21: 1, // config_generation
  22: 2, // queue_select
  24: 2, // queue_size
  26: 2, // queue_msix_vector
  28: 2, // queue_enable
  30: 2, // queue_notify_off
  32: 4, // queue_desc
  36: 4,
  40: 4, // queue_driver
  44: 4,
  48: 4, // queue_device
  52: 4,
};

/** Reads have no effect here, so any width is put together from the fields it covers. */
export const readCommon = (common: Common, at: number, width: number): number => {
  let value = 0;
  for (let i = 0; i < width; i += 1) value += readByte(common, at + i) * 256 ** i;
  return value;
};
const readByte = (common: Common, at: number): number => {
  let start = at;
  while (start > 0 && widths[start] === undefined) start -= 1;
  if (at >= COMMON_BYTES) return 0;
  return (readField(common, start) >>> (8 * (at - start))) & 0xff;
};

const readField = (common: Common, at: number): number => {
  const { device } = common;
  const queue = queueAt(device, common.queueSelect);
  switch (at) {
    case 0:
      return common.deviceFeatureSelect;
    case 4:
      return word(device.offered, common.deviceFeatureSelect);
    case 8:
      return common.driverFeatureSelect;
    case 12:
      return word(device.accepted, common.driverFeatureSelect);
    case 16:
      return common.configVector;
    case 18:
      return device.queues.length;
    case 20:
      return device.field.status;
    case 21:
      return device.blk.config.generation & 0xff;
    case 22:
      return common.queueSelect;
    default:
      return queue === undefined ? absent(at) : readQueueField(common, queue, at);
  }
};

/** A queue that does not exist: size 0, nothing mapped. */
const absent = (at: number): number => (at === 26 ? VIRTIO_MSI_NO_VECTOR : 0);

const readQueueField = (common: Common, queue: Queue, at: number): number => {
  switch (at) {
    case 24:
      return queue.size;
    case 26:
      return common.queueVectors[queue.index] ?? VIRTIO_MSI_NO_VECTOR;
    case 28:
      return queue.enabled ? 1 : 0;
    case 30:
      return queue.index;
    case 32:
      return word(queue.descArea, 0);
    case 36:
      return word(queue.descArea, 1);
    case 40:
      return word(queue.driverArea, 0);
    case 44:
      return word(queue.driverArea, 1);
    case 48:
      return word(queue.deviceArea, 0);
    case 52:
      return word(queue.deviceArea, 1);
    default:
      return 0;
  }
};

/** Writes of another width than the field's are not obeyed. */
export const writeCommon = (common: Common, at: number, width: number, value: number): void => {
  if (widths[at] !== width) return;
  const { device } = common;
  switch (at) {
    case 0:
      common.deviceFeatureSelect = value;
      return;
    case 8:
      common.driverFeatureSelect = value;
      return;
    case 12: {
      if (common.driverFeatureSelect > 1) return;
      const shift = BigInt(32 * common.driverFeatureSelect);
      acceptFeatures(device, BigInt(value) << shift, 0xffff_ffffn << shift);
      return;
    }
    case 16:
      common.configVector = mapped(common, value);
      return;
    case 20:
      setStatus(device, value);
      return;
    case 22:
      common.queueSelect = value;
      return;
    default: {
      const queue = queueAt(device, common.queueSelect);
      if (queue !== undefined) writeQueueField(common, queue, at, value);
    }
  }
};

/** A vector outside the table cannot be mapped, and reads back as NO_VECTOR. */
const mapped = (common: Common, vector: number): number => (vector < common.vectors ? vector : VIRTIO_MSI_NO_VECTOR);

const writeQueueField = (common: Common, queue: Queue, at: number, value: number): void => {
  if (at === 26) {
    common.queueVectors[queue.index] = mapped(common, value);
    return;
  }
  // A queue is configured before it is enabled, and stays enabled until reset.
  if (queue.enabled) return;
  switch (at) {
    case 24:
      // queue_size presents 0 or a power of 2.
      queue.size = sizeAllowed(queue, value) ? value : 0;
      return;
    case 28:
      if (value === 1) enableQueue(common.device, queue, 0);
      return;
    case 32:
      queue.descArea = lower(queue.descArea, value);
      return;
    case 36:
      queue.descArea = upper(queue.descArea, value);
      return;
    case 40:
      queue.driverArea = lower(queue.driverArea, value);
      return;
    case 44:
      queue.driverArea = upper(queue.driverArea, value);
      return;
    case 48:
      queue.deviceArea = lower(queue.deviceArea, value);
      return;
    case 52:
      queue.deviceArea = upper(queue.deviceArea, value);
      return;
    default:
      return;
  }
};
