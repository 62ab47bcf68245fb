// Stories told in registers: what a virtio-pci function and a virtio-mmio window show over one life of the device.

import type { MachineConfig } from '../../spec/units.ts';
import { machinesOn } from '../virtio/machines.ts';
import type { MmioChoice } from '../virtio/mmio.ts';
import type { PciChoice } from '../virtio/pci.ts';
import type { Story } from './story.ts';

const plain = (bus: 'pci' | 'mmio'): MachineConfig => {
  const [first] = machinesOn([bus]);
  if (first === undefined) throw new Error(`no machine has the bus ${bus}`);
  return first;
};
type Told = Pick<Story, 'name' | 'says' | 'about'>;
const pci = (s: Told & { readonly choices: readonly PciChoice[] }, target = 'ref'): Story => ({
  ...s,
  target,
  suite: 'virtio.pci',
  machine: plain('pci'),
});
const mmio = (s: Told & { readonly choices: readonly MmioChoice[] }, target = 'ref'): Story => ({
  ...s,
  target,
  suite: 'virtio.mmio',
  machine: plain('mmio'),
});
const vectors: PciChoice = { op: 'registers', decline: 0, interrupts: 'vectors', halve: 1, by: 1 };
const ready: MmioChoice = { op: 'registers', decline: 0, ready: true, acknowledge: true, by: 1 };

export const transportStories: readonly Story[] = [
  pci({
    name: 'virtio/pci-capabilities',
    says: 'the capability list is walked: five structures, in a list that ends',
    about: ['virtio.pci.list.whole', 'virtio.pci.common.present', 'virtio.pci.window.present', 'virtio.pci.id.device'],
    choices: [{ op: 'walk', width: 4 }],
  }),
  pci({
    name: 'virtio/pci-life',
    says: 'one life in registers: reset, features, a queue, vectors, a request, a new capacity, reset again',
    about: [
      'virtio.pci.cap.in-bar',
      'virtio.pci.queue.enabled',
      'virtio.pci.msix.mapped',
      'virtio.pci.generation.changed',
      'virtio.pci.reset.status',
      'virtio.pci.reset.vectors',
    ],
    choices: [vectors],
  }),
  pci({
    name: 'virtio/pci-intx',
    says: 'without MSI-X the ISR says why the line is asserted, and reading it clears it',
    about: ['virtio.pci.isr.bits', 'virtio.pci.isr.clear', 'virtio.pci.isr.status'],
    choices: [{ ...vectors, interrupts: 'intx' }],
  }),
  pci({
    name: 'virtio/pci-window',
    says: 'the configuration access capability reads and writes the common configuration',
    about: ['virtio.pci.window.read', 'virtio.pci.window.write'],
    choices: [
      { op: 'window', into: 'select', at: 1, width: 4 },
      { op: 'window', into: 'common', at: 0, width: 4 },
    ],
  }),
  pci({
    name: 'virtio/pci-vector-past-table',
    says: 'a driver maps a vector past the MSI-X table, which it must not: the device goes on, and a reset recovers it',
    about: ['machine.alive', 'virtio.blk.in.data'],
    choices: [
      { op: 'stage', to: 'negotiated', decline: 0 },
      { op: 'violate', duty: 'virtio.pci.msix.range', n: 0 },
    ],
  }),
  mmio({
    name: 'virtio/mmio-identity',
    says: 'MagicValue, Version and DeviceID, and the feature windows',
    about: ['virtio.mmio.id.magic', 'virtio.mmio.id.version', 'virtio.mmio.id.device', 'virtio.mmio.features.window'],
    choices: [{ op: 'identify' }, { op: 'features', select: 0 }, { op: 'features', select: 1 }, { op: 'features', select: 2 }],
  }),
  mmio({
    name: 'virtio/mmio-life',
    says: 'one life in registers: reset, features, QueueReady, a request, its interrupt acknowledged, a new capacity, reset again',
    about: [
      'virtio.mmio.queue.ready',
      'virtio.mmio.interrupt.held',
      'virtio.mmio.interrupt.acknowledged',
      'virtio.mmio.generation.changed',
      'virtio.mmio.reset.status',
    ],
    choices: [ready],
  }),
  pci(
    {
      name: 'virtio/fault-vectors-survive-reset',
      says: 'vectors stay mapped across a reset',
      about: ['virtio.pci.reset.vectors'],
      choices: [vectors],
    },
    'fault:VB-075',
  ),
  mmio(
    {
      name: 'virtio/fault-mmio-interrupt-lost',
      says: 'reading InterruptStatus clears it before anything was acknowledged',
      about: ['virtio.mmio.interrupt.held'],
      choices: [{ ...ready, acknowledge: false }],
    },
    'fault:mmio-interrupt-held',
  ),
];
