// Lifts a virtio-mmio register window (version 2) to the virtio control plane.
// VIRTIO 1.4, Virtio Over MMIO: MMIO Device Register Layout.

import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Bus, BusOp, Lifted, LiftedDevice, Place, Turns, Unsupported, Width } from './bus.ts';
import { read, write } from './bus.ts';
import { type DeviceConfig, high, joined, low, nothing, readConfig, resetDevice, write64, writeConfig } from './registers.ts';

const MagicValue = 0x000;
const Version = 0x004;
const DeviceID = 0x008;
const DeviceFeatures = 0x010;
const DeviceFeaturesSel = 0x014;
const DriverFeatures = 0x020;
const DriverFeaturesSel = 0x024;
const QueueSel = 0x030;
const QueueSizeMax = 0x034;
const QueueSize = 0x038;
const QueueReady = 0x044;
const QueueNotify = 0x050;
const InterruptStatus = 0x060;
const InterruptACK = 0x064;
const Status = 0x070;
const QueueDesc = 0x080;
const QueueDriver = 0x090;
const QueueDevice = 0x0a0;
const ConfigGeneration = 0x0fc;
const Config = 0x100;

const usedBuffer = 1 << 0;
const configurationChange = 1 << 1;
const virt = 0x74726976;
/** More queues than any device here has. */
const queuesAsked = 16;

const place = (at: number, width: Width): Place => ({ space: 'mmio', at, width });
/** Linux and QEMU give a device 0x200 bytes of registers. */
const registersLength = 0x200;
const config: DeviceConfig = { field: (at, width) => place(Config + at, width), length: registersLength - Config };
const get = (register: number): BusOp => read(place(register, 4));
const set = (register: number, value: number): BusOp => write(place(register, 4), value);

function lift(s: Stimulus): Lifted | Unsupported {
  switch (s.do) {
    case 'virtio.status.read':
      return { ops: [get(Status)], saw: ([value = 0]) => [{ saw: 'virtio.status', value }] };
    case 'virtio.status.write':
      return { ops: [set(Status, s.value)], saw: nothing };
    case 'virtio.features.read':
      return {
        ops: [set(DeviceFeaturesSel, 0), get(DeviceFeatures), set(DeviceFeaturesSel, 1), get(DeviceFeatures)],
        saw: ([, lowHalf = 0, , highHalf = 0]) => [{ saw: 'virtio.features', offered: joined(lowHalf, highHalf) }],
      };
    case 'virtio.features.write':
      return {
        ops: [
          set(DriverFeaturesSel, 0),
          set(DriverFeatures, low(s.accepted)),
          set(DriverFeaturesSel, 1),
          set(DriverFeatures, high(s.accepted)),
        ],
        saw: nothing,
      };
    case 'virtio.config.read':
      return readConfig(config, s.at, s.width);
    case 'virtio.config.write':
      return writeConfig(config, s.at, s.bytes);
    case 'virtio.generation.read':
      return { ops: [get(ConfigGeneration)], saw: ([value = 0]) => [{ saw: 'virtio.generation', value }] };
    case 'virtq.read':
      return {
        ops: [set(QueueSel, s.queue), get(QueueSizeMax), get(QueueReady)],
        saw: ([, sizeMax = 0, ready = 0]) => [{ saw: 'virtq.state', queue: s.queue, sizeMax, enabled: ready !== 0 }],
      };
    case 'virtq.set':
      if (s.base !== undefined && s.base !== 0) return { unsupported: 'virtq.base over MMIO' };
      return {
        ops: [
          set(QueueSel, s.queue),
          set(QueueSize, s.size),
          ...write64(place, QueueDesc, s.desc),
          ...write64(place, QueueDriver, s.avail),
          ...write64(place, QueueDevice, s.used),
          set(QueueReady, 1),
        ],
        saw: nothing,
      };
    case 'virtq.notify':
      return { ops: [set(QueueNotify, s.queue)], saw: nothing };
    case 'mmio.read': {
      const { at, width } = s;
      return { ops: [read(place(at, width))], saw: ([value = 0]) => [{ saw: 'mmio', at, width, value }] };
    }
    case 'mmio.write':
      return { ops: [write(place(s.at, s.width), s.value)], saw: nothing };
    default:
      return { unsupported: `${s.do} on virtio-mmio` };
  }
}

/** The device in this window, or why there is none. */
export function openMmio(bus: Bus, deviceId: number): LiftedDevice | Unsupported {
  const [magic, version, id] = bus.run([get(MagicValue), get(Version), get(DeviceID)]);
  if (magic !== virt || version !== 2)
    return { unsupported: `not virtio-mmio version 2: magic ${magic?.toString(16)}, version ${version}` };
  if (id !== deviceId) return { unsupported: `virtio device ${id}, not ${deviceId}` };
  const sizes = bus.run(Array.from({ length: queuesAsked }, (_, q) => [set(QueueSel, q), get(QueueSizeMax)]).flat());
  const queues = Array.from({ length: queuesAsked }, (_, q) => q).filter((q) => sizes[2 * q + 1] !== 0).length;
  // A program that touches registers itself owns InterruptStatus from then on: it is watched but no longer acknowledged here.
  let owned = false;
  let shown = 0;
  return {
    queues,
    prepare: () => {
      owned = false;
      shown = 0;
      return resetDevice(place(Status, 4));
    },
    lift: (s) => {
      if (s.do === 'mmio.read' || s.do === 'mmio.write') owned = true;
      return lift(s);
    },
    look: function* (): Turns<readonly Observation[]> {
      const [status = 0] = yield [get(InterruptStatus)];
      const fresh = status & ~shown & (usedBuffer | configurationChange);
      if (owned) shown = status;
      else if (status !== 0) yield [set(InterruptACK, status & (usedBuffer | configurationChange))];
      const saw: Observation[] = [];
      if (fresh & usedBuffer) saw.push({ saw: 'interrupt', from: 'queue' });
      if (fresh & configurationChange) saw.push({ saw: 'interrupt', from: 'config' });
      return saw;
    },
  };
}
