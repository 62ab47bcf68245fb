// Scenes of paging entries: bits that are reserved at one level and not at another, large pages, accessed and dirty flags, enables of a first stage,
// invalidations with a mask. VT-d 4.1, First-Stage and Second-Stage Paging Entries; Nested Translation; Invalidation of Translation Caches.

import type { Iova } from '../../spec/units.ts';
import { bit, words } from './bits.ts';
import { everything, invalidate } from './invalidate.ts';
import type { Scene } from './scene-names.ts';
import { ask, type Change, DOMAIN, levelsOf, PLACE, tell } from './scenes.ts';
import { addressOf, dataPage, type Device, fresh, has, peek, poke, type Software } from './software.ts';

type Tables = (sw: Software, n: number) => Change | undefined;
const able = (sw: Software, n: number): boolean => (sw.vtd.ecap & bit(n)) !== 0n;
/** Only the first stage, where the second is not built. */
const plain = (sw: Software): boolean => sw.scalable && !sw.facts.secondStage;
const firsts = (sw: Software): boolean => sw.scalable && sw.facts.firstStage;
const read = (sw: Software, d: Device, at: bigint, more: { readonly pasid?: number; readonly privileged?: boolean } = {}): void => {
  if (has(d, 'read')) sw.out.push({ do: 'dma.read', requester: d.index, at: at as Iova, length: 4, ...more });
};
const settle = (sw: Software): void => {
  sw.out.push({ do: 'settle' });
};

/** Every entry on the way as software wrote it, with these flags and no others; then it is read, and written. */
const flagged =
  (first: boolean, flags: bigint): NonNullable<Change['ask']> =>
  (sw, d, n) => {
    const { scene: base } = sw;
    if (base === undefined) return;
    const top = 8 - (first ? 4 : levelsOf(sw));
    for (let i = top; i <= 7; i++) {
      const at = addressOf(base + i) + (i === 7 ? 8 : 0);
      poke(sw, at, peek(sw, at) | flags);
    }
    everything(sw);
    settle(sw);
    if (n !== 3) {
      read(sw, d, PLACE);
      settle(sw);
    }
    ask(sw, d, PLACE, {});
    settle(sw);
  };
/** One of these, another each time. */
const one = (sw: Software, n: number, bits: readonly number[]): bigint => bit(bits[(sw.counter * 5 + n) % bits.length] ?? 7);
const span = (high: number, low: number): readonly number[] => Array.from({ length: high - low + 1 }, (_, i) => low + i);

/** A translation high in the last table is used, changed, invalidated among its neighbours, and used again. */
const masked = (sw: Software, d: Device, n: number): void => {
  if (sw.scene === undefined) return;
  const domain = Number(DOMAIN);
  const index = 0x1f3 - 16 * n - (sw.counter % 16);
  const order = Math.min(1 + ((sw.counter + n) % 4), sw.facts.maximumMask);
  const at = BigInt(index) << 12n;
  const leaf = addressOf(sw.scene + 7) + 8 * index;
  const first = firsts(sw);
  const to = (k: number): bigint => BigInt(addressOf(dataPage(sw, k))) | (first ? 7n : 3n);
  poke(sw, leaf, to(1));
  ask(sw, d, at, {});
  poke(sw, leaf, to(2 + n));
  const around = at & ~((4096n << BigInt(order)) - 1n);
  invalidate(sw, [
    first
      ? { what: 'pasid-iotlb', grain: 3, domain, pasid: 0, at: around, order }
      : { what: 'iotlb', grain: sw.facts.pageSelective ? 3 : 2, domain, at: around, order },
  ]);
  ask(sw, d, at, {});
  poke(sw, leaf, 0n);
};
/** A page that may not be written: by a user, and by a supervisor with and without WPE. */
const supervised = (sw: Software, d: Device): void => {
  for (const privileged of [true, false]) {
    const bytes = words(BigInt(fresh(sw))).slice(0, 4);
    sw.out.push({ do: 'dma.write', requester: d.index, at: PLACE as Iova, bytes, pasid: 1, ...(privileged ? { privileged } : {}) });
    tell(sw);
  }
  read(sw, d, PLACE, { pasid: 1 });
};

export const pagingScenes: Partial<Readonly<Record<Scene, Tables>>> = {
  flags: (sw, n) => {
    if (!sw.scalable) return undefined;
    const first = sw.facts.firstStage && (plain(sw) || (able(sw, 45) ? n === 2 : n % 2 === 0));
    if (first) return { first, enable: able(sw, 34) && n === 2 ? bit(7) : 0n, ask: flagged(first, 0n) };
    return { ...(able(sw, 45) && (n === 1 || sw.counter % 4 !== 0) ? { entryFlip: bit(9) } : {}), ask: flagged(first, 0n) };
  },
  // Tables in a GiB that may not be written, data in one that may.
  'nested-flags': (sw, n) =>
    firsts(sw) && sw.facts.nesting && sw.facts.largest === 3
      ? {
          first: true,
          under: n === 3 ? 3n : 1n,
          underData: 3n,
          ...(able(sw, 45) && n !== 1 ? { entryFlip: bit(9) } : {}),
          leaf: 0x4000_0000n + BigInt(addressOf(dataPage(sw, 1))),
          ask: flagged(true, n === 0 ? 0n : n === 1 ? bit(5) : n === 2 ? bit(5) | bit(6) : 0n),
        }
      : undefined,
  'entry-bits': (sw, n) => {
    if (plain(sw)) return undefined;
    const flip = one(sw, n, [62, 11, 62, sw.facts.hostAddressWidth]);
    return n % 2 === 0 ? { topFlip: flip } : { leafFlip: flip };
  },
  'large-reserved': (sw, n) => {
    const first = firsts(sw) && (plain(sw) || n > 1);
    if (!first && sw.facts.largest === 1) return undefined;
    if (n % 2 === 0) return { first, top: bit(7) | one(sw, n, span(20, first ? 13 : 12)) };
    return { first, middle: (first ? 0x87n : 0x83n) | one(sw, n, span(29, first ? 13 : 12)) };
  },
  'first-large': (sw, n) =>
    firsts(sw)
      ? {
          first: true,
          top: bit(7) | (n === 1 ? bit(12) : 0n),
          ask: (_, d) => {
            read(sw, d, BigInt(addressOf(8)));
            ask(sw, d, BigInt(addressOf(dataPage(sw, n))), {});
          },
        }
      : undefined,
  'execute-anyway': (sw) =>
    firsts(sw) && sw.facts.pasid && able(sw, 30)
      ? {
          first: true,
          pasid: 1,
          enable: 2n,
          enableFlip: bit(5),
          leafFlip: bit(63),
          ask: (_, d) => {
            sw.out.push({ do: 'dma.read', requester: d.index, at: PLACE as Iova, length: 4, pasid: 1, execute: true });
          },
        }
      : undefined,
  'write-protect': (sw, n) =>
    firsts(sw) && sw.facts.pasid && able(sw, 31)
      ? { first: true, pasid: 1, enable: 1n, enableFlip: n % 2 === 0 ? bit(4) : 0n, leafFlip: 2n, ask: supervised }
      : undefined,
  masked: (sw) => ({ first: firsts(sw), ask: masked }),
};
