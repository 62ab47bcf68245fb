// What a virtio PCI function says of itself: identity, the capability list, where the structures lie.
// VIRTIO 1.4, PCI Device Discovery; Virtio Structure PCI Capabilities and the section of each structure.

import type { Clause, Harm, Level } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { PciGhost } from './ghost.ts';
import { after, offered } from './ghost.ts';
import type { Structure } from './layout.ts';
import { blockDevice, capabilityListBit, capSizeOf, commonSize, header, transitionalBlockDevice, virtioVendor, window1 } from './layout.ts';
import type { Capability, Space } from './space.ts';
import { valueAt, whole } from './space.ts';

const bus = 'Virtio Transport Options / Virtio Over PCI Bus';
const discovery: Citation = virtio(`${bus} / PCI Device Discovery`, 'device requirements');
const capability: Citation = virtio(`${bus} / Virtio Structure PCI Capabilities`, 'device requirements');
const conform: Citation = virtio(bus, 'device requirements');
const layoutOf = (title: string): Citation => virtio(`${bus} / PCI Device Layout / ${title}`, 'device requirements');
const sections: Readonly<Record<Structure, Citation>> = {
  common: layoutOf('Common configuration structure layout'),
  notify: layoutOf('Notification capability'),
  isr: layoutOf('ISR status capability'),
  device: layoutOf('Device-specific configuration'),
  window: layoutOf('PCI configuration access capability'),
};

/** Something the configuration space settles once and for all: a key, and what is wrong with it. */
interface Fact {
  readonly key: string;
  readonly good: boolean;
  readonly expected: string;
  readonly saw: string;
}
const hex = (n: number | undefined): string => (n === undefined ? 'nothing' : `0x${n.toString(16)}`);
const register = (space: Space, at: number, width: number, good: (value: number) => boolean, expected: string): readonly Fact[] => {
  const value = valueAt(space.bytes, at, width);
  return value === undefined ? [] : [{ key: hex(at), good: good(value), expected, saw: hex(value) }];
};
type Placed = Required<Pick<Capability, 'offset' | 'size' | 'bar'>> & Capability;
const placed = (c: Capability): c is Placed => c.offset !== undefined && c.size !== undefined && c.bar !== undefined;
const none: readonly Fact[] = [];
const each = (space: Space, structure: Structure, fact: (c: Placed) => Omit<Fact, 'key'>[]): readonly Fact[] => {
  let facts: Fact[] | undefined;
  for (const c of space.capabilities) {
    if (c.structure !== structure || !whole(c)) continue;
    const at = placed(c) ? c : { ...c, offset: c.offset ?? 0, size: c.size ?? 0, bar: c.bar ?? 0 };
    for (const { good, expected, saw } of fact(at)) (facts ??= []).push({ key: hex(c.at), good, expected, saw });
  }
  return facts ?? none;
};
const present = (space: Space, structure: Structure): readonly Fact[] => {
  if (!space.complete || space.fault || space.capabilities.some((c) => c.id === 9 && c.type === undefined)) return [];
  const count = space.capabilities.filter((c) => c.structure === structure).length;
  return [{ key: structure, good: count > 0, expected: `a ${structure} capability`, saw: 'none' }];
};
const aligned = (space: Space, structure: Structure, by: number): readonly Fact[] =>
  each(space, structure, (c) => [{ good: c.offset % by === 0, expected: `offset a multiple of ${by}`, saw: hex(c.offset) }]);
const atLeast = (space: Space, structure: Structure, size: number): readonly Fact[] =>
  each(space, structure, (c) => [{ good: c.size >= size, expected: `length of ${size} or more`, saw: `${c.size}` }]);
const structures: readonly Structure[] = ['common', 'notify', 'isr', 'device', 'window'];
const isBlock = (device: number | undefined): boolean => device === blockDevice;
/** 2 bytes a notification, 4 where NOTIFICATION_DATA is offered; 2 is owed in any case. */
const kick = (g: PciGhost): 2 | 4 => (offered(g, window1.NOTIFICATION_DATA) === true ? 4 : 2);
const powerOfTwo = (n: number): boolean => n > 0 && Number.isInteger(Math.log2(n));

interface Rule {
  readonly id: string;
  readonly cite: Citation;
  readonly level: Level;
  readonly harm: Harm;
  readonly says: string;
  readonly facts: (space: Space, g: PciGhost) => readonly Fact[];
}
const rules: readonly Rule[] = [
  {
    id: 'virtio.pci.id.vendor',
    cite: discovery,
    level: 'must',
    harm: 'self-stuck',
    says: 'the vendor ID is 0x1AF4',
    facts: (s) => register(s, header.vendor, 2, (v) => v === virtioVendor, '0x1af4'),
  },
  {
    id: 'virtio.pci.id.device',
    cite: discovery,
    level: 'must',
    harm: 'self-stuck',
    says: 'the device ID is 0x1040 plus the virtio device ID, or the transitional ID of the type',
    facts: (s) => register(s, header.device, 2, (v) => v === blockDevice || v === transitionalBlockDevice, '0x1042 or 0x1001'),
  },
  {
    id: 'virtio.pci.id.revision',
    cite: discovery,
    level: 'should',
    harm: 'interop',
    says: 'a non-transitional device has revision 1 or above',
    facts: (s) => (isBlock(valueAt(s.bytes, header.device, 2)) ? register(s, header.revision, 1, (v) => v >= 1, '1 or above') : []),
  },
  {
    id: 'virtio.pci.id.subsystem',
    cite: discovery,
    level: 'should',
    harm: 'interop',
    says: 'a non-transitional device has a subsystem device ID of 0x40 or above',
    facts: (s) => (isBlock(valueAt(s.bytes, header.device, 2)) ? register(s, header.subsystem, 2, (v) => v >= 0x40, '0x40 or above') : []),
  },
  {
    id: 'virtio.pci.list.announced',
    cite: conform,
    level: 'must',
    harm: 'self-stuck',
    says: 'the status register announces the capability list',
    facts: (s) => register(s, header.status, 1, (v) => (v & capabilityListBit) !== 0, 'capability list bit set'),
  },
  {
    id: 'virtio.pci.list.whole',
    cite: conform,
    level: 'must',
    harm: 'all-stuck',
    says: 'the capability list ends, and its pointers are aligned and past the header',
    facts: (s) => (s.complete ? [{ key: 'list', good: s.fault === undefined, expected: 'a list that ends', saw: `${s.fault}` }] : []),
  },
  ...structures.map(
    (structure): Rule => ({
      id: `virtio.pci.${structure}.present`,
      cite: sections[structure],
      level: 'must',
      harm: 'self-stuck',
      says: `there is a ${structure} capability`,
      facts: (s) => present(s, structure),
    }),
  ),
  {
    id: 'virtio.pci.cap.length',
    cite: capability,
    level: 'must',
    harm: 'interop',
    says: 'cap_len counts the capability with its extra data, and stays inside configuration space',
    facts: (s) =>
      structures.flatMap((structure) =>
        each(s, structure, (c) => [
          { good: (c.length ?? 0) >= capSizeOf[structure], expected: `cap_len of ${capSizeOf[structure]} or more`, saw: `${c.length}` },
          { good: c.at + (c.length ?? 0) <= 256, expected: 'an end below 256', saw: `${c.at + (c.length ?? 0)}` },
        ]),
      ),
  },
  {
    id: 'virtio.pci.cap.in-bar',
    cite: virtio(`${bus} / Virtio Structure PCI Capabilities`, 'bar, offset, length'),
    level: 'must',
    harm: 'interop',
    says: 'a structure lies inside the BAR it names',
    facts: (s) =>
      structures
        .filter((x) => x !== 'window')
        .flatMap((structure) =>
          each(s, structure, (c) => {
            const size = s.bars.get(c.bar);
            if (c.bar > 5 || size === undefined) return [];
            return [{ good: c.offset + c.size <= size, expected: `an end within ${size} bytes`, saw: `${c.offset + c.size}` }];
          }).map((f) => ({ ...f, key: `${structure} ${f.key}` })),
        ),
  },
  {
    id: 'virtio.pci.common.offset',
    cite: sections.common,
    level: 'must',
    harm: 'interop',
    says: 'the common configuration starts on a multiple of 4',
    facts: (s) => aligned(s, 'common', 4),
  },
  {
    id: 'virtio.pci.device.offset',
    cite: sections.device,
    level: 'must',
    harm: 'interop',
    says: 'the device configuration starts on a multiple of 4',
    facts: (s) => aligned(s, 'device', 4),
  },
  {
    id: 'virtio.pci.notify.offset',
    cite: sections.notify,
    level: 'must',
    harm: 'interop',
    says: 'the notification structure starts on a multiple of 2, of 4 with NOTIFICATION_DATA offered',
    facts: (s, g) => aligned(s, 'notify', kick(g)),
  },
  {
    id: 'virtio.pci.notify.multiplier',
    cite: sections.notify,
    level: 'must',
    harm: 'interop',
    says: 'notify_off_multiplier is 0 or a power of two, with NOTIFICATION_DATA offered a multiple of 4',
    // "An even power of 2" is read as any power of two: readings.md.
    facts: (s, g) =>
      each(s, 'notify', ({ multiplier = 0 }) => [
        {
          good: multiplier === 0 || (powerOfTwo(multiplier) && (kick(g) === 2 || multiplier % 4 === 0)),
          expected: kick(g) === 2 ? '0 or a power of two' : '0 or a power of two from 4',
          saw: `${multiplier}`,
        },
      ]),
  },
  {
    id: 'virtio.pci.notify.size',
    cite: sections.notify,
    level: 'must',
    harm: 'self-stuck',
    says: 'the notification structure has room for one notification: 2 bytes, 4 with NOTIFICATION_DATA offered',
    facts: (s, g) => atLeast(s, 'notify', kick(g)),
  },
  {
    id: 'virtio.pci.common.size',
    cite: virtio(`${bus} / PCI Device Layout / Common configuration structure layout`),
    level: 'must',
    harm: 'self-stuck',
    says: 'the common configuration has room for its fields up to queue_device',
    facts: (s) => atLeast(s, 'common', commonSize),
  },
  {
    id: 'virtio.pci.isr.size',
    cite: virtio(`${bus} / PCI Device Layout / ISR status capability`),
    level: 'must',
    harm: 'self-stuck',
    says: 'the ISR structure has at least one byte',
    facts: (s) => atLeast(s, 'isr', 1),
  },
];

const clause = clauseOf<PciGhost>();
const news = (facts: readonly Fact[], before: readonly Fact[]): readonly Fact[] =>
  facts.filter((f) => !before.some((b) => b.key === f.key));

/** Each fact is judged once, by the read that settles it. */
export const capabilityClauses: readonly Clause<PciGhost>[] = rules.map(({ facts, ...rule }) =>
  clause({
    ...rule,
    binds: 'device',
    on: ['pci.config'],
    needs: ['virtio.pci'],
    scope: () => 'device:0',
    when: (m) => {
      const now = after(m);
      if (now === m.before.space) return false;
      const known = facts(now, m.before);
      return known.length > 0 && news(known, facts(m.before.space, m.before)).length > 0;
    },
    holds: (m) => {
      const bad = news(facts(after(m), m.before), facts(m.before.space, m.before)).find((f) => !f.good);
      return bad === undefined || { kind: 'not so', expected: bad.expected, saw: bad.saw };
    },
  }),
);
