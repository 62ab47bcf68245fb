// Scenes of interrupt remapping and page request events: entries and descriptors that are wrong, pointers that are set anew.
// VT-d 4.1, Interrupt Remapping Fault Conditions; Posted Interrupt Descriptor; Page Request Event Control Register.

import type { Iova } from '../../spec/units.ts';
import { bit, mask, message, REG } from './bits.ts';
import type { Scene } from './scene-names.ts';
import { extended, pointToTable } from './interrupts.ts';
import { invalidate, resume, submit, waiting } from './invalidate.ts';
import { able, addressOf, type Device, has, is, once, PAGES, poke, read, type Software, turn, write } from './software.ts';
import { master, tell } from './scenes.ts';

/** No entry that other choices fill. */
const INDEX = 5;
const nowhere = 0x4000_0000n;
const entryAt = addressOf(PAGES.interrupts) + 16 * INDEX;
const all = (sw: Software): void => invalidate(sw, [{ what: 'interrupts' }]);
const send = (sw: Software, device: Device): void => {
  sw.out.push({ do: 'msi.send', requester: device.index, address: message | BigInt(INDEX << 5) | bit(4), data: 0 });
  sw.out.push({ do: 'settle' });
};
const remapped = (vector: number): bigint => 1n | (BigInt(vector) << 16n);
const postedTo = (at: bigint, vector: number): bigint => 1n | bit(14) | bit(15) | (BigInt(vector) << 16n) | ((at & 0xffff_ffc0n) << 32n);

/** One message by an entry of its own; then the entry is gone again. */
const byEntry = (sw: Software, device: Device, low: bigint, high = 0n): void => {
  poke(sw, entryAt, low, high);
  all(sw);
  tell(sw);
  send(sw, device);
  tell(sw);
  poke(sw, entryAt, 0n, 0n);
  all(sw);
};
const pointer = (sw: Software, device: Device): void => {
  poke(sw, entryAt, remapped(0x61), 0n);
  all(sw);
  tell(sw);
  send(sw, device);
  poke(sw, entryAt, remapped(0x62), 0n);
  pointToTable(sw);
  once(sw, 'SIRTP');
  send(sw, device);
  poke(sw, entryAt, 0n, 0n);
  all(sw);
};
/** An entry that was used is changed, and is invalidated by its index. */
const changed = (sw: Software, device: Device, n: number): void => {
  poke(sw, entryAt, remapped(0x66), 0n);
  all(sw);
  send(sw, device);
  poke(sw, entryAt, remapped(0x67), 0n);
  const order = n === 3 ? sw.facts.maximumHandleMask : Math.min(n, sw.facts.maximumHandleMask);
  invalidate(sw, [{ what: 'interrupts', index: INDEX & ~((1 << order) - 1), order }]);
  send(sw, device);
  poke(sw, entryAt, 0n, 0n);
  all(sw);
};
/** A wait that interrupts, by an event that is not masked: before it, or only after. */
const completion = (sw: Software, n: number): void => {
  if (!sw.queue.on || !sw.shows) return;
  resume(sw);
  write(sw, REG.ICS, 4, 1n);
  read(sw, REG.ICS, 4);
  write(sw, REG.IEDATA, 4, BigInt(0x75 + n));
  write(sw, REG.IEADDR, 4, message);
  write(sw, REG.IECTL, 4, n % 2 === 0 ? 0n : mask);
  read(sw, REG.IECTL, 4);
  sw.out.push({ do: 'settle' });
  submit(sw, [waiting(sw, false, true)]);
  sw.out.push({ do: 'settle' });
  read(sw, REG.IECTL, 4);
  if (n % 2 === 1) write(sw, REG.IECTL, 4, 0n);
  read(sw, REG.ICS, 4);
  sw.out.push({ do: 'settle' });
  read(sw, REG.IECTL, 4);
};
/** More page requests than their queue of 4 KiB holds. */
export const overflow = (sw: Software, device: Device): void => {
  for (let i = 0; i < 129; i++)
    sw.out.push({ do: 'pri.request', requester: device.index, at: 0x1000n as Iova, read: true, write: false, last: false, group: i });
  sw.out.push({ do: 'settle' });
  read(sw, REG.PRS, 4);
  write(sw, REG.PRS, 4, 3n);
  read(sw, REG.PRS, 4);
  // Serviced, but no room was made: the next finds none, which is an event of its own.
  sw.out.push({ do: 'pri.request', requester: device.index, at: 0x1000n as Iova, read: true, write: false, last: true, group: 0 });
  sw.out.push({ do: 'settle' });
  read(sw, REG.PRS, 4);
  read(sw, REG.PECTL, 4);
};
/** A page request, and the queue's answer to its group. */
export const answered = (sw: Software, device: Device, n: number): void => {
  const { index: requester } = device;
  const pasid = n > 1 && has(device, 'pasid') && sw.facts.pasid ? n : undefined;
  const tag = pasid === undefined ? {} : { pasid };
  sw.out.push({ do: 'pri.request', requester, at: 0x1000n as Iova, ...tag, read: true, write: false, last: true, group: n });
  sw.out.push({ do: 'settle' });
  invalidate(sw, [{ what: 'response', source: device.requester.sourceId, pasid, group: n + 0x155, code: n % 2 === 0 ? 0 : 0xf }]);
  sw.out.push({ do: 'settle' });
};
const noTable = (sw: Software, device: Device): void => {
  tell(sw);
  write(sw, REG.IRTA, 8, nowhere | 3n | (extended(sw) ? bit(11) : 0n));
  once(sw, 'SIRTP');
  all(sw);
  send(sw, device);
  tell(sw);
  if (extended(sw)) {
    // Where destinations have 8 bits.
    write(sw, REG.IRTA, 8, BigInt(addressOf(PAGES.interrupts)) | 3n);
    once(sw, 'SIRTP');
    poke(sw, entryAt, remapped(0x66) | bit(40), 0n);
    all(sw);
    send(sw, device);
    tell(sw);
    poke(sw, entryAt, 0n, 0n);
    all(sw);
  }
  pointToTable(sw);
  once(sw, 'SIRTP');
  all(sw);
};
/** A page request whose event is not masked. */
export const pageEvent = (sw: Software, device: Device, n: number): void => {
  if (!has(device, 'pri') || !sw.shows) return;
  write(sw, REG.PRS, 4, 3n);
  read(sw, REG.PRS, 4);
  write(sw, REG.PEDATA, 4, BigInt(0x71 + n));
  write(sw, REG.PEADDR, 4, message);
  write(sw, REG.PECTL, 4, n === 3 ? mask : 0n);
  read(sw, REG.PECTL, 4);
  sw.out.push({ do: 'settle' });
  sw.out.push({ do: 'pri.request', requester: device.index, at: 0x1000n as Iova, read: true, write: false, last: true, group: n });
  sw.out.push({ do: 'settle' });
  read(sw, REG.PQT, 8);
  read(sw, REG.PRS, 4);
  read(sw, REG.PECTL, 4);
  // One more while the first is not serviced; then both are.
  sw.out.push({ do: 'pri.request', requester: device.index, at: 0x1000n as Iova, read: true, write: false, last: true, group: n + 4 });
  sw.out.push({ do: 'settle' });
  write(sw, REG.PRS, 4, 3n);
  read(sw, REG.PECTL, 4);
};

/** False: no scene of interrupts. */
export const interruptScene = (sw: Software, what: Scene, n: number): boolean => {
  const device = able(sw, n, 'msi');
  const posted = BigInt(addressOf(PAGES.posted) + 64 * 8);
  const run = (act: (d: Device) => void): true => {
    if (device === undefined || device.requester.physical !== undefined || !sw.shows || !sw.remaps) return true;
    resume(sw);
    const was = is(sw, 'IRE');
    if (!was) turn(sw, 'IRE', true);
    master(sw, device);
    act(device);
    if (!was) turn(sw, 'IRE', false);
    return true;
  };
  switch (what) {
    case 'entry-reserved':
      return run((d) => {
        byEntry(sw, d, remapped(0x63) | bit(24 + n));
        if (sw.facts.posted) byEntry(sw, d, postedTo(posted, 0x66) | bit(24 + n));
      });
    case 'entry-stale':
      return run((d) => changed(sw, d, n));
    case 'entry-source':
      // By another number, or in the way that is reserved.
      return run((d) => {
        const { sourceId } = d.requester;
        byEntry(sw, d, remapped(0x68), bit(18) | (n === 3 ? bit(19) : 0n) | BigInt(sourceId ^ (n === 3 ? 0 : 1 << n)));
        // Or by buses: from the first to the last of which it may be one, or not.
        const at = sourceId >> 8;
        const [first, last] = [[at, at] as const, [at + 1, 0xff] as const, [0, at - 1] as const, [at - 1, at + 1] as const][n] ?? [at, at];
        byEntry(sw, d, remapped(0x6b), bit(19) | BigInt(((first & 0xff) << 8) | (last & 0xff)));
      });
    case 'completion':
      completion(sw, n);
      return true;
    case 'entry-pointer':
      return run((d) => pointer(sw, d));
    case 'entry-access':
      return run((d) => noTable(sw, d));
    case 'posted':
    case 'posted-reserved':
      return run((d) => {
        if (!sw.facts.posted) return;
        const k = sw.counter % 8;
        const reserved = what === 'posted' ? 0n : n === 3 ? bit(24 + k) : n === 2 ? bit(2 + k) : bit(sw.counter % 64);
        const at = n > 1 ? 0 : 1 + (sw.counter % 3);
        const word = (i: number): bigint => (i === at ? reserved : 0n);
        // What follows is no part of it.
        poke(sw, Number(posted), 0n, 0n, 0n, 0n, (0xe2n << 16n) | word(0), word(1), word(2), word(3), 0xffn);
        byEntry(sw, d, postedTo(posted, 0x64 + n));
        if (reserved !== 0n) return;
        // Suppressed, and not urgent: no notification, and none outstanding.
        poke(sw, Number(posted) + 32, (0xe2n << 16n) | 2n);
        byEntry(sw, d, postedTo(posted, 0x6a) ^ bit(14));
      });
    case 'posted-access':
      return run((d) => sw.facts.posted && byEntry(sw, d, postedTo(nowhere, 0x65)));
    default:
      return false;
  }
};
