// Sweeps of what caches may hold: each kind of invalidation with each mask, entries that were refused and are mended, many translations side by side.
// VT-d 4.1, Invalidation of Translation Caches; Caching Mode.

import { bit } from './bits.ts';
import { invalidate, type Invalidation } from './invalidate.ts';
import { DOMAIN, tell } from './scenes.ts';
import { addressOf, dataPage, type Device, peek, poke, read, type Software } from './software.ts';
import { deviceOf, fetch, flush, lay, type Path, pathOf, push, some, span, tagged, turned, within } from './sweep-path.ts';

const domain = Number(DOMAIN);
const paged = (p: Path): boolean => p.kind === 'first' || p.kind === 'nested';
const rightsOf = (p: Path): bigint => (paged(p) ? 7n : 3n);
/** What drops the translation at `at`, by every granularity that there is. */
const drops = (sw: Software, p: Path, at: bigint, order: number): readonly Invalidation[] => {
  const base = at & ~((4096n << BigInt(order)) - 1n);
  const whole: readonly Invalidation[] = [
    { what: 'iotlb', grain: 1, domain: 0 },
    { what: 'iotlb', grain: 2, domain },
  ];
  const pasid = p.pasid ?? 0;
  if (paged(p))
    return [{ what: 'pasid-iotlb', grain: 3, domain, pasid, at: base, order }, { what: 'pasid-iotlb', grain: 2, domain, pasid }, ...whole];
  return [sw.facts.pageSelective ? { what: 'iotlb', grain: 3, domain, at: base, order } : (whole[1] as Invalidation), ...whole];
};
/** A translation is used, changed, dropped in one way, and used again: each mask, and places all over what it covers. */
export const masks = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const most = Math.min(sw.facts.maximumMask, 9);
  within(sw, device, () => {
    for (const order of span(most, 0))
      for (const index of [0, (1 << order) - 1, (n * 37 + order) % (1 << order)]) {
        const at = 0x20_0000n + (BigInt(index) << 12n);
        const spots = lay(sw, device, { ...path, at, data: order });
        const spot = (paged(path) ? spots.first : spots.second)[0] as number;
        flush(sw);
        push(sw, device, at);
        poke(sw, spot, BigInt(addressOf(dataPage(sw, order + 5))) | rightsOf(path));
        invalidate(sw, [drops(sw, path, at, order)[(n >> 2) % 3] as Invalidation]);
        fetch(sw, device, at);
        push(sw, device, at);
        poke(sw, spot, 0n);
      }
    tell(sw);
  });
  return true;
};
/** The same with a large page, of which one small page's address is invalidated. */
export const largeMasks = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  const size = n % 2 === 1 ? 3 : 2;
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  if (paged(path) ? size === 3 && (sw.vtd.cap & bit(56)) === 0n : sw.facts.largest < size) return false;
  const order = size === 2 ? 9 : 18;
  for (const k of [0, 3, 9]) {
    const at = BigInt(addressOf(dataPage(sw, k)));
    const p: Path = { ...path, at, large: size };
    const spots = lay(sw, device, p);
    const spot = (paged(path) ? spots.first : spots.second)[0] as number;
    within(sw, device, () => {
      for (const inside of [at, at & ~0xf_ffffn, BigInt(addressOf(dataPage(sw, k + 3)))])
        for (const grain of [0, order]) {
          if (grain > sw.facts.maximumMask) continue;
          const value = peek(sw, spot);
          push(sw, device, at);
          fetch(sw, device, inside);
          poke(sw, spot, value & ~2n);
          invalidate(sw, [drops(sw, path, grain === 0 ? at : inside, grain)[0] as Invalidation]);
          push(sw, device, at);
          tell(sw);
          poke(sw, spot, value);
          flush(sw);
        }
    });
    for (const x of paged(path) ? spots.first : spots.second) poke(sw, x, 0n);
  }
  return true;
};
/** Entries that let nothing through are mended and not invalidated: outside caching mode the next request reads them anew. */
export const mended = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || sw.facts.cachingMode) return false;
  const spots = lay(sw, device, path);
  const words = [
    spots.root,
    spots.context,
    ...(spots.directory === undefined ? [] : [spots.directory]),
    ...(spots.entry === undefined ? [] : [spots.entry]),
    ...spots.second,
    ...spots.first,
  ];
  within(sw, device, () => {
    for (const at of words)
      for (const flip of [peek(sw, at), 1n, bit(63) | bit(sw.facts.hostAddressWidth), bit(7)]) {
        turned(sw, at, flip, () => push(sw, device, path.at));
        push(sw, device, path.at);
        tell(sw);
      }
  });
  return true;
};
/** Many translations at once, of two domains or of two PASIDs: each keeps its own. */
export const neighbours = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n, 'read', ...(sw.scalable && n % 2 === 1 ? (['pasid'] as const) : []));
  const other = sw.devices.find((d) => d !== device && d.requester.physical === undefined && d.requester.can.includes('read'));
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined || path.kind === 'through') return false;
  const first = paged(path);
  const one: Path = { ...path, at: 0n };
  const spots = lay(sw, device, one);
  const table = ((first ? spots.first : spots.second)[0] as number) & ~0xfff;
  const fill = (shift: number): void =>
    poke(sw, table, ...span(95, 0).map((i) => (i % 7 === 6 ? 0n : BigInt(addressOf(dataPage(sw, i + shift))) | rightsOf(path))));
  const asked = (d: Device, p: Path): void => {
    for (const i of some(span(95, 0), n, 1)) fetch(sw, d, BigInt(i) << 12n, tagged(p));
  };
  within(sw, device, () => {
    fill(n);
    flush(sw);
    asked(device, one);
    // The same tables of another domain, or PASID, or device.
    const two: Path =
      sw.scalable && sw.facts.pasid && n % 2 === 1 && device.requester.can.includes('pasid')
        ? { ...one, pasid: 64 * (1 + (n % 3)) }
        : { ...one, domain: DOMAIN + 1n };
    const user = two.pasid === undefined ? (other ?? device) : device;
    lay(sw, user, two);
    if (user === device && two.pasid === undefined) flush(sw);
    if (user !== device && user.requester.can.includes('config'))
      sw.out.push({ do: 'function.config.write', requester: user.index, at: 4, width: 2, value: 4 });
    asked(user, two);
    asked(device, one);
    // All of it is moved, and half of it told.
    fill(n + 1);
    invalidate(
      sw,
      first
        ? [{ what: 'pasid-iotlb', grain: 2, domain: Number(two.domain ?? DOMAIN), pasid: two.pasid ?? 0 }]
        : [{ what: 'iotlb', grain: 2, domain: Number(two.domain ?? DOMAIN) }],
    );
    asked(user, two);
    flush(sw);
    asked(device, one);
    tell(sw);
    poke(sw, table, ...span(95, 0).map(() => 0n));
  });
  return true;
};
/** Context entries and PASID-table entries: what names a domain, a device or a PASID drops them. */
export const tagsDropped = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, n >> 1);
  if (device === undefined || path === undefined) return false;
  const spots = lay(sw, device, path);
  const { sourceId: source } = device.requester;
  const all: Invalidation = { what: 'iotlb', grain: 1, domain: 0 };
  const pasids: readonly Invalidation[] = sw.scalable ? [{ what: 'pasid', grain: 3, domain: 0, pasid: 0 }] : [];
  const contexts: readonly Invalidation[] = [
    { what: 'context', grain: 1, domain: 0, source: 0 },
    { what: 'context', grain: 2, domain: sw.scalable ? 0 : domain, source: 0 },
    ...([0, 1, 2, 3] as const).map(
      (functions): Invalidation => ({
        what: 'context',
        grain: 3,
        domain: sw.scalable ? 0 : domain,
        source: source ^ ([0, 4, 2, 7][functions] ?? 0),
        functions,
      }),
    ),
  ];
  within(sw, device, () => {
    for (const i of contexts) {
      push(sw, device, path.at);
      poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
      invalidate(sw, [i, ...pasids, all]);
      push(sw, device, path.at);
      tell(sw);
      poke(sw, spots.context, peek(sw, spots.context) ^ 1n);
      flush(sw);
    }
    if (spots.entry === undefined) return;
    const at = spots.entry;
    for (const i of [
      { what: 'pasid', grain: 3, domain: 0, pasid: 0 },
      { what: 'pasid', grain: 0, domain, pasid: 0 },
      { what: 'pasid', grain: 1, domain, pasid: 0 },
    ] as const) {
      push(sw, device, path.at);
      poke(sw, at, peek(sw, at) ^ 1n);
      invalidate(sw, [i, all]);
      push(sw, device, path.at);
      tell(sw);
      poke(sw, at, peek(sw, at) ^ 1n);
      flush(sw);
    }
  });
  return true;
};
/** Invalidations by registers that are not carried out, or coarser than asked: what they tell, and what they did. */
export const commands = (sw: Software, n: number): boolean => {
  const device = deviceOf(sw, n);
  const path = pathOf(sw, 0);
  if (sw.queue.on || sw.scalable || device === undefined || path === undefined) return false;
  const { invalidateAt, maximumMask } = sw.facts;
  const spots = lay(sw, device, path);
  const write8 = (at: number, value: bigint): void => {
    sw.out.push({ do: 'vtd.write', at, width: 8, value });
    read(sw, at, 8);
  };
  within(sw, device, () => {
    for (const grain of span(3, 0))
      for (const halves of [false, true]) {
        push(sw, device, path.at);
        const value = bit(63) | (BigInt(grain) << 60n) | (DOMAIN << 32n);
        sw.out.push({
          do: 'vtd.write',
          at: invalidateAt,
          width: 8,
          value: path.at | BigInt(grain === 3 && n % 4 === 3 ? Math.min(63, maximumMask + 1) : 0),
        });
        if (halves) {
          sw.out.push({ do: 'vtd.write', at: invalidateAt + 8, width: 4, value: 0n });
          sw.out.push({ do: 'vtd.write', at: invalidateAt + 12, width: 4, value: value >> 32n });
          read(sw, invalidateAt + 8, 8);
        } else write8(invalidateAt + 8, value);
        push(sw, device, path.at);
        write8(0x28, bit(63) | (BigInt(grain) << 61n) | (BigInt(device.requester.sourceId) << 16n) | DOMAIN);
        push(sw, device, path.at);
        poke(sw, spots.second[0] ?? spots.context, peek(sw, spots.second[0] ?? spots.context));
      }
    tell(sw);
  });
  return true;
};
