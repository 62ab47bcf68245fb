// Accesses to a virtio-pci function that break a driver's rule; the player resets the device afterwards and checks that it works.
// VIRTIO 1.4: Common configuration structure layout; MSI-X Vector Configuration; PCI configuration access capability.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { CAP } from './pci-map.ts';
import type { CommonField, Pci } from './pci-player.ts';
import { bar, COMMON, get, NO_VECTOR, set, setBar } from './pci-player.ts';
import { reached } from './raw.ts';

const READ_ONLY: readonly CommonField[] = ['device_feature', 'num_queues', 'config_generation', 'queue_notify_off'];

export const PCI_DUTIES = [
  'virtio.pci.common.read-only',
  'virtio.pci.common.width',
  'virtio.pci.queue-size.zero',
  'virtio.pci.queue-size.power-of-two',
  'virtio.pci.queue-enable.zero',
  'virtio.pci.queue.absent',
  'virtio.pci.msix.range',
  'virtio.pci.capability.read-only',
  'virtio.pci.window.aligned',
  'virtio.pci.window.inside',
] as const;
export type PciDuty = (typeof PCI_DUTIES)[number];

const windowTo = (p: Pci, barNumber: number, offset: number, length: number, width: 1 | 2 | 4): readonly Stimulus[] => {
  const w = p.map.structures.get(CAP.PCI);
  if (w === undefined) return [];
  return [
    { do: 'pci.config.write', at: w.at + 4, width: 1, value: barNumber },
    { do: 'pci.config.write', at: w.at + 12, width: 4, value: length },
    { do: 'pci.config.write', at: w.at + 8, width: 4, value: offset },
    { do: 'pci.config.read', at: w.at + 16, width },
  ];
};

/** The stimuli that break `duty` here, or none where it does not fit. */
export const violation = (p: Pci, duty: PciDuty, n: number): readonly Stimulus[] => {
  const of = <T>(list: readonly T[]): T => list[n % list.length] as T;
  const common = p.map.structures.get(CAP.COMMON);
  if (common === undefined) return [];
  const most = p.d.sizeMax[0] ?? 8;
  switch (duty) {
    case 'virtio.pci.common.read-only':
      return [...get(p, of(READ_ONLY)), ...set(p, of(READ_ONLY), 0xa5a5_a5a5), ...get(p, of(READ_ONLY))];
    case 'virtio.pci.common.width': {
      const [at] = COMMON[of(['device_feature', 'queue_select', 'queue_desc', 'num_queues'] as const)];
      return n % 2 === 0
        ? [bar(common, at, 1), bar(common, at + 1, 1)]
        : [setBar(common, COMMON.queue_select[0], 1, 1), bar(common, at, 4)];
    }
    case 'virtio.pci.queue-size.zero':
    case 'virtio.pci.queue-size.power-of-two': {
      if (p.stage !== 'negotiated') return [];
      const value = duty === 'virtio.pci.queue-size.zero' ? 0 : of([3, most - 1, most + 1, 0xffff, most * 2]);
      return [...set(p, 'queue_select', 0), ...set(p, 'queue_size', value), ...get(p, 'queue_size')];
    }
    case 'virtio.pci.queue-enable.zero':
      return reached(p, 'enabled') ? [...set(p, 'queue_select', 0), ...set(p, 'queue_enable', 0), ...get(p, 'queue_enable')] : [];
    case 'virtio.pci.queue.absent': {
      const absent = p.d.granted.virtio?.queues ?? 1;
      return [
        ...set(p, 'queue_select', absent + (n % 3)),
        ...set(p, 'queue_size', 3),
        ...set(p, 'queue_desc', 0x1000),
        ...get(p, 'queue_size'),
      ];
    }
    case 'virtio.pci.msix.range': {
      if (p.map.vectors === 0) return [];
      const vector = of([p.map.vectors, p.map.vectors + 1, 0x7ff, 0x800, NO_VECTOR - 1].filter((v) => v >= p.map.vectors));
      const field = n % 2 === 0 ? 'config_msix_vector' : 'queue_msix_vector';
      return [...set(p, 'queue_select', 0), ...set(p, field, vector), ...get(p, field), ...set(p, field, NO_VECTOR), ...get(p, field)];
    }
    case 'virtio.pci.capability.read-only':
      return [
        { do: 'pci.config.write', at: common.at + of([4, 8, 12]), width: 4, value: 0xffff_ffff },
        { do: 'pci.config.read', at: common.at + of([4, 8, 12]), width: 4 },
      ];
    case 'virtio.pci.window.aligned':
      return windowTo(p, common.bar, common.offset + of([1, 2, 3]), 4, 4);
    case 'virtio.pci.window.inside':
      return windowTo(p, of([common.bar, 5, 7]), of([0xffff_fff0, 0x1000_0000]), of([4, 1, 3]), 4);
  }
};
