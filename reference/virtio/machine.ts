// Decides what a machine with a virtio device is: guest memory and one block device on one bus, answering one stimulus at a time.
// It is synchronous: an answer holds all that the stimulus caused, in the order it happened, replies last.

import type { Answer, Capability, Gpa, Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { VirtioMachine, VirtioStimulus } from '../../spec/virtio/vocabulary.ts';
import type { Machine } from '../machine.ts';
import { createMemory, inside, type Memory, refill } from '../memory.ts';
import { controlPlane, type Face, type See } from './control.ts';
import { powerOn, resizeDisk } from './device.ts';
import { type Disk, memoryDisk } from './disk.ts';
import { mmioRegisters } from './mmio.ts';
import { pciFunction } from './pci.ts';
import { QUEUE_SIZE_LIMIT } from './split-ring.ts';

export interface MachineOptions {
  /** The medium; default: in memory, with the pattern. Its `resize`d length and `restore` are the host's business. */
  readonly disk?: Disk;
}

/** Capabilities of every machine, and what a bus adds. */
const common: readonly Capability[] = ['memory.order', 'memory.seen', 'host.resize'];
const added: Readonly<Record<'none' | 'mmio' | 'pci', readonly Capability[]>> = {
  none: ['virtio.blk', 'virtio.status', 'virtio.generation', 'virtio.interrupt.queue', 'virtq.base'],
  mmio: ['virtio.mmio'],
  pci: ['virtio.pci'],
};

const MEMORY_LIMIT = 1 << 30;
const SECTORS_LIMIT = 1 << 17;
const QUEUES_LIMIT = 64;

/** Why no such machine can be built. */
export const virtioRefusal = (config: MachineConfig): string | undefined => {
  const { virtio, memory } = config;
  if (virtio === undefined) return 'a machine without a virtio device';
  if (config.bus === 'vhost-user') return 'bus vhost-user';
  if (memory <= 0 || memory % 4096 !== 0 || memory > MEMORY_LIMIT) return `memory of ${memory} bytes`;
  const size = virtio.queueSizeMax;
  if (size <= 0 || (size & (size - 1)) !== 0 || size > QUEUE_SIZE_LIMIT) return `queueSizeMax ${size}`;
  if (virtio.queues < 1 || virtio.queues > QUEUES_LIMIT) return `${virtio.queues} queues`;
  const { blockSize, sectors } = virtio.blk;
  if (blockSize < 512 || (blockSize & (blockSize - 1)) !== 0) return `blocks of ${blockSize} bytes`;
  if (sectors < 0 || sectors > SECTORS_LIMIT) return `${sectors} sectors`;
  return undefined;
};

/** Throws RangeError where `refusal` gives a reason. */
export const virtioMachine = (config: MachineConfig, options: MachineOptions = {}): Machine => {
  const { virtio, bus } = config;
  const refused = virtioRefusal(config);
  if (virtio === undefined || bus === 'vhost-user' || refused !== undefined) throw new RangeError(`unsupported machine: ${refused}`);
  let saw: Observation[] = [];
  let replies: Observation[] = [];
  let broke: string | undefined;
  const see: See = (observation) => (observation.saw === 'interrupt' ? saw : replies).push(observation);
  const stored = (at: number, bytes: Uint8Array): void => {
    saw.push({ saw: 'memory.changed', writes: [{ at: BigInt(at) as Gpa, bytes }] });
  };
  const memory = createMemory(config.memory, config.fill, stored, config.image);
  // A notification walks at most `size` chains of at most `size` descriptors, with some accesses each.
  const budget = 4096 + 16 * (virtio.queueSizeMax + 2) ** 2;
  const face = faceOn(bus, memory, virtio, options.disk ?? memoryDisk(virtio.blk.sectors), see);

  const apply = (stimulus: Stimulus): Answer => {
    if (broke !== undefined) return { broke };
    saw = [];
    replies = [];
    memory.left = budget;
    try {
      const unsupported = perform(stimulus);
      return unsupported === undefined ? { saw: saw.concat(replies) } : { unsupported };
    } catch (error) {
      broke = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { broke };
    }
  };
  const perform = (stimulus: Stimulus): string | undefined => {
    switch (stimulus.do) {
      case 'memory.write': {
        if (!inside(memory, Number(stimulus.at), stimulus.bytes.length)) return 'memory.write outside memory';
        memory.bytes.set(stimulus.bytes, Number(stimulus.at));
        return undefined;
      }
      case 'settle':
        replies.push({ saw: 'settled', by: 'sync' });
        return undefined;
      case 'host.resize':
        if (stimulus.sectors < 0 || stimulus.sectors > SECTORS_LIMIT) return `host.resize to ${stimulus.sectors} sectors`;
        resizeDisk(face.device, stimulus.sectors);
        return undefined;
      default:
        return face.apply(stimulus as VirtioStimulus) ? undefined : `${stimulus.do} on bus ${bus}`;
    }
  };
  const reset = (): void => {
    broke = undefined;
    refill(memory);
    powerOn(face.device);
    face.powerOn();
  };
  return { granted: granting(config, virtio, bus, face), apply, reset };
};

const faceOn = (bus: 'none' | 'mmio' | 'pci', memory: Memory, machine: VirtioMachine, disk: Disk, see: See): Face => {
  if (bus === 'mmio') return mmioRegisters(memory, machine, disk, see);
  if (bus === 'pci') return pciFunction(memory, machine, disk, see);
  return controlPlane(memory, machine, disk, see);
};

const granting = (config: MachineConfig, virtio: VirtioMachine, bus: 'none' | 'mmio' | 'pci', face: Face): Granted => ({
  memory: { size: config.memory, fill: config.fill, seen: 'ordered' },
  level: bus === 'none' ? 'queue' : bus,
  reset: 'device',
  offers: [...common, ...(virtio.blk.disk === 'pattern' ? (['disk.seen'] as const) : []), ...added[bus]],
  virtio: { ...virtio, offer: face.device.offered, queues: face.device.queues.length },
});
