// Page tables of both stages as software keeps them: maps, unmaps, moves, protects, and swaps a table for a large page.
// VT-d 4.1, Second-Stage Paging Entries; First-Stage Paging Entries. Table pages are never used again for anything else.

import { bit } from './bits.ts';
import type { How } from './choices.ts';
import { afterFirst, afterSecond } from './invalidate.ts';
import { addressOf, allocate, dataPage, type Mapping, peek, pick, poke, type Software, type Space } from './software.ts';

export type Level = 1 | 2 | 3;
const LARGE = bit(7);
/** Memory is small: higher bits were put there to spoil the entry. */
const pointer = 0xffff_f000n;
/** Read and write of the second stage. Of the first: all; no write, no execute; supervisor only. */
const rightsOf = (space: Space, rights: number): bigint =>
  space.kind === 'second' ? BigInt(rights) : rights === 3 ? 7n : rights === 1 ? 5n | bit(63) : 3n;
const upper = (space: Space): bigint => (space.kind === 'second' ? 3n : 7n);
const shiftOf = (level: number): bigint => BigInt(12 + 9 * (level - 1));
const indexAt = (at: bigint, level: number): number => Number((at >> shiftOf(level)) & 0x1ffn);
export const sizeOf = (level: Level): bigint => 1n << shiftOf(level);

/** Where addresses are interesting: ends of tables, of 4 GiB, of the interrupt range, of the width; data pages' own addresses. */
export const places = (sw: Software, space: Space): readonly bigint[] => {
  const width = space.kind === 'second' ? Math.min(12 + 9 * space.levels, sw.facts.maximumAddressWidth) : 12 + 9 * space.levels - 1;
  const limit = bit(width);
  const all = [
    0x1000n,
    0x2000n,
    0x0n,
    0x20_0000n,
    0x1f_f000n,
    0x4000_0000n,
    0x3fff_f000n,
    0x3000n,
    0x1_0000_0000n,
    0xffff_f000n,
    limit - 0x1000n,
    limit / 2n,
    BigInt(addressOf(sw.firstData)),
    BigInt(addressOf(sw.firstData + 1)),
    0x4000n,
    0xfedf_f000n,
    0xfef0_0000n,
    0x40_0000n,
    0x7fff_f000n,
    0x8000_0000n,
    0x5000n,
  ].filter((at) => at < limit);
  return space.kind === 'first' ? [...all, BigInt.asUintN(64, -limit), BigInt.asUintN(64, -0x1000n)] : all;
};
/** Addresses beyond what a space can map. */
export const beyond = (sw: Software, space: Space): readonly bigint[] => {
  const width = 12 + 9 * space.levels;
  if (space.kind === 'first') return [bit(width - 1), BigInt.asUintN(64, -bit(width - 1)) - 0x1000n, bit(width), bit(63)];
  return [bit(width), bit(width) + 0x1000n, bit(Math.min(63, sw.facts.maximumAddressWidth)), bit(63), BigInt.asUintN(64, -0x1000n)];
};

/** The address of the entry for `at` at `level`, making tables on the way; undefined where a large page or the end of memory is in the way. */
const entryAt = (sw: Software, space: Space, at: bigint, level: number, make: boolean): number | undefined => {
  let table = addressOf(space.root);
  for (let l = space.levels; l > level; l--) {
    const entry = table + 8 * indexAt(at, l);
    const value = peek(sw, entry);
    if ((value & 7n) === 0n) {
      const made = make ? allocate(sw) : undefined;
      if (made === undefined) return undefined;
      poke(sw, entry, BigInt(addressOf(made)) | upper(space));
      table = addressOf(made);
    } else if (l <= 3 && (value & LARGE) !== 0n) return undefined;
    else table = Number(value & pointer);
  }
  return table + 8 * indexAt(at, level);
};
export const leafEntry = (sw: Software, space: Space, m: Mapping): number | undefined => entryAt(sw, space, m.at, m.level, false);
/** The entry above a leaf that points to its table. */
export const tableEntry = (sw: Software, space: Space, m: Mapping): number | undefined =>
  m.level < space.levels ? entryAt(sw, space, m.at, m.level + 1, false) : undefined;

const leaf = (sw: Software, space: Space, m: Mapping): bigint => {
  if (m.level > 1) space.large.push({ at: m.at, end: m.at + sizeOf(m.level) });
  if (m.rights === 0) return 0n;
  const to = m.level === 1 ? BigInt(addressOf(dataPage(sw, m.page))) : 0n;
  return to | rightsOf(space, m.rights) | (m.level > 1 ? LARGE : 0n);
};
/** PASIDs with which a first-stage space is in use; second-stage ones need none. */
const pasidsOf = (sw: Software, space: Space): readonly number[] => [
  ...new Set(sw.devices.flatMap((d) => [...d.attached].filter(([, a]) => a.space === space).map(([pasid]) => pasid))),
];
export const changed = (sw: Software, space: Space, at: bigint, level: Level, how: How, present: boolean, deep = false): void => {
  if (space.kind === 'second') return afterSecond(sw, space, at, level, how, { present, deep });
  for (const pasid of pasidsOf(sw, space)) afterFirst(sw, space, at, level, deep && how === 'right' ? 'domain' : how, present, pasid);
};
const put = (sw: Software, space: Space, m: Mapping, how: How): void => {
  const entry = entryAt(sw, space, m.at, m.level, true);
  if (entry === undefined) return;
  const value = leaf(sw, space, m);
  const present = (peek(sw, entry) & 7n) !== 0n;
  poke(sw, entry, value);
  changed(sw, space, m.at, m.level, how, present);
};

export const map = (sw: Software, space: Space, at: number, page: number, size: number, rights: number, how: How): void => {
  const level = Math.min(size + 1, space.kind === 'first' ? 2 : sw.facts.largest, 3) as Level;
  const place = pick(places(sw, space), at) ?? 0n;
  const start = place & ~(sizeOf(level) - 1n);
  if (space.mappings.some((m) => m.at < start + sizeOf(level) && start < m.at + sizeOf(m.level))) return;
  const entry = entryAt(sw, space, start, level, true);
  // A table that stands there already is left alone.
  if (entry === undefined || (peek(sw, entry) & 7n) !== 0n) return;
  const m: Mapping = { at: start, level, page, rights };
  space.mappings.push(m);
  put(sw, space, m, how);
};
export const unmap = (sw: Software, space: Space, which: number, how: How): void => {
  const m = pick(space.mappings, which);
  if (m === undefined) return;
  space.mappings.splice(space.mappings.indexOf(m), 1);
  space.past.push(m.at);
  m.rights = 0;
  put(sw, space, m, how);
};
export const remap = (sw: Software, space: Space, which: number, to: number, how: How): void => {
  const m = pick(
    space.mappings.filter((x) => x.level === 1),
    which,
  );
  if (m === undefined) return;
  m.page = m.page % sw.dataPages === to % sw.dataPages ? to + 1 : to;
  put(sw, space, m, how);
};
export const protect = (sw: Software, space: Space, which: number, to: number, how: How): void => {
  const m = pick(space.mappings, which);
  if (m === undefined) return;
  const all = [3, 1, 2].filter((r) => r !== m.rights);
  m.rights = pick(all, to) ?? 3;
  put(sw, space, m, how);
};
/** A large page of address 0 where a table was, or the other way round. */
export const resize = (sw: Software, space: Space, which: number, how: How): void => {
  const m = pick(space.mappings, which);
  if (m === undefined || sw.facts.largest < 2 || space.levels < 3) return;
  const start = m.at & ~(sizeOf(2) - 1n);
  const entry = entryAt(sw, space, start, 2, false);
  if (entry === undefined) return;
  const inside = space.mappings.filter((x) => x.at >= start && x.at < start + sizeOf(2));
  for (const x of inside) {
    space.mappings.splice(space.mappings.indexOf(x), 1);
    space.past.push(x.at);
  }
  if (m.level === 2) {
    const made = allocate(sw);
    if (made === undefined) return;
    const small: Mapping = { at: start, level: 1, page: which, rights: 3 };
    space.mappings.push(small);
    poke(sw, addressOf(made), leaf(sw, space, small));
    poke(sw, entry, BigInt(addressOf(made)) | upper(space));
  } else {
    const large: Mapping = { at: start, level: 2, page: 0, rights: 3 };
    space.mappings.push(large);
    poke(sw, entry, leaf(sw, space, large));
  }
  changed(sw, space, start, 2, how === 'right' ? 'domain' : how, true, true);
};
/** Everything at its own address, for tables of the first stage that a nested walk reads through the second. */
export const identity = (sw: Software, space: Space): void => {
  if (sw.facts.largest < 2 || space.mappings.some((m) => m.at === 0n && m.level === 2)) return;
  const entry = entryAt(sw, space, 0n, 2, true);
  if (entry === undefined) return;
  for (const x of space.mappings.filter((y) => y.at < sizeOf(2))) space.mappings.splice(space.mappings.indexOf(x), 1);
  const large: Mapping = { at: 0n, level: 2, page: 0, rights: 3 };
  space.mappings.push(large);
  const present = (peek(sw, entry) & 7n) !== 0n;
  poke(sw, entry, leaf(sw, space, large));
  changed(sw, space, 0n, 2, 'domain', present, true);
};
