// Invalidations: what an edit needs and how software may get it wrong, as register commands or as descriptors of the queue.
// VT-d 4.1, Register-based Invalidation Interface; Queued Invalidation Interface; Invalidation of Translation Caches.

import { bit, REG } from './bits.ts';
import type { How } from './choices.ts';
import { type Device, PAGES, addressOf, freshStatus, poke, read, type Software, type Space, write } from './software.ts';

/** One invalidation. `grain`: 1 global, 2 domain (or PASID), 3 device or page. */
export type Invalidation =
  | { readonly what: 'context'; readonly grain: 1 | 2 | 3; readonly domain: number; readonly source: number; readonly functions?: number }
  | {
      readonly what: 'iotlb';
      readonly grain: 1 | 2 | 3;
      readonly domain: number;
      readonly at?: bigint;
      readonly order?: number;
      readonly hint?: boolean;
    }
  | { readonly what: 'pasid'; readonly grain: 0 | 1 | 3; readonly domain: number; readonly pasid: number }
  | {
      readonly what: 'pasid-iotlb';
      readonly grain: 2 | 3;
      readonly domain: number;
      readonly pasid: number;
      readonly at?: bigint;
      readonly order?: number;
      readonly hint?: boolean;
    }
  | { readonly what: 'interrupts'; readonly index?: number; readonly order?: number }
  | { readonly what: 'device'; readonly source: number; readonly at: bigint; readonly sized: boolean; readonly physical: number }
  | {
      readonly what: 'pasid-device';
      readonly source: number;
      readonly at: bigint;
      readonly sized: boolean;
      readonly pasid: number;
      readonly every: boolean;
      readonly physical: number;
    }
  | {
      readonly what: 'response';
      readonly source: number;
      readonly pasid: number | undefined;
      readonly group: number;
      readonly code: number;
    };

const n = (v: number, shift: number): bigint => BigInt(v) << BigInt(shift);
const flag = (on: boolean | undefined, at: number): bigint => (on === true ? bit(at) : 0n);
/** PFSID in two parts, where throttling makes the field exist. */
const physicalOf = (sw: Software, id: number): bigint => (sw.facts.throttle ? n(id & 0xf, 12) | n(id >> 4, 52) : 0n);

/** Lower and upper 64 bits. */
export const descriptor = (sw: Software, i: Invalidation): readonly [bigint, bigint] => {
  switch (i.what) {
    case 'context':
      return [1n | n(i.grain, 4) | n(i.domain, 16) | n(i.source, 32) | n(i.functions ?? 0, 48), 0n];
    case 'iotlb':
      return [2n | n(i.grain, 4) | n(i.domain, 16), i.grain === 3 ? (i.at ?? 0n) | n(i.order ?? 0, 0) | flag(i.hint, 6) : 0n];
    case 'device':
      return [3n | n(i.source, 32) | physicalOf(sw, i.physical), i.at | flag(i.sized, 0)];
    case 'interrupts':
      return [4n | (i.index === undefined ? 0n : bit(4) | n(i.order ?? 0, 27) | n(i.index, 32)), 0n];
    case 'pasid-iotlb':
      return [
        6n | n(i.grain, 4) | n(i.domain, 16) | n(i.pasid, 32),
        i.grain === 3 ? (i.at ?? 0n) | n(i.order ?? 0, 0) | flag(i.hint, 6) : 0n,
      ];
    case 'pasid':
      return [7n | n(i.grain, 4) | n(i.domain, 16) | n(i.pasid, 32), 0n];
    case 'pasid-device':
      return [8n | n(i.source, 16) | n(i.pasid, 32) | physicalOf(sw, i.physical), i.at | flag(i.every, 0) | flag(i.sized, 11)];
    case 'response':
      return [9n | flag(i.pasid !== undefined, 4) | n(i.code, 12) | n(i.source, 16) | n(i.pasid ?? 0, 32), bit(2) | n(i.group, 3)];
  }
};
/** Waits with a status write of a value unlike any before, where `status` says so. */
export const waiting = (sw: Software, status: boolean, interrupt: boolean): readonly [bigint, bigint] => {
  const at = BigInt(addressOf(PAGES.status) + 4 * (sw.counter % 64));
  return [5n | flag(interrupt, 4) | flag(status, 5) | bit(6) | (status ? n(freshStatus(sw), 32) : 0n), status ? at : 0n];
};

/** Puts descriptors behind each other and tells the unit. */
export const submit = (sw: Software, descriptors: readonly (readonly [bigint, bigint])[]): void => {
  const { queue } = sw;
  for (const [low, high] of descriptors) {
    const size = queue.wide ? 32 : 16;
    poke(sw, addressOf(PAGES.queue) + size * queue.tail, low, high, ...(queue.wide ? [0n, 0n] : []));
    queue.tail = (queue.tail + 1) % queue.slots;
  }
  write(sw, REG.IQT, 8, BigInt(queue.tail) << (queue.wide ? 5n : 4n));
};
/** Mends the descriptor that stopped the queue and lets it go on. */
export const resume = (sw: Software): void => {
  const { queue } = sw;
  if (queue.stuck === undefined) return;
  const [low, high] = waiting(sw, true, false);
  poke(sw, addressOf(PAGES.queue) + (queue.wide ? 32 : 16) * queue.stuck, low, high);
  queue.stuck = undefined;
  write(sw, REG.FSTS, 4, bit(4));
  read(sw, REG.FSTS, 4);
};

/** IVA_REG and IOTLB_REG, or CCMD_REG: started by their top bit, done when it reads 0. */
const byRegister = (sw: Software, i: Invalidation): void => {
  if (i.what === 'context') {
    write(sw, REG.CCMD, 8, bit(63) | n(i.grain, 61) | n(i.functions ?? 0, 32) | n(i.source, 16) | n(i.domain, 0));
    read(sw, REG.CCMD, 8);
  } else if (i.what === 'iotlb') {
    const at = sw.facts.invalidateAt;
    if (i.grain === 3) write(sw, at, 8, (i.at ?? 0n) | n(i.order ?? 0, 0) | flag(i.hint, 6));
    write(sw, at + 8, 8, bit(63) | n(i.grain, 60) | n(i.domain, 32));
    read(sw, at + 8, 8);
  }
};
/** Register-based invalidations that are not carried out: no granularity, or more pages than MAMV says. */
export const refusedCommand = (sw: Software, n: number): void => {
  if (sw.queue.on) return;
  const { facts } = sw;
  const at = n % 2 === 0 ? REG.CCMD : facts.invalidateAt + 8;
  const wide = n % 4 === 3 && facts.pageSelective && facts.maximumMask < 63;
  if (wide) write(sw, facts.invalidateAt, 8, BigInt(facts.maximumMask + 1));
  write(sw, at, 8, bit(63) | (wide ? 3n << 60n : 0n));
  read(sw, at, 8);
};
/** By the queue while it is on, else by registers. What registers cannot do is left out. */
export const invalidate = (sw: Software, list: readonly Invalidation[]): void => {
  if (list.length === 0) return;
  if (!sw.queue.on) {
    for (const i of list) byRegister(sw, i);
    return;
  }
  resume(sw);
  submit(sw, [...list.map((i) => descriptor(sw, i)), waiting(sw, true, false)]);
};

const orderOf = (level: 1 | 2 | 3): number => 9 * (level - 1);
const otherDomain = (sw: Software, domain: number): number => sw.spaces.find((s) => s.domain !== domain)?.domain ?? domain ^ 1;

/** After a leaf of a second-stage table, or with `deep` an entry above it, was changed. `fresh`: it was not present before. */
export const afterSecond = (
  sw: Software,
  space: Space,
  at: bigint,
  level: 1 | 2 | 3,
  how: How,
  was: { readonly present: boolean; readonly deep?: boolean },
): void => {
  const { domain } = space;
  const { facts } = sw;
  const order = orderOf(level);
  const whole: Invalidation = { what: 'iotlb', grain: 2, domain };
  const selective = facts.pageSelective && order <= facts.maximumMask;
  const exact = (hint: boolean): Invalidation => (selective ? { what: 'iotlb', grain: 3, domain, at, order, hint } : whole);
  switch (how) {
    case 'missing':
      return;
    case 'global':
      return invalidate(sw, [{ what: 'iotlb', grain: 1, domain: 0 }]);
    case 'domain':
      return invalidate(sw, [whole]);
    case 'narrow':
      return invalidate(sw, facts.pageSelective ? [{ what: 'iotlb', grain: 3, domain, at: at ^ 0x1000n, order: 0, hint: false }] : []);
    case 'other':
      return invalidate(sw, [{ what: 'iotlb', grain: 2, domain: otherDomain(sw, domain) }]);
    case 'hint':
      return invalidate(sw, [exact(true)]);
    case 'right':
      // What was not present is not cached, but in caching mode.
      if (!was.present && !facts.cachingMode) return;
      return invalidate(sw, [was.deep === true ? whole : exact(false)]);
  }
};
/** After a first-stage entry was changed. */
export const afterFirst = (sw: Software, space: Space, at: bigint, level: 1 | 2 | 3, how: How, present: boolean, pasid: number): void => {
  const { domain } = space;
  const order = orderOf(level);
  if (how === 'missing' || (how === 'right' && !present && !sw.facts.cachingMode)) return;
  if (how === 'global') return invalidate(sw, [{ what: 'iotlb', grain: 1, domain: 0 }]);
  if (how === 'other') return invalidate(sw, [{ what: 'pasid-iotlb', grain: 2, domain, pasid: pasid ^ 1 }]);
  if (how === 'domain' || order > sw.facts.maximumMask) return invalidate(sw, [{ what: 'pasid-iotlb', grain: 2, domain, pasid }]);
  const target = how === 'narrow' ? at ^ 0x1000n : at;
  invalidate(sw, [{ what: 'pasid-iotlb', grain: 3, domain, pasid, at: target, order: how === 'narrow' ? 0 : order, hint: how === 'hint' }]);
};
/** After a context entry, or the PASID-table entry of `pasid`, was changed that had `domain`. */
export const afterContext = (sw: Software, device: Device, domain: number, how: How, present: boolean, pasid?: number): void => {
  const source = device.requester.sourceId;
  if (how === 'missing' || (how === 'right' && !present && !sw.facts.cachingMode)) return;
  const tags: Invalidation[] =
    pasid === undefined ? [{ what: 'context', grain: 3, domain, source }] : [{ what: 'pasid', grain: 1, domain, pasid }];
  const every: Invalidation[] = [{ what: 'context', grain: 1, domain: 0, source: 0 }];
  if (sw.scalable) every.push({ what: 'pasid', grain: 3, domain: 0, pasid: 0 });
  switch (how) {
    case 'global':
      return invalidate(sw, [...every, { what: 'iotlb', grain: 1, domain: 0 }]);
    case 'domain':
      return invalidate(sw, [
        { what: 'context', grain: 2, domain, source: 0 },
        ...(sw.scalable ? [{ what: 'pasid', grain: 0, domain, pasid: 0 } as const] : []),
        { what: 'iotlb', grain: 2, domain },
      ]);
    case 'narrow':
      return invalidate(sw, tags);
    case 'other':
      return invalidate(sw, [{ what: 'iotlb', grain: 2, domain }]);
    default:
      return invalidate(sw, [
        ...tags,
        ...(pasid === undefined ? [] : [{ what: 'pasid-iotlb', grain: 2, domain, pasid } as const]),
        { what: 'iotlb', grain: 2, domain },
      ]);
  }
};
/** Everything, in the order that a new root needs. */
export const everything = (sw: Software): void =>
  invalidate(sw, [
    { what: 'context', grain: 1, domain: 0, source: 0 },
    ...(sw.scalable ? [{ what: 'pasid', grain: 3, domain: 0, pasid: 0 } as const] : []),
    { what: 'iotlb', grain: 1, domain: 0 },
  ]);
export const afterInterrupt = (sw: Software, index: number, how: How, present: boolean): void => {
  if (how === 'missing' || (how === 'right' && !present && !sw.facts.cachingMode)) return;
  if (how === 'global' || how === 'domain') return invalidate(sw, [{ what: 'interrupts' }]);
  invalidate(sw, [{ what: 'interrupts', index: how === 'narrow' || how === 'other' ? index ^ 1 : index, order: 0 }]);
};
