// Root, context and PASID entries as software keeps them: which device uses which space, how, and under which domain.
// VT-d 4.1, Root Entry; Context Entry; Scalable-Mode Root, Context, PASID Directory and PASID Table Entries.

import { bit } from './bits.ts';
import type { How, Type } from './choices.ts';
import { afterContext } from './invalidate.ts';
import { PAGES, addressOf, allocate, type Device, peek, poke, type Software, type Space } from './software.ts';
import { identity } from './tables.ts';

/** Memory is small: higher bits were put there to spoil the entry. */
const pointer = 0xffff_f000n;
const present = (value: bigint): boolean => (value & 1n) !== 0n;
const n = (v: number, shift: number): bigint => BigInt(v) << BigInt(shift);

export const rootEntry = (sw: Software, device: Device): number => {
  const { sourceId } = device.requester;
  return addressOf(PAGES.root) + 16 * (sourceId >> 8) + (sw.scalable && (sourceId & 0x80) !== 0 ? 8 : 0);
};
/** The device's context entry, with its table where there was none; undefined when memory is used up. */
export const contextEntry = (sw: Software, device: Device): number | undefined => {
  const root = rootEntry(sw, device);
  if (!present(peek(sw, root))) {
    const made = allocate(sw);
    if (made === undefined) return undefined;
    poke(sw, root, BigInt(addressOf(made)) | 1n);
  }
  const table = Number(peek(sw, root) & pointer);
  const { sourceId } = device.requester;
  return table + (sw.scalable ? 32 * (sourceId & 0x7f) : 16 * (sourceId & 0xff));
};
export const pasidEntry = (device: Device, pasid: number): number | undefined =>
  device.directory === undefined ? undefined : addressOf(device.directory.table) + 64 * (pasid % 64);

/** AW: 1 for 3 levels, 2 for 4, 3 for 5. */
const widthOf = (space: Space): number => space.levels - 2;
/** A width that SAGAW lacks. */
const badWidth = (sw: Software): number => [3, 1, 2, 0].find((aw) => !sw.facts.levels.includes(aw + 2)) ?? 7;

const attachLegacy = (sw: Software, device: Device, space: Space, type: Type, flags: number, how: How): void => {
  const entry = contextEntry(sw, device);
  if (entry === undefined) return;
  const [low, high] = [peek(sw, entry), peek(sw, entry + 8)];
  const kind = type === 'devices' ? 1n : type === 'through' ? 2n : type === 'reserved' ? 3n : 0n;
  const aw = type === 'width' ? badWidth(sw) : type === 'through' ? Math.max(...sw.facts.levels) - 2 : widthOf(space);
  poke(sw, entry, BigInt(addressOf(space.root)) | (kind << 2n) | (flags & 1 ? 2n : 0n) | 1n, n(aw, 0) | n(space.domain, 8));
  remember(sw, device, space, type, 0);
  afterContext(sw, device, Number((high >> 8n) & 0xffffn), how, present(low));
};

const remember = (sw: Software, device: Device, space: Space, type: Type, pasid: number): void => {
  device.attached.set(pasid, { space, type, domain: space.domain });
  if (type === 'through') device.loose = true;
};

/** PASID directory and table of the device, and a context entry that points to them. False: memory is used up. */
const directoryOf = (sw: Software, device: Device, flags: number, type: Type, how: How): boolean => {
  const entry = contextEntry(sw, device);
  if (entry === undefined) return false;
  if (device.directory === undefined) {
    const page = allocate(sw);
    const table = allocate(sw);
    if (page === undefined || table === undefined) return false;
    device.directory = { page, table };
    poke(sw, addressOf(page), BigInt(addressOf(table)) | 1n);
  }
  const { facts } = sw;
  const wants =
    1n |
    BigInt(addressOf(device.directory.page)) |
    (facts.deviceTlb && (type === 'devices' || device.requester.can.includes('ats')) ? 4n : 0n) |
    (facts.pasid && device.requester.can.includes('pasid') && (flags & 4) === 0 ? 8n : 0n) |
    (facts.pageRequests && device.requester.can.includes('pri') ? 0x10n : 0n) |
    (flags & 8 ? 2n : 0n);
  const old = peek(sw, entry);
  if (old === wants) return true;
  poke(sw, entry, wants, 0n, 0n, 0n);
  // Context entries of scalable mode are tagged with no domain: 0.
  afterContext(sw, device, 0, how, present(old));
  return true;
};

const attachScalable = (sw: Software, device: Device, space: Space, type: Type, pasid: number, flags: number, how: How): void => {
  const first = sw.spaces.find((s) => s.kind === 'first' && s.index % 4 === space.index % 4) ?? sw.spaces.find((s) => s.kind === 'first');
  const second = space.kind === 'second' ? space : sw.spaces.find((s) => s.kind === 'second');
  const nested = type === 'nested' && first !== undefined && second !== undefined;
  const useFirst = nested || (first !== undefined && (type === 'first' || space.kind === 'first' || second === undefined));
  const main = useFirst ? first : second;
  if (main === undefined || !directoryOf(sw, device, flags, type, how)) return;
  if (nested) identity(sw, second);
  const entry = pasidEntry(device, pasid);
  if (entry === undefined) return;
  const kind = type === 'through' ? 4 : type === 'reserved' ? 5 : nested ? 3 : useFirst ? 1 : 2;
  const aw = type === 'width' ? badWidth(sw) : second === undefined ? 0 : widthOf(second);
  const stage2 = second === undefined || kind === 1 ? 0n : BigInt(addressOf(second.root));
  const stage1 = useFirst ? BigInt(addressOf(main.root)) | (main.levels === 5 ? 4n : 0n) : 0n;
  const old = peek(sw, entry);
  const domain = Number(peek(sw, entry + 8) & 0xffffn);
  poke(
    sw,
    entry,
    stage2 | n(kind, 6) | (stage2 === 0n && kind !== 4 ? 0n : n(aw, 2)) | (flags & 1 ? 2n : 0n) | 1n,
    n(main.domain, 0),
    stage1 | (useFirst && (flags & 2) !== 0 ? enables(sw) : 0n),
    0n,
  );
  remember(sw, device, main, type, pasid);
  afterContext(sw, device, domain, how, present(old), pasid);
};
/** Execute and supervisor requests where there are any, write protection and no-execute. */
const enables = (sw: Software): bigint => {
  const has = (n: number): boolean => (sw.vtd.ecap & bit(n)) !== 0n;
  return (has(31) ? 1n : 0n) | (has(30) ? 2n : 0n) | bit(4) | bit(5);
};
export const attach = (sw: Software, device: Device, space: Space, type: Type, pasid: number, flags: number, how: How): void => {
  if (sw.scalable) attachScalable(sw, device, space, type, pasid, flags, how);
  else attachLegacy(sw, device, space, type, flags, how);
};
export const detach = (sw: Software, device: Device, pasid: number, how: How): void => {
  const attached = device.attached.get(pasid);
  const entry = sw.scalable ? pasidEntry(device, pasid) : contextEntry(sw, device);
  if (attached === undefined || entry === undefined) return;
  const old = peek(sw, entry);
  poke(sw, entry, old & ~1n);
  device.attached.delete(pasid);
  afterContext(sw, device, attached.domain, how, present(old), sw.scalable ? pasid : undefined);
};
