// Decides how the reference answers as a target: in process, synchronous, one machine kept as long as the same one is asked for. Machines with a
// processor are kept as long as their descriptions are, because the programs of an area go round a handful of them.
// On every bus it offers the virtio control plane; on PCI and MMIO the bus's own accesses too.

import { createMachine, refusal } from '../../../reference/machine.ts';
import type { Answer, Capability, Granted, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { type Attached, attach, rawBus } from './attached.ts';
import { fileMedium, type Medium } from './file-disk.ts';

/** Bytes. VIRTIO 1.4, Block Device, Device Operation. */
const SECTOR = 512;

const everywhere: readonly Capability[] = [
  'memory.order',
  'memory.seen',
  'virtio.blk',
  'virtio.status',
  'virtio.generation',
  'host.resize',
];
/** A queue can start anywhere only where no bus's registers stand between; an MMIO interrupt does not name its queue. */
const onBus: Readonly<Record<'none' | 'pci' | 'mmio', readonly Capability[]>> = {
  none: ['virtio.interrupt.queue', 'virtq.base'],
  pci: ['virtio.interrupt.queue', 'virtio.pci'],
  mmio: ['virtio.mmio'],
};
/** Where no virtio device is found on the bus. */
const onRawBus: typeof onBus = {
  none: [],
  pci: ['memory.order', 'memory.seen', 'virtio.pci'],
  mmio: ['memory.order', 'memory.seen', 'virtio.mmio'],
};
const remapping: readonly Capability[] = [
  'vt-d',
  'vt-d.register',
  'vt-d.dma',
  'vt-d.atomic',
  'vt-d.pasid',
  'vt-d.ats',
  'vt-d.pri',
  'vt-d.interrupt',
  'vt-d.reset',
  'sriov',
];
const processor: readonly Capability[] = ['cpu', 'cpu.system', 'cpu.step', 'cpu.hidden', 'cpu.interrupt', 'cpu.port'];
const offers: readonly Capability[] = [
  ...everywhere,
  'disk.seen',
  'virtio.interrupt.queue',
  'virtq.base',
  'virtio.pci',
  'virtio.mmio',
  ...remapping,
  ...processor,
];

/** The reference. Its answers are never promises. */
export interface RefTarget extends Target {
  readonly prompt: true;
  reset(machine: MachineConfig): { readonly granted: Granted } | { readonly unsupported: string } | { readonly broke: string };
  apply(stimulus: Stimulus): Answer;
  applyAll(stimuli: readonly Stimulus[]): readonly Answer[];
  close(): void;
}
/** What a target is made of: the exports of reference/machine.ts, or of an edited copy. */
export interface Reference {
  readonly createMachine: typeof createMachine;
  readonly refusal: typeof refusal;
}
interface Built {
  readonly config: MachineConfig;
  readonly granted: Granted;
  readonly machine: Attached;
}

const build = (reference: Reference, config: MachineConfig, medium: Medium | undefined): Built | { readonly unsupported: string } => {
  const { bus, virtio } = config;
  if (bus === 'vhost-user') return { unsupported: 'no vhost-user socket: the reference is driven over bus none, mmio or pci' };
  const unsupported = reference.refusal(config);
  if (unsupported !== undefined) return { unsupported };
  const options = medium === undefined || virtio === undefined ? {} : { disk: medium.disk(virtio.blk.sectors * SECTOR) };
  const bare = reference.createMachine(config, options);
  // Without a virtio device there is no control plane to lift: the machine's own stimuli are its interface.
  const machine = attach(bare, virtio === undefined ? 'none' : bus);
  // What stands on the bus is not what a driver looks for: it is judged as far as the bus shows it.
  if ('unsupported' in machine) {
    const granted = { ...bare.granted, offers: onRawBus[bus] };
    return { config, granted, machine: rawBus(bare, machine.unsupported) };
  }
  if (virtio === undefined) return { config, granted: bare.granted, machine };
  const disk: readonly Capability[] = virtio?.blk.disk === 'pattern' ? ['disk.seen'] : [];
  return { config, granted: { ...bare.granted, offers: [...everywhere, ...disk, ...onBus[bus]] }, machine };
};

/** `file`: where the block device's medium stands; absent: in memory. */
export const refTarget = (file?: string): RefTarget =>
  targetOver({ createMachine, refusal }, 'ref', file === undefined ? undefined : fileMedium(file));
export const targetOver = (reference: Reference, name: string, medium?: Medium): RefTarget => {
  let built: Built | undefined;
  const processors = new WeakMap<MachineConfig, Built>();
  const apply = (stimulus: Stimulus): Answer => built?.machine.apply(stimulus) ?? { broke: 'no machine: reset comes first' };
  return {
    hello: { protocol: 1, name, version: '0.1.0', offers },
    prompt: true,
    reset: (config) => {
      if (built === undefined || !same(built.config, config)) {
        const fresh = processors.get(config) ?? build(reference, config, medium);
        if ('unsupported' in fresh) return fresh;
        built = fresh;
        if (config.cpu !== undefined) processors.set(config, built);
      }
      const broke = built.machine.reset();
      if (broke === undefined) return { granted: built.granted };
      processors.delete(config);
      built = undefined;
      return { broke };
    },
    apply,
    applyAll: (stimuli) => {
      const answers: Answer[] = [];
      for (const stimulus of stimuli) {
        const answer = apply(stimulus);
        answers.push(answer);
        if ('broke' in answer) break;
      }
      return answers;
    },
    close: () => {
      built = undefined;
      medium?.close();
    },
  };
};

/** Whether the two describe one machine, value by value. */
const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([key, value]) => right.has(key) && same(value, right.get(key)));
};
