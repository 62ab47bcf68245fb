// What the registers of the common configuration return: what was written, what reset left, what the device offers.
// VIRTIO 1.4, Common configuration structure layout; PCI configuration access capability; MSI-X Vector Configuration.

import type { Clause, Harm, Judged, Level } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { pcie, virtio } from '../../sources.ts';
import type { Expectation, Read } from './expectation.ts';
import { addresses, exactly, exists, fromReset, fromWrite, hex, readOf, vectorCount, vectors } from './expectation.ts';
import type { PciGhost, Via } from './ghost.ts';
import { keyOf, offered, queues } from './ghost.ts';
import { noVector, window1 } from './layout.ts';
import { regionsOf } from './space.ts';

const bus = 'Virtio Transport Options / Virtio Over PCI Bus';
const requirements: Citation = virtio(`${bus} / PCI Device Layout / Common configuration structure layout`, 'device requirements');
const layout: Citation = virtio(`${bus} / PCI Device Layout / Common configuration structure layout`);
const device: Citation = virtio(`${bus} / PCI Device Layout`, 'device requirements');
const msix: Citation = virtio(
  `${bus} / PCI-specific Initialization And Device Operation / MSI-X Vector Configuration`,
  'device requirements',
);
const window: Citation = virtio(`${bus} / PCI Device Layout / PCI configuration access capability`, 'device requirements');
const notify: Citation = virtio(`${bus} / PCI Device Layout / Notification capability`, 'device requirements');

interface Rule {
  readonly id: string;
  readonly cite: Citation;
  readonly says: string;
  readonly level?: Level;
  readonly harm: Harm;
  /** What it demands of this read; undefined: nothing. */
  readonly demands: (name: string, g: PciGhost, via: Via) => Pick<Expectation, 'permits' | 'expected'> | undefined;
}
/** Read and write through the BAR: the register's own rule. */
const ownRule = (names: readonly string[], keep: (g: PciGhost, name: string) => boolean = () => true): Rule['demands'] => {
  return (name, g, via) => {
    const e = names.includes(name) && via === 'bar' && keep(g, name) ? fromWrite(g, name) : undefined;
    return e?.via === 'bar' ? e : undefined;
  };
};
const inTable = (g: PciGhost, name: string): boolean => {
  const w = g.written.get(keyOf(g, name) ?? '');
  return w !== undefined && w.value < (vectorCount(g) ?? 0);
};
const unmapped = (g: PciGhost, name: string): boolean => g.written.get(keyOf(g, name) ?? '')?.value === noVector;
const after =
  (names: readonly string[]): Rule['demands'] =>
  (name, g) => {
    const value = names.includes(name) ? fromReset(g, name) : undefined;
    return value === undefined ? undefined : exactly(value, 'bar');
  };

const rules: readonly Rule[] = [
  {
    id: 'virtio.pci.features.window',
    cite: requirements,
    says: 'device_feature shows the offered bits of the selected window, the same each time, and 0 past window 1',
    harm: 'interop',
    demands: (name, g, via) => {
      if (name !== 'device_feature' || via !== 'bar' || g.select.device === undefined) return undefined;
      const value =
        g.select.device > 1
          ? 0
          : g.reread.has(`device_feature:${g.select.device}`)
            ? g.shown.get(`device_feature:${g.select.device}`)
            : undefined;
      return value === undefined ? undefined : exactly(value, via);
    },
  },
  {
    id: 'virtio.pci.features.driver',
    cite: requirements,
    says: 'driver_feature returns the valid bits written in the selected window, and none that were not written',
    harm: 'interop',
    demands: ownRule(['driver_feature']),
  },
  {
    id: 'virtio.pci.select.kept',
    cite: layout,
    says: 'the feature selectors return what was written, queue_select where it names a queue',
    level: 'should',
    harm: 'interop',
    demands: ownRule(['device_feature_select', 'driver_feature_select', 'queue_select']),
  },
  {
    id: 'virtio.pci.queue.halves',
    cite: device,
    says: 'each half of a queue address is written and read on its own',
    harm: 'self-stuck',
    demands: ownRule(addresses),
  },
  {
    id: 'virtio.pci.queue.size',
    cite: layout,
    says: 'queue_size returns the size the driver chose',
    harm: 'self-stuck',
    demands: ownRule(['queue_size']),
  },
  {
    id: 'virtio.pci.queue.enabled',
    cite: layout,
    says: 'queue_enable reads 1 once enabled',
    harm: 'self-stuck',
    demands: ownRule(['queue_enable']),
  },
  {
    id: 'virtio.pci.queue.size-power',
    cite: requirements,
    says: 'without RING_PACKED, queue_size is 0 or a power of two',
    harm: 'self-stuck',
    demands: (name, g) => {
      const packed = g.written.get('driver_feature:1');
      if (name !== 'queue_size' || (packed !== undefined && (packed.value & window1.RING_PACKED) !== 0)) return undefined;
      const own = g.written.get(keyOf(g, name) ?? '');
      if (own !== undefined || g.status === undefined) return undefined;
      return { permits: (v) => (v & (v - 1)) === 0, expected: '0 or a power of two' };
    },
  },
  {
    id: 'virtio.pci.queue.absent',
    cite: requirements,
    says: 'queue_size is 0 for a queue the device does not have',
    harm: 'stray-write',
    demands: (name, g) => {
      const count = queues(g);
      if (name !== 'queue_size' || count === undefined || g.select.queue === undefined || g.select.queue < count) return undefined;
      // Administration queues lie past num_queues.
      return offered(g, window1.ADMIN_VQ) === false ? exactly(0, 'bar') : undefined;
    },
  },
  {
    id: 'virtio.pci.queue.any',
    cite: virtio('Device Types / Block Device / Virtqueues'),
    says: 'a block device has at least one queue',
    harm: 'self-stuck',
    demands: (name) => (name === 'num_queues' ? { permits: (v) => v > 0, expected: '1 or more' } : undefined),
  },
  {
    id: 'virtio.pci.reset.status',
    cite: requirements,
    says: 'after 0 was written, device_status reads 0 once the device is at rest',
    harm: 'self-stuck',
    demands: (name, g) => (name === 'device_status' && g.reset === 'due' ? exactly(0, 'bar') : undefined),
  },
  {
    id: 'virtio.pci.reset.enable',
    cite: requirements,
    says: 'after reset queue_enable is 0',
    harm: 'stray-write',
    demands: after(['queue_enable']),
  },
  {
    id: 'virtio.pci.reset.size',
    cite: layout,
    says: 'after reset queue_size is the maximum again',
    harm: 'interop',
    demands: after(['queue_size']),
  },
  { id: 'virtio.pci.reset.vectors', cite: msix, says: 'after reset every event is unmapped', harm: 'interop', demands: after(vectors) },
  {
    id: 'virtio.pci.msix.mapped',
    cite: msix,
    says: 'a mapped vector reads back, or 0xffff where mapping failed',
    harm: 'self-stuck',
    demands: ownRule(vectors, inTable),
  },
  {
    id: 'virtio.pci.msix.satisfied',
    cite: msix,
    says: 'a mapping inside the table does not fail',
    level: 'should',
    harm: 'interop',
    demands: (name, g, via) => {
      const e = vectors.includes(name) && inTable(g, name) && via === 'bar' ? fromWrite(g, name) : undefined;
      return e === undefined ? undefined : { permits: (v) => v !== noVector, expected: 'the vector' };
    },
  },
  {
    id: 'virtio.pci.msix.unmapped',
    cite: msix,
    says: 'an event unmapped by 0xffff reads 0xffff',
    harm: 'interop',
    demands: ownRule(vectors, unmapped),
  },
  {
    // The driver must not name such a vector; the answer is stated all the same, so nothing else ends here.
    id: 'virtio.pci.msix.failed',
    cite: msix,
    says: 'a vector past the table reads back as 0xffff',
    harm: 'dies',
    demands: ownRule(vectors, (g, name) => !inTable(g, name) && !unmapped(g, name)),
  },
  {
    id: 'virtio.pci.window.write',
    cite: window,
    says: 'a write through the window is a write to the register',
    harm: 'interop',
    demands: (name, g, via) => {
      const e = via === 'bar' ? fromWrite(g, name) : undefined;
      return e?.via === 'window' ? e : undefined;
    },
  },
  {
    id: 'virtio.pci.window.read',
    cite: window,
    says: 'a read through the window returns the register, as many bytes as cap.length',
    harm: 'interop',
    demands: (name, g, via) => {
      if (via !== 'window') return undefined;
      const shown = name === 'queue_size' || (name === 'queue_notify_off' && !exists(g)) ? undefined : g.shown.get(keyOf(g, name) ?? '');
      return fromWrite(g, name) ?? (shown === undefined ? undefined : exactly(shown, via));
    },
  },
  {
    id: 'virtio.pci.command.memory',
    cite: pcie('PCI-Compatible Configuration Registers / Type 0/1 Common Configuration Space / Command Register'),
    says: 'with Memory Space Enable clear, a write to a register has no effect',
    harm: 'interop',
    demands: (name, g, via) => {
      const ignored = g.fn.ignored.get(keyOf(g, name) ?? '');
      const e = ignored === undefined || via !== 'bar' ? undefined : fromWrite(g, name);
      return ignored === undefined || e === undefined || e.permits(ignored) ? undefined : e;
    },
  },
  {
    id: 'virtio.pci.notify.length',
    cite: notify,
    says: 'the notification structure reaches queue_notify_off times the multiplier, plus one notification, for every queue',
    harm: 'self-stuck',
    demands: (name, g) => {
      const cap = g.space.capabilities.find((c) => c.structure === 'notify' && c.multiplier !== undefined && c.size !== undefined);
      if (name !== 'queue_notify_off' || !exists(g) || cap === undefined) return undefined;
      const kick = offered(g, window1.NOTIFICATION_DATA) === true ? 4 : 2;
      const { size = 0, multiplier = 0 } = cap;
      return { permits: (v) => size >= v * multiplier + kick, expected: `queue_notify_off · ${multiplier} + ${kick} at most ${size}` };
    },
  },
  {
    id: 'virtio.pci.generation.changed',
    cite: requirements,
    says: 'config_generation has changed once a changed configuration value was read',
    harm: 'wrong-data',
    demands: (name, g) => {
      const { stale, value } = g.generation;
      return name === 'config_generation' && stale && value !== undefined
        ? { permits: (v) => v !== value, expected: `other than ${value}` }
        : undefined;
    },
  },
];

const clause = clauseOf<PciGhost>();
const demanded = (
  rule: Rule,
  m: Read,
): { readonly e: Pick<Expectation, 'permits' | 'expected'>; readonly name: string; readonly value: number } | undefined => {
  // Most configuration reads are no register reads: said early, since this is asked of every one.
  if (regionsOf(m.before.space).length === 0) return undefined;
  const read = readOf(m);
  const e = read && rule.demands(read.name, m.before, read.access.via);
  return e && { e, name: read.name, value: read.value };
};
const judge = (rule: Rule, m: Read): Judged => {
  const d = demanded(rule, m);
  return d === undefined || d.e.permits(d.value) || { kind: d.name, expected: `${d.name} ${d.e.expected}`, saw: hex(d.value) };
};
export const commonClauses: readonly Clause<PciGhost>[] = rules.map((rule) =>
  clause({
    id: rule.id,
    cite: rule.cite,
    level: rule.level ?? 'must',
    binds: 'device',
    says: rule.says,
    on: ['pci.bar', 'pci.config'],
    needs: ['virtio.pci'],
    harm: rule.harm,
    scope: () => 'device:0',
    when: (m) => demanded(rule, m) !== undefined,
    holds: (m) => judge(rule, m),
  }),
);
