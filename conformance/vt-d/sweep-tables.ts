// Sweeps of table entries: every bit of one entry turned over in turn, every type, width and paging mode, rights of every level, the index of every
// level, addresses one past every width. VT-d 4.1, Translation Structure Formats; Fault Conditions.

import type { Iova } from '../../spec/units.ts';
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
  tagged,
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
/** An address for each of its bits: every table has one entry, and only there. */
export const indices = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const first = path.kind === 'first' || path.kind === 'nested';
  const width = first ? 12 + 9 * path.deep - 1 : Math.min(12 + 9 * path.levels, sw.facts.maximumAddressWidth);
  within(sw, device, () => {
    for (const k of span(width - 1, 12)) {
      // Not interrupt addresses, and not what the next entry of a level is for.
      const at = bit(k) + BigInt(0x1000 * (n % 3));
      const spots = lay(sw, device, { ...path, at, data: k });
      flush(sw);
      ask(sw, device, at, k);
      ask(sw, device, at ^ bit(k === 12 ? 13 : k - 1), 0);
      tell(sw);
      for (const spot of first ? spots.first : spots.second) poke(sw, spot, 0n);
    }
    // The upper half of what is canonical.
    if (!first) return;
    for (const at of [-0x1000n, -bit(width), -bit(width) - 0x1000n, bit(width)].map((a) => BigInt.asUintN(64, a))) {
      const spots = lay(sw, device, { ...path, at, data: 2 });
      flush(sw);
      push(sw, device, at);
      tell(sw);
      for (const spot of spots.first) poke(sw, spot, 0n);
    }
  });
  return true;
};
/** Addresses from each width on: none of them is the one that the lower bits name. */
export const beyond = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined) return false;
  lay(sw, device, path);
  within(sw, device, () => {
    for (const k of span(63, 20)) {
      ask(sw, device, path.at | bit(k), k);
      tell(sw);
    }
  });
  return true;
};
/** Large pages of each level: where they lead, and address bits that they do not have. */
export const large = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const first = path.kind === 'first' || path.kind === 'nested';
  const to = BigInt(addressOf(dataPage(sw, n)));
  for (const size of [2, 3] as const) {
    const at = to + (n % 4 === 1 ? bit(39) : 0n);
    const p: Path = { ...path, at: path.levels > 3 || first ? at : to, large: size };
    const spots = lay(sw, device, p);
    const spot = (first ? spots.first : spots.second)[0] as number;
    within(sw, device, () => {
      for (const kind of [0, 1, 2]) ask(sw, device, p.at + 0x40n, kind);
      tell(sw);
      // Its other end, and what is not its own any more.
      fetch(sw, device, p.at + bit(size === 2 ? 21 : 30), tagged(p));
      tell(sw);
      for (const k of [12, ...some(span(size === 2 ? 20 : 29, 13), n, 3), ...(first ? [] : [11, 62])]) {
        turned(sw, spot, bit(k), () => ask(sw, device, p.at, k));
        tell(sw);
      }
      // PS of the level above it says nothing, or is reserved.
      const above = (first ? spots.first : spots.second)[1];
      if (above !== undefined) {
        turned(sw, above, bit(7), () => push(sw, device, p.at));
        tell(sw);
      }
    });
    for (const x of first ? spots.first : spots.second) poke(sw, x, 0n);
  }
  return true;
};
/** Reads of many lengths, from the last bytes of a page to the next, which has a mapping or none. */
export const lengths = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'read');
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const first = path.kind === 'first' || path.kind === 'nested';
  const spots = lay(sw, device, path);
  const next = ((first ? spots.first : spots.second)[0] as number) + 8;
  const rightsOf = first ? 7n : 3n;
  within(sw, device, () => {
    for (const second of [0n, rightsOf, first ? 5n : 1n, first ? 3n : 2n]) {
      poke(sw, next, second === 0n ? 0n : BigInt(addressOf(dataPage(sw, 4))) | second);
      flush(sw);
      for (const [from, length] of [
        [0xfc0, 0x40],
        [0xfc0, 0x41],
        [0xfff, 1],
        [0xfff, 2],
        [0, 0x1000],
        [0, 0x1001],
        [0x7c0, 0x40],
        [0xfff, 0x1002],
      ] as const) {
        fetch(sw, device, path.at + BigInt(from), {}, length);
        tell(sw);
        const bytes = new Uint8Array(length).fill(0x80 + ((from + length + n) & 0x7f));
        sw.out.push({ do: 'dma.write', requester: device.index, at: (path.at + BigInt(from)) as Iova, bytes });
        sw.out.push({ do: 'settle' });
        tell(sw);
      }
      if (has(device, 'atomic'))
        for (const width of [4, 8] as const)
          for (const from of width === 4 ? [0xffcn, 0xff8n, 4n, 0n] : [0xff8n, 0n, 0x38n]) {
            sw.out.push({
              do: 'dma.atomic',
              requester: device.index,
              at: (path.at + from) as Iova,
              width,
              operand: 0xffff_ffffn + BigInt(n),
            });
            fetch(sw, device, path.at + (from & ~7n), {}, 8);
          }
      tell(sw);
    }
    poke(sw, next, 0n);
  });
  return true;
};
export type Sweep = (sw: Software, n: number) => boolean;
