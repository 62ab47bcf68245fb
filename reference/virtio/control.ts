// Decides what the control-plane stimuli do to a device that hangs on no bus: each is one register access, and notifications are seen as such.
// The vocabulary is spec/virtio/vocabulary.ts; the rules are those of the device.

import type { Observation } from '../../spec/vocabulary.ts';
import type { VirtioMachine, VirtioStimulus } from '../../spec/virtio/vocabulary.ts';
import type { Memory } from '../memory.ts';
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

/** One device behind one way to reach it. */
export interface Face {
  readonly device: Device;
  /** False: no such stimulus here. */
  readonly apply: (stimulus: VirtioStimulus) => boolean;
  /** Returns what belongs to the bus to its initial state, the device excepted. */
  readonly powerOn: () => void;
}
export type See = (observation: Observation) => void;

const ALL_FEATURES = 0xffff_ffff_ffff_ffffn;

export const controlPlane = (memory: Memory, machine: VirtioMachine, disk: Disk, see: See): Face => {
  const device = createDevice(memory, machine, disk, {
    queueUsed: (queue) => see({ saw: 'interrupt', from: 'queue', queue }),
    configurationChanged: () => see({ saw: 'interrupt', from: 'config' }),
    deviceReset: () => {},
  });
  return { device, apply: (stimulus) => applyControl(device, stimulus, see), powerOn: () => {} };
};

const applyControl = (device: Device, s: VirtioStimulus, see: See): boolean => {
  switch (s.do) {
    case 'virtio.status.write':
      setStatus(device, s.value & 0xff);
      return true;
    case 'virtio.status.read':
      see({ saw: 'virtio.status', value: device.field.status });
      return true;
    case 'virtio.features.read':
      see({ saw: 'virtio.features', offered: device.offered });
      return true;
    case 'virtio.features.write':
      acceptFeatures(device, s.accepted, ALL_FEATURES);
      return true;
    case 'virtio.config.read':
      see({ saw: 'virtio.config', at: s.at, bytes: readDeviceConfig(device, s.at, s.width) });
      return true;
    case 'virtio.config.write':
      writeDeviceConfig(device, s.at, s.bytes);
      return true;
    case 'virtio.generation.read':
      see({ saw: 'virtio.generation', value: device.blk.config.generation });
      return true;
    case 'virtq.read': {
      const queue = queueAt(device, s.queue);
      see({ saw: 'virtq.state', queue: s.queue, sizeMax: queue?.sizeMax ?? 0, enabled: queue?.enabled ?? false });
      return true;
    }
    case 'virtq.set': {
      const queue = queueAt(device, s.queue);
      if (queue === undefined) return true;
      // A running queue keeps its place: only reset takes it back.
      if (queue.enabled) return true;
      queue.size = s.size;
      queue.descArea = s.desc;
      queue.driverArea = s.avail;
      queue.deviceArea = s.used;
      enableQueue(device, queue, s.base ?? 0);
      return true;
    }
    case 'virtq.notify':
      notifyQueue(device, s.queue);
      return true;
    default:
      return false;
  }
};
