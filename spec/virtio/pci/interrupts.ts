// How a virtio PCI function interrupts: the ISR byte and the interrupt bit without MSI-X, silence where no vector is mapped.
// VIRTIO 1.4, ISR status capability; Used Buffer Notifications; Notification of Device Configuration Changes; MSI-X Vector Configuration.

import type { Clause } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { PciGhost } from './ghost.ts';
import { notified } from './function.ts';
import { accessOf, after, msixEnabled, msixOf } from './ghost.ts';
import { header, interruptStatusBit, noVector } from './layout.ts';

const bus = 'Virtio Transport Options / Virtio Over PCI Bus';
const isr: Citation = virtio(`${bus} / PCI Device Layout / ISR status capability`, 'device requirements');
const operation = (title: string): Citation =>
  virtio(`${bus} / PCI-specific Initialization And Device Operation / ${title}`, 'device requirements');

const clause = clauseOf<PciGhost>();
const base = { binds: 'device', needs: ['virtio.pci'], scope: (): string => 'device:0' } as const;
/** The ISR byte, where this event reads it. */
const isrRead = (g: PciGhost, e: Parameters<typeof accessOf>[1]): number | undefined => {
  const a = accessOf(g, e);
  return a?.structure === 'isr' && !a.write && a.offset === 0 && a.value !== undefined ? a.value & 0xff : undefined;
};
/** The interrupt bit of the PCI status register, where this event reads it. */
const interruptBit = (e: { readonly at: number; readonly width: number; readonly value: number }): boolean | undefined => {
  const shift = header.status - e.at;
  return shift < 0 || shift >= e.width ? undefined : (Math.floor(e.value / 256 ** shift) & interruptStatusBit) !== 0;
};

/** The event has no vector, and the device was at rest since it lost it: what it raised before may be told in the answer to that write. */
const unmapped = (g: PciGhost, key: string): boolean => g.written.get(key)?.value === noVector && g.unmapped.has(key);

export const interruptClauses: readonly Clause<PciGhost>[] = [
  clause({
    ...base,
    id: 'virtio.pci.isr.clear',
    cite: isr,
    level: 'must',
    says: 'reading the ISR clears it',
    on: ['pci.bar', 'pci.config'],
    harm: 'all-stuck',
    when: (m) => m.before.isrRead && isrRead(m.before, m.event) !== undefined,
    holds: (m) =>
      isrRead(m.before, m.event) === 0 || { kind: 'not cleared', expected: '0 on the second read', saw: `${isrRead(m.before, m.event)}` },
  }),
  clause({
    ...base,
    id: 'virtio.pci.isr.bits',
    cite: isr,
    level: 'must',
    says: 'the ISR bit of an interrupt stands before the interrupt is sent',
    on: ['pci.bar', 'pci.config'],
    harm: 'self-stuck',
    when: (m) => m.before.own && m.before.owed !== 0 && isrRead(m.before, m.event) !== undefined,
    holds: (m) => {
      const value = isrRead(m.before, m.event) ?? 0;
      return (
        (value & m.before.owed) === m.before.owed || {
          kind: 'bit missing',
          expected: `bits 0x${m.before.owed.toString(16)}`,
          saw: `0x${value.toString(16)}`,
        }
      );
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.isr.queue',
    cite: isr,
    level: 'must',
    says: 'without MSI-X, the queue bit stands once a used buffer notification was owed',
    on: ['pci.bar'],
    harm: 'self-stuck',
    // A target that has no MSI-X to use may collect interrupts by reading the ISR itself.
    when: ({ before: g, event: e }) =>
      g.own && g.fn.isrDue && msixEnabled(g) === false && (msixOf(g.space)?.table ?? 0) >= 1 && isrRead(g, e) !== undefined,
    holds: ({ before: g, event: e }) =>
      ((isrRead(g, e) ?? 0) & 1) === 1 || { kind: 'bit missing', expected: 'bit 0', saw: `${isrRead(g, e)}` },
  }),
  clause({
    ...base,
    id: 'virtio.pci.isr.status',
    cite: isr,
    level: 'must',
    says: 'without MSI-X, the interrupt bit of the PCI status register is the OR of the ISR bits',
    on: ['pci.config'],
    harm: 'self-stuck',
    when: (m) => m.before.isrRead && msixEnabled(m.before) === false && interruptBit(m.event) !== undefined,
    holds: (m) =>
      interruptBit(m.event) === false || { kind: 'stays set', expected: 'interrupt bit clear after the ISR was read', saw: 'set' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.isr.status-set',
    cite: isr,
    level: 'must',
    says: 'without MSI-X, the interrupt bit was set just before the ISR read showed a bit, and only then',
    on: ['pci.bar'],
    harm: 'self-stuck',
    when: (m) =>
      m.before.quiet && m.before.intx !== undefined && msixEnabled(m.before) === false && isrRead(m.before, m.event) !== undefined,
    holds: (m) => {
      const bits = (isrRead(m.before, m.event) ?? 0) !== 0;
      return (
        bits === m.before.intx || {
          kind: 'disagree',
          expected: `interrupt bit ${bits ? 'set' : 'clear'}`,
          saw: m.before.intx ? 'set' : 'clear',
        }
      );
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.queue-silent',
    cite: operation('Used Buffer Notifications'),
    level: 'must',
    says: 'with MSI-X, a queue without a vector does not interrupt',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    when: (m) => {
      const { before: g, event: e } = m;
      if (!g.own || msixEnabled(g) !== true) return false;
      const silent = (queue: number | undefined): boolean => unmapped(g, `queue_msix_vector:${queue}`);
      return e.saw === 'interrupt' ? e.from === 'queue' && silent(e.queue) : e.by !== 'bound' && notified(m).some(silent);
    },
    holds: (m) => m.event.saw === 'settled' || { kind: 'interrupt', expected: 'silence', saw: 'an interrupt for a queue without vector' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.config-silent',
    cite: operation('Notification of Device Configuration Changes'),
    level: 'must',
    says: 'with MSI-X, configuration changes without a vector do not interrupt',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    when: ({ before: g, event: e }) =>
      g.own &&
      msixEnabled(g) === true &&
      unmapped(g, 'config_msix_vector:0') &&
      (e.saw === 'interrupt' ? e.from === 'config' : e.by !== 'bound' && g.fn.resized),
    holds: (m) =>
      m.event.saw === 'settled' || { kind: 'interrupt', expected: 'silence', saw: 'an interrupt for the configuration without vector' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.vectors',
    cite: operation('MSI-X Vector Configuration'),
    level: 'should',
    says: 'an MSI-X table has at least 2 vectors',
    on: ['pci.config'],
    harm: 'interop',
    // At most 0x800 is all that the field can say.
    when: (m) => msixOf(m.before.space)?.table === undefined && msixOf(after(m))?.table !== undefined,
    holds: (m) => (msixOf(after(m))?.table ?? 0) >= 1 || { kind: 'one vector', expected: 'table size field of 1 or more', saw: '0' },
  }),
];
