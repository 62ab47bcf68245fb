// The MSI-X table of a virtio function: entries and control read as written, masked vectors are silent and pending, unmasked ones are sent.
// PCI Express Base Specification, MSI and MSI-X Operation; MSI-X Capability and Table Structure, which Virtio Over PCI Bus demands.

import type { Clause, Judged } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { pcie } from '../../sources.ts';
import type { EventOf } from '../../vocabulary.ts';
import type { PciGhost } from './ghost.ts';
import { msixEnabled, msixOf } from './ghost.ts';
import { commandBits, entry, msixControl } from './layout.ts';
import { arrived, heardOf, masked, owing, sentTo, spotOf } from './messages.ts';

const masking: Citation = pcie('MSI and MSI-X Operation / Per-vector Masking and Function Masking');
const sending: Citation = pcie('MSI and MSI-X Operation / Sending Messages');
const structure = (title: string): Citation => pcie(`MSI-X Capability and Table Structure / ${title}`);

const clause = clauseOf<PciGhost>();
const base = { binds: 'device', level: 'must', needs: ['virtio.pci'], scope: (): string => 'device:0' } as const;
const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
/** Bits of an entry's double word that keep what was written: the address is aligned, Vector Control has one bit. */
const kept = (offset: number): number =>
  offset % entry.size === entry.address ? 0xffff_fffc : offset % entry.size === entry.control ? entry.masked : 0xffff_ffff;

/** The double word of the table that this reads, and what it was last written with. */
const tableRead = (g: PciGhost, e: EventOf<'pci.bar'>): { readonly offset: number; readonly written: number } | undefined => {
  const spot = spotOf(g, e.bar, e.at, e.width);
  const written = spot?.part === 'table' && spot.whole ? g.vectors.entries.get(spot.at) : undefined;
  return spot === undefined || written === undefined ? undefined : { offset: spot.at, written };
};
/** The pending bits that this reads, of vectors that `choose` picks. */
const pendingRead = (
  g: PciGhost,
  e: EventOf<'pci.bar'>,
  choose: (vector: number) => boolean,
): readonly { readonly vector: number; readonly set: boolean }[] => {
  const spot = spotOf(g, e.bar, e.at, e.width);
  if (spot?.part !== 'pending' || !spot.whole || !g.quiet || msixEnabled(g) !== true) return [];
  const bits = Array.from({ length: 32 }, (_, i) => ({ vector: 8 * spot.at + i, set: ((e.value >>> i) & 1) === 1 }));
  return bits.filter((b) => b.vector <= (msixOf(g.space)?.table ?? -1) && choose(b.vector));
};
const mastering = (g: PciGhost): boolean => ((g.command ?? 0) & commandBits.master) !== 0;

export const vectorClauses: readonly Clause<PciGhost>[] = [
  clause({
    ...base,
    id: 'virtio.pci.msix.table',
    cite: structure('MSI-X Table'),
    says: 'an entry of the MSI-X table reads as written: address from bit 2 up, upper address, data, mask bit',
    on: ['pci.bar'],
    harm: 'interop',
    when: (m) => tableRead(m.before, m.event) !== undefined,
    holds: (m) => {
      const { offset, written } = tableRead(m.before, m.event) ?? { offset: 0, written: 0 };
      const bits = kept(offset);
      return (
        ((m.event.value ^ written) & bits) === 0 || {
          kind: `entry at ${offset % entry.size}`,
          expected: `${hex(written & bits)} in bits ${hex(bits)}`,
          saw: hex(m.event.value),
        }
      );
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.control',
    cite: structure('Message Control Register for MSI-X'),
    says: 'MSI-X Enable and Function Mask read as written',
    on: ['pci.config'],
    harm: 'interop',
    when: ({ before: g, event: e }) => {
      const at = msixOf(g.space)?.at;
      return at !== undefined && g.vectors.control !== undefined && e.at <= at + 3 && e.at + e.width > at + 3;
    },
    holds: ({ before: g, event: e }) => {
      const byte = Math.floor(e.value / 256 ** ((msixOf(g.space)?.at ?? 0) + 3 - e.at)) % 256;
      const bits = msixControl.enable | msixControl.functionMask;
      const written = (g.vectors.control ?? 0) & bits;
      return (byte & bits) === written || { kind: 'control', expected: hex(written), saw: hex(byte & bits) };
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.masked-silent',
    cite: masking,
    says: 'while a vector is masked, by its own bit or by Function Mask, its message is not sent',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    when: (m) => {
      const { before: g, event: e } = m;
      if (!g.vectors.steady) return false;
      if (e.saw === 'settled') return e.by !== 'bound' && owing(m).some((v) => masked(g.vectors, v) === true && sentTo(m, v) === 'target');
      const vector = heardOf(g, e);
      return vector !== undefined && masked(g.vectors, vector) === true;
    },
    holds: (m) => m.event.saw === 'settled' || { kind: 'interrupt', expected: 'silence', saw: 'the message of a masked vector' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.pending-set',
    cite: masking,
    says: 'the pending bit of a masked vector is set once its event happened',
    on: ['pci.bar'],
    harm: 'self-stuck',
    when: ({ before: g, event: e }) => pendingRead(g, e, (v) => g.vectors.happened.has(v)).length > 0,
    holds: ({ before: g, event: e }): Judged =>
      pendingRead(g, e, (v) => g.vectors.happened.has(v)).every((b) => b.set) || { kind: 'clear', expected: 'pending bit 1', saw: '0' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.pending-sent',
    cite: masking,
    says: 'a vector unmasked with its pending bit set sends its message',
    on: ['settled'],
    harm: 'self-stuck',
    when: (m) => m.event.by !== 'bound' && m.before.vectors.due.size > 0,
    holds: (m) =>
      [...m.before.vectors.due].every((v) => arrived(m, v)) || {
        kind: 'lost',
        expected: 'the message of a vector that was pending',
        saw: 'none',
      },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.pending-clear',
    cite: masking,
    says: 'the pending bit of a vector that is not masked is clear once the device is at rest',
    on: ['pci.bar'],
    harm: 'interop',
    when: ({ before: g, event: e }) => mastering(g) && pendingRead(g, e, (v) => masked(g.vectors, v) === false).length > 0,
    holds: ({ before: g, event: e }): Judged =>
      !pendingRead(g, e, (v) => masked(g.vectors, v) === false).some((b) => b.set) || { kind: 'set', expected: 'pending bit 0', saw: '1' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.pending-none',
    cite: masking,
    says: 'masking alone sets no pending bit',
    on: ['pci.bar'],
    harm: 'interop',
    when: ({ before: g, event: e }) =>
      pendingRead(g, e, (v) => masked(g.vectors, v) === true && g.vectors.calm.has(v) && !g.vectors.pending.has(v)).length > 0,
    holds: ({ before: g, event: e }): Judged =>
      !pendingRead(g, e, (v) => masked(g.vectors, v) === true && g.vectors.calm.has(v)).some((b) => b.set) || {
        kind: 'set',
        expected: 'pending bit 0',
        saw: '1',
      },
  }),
  clause({
    ...base,
    id: 'virtio.pci.msix.message',
    cite: sending,
    says: 'a message is the double word of its entry, stored at the address of its entry',
    on: ['settled'],
    harm: 'stray-write',
    when: (m) =>
      m.event.by !== 'bound' &&
      m.before.vectors.steady &&
      owing(m).some((v) => masked(m.before.vectors, v) === false && typeof sentTo(m, v) !== 'string'),
    holds: (m) => {
      for (const vector of owing(m)) {
        const to = sentTo(m, vector);
        if (typeof to === 'string' || masked(m.before.vectors, vector) !== false || m.memory.u32(to.at) === to.data) continue;
        return { kind: 'message', expected: `${hex(to.data)} at the entry's address`, saw: hex(m.memory.u32(to.at) ?? 0) };
      }
      return true;
    },
  }),
];
