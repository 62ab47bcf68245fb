// Sweeps of table entries: every bit of one entry turned over in turn, every type, width and paging mode, rights of every level and manner.
// VT-d 4.1, Translation Structure Formats; Fault Conditions.

import { bit } from './bits.ts';
import { DOMAIN, tell } from './scenes.ts';
import { addressOf, dataPage, has, peek, poke, type Software } from './software.ts';
import {
  ask,
  deviceOf,
  fetch,
  flush,
  kindsOf,
  lay,
  type More,
  type Path,
  pathOf,
  push,
  some,
  span,
  type Spots,
  turned,
  within,
} from './sweep-path.ts';

/** Bits of a pointer that lead to other memory: what stands there is no table. */
const inner = (sw: Software): readonly number[] => span(31 - Math.clz32((sw.firstData + sw.dataPages) * 4096 - 1), 12);

/** Words of the entries on the way, each with how many bits from its beginning are one entry. */
const wordsOf = (sw: Software, s: Spots): readonly number[] => [
  s.root,
  ...(sw.scalable ? [] : [s.root + 8]),
  s.context,
  s.context + 8,
  ...(sw.scalable ? [s.context + 16, s.context + 24] : []),
  ...(s.directory === undefined ? [] : [s.directory]),
  ...(s.entry === undefined ? [] : [s.entry, s.entry + 8, s.entry + 16]),
  ...s.second,
  ...s.first,
];
/** Each bit of one entry's word. */
export const bits = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const skip = inner(sw);
  within(sw, device, () => {
    const words = wordsOf(sw, spots);
    const at = words[(n + sw.counter) % words.length] as number;
    for (const k of span(63, 0)) {
      if (skip.includes(k)) continue;
      turned(sw, at, bit(k), () => ask(sw, device, path.at, k % 4 === 3 ? 1 : 0));
      tell(sw);
    }
  });
  return true;
};
/** One bit of every word: reserved ones, and a few above the host address width. */
export const edges = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n >> 1);
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const { hostAddressWidth: width } = sw.facts;
  within(sw, device, () => {
    for (const [i, at] of wordsOf(sw, spots).entries())
      for (const k of [
        0,
        1,
        [2, 3, 4, 5, 6, 7, 8, 9, 10, 11][(i + n) % 10] as number,
        24 + ((n + i) % 7),
        width - 1,
        width,
        63 - (n % 2),
      ]) {
        turned(sw, at, bit(k), () => ask(sw, device, path.at, i + k));
        tell(sw);
      }
  });
  return true;
};

/** Legacy: translation types and widths. Scalable: directories of every size, and PASIDs at their ends. */
export const contexts = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, ...(sw.scalable ? (['pasid'] as const) : []));
  const path = pathOf(sw, sw.scalable ? n : 0);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  within(sw, device, () => {
    if (!sw.scalable) {
      for (const type of span(3, 0))
        for (const width of span(7, 0)) {
          const low = peek(sw, spots.context) & ~0xcn;
          poke(sw, spots.context, low | BigInt(type << 2), BigInt(width) | (DOMAIN << 8n));
          flush(sw);
          push(sw, device, type === 2 ? BigInt(addressOf(dataPage(sw, 1))) : path.at);
          if (has(device, 'translated') && width % 2 === n % 2) push(sw, device, BigInt(addressOf(dataPage(sw, 2))), { translated: true });
          tell(sw);
        }
      return;
    }
    const low = peek(sw, spots.context);
    for (const size of span(7, 0)) {
      poke(sw, spots.context, low | BigInt(size << 9));
      flush(sw);
      const end = 2 ** (13 + size);
      for (const pasid of [end - 1, end, end + 1]) if (pasid < 2 ** 20) push(sw, device, path.at, { pasid });
      if (size === n % 8) push(sw, device, path.at);
      tell(sw);
    }
    poke(sw, spots.context, low);
  });
  return true;
};
/** RID_PASID, one bit after the other: where there is none, it says nothing. */
export const ridPasid = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n);
  if (!sw.scalable || device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  within(sw, device, () => {
    for (const k of span(19, 0)) {
      turned(sw, spots.context + 8, bit(k), () => push(sw, device, path.at));
      tell(sw);
    }
    // Another PASID whose entry is there, in the same table and in another.
    for (const pasid of [5, 64 + 3]) {
      lay(sw, device, { ...path, pasid, data: 3 });
      turned(sw, spots.context + 8, BigInt(pasid), () => push(sw, device, path.at));
      tell(sw);
    }
  });
  return true;
};
/** PASID-table entries: PGTT, AW and FLPM, and what the first stage may be told. */
export const entries = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n);
  if (!sw.scalable || device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const at = spots.entry as number;
  within(sw, device, () => {
    const [low, high] = [peek(sw, at), peek(sw, at + 16)];
    const aw = (low >> 2n) & 7n;
    const one = (l: bigint, h: bigint): void => {
      poke(sw, at, l, peek(sw, at + 8), h);
      flush(sw);
      push(sw, device, path.at);
      tell(sw);
    };
    for (const type of span(7, 0)) one((low & ~0x1c0n) | BigInt(type << 6), high);
    for (const width of span(7, 0)) one((low & ~0x1cn) | BigInt(width << 2), high);
    for (const mode of span(3, 0)) one(low, (high & ~0xcn) | BigInt(mode << 2));
    for (const type of span(7, 0)) one((low & ~0x1dcn) | BigInt(type << 6) | (BigInt((Number(aw) + n) % 6) << 2n), high);
    poke(sw, at, low, peek(sw, at + 8), high);
  });
  return true;
};
/** Rights at each level, each kind of access. */
export const rights = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const spots = lay(sw, device, path);
  within(sw, device, () => {
    // In a nested walk the second stage's entries are the first stage's way: rights taken away from them are another sweep's.
    const list = path.kind === 'nested' ? spots.first : [...spots.second, ...spots.first];
    for (const [i, at] of list.entries()) {
      const first = spots.first.includes(at);
      for (const take of first ? [1n, 2n, 4n, 6n, bit(63)] : [1n, 2n, 3n]) {
        turned(sw, at, take, () => {
          for (const kind of some([0, 1, 2, 5], n + i, 1)) {
            ask(sw, device, path.at, kind);
            tell(sw);
          }
          fetch(sw, device, path.at, {}, 0);
        });
        tell(sw);
      }
    }
  });
  return true;
};
const manners: readonly (More & { readonly execute?: boolean })[] = [
  {},
  { privileged: true },
  { execute: true },
  { execute: true, privileged: true },
];
/** What a first stage is told of supervisors, write protection and execution, against pages of users and of nobody. */
export const manners1 = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'execute', 'pasid');
  const stages = kindsOf(sw).filter((k) => k === 'first' || k === 'nested');
  const kind = stages[n % Math.max(1, stages.length)];
  if (!sw.scalable || !sw.facts.pasid || device === undefined || kind === undefined) return false;
  const able = (k: number): boolean => (sw.vtd.ecap & bit(k)) !== 0n;
  const path: Path = { kind, levels: sw.facts.levels[0] ?? 4, deep: 4, at: 0x1000n, pasid: 1 };
  const spots = lay(sw, device, path);
  const at = (spots.entry as number) + 16;
  const leaf = spots.first[0] as number;
  const above = spots.first[1 + (n % 3)] as number;
  within(sw, device, () => {
    const [base, word, upper] = [peek(sw, at) & ~0xf3n, peek(sw, leaf), peek(sw, above)];
    for (const enables of span(15, 0)) {
      if (enables % 2 !== n % 2) continue;
      // ERE and SRE where there are any; WPE, NXE, SMEP by their bits.
      const told = BigInt(((enables >> 1) & 7) << 4) | (able(31) ? 1n : 0n) | (able(30) ? 2n : 0n);
      poke(sw, at, base | told);
      for (const [flip, high] of [
        [0n, 0n],
        [2n, 0n],
        [4n, 0n],
        [bit(63), 0n],
        [0n, 2n],
        [0n, 4n],
        [0n, bit(63)],
      ] as const) {
        poke(sw, leaf, word ^ flip);
        poke(sw, above, upper ^ high);
        flush(sw);
        for (const m of manners) {
          if (m.execute === true) fetch(sw, device, path.at, { ...m, pasid: 1 });
          else {
            const { execute: _, ...more } = m;
            push(sw, device, path.at, { ...more, pasid: 1 });
            fetch(sw, device, path.at, { ...more, pasid: 1 });
          }
          tell(sw);
        }
      }
      poke(sw, leaf, word);
      poke(sw, above, upper);
    }
  });
  return true;
};
