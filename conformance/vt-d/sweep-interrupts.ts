// Sweeps of interrupt requests: every bit of a table entry, every source that an entry can name, every size of the table.
// VT-d 4.1, Interrupt Remapping Table Entry; Posted Interrupt Descriptor; Interrupt Request Formats on Intel 64 Platforms.

import { bit, message, REG } from './bits.ts';
import { extended, pointToTable } from './interrupts.ts';
import { invalidate, resume } from './invalidate.ts';
import { master, tell } from './scenes.ts';
import { addressOf, type Device, is, once, PAGES, peek, poke, type Software, turn, write } from './software.ts';
import { deviceOf, some, spare, span } from './sweep-path.ts';

const INDEX = 5;
const entryAt = addressOf(PAGES.interrupts) + 16 * INDEX;
const postedAt = addressOf(PAGES.posted) + 64 * 12;
const all = (sw: Software): void => invalidate(sw, [{ what: 'interrupts' }]);
const send = (sw: Software, d: Device, index = INDEX, sub?: number): void => {
  const address = message | BigInt((index & 0x7fff) << 5) | bit(4) | (sub === undefined ? 0n : bit(3)) | (index & 0x8000 ? bit(2) : 0n);
  sw.out.push({ do: 'msi.send', requester: d.index, address, data: sub ?? 0 });
  sw.out.push({ do: 'settle' });
};
/** Remapping is on while `act` runs. */
const remapping = (sw: Software, act: (d: Device) => void, n: number): boolean => {
  const device = deviceOf(sw, n, 'msi');
  if (device === undefined || !sw.shows || !sw.remaps) return false;
  resume(sw);
  const was = is(sw, 'IRE');
  if (!was) turn(sw, 'IRE', true);
  master(sw, device);
  tell(sw);
  act(device);
  tell(sw);
  poke(sw, entryAt, 0n, 0n);
  all(sw);
  if (!was) turn(sw, 'IRE', false);
  return true;
};
const one = (sw: Software, d: Device, low: bigint, high: bigint): void => {
  poke(sw, entryAt, low, high);
  all(sw);
  send(sw, d);
  tell(sw);
};
const remapped = (sw: Software, n: number): bigint => 1n | (BigInt(0x41 + n) << 16n) | (extended(sw) ? bit(40) : bit(41));
const posted = (n: number): bigint => 1n | bit(15) | (BigInt(0x31 + n) << 16n) | ((BigInt(postedAt) & 0xffff_ffc0n) << 32n);
/** NV, NDST, and the bits of a posted-interrupt descriptor that are given. */
const describe = (sw: Software, control: bigint, ...rest: readonly bigint[]): void =>
  poke(sw, postedAt, 0n, 0n, 0n, 0n, (0xe3n << 16n) | control, rest[0] ?? 0n, rest[1] ?? 0n, rest[2] ?? 0n);

/** Every bit of an entry, remapped or posted. */
export const entryBits = (sw: Software, n: number): boolean =>
  remapping(
    sw,
    (d) => {
      const base = n % 3 === 2 && sw.facts.posted ? posted(n) : remapped(sw, n);
      const high = n % 2 === 0 ? 0n : bit(18) | BigInt(d.requester.sourceId);
      for (const k of span(127, 0)) {
        // The target of posted interrupts is put back each time: where they land is the table entry's affair here.
        if (n % 3 === 2 && sw.facts.posted) describe(sw, 0n);
        one(sw, d, base ^ (k < 64 ? bit(k) : 0n), high ^ (k < 64 ? 0n : bit(k - 64)));
      }
    },
    n,
  );
/** Delivery modes, trigger mode, destination mode and redirection hint together; vectors; destinations. FPD where nothing is delivered. */
export const entryFields = (sw: Software, n: number): boolean =>
  remapping(
    sw,
    (d) => {
      for (const low of some(span(63, 0), n, 2))
        one(sw, d, 1n | (BigInt(low) << 2n) | (BigInt(0x20 + 3 * low) << 16n) | bit(40 + (low % 8)), 0n);
      for (const [flip, high] of [
        [1n, 0n],
        [bit(12), 0n],
        [bit(25), 0n],
        [0n, bit(18) | BigInt(d.requester.sourceId ^ 0x40)],
        [0n, bit(63)],
        [0n, bit(20)],
      ] as const)
        for (const silent of [0n, 2n]) one(sw, d, (remapped(sw, n) ^ flip) | silent, high);
    },
    n,
  );
/** SVT and SQ, with source-ids that differ in one bit from the requester's, and ranges of buses around it. */
export const sources = (sw: Software, n: number): boolean =>
  remapping(
    sw,
    (d) => {
      const { sourceId } = d.requester;
      const bus = sourceId >> 8;
      for (const qualifier of span(3, 0))
        for (const k of span(16, 0))
          one(sw, d, remapped(sw, n), bit(18) | BigInt(qualifier << 16) | BigInt(k === 16 ? sourceId : sourceId ^ (1 << k)));
      for (const first of [0, bus - 1, bus, bus + 1])
        for (const last of [bus - 1, bus, bus + 1, 0xff])
          if (first >= 0 && last >= 0 && first < 256 && last < 256) one(sw, d, remapped(sw, n), bit(19) | BigInt((first << 8) | last));
      one(sw, d, remapped(sw, n), bit(18) | bit(19) | BigInt(sourceId));
    },
    n,
  );
/** Descriptors of posted interrupts: outstanding, suppressed and urgent together, each bit, vectors, and an address where no memory is. */
export const descriptors = (sw: Software, n: number): boolean =>
  sw.facts.posted &&
  remapping(
    sw,
    (d) => {
      for (const control of span(3, 0))
        for (const urgent of [0n, bit(14)])
          for (const vector of [0, 31, 32, 63, 64, 0x85, 0xff]) {
            describe(sw, BigInt(control) | (BigInt(1 + control) << 40n));
            one(sw, d, (posted(0) & ~(0xffn << 16n)) | urgent | (BigInt(vector) << 16n), 0n);
          }
      for (const k of some(span(255, 2), n, 3)) {
        const at = k >> 6;
        const flipped = bit(k & 63);
        describe(sw, at === 0 ? flipped : 0n, at === 1 ? flipped : 0n, at === 2 ? flipped : 0n, at === 3 ? flipped : 0n);
        one(sw, d, posted(n), 0n);
      }
      describe(sw, 0n);
      for (const k of span(63, 18)) one(sw, d, posted(n) ^ (k < 32 ? bit(k + 32) : 0n), k < 32 ? 0n : bit(k));
      for (const silent of [0n, 2n]) one(sw, d, posted(n) | silent, bit(40));
    },
    n,
  );
/** A table taken without EIME: destinations of 8 bits, compatibility format as CFI says, whatever is written to IRTA_REG before the next SIRTP. */
const narrow = (sw: Software, d: Device, table: number, n: number): void => {
  if (!extended(sw)) return;
  write(sw, REG.IRTA, 8, BigInt(table) | 3n);
  once(sw, 'SIRTP');
  write(sw, REG.IRTA, 8, BigInt(addressOf(PAGES.interrupts)) | 3n | bit(11));
  const compatible = is(sw, 'CFI');
  for (const low of [1n | bit(41), 1n | bit(40) | bit(47), 1n | bit(32), 1n | bit(39), 1n | bit(48), 1n | bit(63)]) {
    poke(sw, table + 16 * INDEX, low | (BigInt(0x51 + n) << 16n), 0n);
    all(sw);
    send(sw, d);
    tell(sw);
  }
  if (sw.facts.posted) {
    describe(sw, bit(32) | bit(41));
    poke(sw, table + 16 * INDEX, posted(n), 0n);
    all(sw);
    send(sw, d);
  }
  for (const on of [!compatible, compatible]) {
    turn(sw, 'CFI', on);
    sw.out.push({ do: 'msi.send', requester: d.index, address: message | bit(12), data: 0x61 + n });
    sw.out.push({ do: 'settle' });
    tell(sw);
  }
  poke(sw, table + 16 * INDEX, 0n, 0n);
};
/** Tables of each size at a place of their own: the last entry, one past it, by handle and by subhandle; no table at all. */
export const indexes = (sw: Software, n: number): boolean =>
  sw.scene !== undefined &&
  remapping(
    sw,
    (d) => {
      const table = spare(sw, 0);
      const point = (at: bigint, size: number): void => {
        write(sw, REG.IRTA, 8, at | BigInt(size) | (extended(sw) ? bit(11) : 0n));
        once(sw, 'SIRTP');
        all(sw);
      };
      for (const size of span(7, 0)) {
        const last = 2 ** (size + 1) - 1;
        poke(sw, table + 16 * last, remapped(sw, size), 0n);
        point(BigInt(table), size);
        for (const [handle, sub] of [
          [last, undefined],
          [last + 1, undefined],
          [last, 0],
          [last, 1],
          [last >> 1, last - (last >> 1)],
          [0, last],
          [0, last + 1],
          [last, 0x1_0000],
        ] as const) {
          send(sw, d, handle, sub);
          tell(sw);
        }
        // The number of the entry 64 further on is told apart from this one.
        if (last >= 64) {
          poke(sw, table + 16 * (last - 64), remapped(sw, size + 9), 0n);
          all(sw);
          for (const i of [last, last - 64, last]) send(sw, d, i);
          poke(sw, table + 16 * (last - 64), 0n, 0n);
        }
        poke(sw, table + 16 * last, 0n, 0n);
      }
      point(BigInt(table), 15);
      for (const k of span(15, 13)) send(sw, d, 1 << k);
      tell(sw);
      narrow(sw, d, table, n);
      for (const at of [bit(30), bit(sw.facts.hostAddressWidth - 1), bit(30) | bit(32)]) {
        point(at, 3);
        send(sw, d);
        tell(sw);
      }
      pointToTable(sw);
      once(sw, 'SIRTP');
      all(sw);
    },
    n,
  );
/** Entries that were used are changed and dropped by an index and each mask, entries that were refused are mended and not dropped. */
export const entriesDropped = (sw: Software, n: number): boolean =>
  remapping(
    sw,
    (d) => {
      for (const order of span(Math.min(4, sw.facts.maximumHandleMask), 0))
        for (const index of [0, 7, 8, 15]) {
          const at = addressOf(PAGES.interrupts) + 16 * index;
          const was = [peek(sw, at), peek(sw, at + 8)] as const;
          poke(sw, at, remapped(sw, order), 0n);
          all(sw);
          send(sw, d, index);
          poke(sw, at, remapped(sw, order + 20), 0n);
          invalidate(sw, [{ what: 'interrupts', index: index & ~((1 << order) - 1), order }]);
          send(sw, d, index);
          poke(sw, at, ...was);
          all(sw);
        }
      if (sw.facts.cachingMode) return;
      for (const [low, high] of [
        [0n, 0n],
        [remapped(sw, n) | bit(12), 0n],
        [remapped(sw, n), bit(63)],
        [remapped(sw, n), bit(18) | BigInt(d.requester.sourceId ^ 8)],
      ] as const) {
        one(sw, d, low, high);
        poke(sw, entryAt, remapped(sw, n + 3), 0n);
        send(sw, d);
        tell(sw);
      }
    },
    n,
  );
