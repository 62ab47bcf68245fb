// What PCI asks of the function's header: base address registers that tell their size, the command register and what it switches off.
// PCI Express Base Specification, PCI-Compatible Configuration Registers, which Virtio Over PCI Bus demands of the device.

import type { Clause } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { pcie } from '../../sources.ts';
import { notified, upperHalf, wholeBar } from './function.ts';
import type { PciGhost } from './ghost.ts';
import { msixEnabled, msixOf } from './ghost.ts';
import { commandBits, header, interruptDisableBit } from './layout.ts';
import { regionsOf } from './space.ts';

const registers = 'PCI-Compatible Configuration Registers';
const shared = (title: string): Citation => pcie(`${registers} / Type 0/1 Common Configuration Space / ${title}`);
const bars: Citation = pcie(`${registers} / Type 0 Configuration Space Header / Base Address Registers`);

const clause = clauseOf<PciGhost>();
const base = { binds: 'device', level: 'must', needs: ['virtio.pci'], scope: (): string => 'device:0' } as const;
const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
interface Read {
  readonly at: number;
  readonly width: number;
  readonly value: number;
}
/** The byte at an offset, where the access has it. */
const byteOf = (e: Read, at: number): number | undefined =>
  at < e.at || at >= e.at + e.width ? undefined : Math.floor(e.value / 256 ** (at - e.at)) % 256;

/** Bits of a base address register that tell its type. */
const typeBits = (g: PciGhost, bar: number, mask: number): number => (upperHalf(g.fn, bar) === true ? 0 : (mask & 1) === 1 ? 0x3 : 0xf);
const powerOfTwo = (n: number): boolean => n > 0 && Number.isInteger(Math.log2(n));
/** Whether a capability says that something lies there. */
const named = (g: PciGhost, bar: number): boolean =>
  g.space.capabilities.some(
    (c) => c.bar === bar || [c.tablePlace, c.pendingPlace].some((place) => place !== undefined && (place & 7) === bar),
  );
/** What all ones may read back as: the writable bits are the upper ones, without a gap, and enough of them. */
const tellsSize = (g: PciGhost, bar: number, value: number): boolean => {
  if (value === 0) return !named(g, bar);
  if (upperHalf(g.fn, bar) === true) {
    const low = (g.fn.masks.get(bar - 1) ?? 0) & ~0xf;
    return low === 0 ? powerOfTwo(2 ** 32 - value) : value === 0xffff_ffff;
  }
  if ((value & 1) === 1) {
    const bits = (value & ~0x3) >>> 0;
    const size = (bits < 0x1_0000 ? 0x1_0000 : 2 ** 32) - bits;
    return powerOfTwo(size) && size >= 4 && size <= 256;
  }
  const bits = (value & ~0xf) >>> 0;
  return bits === 0 ? (value & 0x6) === 0x4 : powerOfTwo(2 ** 32 - bits);
};

/** Header bytes that a driver cannot change: identity, class, subsystem, Capabilities Pointer, Interrupt Pin. */
const readOnly: readonly number[] = [0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x2c, 0x2d, 0x2e, 0x2f, 0x34, 0x3d];
const retold = (g: PciGhost, e: Read): readonly number[] =>
  readOnly.filter((at) => byteOf(e, at) !== undefined && g.fn.bytes.has(at) && (g.space.bytes[at] ?? -1) >= 0);
const pin = (g: PciGhost): number => g.space.bytes[header.interruptPin] ?? -1;
/** Bits of the command register that this function surely implements, by byte. */
const commanded = (g: PciGhost, at: number): number => {
  if (at === header.command + 1) return pin(g) >= 1 && pin(g) <= 4 ? interruptDisableBit : 0;
  const memory = regionsOf(g.space).some((r) => (g.fn.masks.get(r.bar) ?? 1) % 2 === 0);
  return at === header.command ? commandBits.master | (memory ? commandBits.memory : 0) : 0;
};
const commandRead = (g: PciGhost, e: Read): readonly number[] =>
  [header.command, header.command + 1].filter((at) => byteOf(e, at) !== undefined && g.fn.bytes.has(at) && commanded(g, at) !== 0);
/** INTx is disabled for good, MSI-X off, and the target shows INTx as interrupts. */
const noLine = (g: PciGhost): boolean => g.fn.intx === 'off' && msixEnabled(g) === false && msixOf(g.space) !== undefined && g.fn.intxSeen;

export const headerClauses: readonly Clause<PciGhost>[] = [
  clause({
    ...base,
    id: 'virtio.pci.bar.size',
    cite: bars,
    says: 'all ones written to a base address register read as its size: the upper bits, a power of two; 0 only where nothing lies',
    on: ['pci.config'],
    harm: 'self-stuck',
    when: ({ before: g, event: e }) => {
      const bar = wholeBar(e.at, e.width);
      return bar !== undefined && g.probed.has(bar) && upperHalf(g.fn, bar) !== undefined;
    },
    holds: ({ before: g, event: e }) =>
      tellsSize(g, wholeBar(e.at, e.width) ?? 0, e.value >>> 0) || { kind: 'size', expected: 'a power of two', saw: hex(e.value) },
  }),
  clause({
    ...base,
    id: 'virtio.pci.bar.kept',
    cite: bars,
    says: 'the writable bits of a base address register read as written, its type bits never change',
    on: ['pci.config'],
    harm: 'self-stuck',
    when: ({ before: g, event: e }) => {
      const bar = wholeBar(e.at, e.width);
      return bar !== undefined && g.fn.bars.has(bar) && g.fn.masks.has(bar) && !g.probed.has(bar) && upperHalf(g.fn, bar) !== undefined;
    },
    holds: ({ before: g, event: e }) => {
      const bar = wholeBar(e.at, e.width) ?? 0;
      const [mask, written] = [g.fn.masks.get(bar) ?? 0, g.fn.bars.get(bar) ?? 0];
      const type = typeBits(g, bar, mask);
      const expected = ((written & mask & ~type) | (mask & type)) >>> 0;
      return e.value >>> 0 === expected || { kind: 'address', expected: hex(expected), saw: hex(e.value) };
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.header.read-only',
    cite: pcie('Configuration Register Types', 'RO'),
    says: 'identity, class, Capabilities Pointer and Interrupt Pin stay as they were when written',
    on: ['pci.config'],
    harm: 'self-stuck',
    when: (m) => retold(m.before, m.event).length > 0,
    holds: ({ before: g, event: e }) => {
      const changed = retold(g, e).find((at) => byteOf(e, at) !== g.space.bytes[at]);
      return changed === undefined || { kind: 'changed', expected: hex(g.space.bytes[changed] ?? 0), saw: hex(byteOf(e, changed) ?? 0) };
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.header.line',
    cite: shared('Interrupt Line Register'),
    says: 'where there is an interrupt pin, Interrupt Line reads as written',
    on: ['pci.config'],
    harm: 'interop',
    when: ({ before: g, event: e }) =>
      pin(g) >= 1 && pin(g) <= 4 && g.fn.bytes.has(header.interruptLine) && byteOf(e, header.interruptLine) !== undefined,
    holds: ({ before: g, event: e }) => {
      const [expected, saw] = [g.fn.bytes.get(header.interruptLine) ?? 0, byteOf(e, header.interruptLine) ?? 0];
      return saw === expected || { kind: 'line', expected: hex(expected), saw: hex(saw) };
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.command.kept',
    cite: shared('Command Register'),
    says: 'Memory Space Enable, Bus Master Enable and Interrupt Disable read as written',
    on: ['pci.config'],
    harm: 'interop',
    when: (m) => commandRead(m.before, m.event).length > 0,
    holds: ({ before: g, event: e }) => {
      for (const at of commandRead(g, e)) {
        const bits = commanded(g, at);
        const [expected, saw] = [(g.fn.bytes.get(at) ?? 0) & bits, (byteOf(e, at) ?? 0) & bits];
        if (saw !== expected) return { kind: 'command', expected: `${hex(expected)} of ${hex(bits)}`, saw: hex(saw) };
      }
      return true;
    },
  }),
  clause({
    ...base,
    id: 'virtio.pci.command.master',
    cite: shared('Command Register'),
    says: 'with Bus Master Enable clear, the function neither writes memory nor sends a message',
    on: ['memory.changed', 'interrupt', 'settled'],
    harm: 'stray-write',
    when: ({ before: g, event: e }) =>
      g.fn.master === 'off' &&
      (e.saw === 'settled' ? e.by !== 'bound' && g.fn.kicked : e.saw === 'memory.changed' || msixEnabled(g) === true),
    holds: ({ event: e }) =>
      e.saw === 'settled' || {
        kind: e.saw === 'interrupt' ? 'message' : 'write',
        expected: 'silence',
        saw: `${e.saw} while no bus master`,
      },
  }),
  clause({
    ...base,
    id: 'virtio.pci.command.intx',
    cite: shared('Command Register'),
    says: 'with Interrupt Disable set, the function asserts no INTx interrupt',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    when: (m) => noLine(m.before) && (m.event.saw === 'interrupt' || (m.event.by !== 'bound' && notified(m).length > 0)),
    holds: (m) => m.event.saw === 'settled' || { kind: 'interrupt', expected: 'silence', saw: 'INTx while disabled' },
  }),
  clause({
    ...base,
    id: 'virtio.pci.command.intx-sent',
    cite: shared('Command Register'),
    says: 'an INTx interrupt that is pending is asserted once Interrupt Disable is clear',
    on: ['settled'],
    harm: 'self-stuck',
    when: ({ before: g, event: e }) => e.by !== 'bound' && g.fn.intxDue && g.fn.intxSeen,
    holds: ({ before: g }) => g.fn.intxCame || { kind: 'lost', expected: 'an interrupt', saw: 'none' },
  }),
];
