// Sweeps of functions and what they ask for: configuration space, virtual functions one more and one less, translations of every kind, page requests
// with every bit of their descriptor. PCI Express Base: Single Root I/O Virtualization, Address Translation Services, Page Request Interface.

import type { Iova } from '../../spec/units.ts';
import { bit, mask, message, REG } from './bits.ts';
import { SRIOV } from './devices.ts';
import { invalidate } from './invalidate.ts';
import { tell } from './scenes.ts';
import { addressOf, dataPage, has, peek, poke, read, type Software, write } from './software.ts';
import { anew, deviceOf, flush, lay, type Path, pathOf, push, span, within } from './sweep-path.ts';

/** Every field of the header and of SR-IOV, whole and in parts; ones written and read back; a reset. */
export const config = (sw: Software, n: number): boolean => {
  const devices = sw.devices.filter((d) => has(d, 'config'));
  const device = devices[n % Math.max(1, devices.length)];
  if (device === undefined) return false;
  const { index: requester } = device;
  const get = (at: number, width: 1 | 2 | 4): void => void sw.out.push({ do: 'function.config.read', requester, at, width });
  const set = (at: number, width: 1 | 2 | 4, value: number): void =>
    void sw.out.push({ do: 'function.config.write', requester, at, width, value });
  const look = (): void => {
    for (const at of [0, 4, 0x100, 0x108, 0x10c, 0x110, 0x114, 0x118, 0x11c, 0x120]) get(at, 4);
    for (const at of [0, 2, 4, 6, 0x108, 0x10c, 0x10e, 0x110, 0x114, 0x116]) get(at, 2);
    for (const at of [0, 1, 2, 3, 4, 5, 0x34]) get(at, 1);
  };
  look();
  for (const value of [0xffff_ffff, 0]) {
    // Not the command register: memory space and the rest of it are the function's own.
    set(0, 4, value);
    look();
  }
  for (const value of [4, 0, 0x404, 4]) {
    set(4, 2, value);
    look();
    push(sw, device, BigInt(addressOf(dataPage(sw, 2))));
    tell(sw);
  }
  const physical = sw.devices.some((d) => d.requester.physical === requester);
  if (physical && n % 2 === 1) return true;
  sw.out.push({ do: 'function.reset', requester });
  look();
  push(sw, device, BigInt(addressOf(dataPage(sw, 3))));
  tell(sw);
  set(4, 1, 4);
  look();
  if (!physical) return true;
  set(SRIOV.number, 2, sw.devices.filter((d) => d.requester.physical === requester).length);
  set(SRIOV.control, 2, 9);
  for (const d of sw.devices)
    if (d.requester.physical === requester) sw.out.push({ do: 'function.config.write', requester: d.index, at: 4, width: 2, value: 4 });
  return true;
};
/** None, one and all of the virtual functions: which are there, which send requests, and as whom. */
export const virtual = (sw: Software, n: number): boolean => {
  const physical = sw.devices.find((d) => sw.devices.some((v) => v.requester.physical === d.index));
  if (physical === undefined) return false;
  const { index: requester } = physical;
  const list = sw.devices.filter((d) => d.requester.physical === requester);
  const set = (at: number, value: number, width: 1 | 2 | 4 = 2, of = requester): void =>
    void sw.out.push({ do: 'function.config.write', requester: of, at, width, value });
  const get = (at: number, width: 1 | 2 | 4, of = requester): void =>
    void sw.out.push({ do: 'function.config.read', requester: of, at, width });
  get(SRIOV.header, 4);
  for (const count of [...span(list.length, 0), list.length]) {
    set(SRIOV.control, 0);
    set(SRIOV.number, count, n % 2 === 0 ? 2 : 4);
    get(SRIOV.number, 2);
    set(SRIOV.control, n % 3 === 0 ? 1 : 9);
    for (const at of [SRIOV.control, SRIOV.initial, SRIOV.initial + 2, SRIOV.number, SRIOV.offset, SRIOV.offset + 2]) get(at, 2);
    for (const at of [SRIOV.initial, SRIOV.offset]) get(at, 4);
    // Reset leaves them without bus mastering; then each sends, and what it sends is its own.
    for (const master of [0, 4])
      for (const d of list) {
        get(0, 4, d.index);
        get(4, 2, d.index);
        if (master !== 0) set(4, 6, 2, d.index);
        get(4, 2, d.index);
        push(sw, d, BigInt(addressOf(dataPage(sw, d.index))) + 0x80n);
        tell(sw);
      }
  }
  set(4, 4);
  return true;
};
/** Translations of pages with and without each right, for devices that mean to write or not, of several pages, and of large ones. */
export const translations = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'ats');
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || !sw.facts.deviceTlb) return false;
  const first = path.kind === 'first' || path.kind === 'nested';
  const tag = first && sw.facts.pasid && has(device, 'pasid') && n % 2 === 1 ? { pasid: 1 } : {};
  const p: Path = {
    ...path,
    ...tag,
    ...(sw.scalable ? {} : { context: 4n }),
    enables: bit(4) | bit(5) | ((sw.vtd.ecap >> 30n) & 1n ? 2n : 0n) | ((sw.vtd.ecap >> 31n) & 1n),
  };
  const { index: requester } = device;
  const asked = (at: bigint, pages: number, more: object = {}): void =>
    void sw.out.push({ do: 'ats.request', requester, at: at as Iova, pages, ...tag, ...more });
  const spots = lay(sw, device, p);
  const leaf = (first ? spots.first : spots.second)[0];
  within(sw, device, () => {
    for (const pages of [1, 2, 3]) asked(p.at, pages);
    if (leaf !== undefined) {
      const was = peek(sw, leaf);
      for (const [i, take] of (first ? [0n, 1n, 2n, 4n, bit(63)] : [0n, 1n, 2n, 3n]).entries()) {
        poke(sw, leaf, was ^ take, (was + 0x1000n) ^ (i === 2 ? 0n : take), was + 0x2000n);
        flush(sw);
        for (const noWrite of [true, false]) {
          const more = noWrite ? { noWrite } : {};
          asked(p.at, 1, more);
          asked(p.at, 3, more);
          asked(p.at + 0x1000n, 4, more);
          if ('pasid' in tag && has(device, 'execute')) asked(p.at, 1, { ...more, privileged: true });
        }
        tell(sw);
      }
      poke(sw, leaf, was, 0n, 0n);
      flush(sw);
    }
    // Used by nobody whom it was not given to: from the address to its page.
    const given = BigInt(addressOf(dataPage(sw, 1)));
    if (has(device, 'translated')) {
      push(sw, device, given, { translated: true });
      sw.out.push({ do: 'dma.read', requester, at: given as Iova, length: 8, translated: true });
    }
    tell(sw);
    poke(sw, spots.context, peek(sw, spots.context) ^ 4n);
    flush(sw);
    asked(p.at, 1);
    if (has(device, 'translated')) push(sw, device, given, { translated: true });
    tell(sw);
    poke(sw, spots.context, peek(sw, spots.context) ^ 4n);
  });
  if (path.kind === 'through') return true;
  for (const size of [2, 3] as const) {
    if (first ? size === 3 && (sw.vtd.cap & bit(56)) === 0n : sw.facts.largest < size) continue;
    const at = BigInt(addressOf(dataPage(sw, 2)));
    const l = lay(sw, device, { ...p, at, large: size });
    within(sw, device, () => {
      for (const pages of [1, 2, 16]) asked(at, pages);
      tell(sw);
    });
    for (const x of first ? l.first : l.second) poke(sw, x, 0n);
  }
  return true;
};
/** The event of page requests: masked and serviced, masked and sent later, two requests before the first is serviced. Unmasked at the end. */
const told = (sw: Software, ask: () => void, taken: () => void): void => {
  const control = (value: bigint): void => {
    write(sw, REG.PECTL, 4, value);
    sw.out.push({ do: 'settle' });
    read(sw, REG.PECTL, 4);
  };
  write(sw, REG.PEDATA, 4, 0x73n);
  write(sw, REG.PEADDR, 4, message);
  for (const serviced of [true, false]) {
    control(mask);
    ask();
    sw.out.push({ do: 'settle' });
    read(sw, REG.PECTL, 4);
    if (serviced) taken();
    control(0n);
    ask();
    ask();
    sw.out.push({ do: 'settle' });
    taken();
  }
};
/** Page requests: each bit of address, PASID and group; read, write, last; a queue that fills, is emptied, and goes round. */
export const pages = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'pri');
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined || !sw.facts.pageRequests || !sw.scalable) return false;
  const { index: requester } = device;
  const can = (what: 'pasid' | 'execute'): boolean => has(device, what);
  let tail = 0;
  // The queue begins anew: its head and its tail.
  anew(sw, () => undefined);
  lay(sw, device, path);
  /** Software has taken all of them. */
  const taken = (): void => {
    sw.out.push({ do: 'settle' });
    read(sw, REG.PQT, 8);
    read(sw, REG.PRS, 4);
    write(sw, REG.PQH, 8, BigInt(32 * (tail % 128)));
    write(sw, REG.PRS, 4, 3n);
    read(sw, REG.PRS, 4);
  };
  const asked = (at: bigint, group: number, more: object = {}): void => {
    sw.out.push({ do: 'pri.request', requester, at: at as Iova, read: true, write: false, last: false, group, ...more });
    tail++;
  };
  within(sw, device, () => {
    for (const k of span(63, 12)) {
      const more =
        sw.facts.pasid && can('pasid') ? { pasid: 1 << (k % 13), ...(can('execute') && k % 4 === 1 ? { privileged: true } : {}) } : {};
      asked(bit(k), k % 9 === 8 ? 0x1ff : 1 << (k % 9), {
        ...(k % 3 === 0 ? {} : more),
        read: k % 2 === 0,
        write: k % 5 < 2,
        last: k % 7 === 0,
      });
      if (k % 16 === 0) taken();
    }
    taken();
    if (sw.shows) told(sw, () => asked(0x1000n, 3), taken);
    for (let i = 0; i < 130; i++) asked(0x1000n * BigInt(i + 1), i % 512);
    sw.out.push({ do: 'settle' });
    read(sw, REG.PQT, 8);
    read(sw, REG.PRS, 4);
    // Serviced, but no room was made: the next finds none, which is an event of its own.
    write(sw, REG.PRS, 4, 3n);
    asked(0x2000n, 5, { last: true });
    sw.out.push({ do: 'settle' });
    read(sw, REG.PRS, 4);
    write(sw, REG.PECTL, 4, mask);
  });
  sw.out.push({ do: 'settle' });
  // How many fitted is not followed any further.
  return anew(sw, () => undefined);
};
/** Responses of the queue to each group, with each code, with and without PASID. */
export const responses = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'pri');
  if (device === undefined || !sw.facts.pageRequests || !sw.scalable || !sw.queue.on) return false;
  const source = device.requester.sourceId;
  for (const k of span(19, 0)) {
    const group = k < 9 ? 1 << k : 0x1ff ^ (1 << (k % 9));
    invalidate(sw, [
      { what: 'response', source, pasid: k % 2 === 0 ? undefined : 1 << k, group, code: [0, 1, 0xf, 5][k % 4] ?? 0 },
      { what: 'response', source, pasid: 1 << k, group: k, code: 0 },
    ]);
    sw.out.push({ do: 'settle' });
  }
  return true;
};
