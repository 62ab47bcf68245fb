// Sweeps of limits: pointers that are the host address width and nothing else, addresses that are a width, a second stage that puts tables aside.
// VT-d 4.1, Fault Conditions; Nested Translation.

import { bit } from './bits.ts';
import { tell } from './scenes.ts';
import { peek, poke, type Software } from './software.ts';
import { ask, deviceOf, flush, lay, type Path, pathOf, push, within } from './sweep-path.ts';

/** Pointers that are the host address width and nothing else, and the last page below it. */
export const limits = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n >> 1);
  const path = pathOf(sw, n);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const limit = bit(sw.facts.hostAddressWidth);
  const words = [
    spots.root,
    spots.context,
    ...(spots.directory === undefined ? [] : [spots.directory]),
    ...(spots.entry === undefined ? [] : [spots.entry, spots.entry + 16]),
    ...spots.second,
    ...spots.first,
  ];
  within(sw, device, () => {
    for (const at of words) {
      const was = peek(sw, at);
      if ((was & 0xfff_f000n) === 0n) continue;
      for (const to of [limit, limit - 0x1000n, ...(limit > bit(40) ? [bit(40)] : [])]) {
        poke(sw, at, (was & 0xfffn) | to);
        flush(sw);
        ask(sw, device, path.at, n);
        tell(sw);
      }
      poke(sw, at, was);
    }
    flush(sw);
    for (const k of [39, 40, 46, 47, 48, sw.facts.hostAddressWidth, sw.facts.maximumAddressWidth, 12 + 9 * path.levels])
      for (const at of [bit(k), bit(k) - 0x1000n]) {
        if (path.kind === 'nested') continue;
        push(sw, device, at);
        tell(sw);
      }
  });
  return true;
};
/** A second stage that puts the first stage's tables and its data elsewhere than they say, each with rights of its own. */
export const aside = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  if (device === undefined || !sw.scalable || !sw.facts.nesting || sw.facts.largest < 2) return false;
  const path: Path = {
    kind: 'nested',
    levels: sw.facts.levels[(n >> 1) % sw.facts.levels.length] ?? 4,
    deep: sw.facts.fiveLevel && n % 2 === 1 ? 5 : 4,
    at: 0x1000n,
    flagged: (sw.vtd.ecap & bit(45)) !== 0n && (n & 4) !== 0,
  };
  const spots = lay(sw, device, path);
  const away = bit(30);
  const data = away + 0x20_0000n;
  const entry = spots.entry as number;
  // Level 3 leads to the same table by its second entry: what stands at 1 GiB and 2 MiB beyond is memory from 0 on.
  const third = spots.second[1] as number;
  const second = spots.second[0] as number;
  within(sw, device, () => {
    poke(sw, third, 0n, peek(sw, third));
    poke(sw, entry + 16, peek(sw, entry + 16) + away);
    for (const [i, at] of spots.first.entries()) poke(sw, at, peek(sw, at) + (i === 0 ? data : away));
    for (const [tables, page] of [
      [3n, 3n],
      [1n, 3n],
      [2n, 3n],
      [0n, 3n],
      [3n, 1n],
      [3n, 2n],
      [3n, 0n],
      [3n | bit(62), 3n],
      [3n, 3n | bit(12)],
      [3n, 3n],
    ] as const) {
      poke(sw, second, tables | bit(7), page | bit(7));
      flush(sw);
      for (const kind of n % 2 === 0 ? [1, 0, 2] : [0, 1, 2]) {
        ask(sw, device, path.at, kind);
        sw.out.push({ do: 'settle' });
        tell(sw);
      }
      for (const at of spots.first) poke(sw, at, peek(sw, at));
    }
    // One past what the second stage translates.
    const leaf = spots.first[0] as number;
    const was = peek(sw, leaf);
    for (const to of [bit(12 + 9 * path.levels), bit(sw.facts.maximumAddressWidth), bit(46)].filter((x) => x < bit(52))) {
      poke(sw, leaf, (was & 0xfffn) | to);
      flush(sw);
      push(sw, device, path.at);
      tell(sw);
    }
    for (const at of [...spots.first, third, third + 8, second, second + 8]) poke(sw, at, 0n);
  });
  return true;
};
