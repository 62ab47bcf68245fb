// Tables of one translation and nothing else, for sweeps: one entry a level, whose word is then changed bit by bit while a device asks.
// VT-d 4.1, Legacy Mode Address Translation; Scalable Mode Address Translation; Second-Stage and First-Stage Paging Entries.

import type { Iova } from '../../spec/units.ts';
import { bit, REG, words } from './bits.ts';
import { invalidate, resume } from './invalidate.ts';
import { startRequests } from './devices.ts';
import { command, setRoot } from './registers.ts';
import { DOMAIN, master, tell } from './scenes.ts';
import { addressOf, dataPage, type Device, fresh, has, is, once, peek, pick, poke, type Software, turn, write } from './software.ts';

/** Pages set aside: root, context, PASID directory and table, five levels of each stage, two to spare. */
export const SWEEP_PAGES = 16;
const page = (sw: Software, i: number): number => addressOf((sw.scene ?? 0) + i);
export const spare = (sw: Software, i: number): number => page(sw, 14 + i);

export type Kind = 'legacy' | 'second' | 'first' | 'nested' | 'through';
/** What this unit translates with, in the mode it is in. */
export const kindsOf = (sw: Software): readonly Kind[] => {
  const { firstStage, secondStage, nesting, passThrough } = sw.facts;
  const through: readonly Kind[] = passThrough ? ['through'] : [];
  if (!sw.scalable) return ['legacy', ...through];
  return [
    ...(secondStage ? (['second'] as const) : []),
    ...(firstStage ? (['first'] as const) : []),
    ...(nesting ? (['nested'] as const) : []),
    ...through,
  ];
};
export interface Path {
  readonly kind: Kind;
  /** Of the second stage. */
  readonly levels: number;
  /** Of the first. */
  readonly deep: 4 | 5;
  readonly at: bigint;
  readonly pasid?: number;
  readonly data?: number;
  /** Of the entry of this level, a page as large as it: at the same address as the data page, modulo its size. */
  readonly large?: 2 | 3;
  /** ERE, SRE, WPE, NXE, SMEP, EAFE of the PASID-table entry. */
  readonly enables?: bigint;
  /** SLADE. */
  readonly flagged?: boolean;
  readonly domain?: bigint;
  /** Bits of the context entry's low word. */
  readonly context?: bigint;
}
/** Addresses of the entries that the path goes through. */
export interface Spots {
  readonly root: number;
  readonly context: number;
  readonly directory: number | undefined;
  readonly entry: number | undefined;
  /** By level, the last first. */
  readonly second: readonly number[];
  readonly first: readonly number[];
}
const put = (sw: Software, at: number, ...values: readonly bigint[]): void => {
  if (values.some((v, i) => peek(sw, at + 8 * i) !== BigInt.asUintN(64, v))) poke(sw, at, ...values);
};
const indexAt = (at: bigint, level: number): number => Number((at >> BigInt(12 + 9 * (level - 1))) & 511n);
const leafOf = (sw: Software, p: Path): bigint => BigInt(addressOf(dataPage(sw, p.data ?? 1)));

/** One table a level from `base` down, that leads to the data page. */
const stage = (sw: Software, p: Path, base: number, levels: number, rights: bigint, at: bigint, to: bigint): readonly number[] => {
  const spots: number[] = [];
  for (let level = levels; level >= 1; level--) {
    const spot = page(sw, base + 5 - level) + 8 * indexAt(at, level);
    spots.unshift(spot);
    const last = level === (p.large ?? 1);
    // A large page starts at address 0: the data page has its own address in it.
    const value = last ? (p.large === undefined ? to : bit(7)) : BigInt(page(sw, base + 6 - level));
    put(sw, spot, value | rights);
    if (last) break;
  }
  return spots;
};
/** Everything at its own address, by pages of 2 MiB: what a nested walk reads the first stage by. */
const identity = (sw: Software, levels: number): readonly number[] => {
  const spots: number[] = [];
  for (let level = levels; level >= 2; level--) {
    const spot = page(sw, 4 + 5 - level);
    spots.unshift(spot);
    put(sw, spot, level === 2 ? bit(7) | 3n : BigInt(page(sw, 4 + 6 - level)) | 3n);
    if (level === 2) put(sw, spot + 8, 0x20_0000n | bit(7) | 3n);
  }
  return spots;
};
/** Writes what of it does not stand there yet. */
export const lay = (sw: Software, device: Device, p: Path): Spots => {
  const { sourceId } = device.requester;
  const { facts } = sw;
  const root = page(sw, 0) + 16 * (sourceId >> 8) + (sw.scalable && (sourceId & 0x80) !== 0 ? 8 : 0);
  const context = page(sw, 1) + (sw.scalable ? 32 * (sourceId & 0x7f) : 16 * (sourceId & 0xff));
  put(sw, root, BigInt(page(sw, 1)) | 1n);
  const first = p.kind === 'first' || p.kind === 'nested';
  const to = leafOf(sw, p);
  const second =
    p.kind === 'legacy' || p.kind === 'second'
      ? stage(sw, p, 4, p.levels, 3n, p.at, to)
      : p.kind === 'nested'
        ? identity(sw, p.levels)
        : [];
  const firsts = first ? stage(sw, p, 9, p.deep, 7n, p.at, to) : [];
  const aw = BigInt(p.levels - 2);
  const top = BigInt(page(sw, 9 - p.levels));
  const domain = p.domain ?? DOMAIN;
  if (!sw.scalable) {
    const widest = BigInt(Math.max(...facts.levels) - 2);
    const low = p.kind === 'through' ? 8n | 1n : top | (p.context ?? 0n) | 1n;
    put(sw, context, low, (p.kind === 'through' ? widest : aw) | (domain << 8n));
    return { root, context, directory: undefined, entry: undefined, second, first: firsts };
  }
  const flags = 1n | (facts.deviceTlb ? 4n : 0n) | (facts.pasid ? 8n : 0n) | (facts.pageRequests ? 16n : 0n);
  put(sw, context, BigInt(page(sw, 2)) | flags | (p.context ?? 0n), 0n, 0n, 0n);
  const pasid = p.pasid ?? 0;
  const directory = page(sw, 2) + 8 * (pasid >> 6);
  put(sw, directory, BigInt(page(sw, 3)) | 1n);
  const entry = page(sw, 3) + 64 * (pasid & 63);
  const kind = { legacy: 2n, second: 2n, first: 1n, nested: 3n, through: 4n }[p.kind];
  const uses = p.kind !== 'first';
  put(
    sw,
    entry,
    (kind << 6n) |
      (uses ? aw << 2n : 0n) |
      (p.kind === 'second' || p.kind === 'nested' ? top : 0n) |
      (p.flagged === true ? bit(9) : 0n) |
      1n,
    domain,
    first ? BigInt(page(sw, 14 - p.deep)) | (p.deep === 5 ? 4n : 0n) | (p.enables ?? bit(4) | bit(5)) : 0n,
    0n,
    0n,
    0n,
    0n,
    0n,
  );
  return { root, context, directory, entry, second, first: firsts };
};
/** A path that this unit has: the n-th. */
export const pathOf = (sw: Software, n: number, at: bigint = 0x1000n): Path | undefined => {
  const kind = pick(kindsOf(sw), n);
  const levels = pick(sw.facts.levels, n >> 1);
  if (kind === undefined || levels === undefined) return undefined;
  return {
    kind,
    levels,
    deep: sw.facts.fiveLevel && (n & 2) !== 0 ? 5 : 4,
    at: kind === 'through' ? leafOf(sw, { kind, levels, deep: 4, at }) : at,
  };
};
/** A device that writes, is there whatever virtual functions are enabled, and can do more. */
export const deviceOf = (sw: Software, n: number, ...more: readonly Parameters<typeof has>[1][]): Device | undefined =>
  pick(
    sw.devices.filter((d) => d.requester.physical === undefined && has(d, 'write') && more.every((a) => has(d, a))),
    n,
  );
/** Everything that any cache holds: what stood in tables before says nothing from here on. */
export const flush = (sw: Software): void =>
  invalidate(sw, [
    { what: 'context', grain: 1, domain: 0, source: 0 },
    ...(sw.scalable ? [{ what: 'pasid', grain: 3, domain: 0, pasid: 0 } as const] : []),
    { what: 'iotlb', grain: 1, domain: 0 },
    ...(sw.remaps ? [{ what: 'interrupts' } as const] : []),
  ]);
/** The unit uses these tables while `act` runs, and the others again afterwards. */
export const within = (sw: Software, device: Device, act: () => void): void => {
  resume(sw);
  write(sw, REG.RTADDR, 8, BigInt(page(sw, 0)) | (sw.scalable ? bit(10) : 0n));
  once(sw, 'SRTP');
  flush(sw);
  const was = is(sw, 'TE');
  if (!was) turn(sw, 'TE', true);
  master(sw, device);
  tell(sw);
  act();
  if (!was) turn(sw, 'TE', false);
  setRoot(sw);
};
export interface More {
  readonly pasid?: number;
  readonly privileged?: boolean;
  readonly translated?: boolean;
}
export const push = (sw: Software, d: Device, at: bigint, more: More = {}): void => {
  sw.out.push({
    do: 'dma.write',
    requester: d.index,
    at: BigInt.asUintN(64, at) as Iova,
    bytes: words(BigInt(fresh(sw))).slice(0, 4),
    ...more,
  });
};
export const fetch = (sw: Software, d: Device, at: bigint, more: More & { readonly execute?: boolean } = {}, length = 4): void => {
  if (has(d, 'read')) sw.out.push({ do: 'dma.read', requester: d.index, at: BigInt.asUintN(64, at) as Iova, length, ...more });
};
export const tagged = (p: Path): More => (p.pasid === undefined ? {} : { pasid: p.pasid });
/** Read, written or added to, by turns. */
export const ask = (sw: Software, d: Device, at: bigint, n: number, more: More = {}): void => {
  if (n % 3 === 1) return fetch(sw, d, at, more);
  if (n % 3 === 2 && has(d, 'atomic'))
    return void sw.out.push({
      do: 'dma.atomic',
      requester: d.index,
      at: at as Iova,
      width: n % 2 === 0 ? 4 : 8,
      operand: BigInt(fresh(sw)),
      ...more,
    });
  push(sw, d, at, more);
};
/** The word at `at` as it would be with these bits turned over, while the device asks; then as before. */
export const turned = (sw: Software, at: number, flip: bigint, act: () => void): void => {
  const was = peek(sw, at);
  poke(sw, at, was ^ flip);
  flush(sw);
  act();
  poke(sw, at, was);
};
/** The unit as after power-on while `act` runs, and as it was afterwards. */
export const anew = (sw: Software, act: () => void): boolean => {
  if (!sw.offers('vt-d.reset')) return false;
  const { commands, remaps } = sw;
  sw.out.push({ do: 'vtd.reset' });
  sw.commands = 0n;
  sw.remaps = false;
  sw.queue = { on: false, wide: sw.queue.wide, slots: sw.queue.slots, tail: 0, stuck: undefined };
  act();
  sw.out.push({ do: 'vtd.reset' });
  sw.commands = 0n;
  if (sw.scalable || sw.facts.queue) command(sw, 'queue');
  setRoot(sw);
  if (remaps) command(sw, 'interrupts');
  startRequests(sw);
  if ((commands & bit(31)) !== 0n) turn(sw, 'TE', true);
  return true;
};
/** Of many, those whose turn it is. */
export const some = <T>(list: readonly T[], n: number, of: number): readonly T[] => list.filter((_, i) => i % of === n % of);
export const span = (high: number, low: number): readonly number[] =>
  Array.from({ length: Math.max(0, high - low + 1) }, (_, i) => low + i);
