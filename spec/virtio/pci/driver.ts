// What the driver owes a virtio PCI function: widths, read-only fields, the order of set-up, the window, notifications.
// VIRTIO 1.4, driver requirements of the PCI sections. A vector past the MSI-X table is not here: its answer is stated and judged.

import type { Duty, Judged } from '../../clause.ts';
import { dutyOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { Access, PciGhost } from './ghost.ts';
import { accessOf, commonField, keyOf, queues, windowAt } from './ghost.ts';
import { common, window1 } from './layout.ts';
import { regionsOf } from './space.ts';

const bus = 'Virtio Transport Options / Virtio Over PCI Bus';
const layout = (title?: string): Citation =>
  virtio(title === undefined ? `${bus} / PCI Device Layout` : `${bus} / PCI Device Layout / ${title}`, 'driver requirements');
const configuration = layout('Common configuration structure layout');
const objection = (kind: string, expected: string, saw: string): Judged => ({ kind, expected, saw });

interface Rule {
  readonly id: string;
  readonly cite: Citation;
  readonly says: string;
  readonly keeps: (a: Access, g: PciGhost) => Judged;
}
/** 64-bit fields are two of 32; a name exists where a field begins. */
const natural = (a: Access): boolean => a.structure !== 'common' || a.offset >= 56 || commonField(a) !== undefined;
const packed = (g: PciGhost): boolean => ((g.written.get('driver_feature:1')?.value ?? 0) & window1.RING_PACKED) !== 0;
const enabled = (g: PciGhost): boolean => g.written.get(keyOf(g, 'queue_enable') ?? '')?.value === 1;
const early = ['queue_size', 'queue_desc_lo', 'queue_desc_hi', 'queue_driver_lo', 'queue_driver_hi', 'queue_device_lo', 'queue_device_hi'];

const rules: readonly Rule[] = [
  {
    id: 'virtio.pci.driver.width',
    cite: layout(),
    says: 'common configuration fields are accessed whole and aligned, 64-bit ones as halves',
    keeps: (a) => natural(a) || objection('width', 'the width of the field', `${a.width} bytes at ${a.offset}`),
  },
  {
    id: 'virtio.pci.driver.read-only',
    cite: configuration,
    says: 'read-only fields are not written',
    keeps: (a) => {
      const name = commonField(a);
      return !a.write || name === undefined || !common[name]?.[2].endsWith('read-only') || objection('read-only', 'no write', name);
    },
  },
  {
    id: 'virtio.pci.driver.queue-size',
    cite: configuration,
    says: 'queue_size is written with a power of two; with RING_PACKED, not with 0',
    keeps: (a, g) => {
      const v = a.value ?? 1;
      if (!a.write || commonField(a) !== 'queue_size') return true;
      return v !== 0 && (packed(g) || (v & (v - 1)) === 0)
        ? true
        : objection('queue size', packed(g) ? 'above 0' : 'a power of two', `${v}`);
    },
  },
  {
    id: 'virtio.pci.driver.enable',
    cite: configuration,
    says: 'queue_enable is never written with 0',
    keeps: (a) => !a.write || commonField(a) !== 'queue_enable' || a.value !== 0 || objection('disabled', '1', '0'),
  },
  {
    id: 'virtio.pci.driver.enable-last',
    cite: configuration,
    says: 'the other fields of a queue are written before it is enabled',
    keeps: (a, g) =>
      !a.write ||
      !early.includes(commonField(a) ?? '') ||
      !enabled(g) ||
      objection('enabled', 'fields first', `${commonField(a)} after queue_enable`),
  },
  {
    id: 'virtio.pci.driver.reset-wait',
    cite: configuration,
    says: 'after writing status 0 the driver waits until it reads 0',
    keeps: (a, g) =>
      !a.write ||
      commonField(a) !== 'device_status' ||
      a.value === 0 ||
      g.reset === 'none' ||
      g.reset === 'done' ||
      objection('no wait', 'a read of 0 first', `status ${a.value}`),
  },
  {
    id: 'virtio.pci.driver.kick',
    cite: virtio(`${bus} / PCI-specific Initialization And Device Operation / Available Buffer Notifications`, 'driver requirements'),
    says: 'a notification is a 16-bit write of the queue index, 32-bit with NOTIFICATION_DATA',
    keeps: (a, g) => {
      if (!a.write || a.structure !== 'notify') return true;
      const width = ((g.written.get('driver_feature:1')?.value ?? 0) & window1.NOTIFICATION_DATA) !== 0 ? 4 : 2;
      if (a.width !== width) return objection('width', `${width} bytes`, `${a.width}`);
      if (width === 4 || a.value === undefined) return true;
      const step = g.space.capabilities.find((c) => c.structure === 'notify')?.multiplier;
      const off = g.shown.get(`queue_notify_off:${a.value}`);
      const elsewhere = step !== undefined && off !== undefined && off * step !== a.offset;
      return (
        (!elsewhere && a.value < (queues(g) ?? Infinity)) || objection('queue', 'the index of the queue at this address', `${a.value}`)
      );
    },
  },
];

const duty = dutyOf<PciGhost>();
const accessDuty = ({ keeps, ...rule }: Rule): Duty<PciGhost> =>
  duty({
    ...rule,
    on: ['pci.bar.write', 'pci.config.write', 'pci.bar', 'pci.config'],
    keeps: (m) => {
      const a = accessOf(m.before, m.event);
      return a === undefined || keeps(a, m.before);
    },
    taints: () => 'device:0',
  });

export const duties: readonly Duty<PciGhost>[] = [
  ...rules.map(accessDuty),
  duty({
    id: 'virtio.pci.driver.capability',
    cite: virtio(`${bus} / Virtio Structure PCI Capabilities`, 'driver requirements'),
    says: 'no capability field is written but those of the window',
    on: ['pci.config.write'],
    keeps: (m) => {
      const { at } = m.event;
      const hit = m.before.space.capabilities.find(
        (c) => c.id === 9 && c.structure !== 'window' && c.length !== undefined && at >= c.at && at < c.at + c.length,
      );
      return hit === undefined || objection('capability', 'no write', `${hit.structure ?? 'vendor'} capability`);
    },
    taints: () => 'device:0',
  }),
  duty({
    id: 'virtio.pci.driver.window',
    cite: layout('PCI configuration access capability'),
    says: 'the window is used at an offset that its length divides, of 1, 2 or 4, inside another structure',
    on: ['pci.config.read', 'pci.config.write'],
    keeps: (m) => {
      const cap = windowAt(m.before);
      if (cap === undefined || m.event.at >= cap + 20 || m.event.at + m.event.width <= cap + 16) return true;
      const { bar, offset, length } = m.before.window;
      // A dump of configuration space reads the data of a window that nobody set up: readings.md.
      if (bar === undefined || offset === undefined || length === undefined)
        return m.event.do === 'pci.config.read' || { unknown: 'the window was not set up in this trace' };
      if (![1, 2, 4].includes(length)) return objection('length', '1, 2 or 4', `${length}`);
      if (offset % length !== 0) return objection('alignment', `a multiple of ${length}`, `${offset}`);
      const inside = regionsOf(m.before.space).some((r) => r.bar === bar && offset >= r.offset && offset + length <= r.offset + r.size);
      if (inside) return true;
      return m.before.space.complete
        ? objection('outside', 'bytes of a structure', `offset ${offset} of BAR ${bar}`)
        : { unknown: 'the capability list is not known' };
    },
    taints: () => 'device:0',
  }),
];
