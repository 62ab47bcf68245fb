// Sweeps of addresses: every bit of one, one past every width, large pages, requests of every length over the end of a page.
// VT-d 4.1, Second-Stage and First-Stage Translation; PCI Express Base, Memory Requests.

import type { Iova } from '../../spec/units.ts';
import { bit } from './bits.ts';
import { tell } from './scenes.ts';
import { addressOf, dataPage, has, poke, type Software } from './software.ts';
import { ask, deviceOf, fetch, flush, lay, type Path, pathOf, push, some, span, tagged, turned, within } from './sweep-path.ts';

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
