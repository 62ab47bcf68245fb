// Lifts a modern virtio-pci function to the virtio control plane: common configuration, notification, ISR or MSI-X, device configuration.
// VIRTIO 1.4, Virtio Over PCI Bus. Selectors and vectors are written each time they are needed, so raw accesses spoil nothing.

import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Bus, BusOp, Lifted, LiftedDevice, Messages, Place, Turns, Unsupported, Width } from './bus.ts';
import { read, write } from './bus.ts';
import { config, discover, enable, ioStride, type PciFunction, resetFunction, vectorsOf, type Windows } from './pci-function.ts';
import { type DeviceConfig, type Field, high, joined, low, nothing, readConfig, resetDevice, write64, writeConfig } from './registers.ts';

// struct virtio_pci_common_cfg
const device_feature_select = 0x00;
const device_feature = 0x04;
const driver_feature_select = 0x08;
const driver_feature = 0x0c;
const config_msix_vector = 0x10;
const num_queues = 0x12;
const device_status = 0x14;
const config_generation = 0x15;
const queue_select = 0x16;
const queue_size = 0x18;
const queue_msix_vector = 0x1a;
const queue_enable = 0x1c;
const queue_notify_off = 0x1e;
const queue_desc = 0x20;
const queue_driver = 0x28;
const queue_device = 0x30;

// cfg_type of struct virtio_pci_cap
const VIRTIO_PCI_CAP_COMMON_CFG = 1;
const VIRTIO_PCI_CAP_NOTIFY_CFG = 2;
const VIRTIO_PCI_CAP_ISR_CFG = 3;
const VIRTIO_PCI_CAP_DEVICE_CFG = 4;

const isrQueue = 1 << 0;
const isrConfig = 1 << 1;
const VIRTIO_MSI_NO_VECTOR = 0xffff;
const vendorVirtio = 0x1af4;
/** PCI device ID of a modern virtio device: this plus the virtio device ID. */
const modernId = 0x1040;

interface Structure {
  readonly field: Field;
  readonly length: number;
  /** notify_off_multiplier, of the notification structure. */
  readonly multiplier: number;
}

/** The first usable structure of a type: the device orders them by preference. */
function structure(pci: PciFunction, type: number): Structure | undefined {
  const cap = pci.vendor.find((c) => c.bytes.getUint8(3) === type && pci.bars.some((b) => b.bar === c.bytes.getUint8(4)));
  if (cap === undefined) return undefined;
  const bar = cap.bytes.getUint8(4);
  const offset = cap.bytes.getUint32(8, true);
  return {
    field: (at: number, width: Width): Place => ({ space: 'bar', bar, at: offset + at, width }),
    length: cap.bytes.getUint32(12, true),
    multiplier: cap.bytes.getUint32(16, true),
  };
}

interface Structures {
  readonly common: Field;
  readonly device: DeviceConfig | undefined;
  readonly isr: Field;
  /** Where queue's notification goes. */
  readonly notify: (queue: number) => Place | undefined;
  readonly queues: number;
  /** MSI-X vector for a queue, for configuration changes (-1), and back. */
  readonly vector: (queue: number) => number;
}

function lift(on: Structures, s: Stimulus): Lifted | Unsupported {
  const get = (at: number, width: Width): BusOp => read(on.common(at, width));
  const set = (at: number, width: Width, value: number): BusOp => write(on.common(at, width), value);
  switch (s.do) {
    case 'virtio.status.read':
      return { ops: [get(device_status, 1)], saw: ([value = 0]) => [{ saw: 'virtio.status', value }] };
    case 'virtio.status.write': {
      // A reset forgets vectors: the configuration vector is set with every step that follows one.
      const vector = s.value === 0 ? [] : [set(config_msix_vector, 2, on.vector(-1))];
      return { ops: [...vector, set(device_status, 1, s.value)], saw: nothing };
    }
    case 'virtio.features.read':
      return {
        ops: [set(device_feature_select, 4, 0), get(device_feature, 4), set(device_feature_select, 4, 1), get(device_feature, 4)],
        saw: ([, lowHalf = 0, , highHalf = 0]) => [{ saw: 'virtio.features', offered: joined(lowHalf, highHalf) }],
      };
    case 'virtio.features.write':
      return {
        ops: [
          set(driver_feature_select, 4, 0),
          set(driver_feature, 4, low(s.accepted)),
          set(driver_feature_select, 4, 1),
          set(driver_feature, 4, high(s.accepted)),
        ],
        saw: nothing,
      };
    case 'virtio.config.read':
      return on.device === undefined ? { unsupported: 'no device configuration' } : readConfig(on.device, s.at, s.width);
    case 'virtio.config.write':
      return on.device === undefined ? { unsupported: 'no device configuration' } : writeConfig(on.device, s.at, s.bytes);
    case 'virtio.generation.read':
      return { ops: [get(config_generation, 1)], saw: ([value = 0]) => [{ saw: 'virtio.generation', value }] };
    case 'virtq.read':
      return {
        ops: [set(queue_select, 2, s.queue), get(queue_size, 2), get(queue_enable, 2)],
        saw: ([, sizeMax = 0, enabled = 0]) => [{ saw: 'virtq.state', queue: s.queue, sizeMax, enabled: enabled !== 0 }],
      };
    case 'virtq.set':
      if (s.base !== undefined && s.base !== 0) return { unsupported: 'virtq.base over PCI' };
      return {
        ops: [
          set(queue_select, 2, s.queue),
          set(queue_size, 2, s.size),
          set(queue_msix_vector, 2, on.vector(s.queue)),
          ...write64(on.common, queue_desc, s.desc),
          ...write64(on.common, queue_driver, s.avail),
          ...write64(on.common, queue_device, s.used),
          set(queue_enable, 2, 1),
        ],
        saw: nothing,
      };
    case 'virtq.notify': {
      const place = on.notify(s.queue);
      return place === undefined
        ? { unsupported: `queue ${s.queue} has no notification address` }
        : { ops: [write(place, s.queue)], saw: nothing };
    }
    case 'pci.config.read': {
      const { at, width } = s;
      return { ops: [read(config(at, width))], saw: ([value = 0]) => [{ saw: 'pci.config', at, width, value }] };
    }
    case 'pci.config.write':
      return { ops: [write(config(s.at, s.width), s.value)], saw: nothing };
    case 'pci.bar.read': {
      const { bar, at, width } = s;
      return { ops: [read({ space: 'bar', bar, at, width })], saw: ([value = 0]) => [{ saw: 'pci.bar', bar, at, width, value }] };
    }
    case 'pci.bar.write':
      return { ops: [write({ space: 'bar', bar: s.bar, at: s.at, width: s.width }, s.value)], saw: nothing };
    default:
      return { unsupported: `${s.do} on virtio-pci` };
  }
}

/** The function behind this bus as a virtio device, reset and reachable, or why it is none. */
export function openPci(bus: Bus, deviceId: number, windows: Windows, messages: Messages): LiftedDevice | Unsupported {
  const [vendor, device] = bus.run([read(config(0, 2)), read(config(2, 2))]);
  if (vendor !== vendorVirtio || device !== modernId + deviceId)
    return { unsupported: `not a modern virtio function for device ${deviceId}: ${vendor?.toString(16)}:${device?.toString(16)}` };
  const pci = discover(bus);
  const common = structure(pci, VIRTIO_PCI_CAP_COMMON_CFG)?.field;
  const notify = structure(pci, VIRTIO_PCI_CAP_NOTIFY_CFG);
  const isr = structure(pci, VIRTIO_PCI_CAP_ISR_CFG)?.field;
  if (common === undefined || notify === undefined || isr === undefined)
    return { unsupported: 'no common configuration, notification or ISR capability' };
  const huge = pci.bars.find((b) => b.size > (b.io ? ioStride : windows.stride));
  if (huge !== undefined) return { unsupported: `BAR ${huge.bar} of ${huge.size} bytes` };
  enable(bus, pci, windows, messages);

  const queues = bus.run([read(common(num_queues, 2))])[0] ?? 0;
  const offsets = bus.run(
    Array.from({ length: queues }, (_, q) => [write(common(queue_select, 2), q), read(common(queue_notify_off, 2))]).flat(),
  );
  const vectors = vectorsOf(pci, messages);
  const on: Structures = {
    common,
    device: structure(pci, VIRTIO_PCI_CAP_DEVICE_CFG),
    isr,
    queues,
    // A queue that does not exist has no queue_notify_off; its number stands in, where the structure reaches that far.
    notify: (queue) => {
      const at = (offsets[2 * queue + 1] ?? queue) * notify.multiplier;
      return at + 2 <= notify.length ? notify.field(at, 2) : undefined;
    },
    vector: (queue) => (vectors === 0 ? VIRTIO_MSI_NO_VECTOR : Math.min(queue + 1, vectors - 1)),
  };
  return {
    queues,
    prepare: function* (disturbed) {
      if (disturbed) {
        resetFunction(bus, pci);
        enable(bus, pci, windows, messages);
      }
      const reset = yield* resetDevice(common(device_status, 1));
      messages.take();
      return reset;
    },
    lift: (s) => lift(on, s),
    look: () => (vectors === 0 ? lookIsr(on) : lookMessages(on, messages, vectors)),
  };
}

function* lookMessages(on: Structures, messages: Messages, vectors: number): Turns<readonly Observation[]> {
  yield [read(on.common(device_status, 1))];
  return messages.take().map((vector): Observation => {
    if (vector === 0) return { saw: 'interrupt', from: 'config' };
    // The last vector is shared where there are fewer vectors than queues.
    const shared = vector === vectors - 1 && on.queues > vectors - 1;
    return shared ? { saw: 'interrupt', from: 'queue' } : { saw: 'interrupt', from: 'queue', queue: vector - 1 };
  });
}

/** Without MSI-X. Reading ISR clears it. */
function* lookIsr(on: Structures): Turns<readonly Observation[]> {
  const [isr = 0] = yield [read(on.isr(0, 1))];
  const saw: Observation[] = [];
  if (isr & isrQueue) saw.push({ saw: 'interrupt', from: 'queue' });
  if (isr & isrConfig) saw.push({ saw: 'interrupt', from: 'config' });
  return saw;
}
