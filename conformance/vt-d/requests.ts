// Memory requests of devices: to what is mapped, was mapped or never was, at edges of pages and widths.
// A device that may be passed through, or reaches memory while translation is off, is kept to data pages: tables stay what software wrote.

import type { Iova } from '../../spec/units.ts';
import { page } from './bits.ts';
import type { Load } from './choices.ts';
import { able, addressOf, dataPage, type Device, fresh, has, is, pick, type Software } from './software.ts';
import { beyond, places } from './tables.ts';

const offsets: readonly number[] = [0, 4, 8, 0xffc, 0x7fc, 0x38, 1, 0x801, 0xffd, 0xfc0, 0x3c, 0x7c3];
const lengths: readonly number[] = [4, 1, 2, 8, 3, 16, 5, 31, 7, 64, 32, 13];
const iova = (at: bigint): Iova => BigInt.asUintN(64, at) as Iova;
/** First address above what a 32-bit device reaches. */
const wide = 2n ** 32n;

/** Attributes that the device and the machine know. */
export const attributesOf = (
  sw: Software,
  device: Device,
  pasid: number,
  flags: number,
): { readonly pasid?: number; readonly privileged?: boolean; readonly execute?: boolean } => {
  const tagged = pasid !== 0 && has(device, 'pasid') && sw.facts.pasid;
  const deep = tagged && has(device, 'execute');
  return {
    // The fourth is beyond what a directory of the smallest size reaches.
    ...(tagged ? { pasid: pasid === 4 ? 0x2000 : pasid } : {}),
    ...(deep && (flags & 2) !== 0 ? { privileged: true } : {}),
    ...(deep && (flags & 1) !== 0 ? { execute: true } : {}),
  };
};

/** Untranslated addresses may be physical ones. */
const physical = (sw: Software, device: Device): boolean => device.loose || !is(sw, 'TE');
/** The page, or the start of a large one's data page, that `at` names for this device. */
export const pageFor = (sw: Software, device: Device, at: number, pasid: number): bigint => {
  if (physical(sw, device)) return BigInt(addressOf(dataPage(sw, at)));
  const space = (device.attached.get(pasid) ?? device.attached.get(0))?.space ?? sw.spaces[0];
  if (space === undefined) return 0n;
  if (at >= 20) {
    const place = pick([...places(sw, space), ...beyond(sw, space)], at - 20) ?? 0n;
    // Within a large page only data pages are reached, so that no request overwrites a table.
    return sw.spaces.some((s) => s.large.some((l) => l.at <= place && place < l.end)) ? BigInt(addressOf(dataPage(sw, at))) : place;
  }
  const live = space.mappings.flatMap((m) => [m.at + (m.level === 1 ? 0n : BigInt(addressOf(dataPage(sw, m.page))))]);
  const past = space.past.slice(-3).filter((a) => !sw.spaces.some((s) => s.large.some((l) => l.at <= a && a < l.end)));
  return pick([...live, ...past], at) ?? pick(places(sw, space), at) ?? 0n;
};

export const request = (
  sw: Software,
  op: 'read' | 'write' | 'atomic',
  n: number,
  c: { readonly at: number; readonly offset: number; readonly load: Load; readonly pasid: number; readonly flags: number },
): void => {
  const device = able(sw, n, op);
  if (device === undefined) return;
  const { index: requester } = device;
  const attributes = attributesOf(sw, device, c.pasid, c.flags);
  const { execute, ...common } = attributes;
  // A translated request: only to an address that was given, and only by who has a translation agent.
  const known = (c.flags & 4) !== 0 && has(device, 'translated') ? pick(device.translated, c.at) : undefined;
  const start = known === undefined ? pageFor(sw, device, c.at, c.pasid) : BigInt(addressOf(known.page));
  const translated = known === undefined ? {} : { translated: true };
  const offset = BigInt(pick(offsets, c.offset) ?? 0);
  const reach = { requester, ...common, ...translated };
  const word = iova(start + (offset & ~3n));
  // A device that cannot show bytes writes and reads doublewords, or fills.
  const load: Load = known !== undefined || (c.load === 'bytes' && (!has(device, 'read.bytes') || start >= wide)) ? 'word' : c.load;
  const length = Math.min(pick(lengths, c.offset) ?? 4, Number(page - offset));
  if (op === 'atomic') {
    const width = c.offset % 2 === 0 ? 4 : 8;
    const at = iova(start + (offset & (width === 4 ? ~3n : ~7n)));
    sw.out.push({ do: 'dma.atomic', ...reach, at, width, operand: BigInt(fresh(sw)) });
    return;
  }
  const span = ((): { readonly at: Iova; readonly length: number } => {
    switch (load) {
      case 'word':
      case 'fill':
        return load === 'fill' && op === 'write' ? { at: iova(start + offset), length } : { at: word, length: 4 };
      case 'bytes':
        return { at: iova(start + offset), length };
      case 'cross':
        return { at: iova(start + 0xffen), length: 6 };
      case 'long':
        return { at: iova(start + 0xfc0n), length: op === 'write' ? 0x1080 : 0x80 };
      case 'none':
        return { at: iova(start + offset), length: sw.rich && op === 'read' ? 0 : 1 };
    }
  })();
  // Requests past the end of the address space would wrap.
  if (span.at + BigInt(span.length) > 2n ** 64n) return;
  // Two pages of a passed-through device would leave the data pages.
  if (physical(sw, device) && span.at + BigInt(span.length) > BigInt(sw.firstData + sw.dataPages) * page) return;
  if (op === 'read') {
    if (start >= wide && !sw.rich && span.length !== 4) return;
    sw.out.push({ do: 'dma.read', ...reach, ...span, ...(execute === true ? { execute } : {}) });
    return;
  }
  const solid =
    load === 'fill' || load === 'long' || (load === 'cross' && (!has(device, 'read.bytes') || start >= wide)) || load === 'none';
  const bytes = solid ? new Uint8Array(span.length).fill(0x96) : unlike(sw, span.length);
  sw.out.push({ do: 'dma.write', ...reach, at: span.at, bytes });
};

/** Bytes unlike any before, little-endian words of a counter. */
const unlike = (sw: Software, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 4) {
    const value = fresh(sw);
    for (let k = i; k < Math.min(i + 4, length); k++) bytes[k] = (value >>> (8 * (k - i))) & 0xff;
  }
  return bytes;
};
