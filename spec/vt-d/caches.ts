// When each cached entry was last covered by an invalidation, and by which: the tags of context, PASID, IOTLB and interrupt entries.
// VT-d 4.1, Caching Translation Information.

/** What dropped an entry, for the clause that names the rule. */
export type Kind =
  | 'never'
  /** Not-present and erroneous entries are cached in caching mode only. */
  | 'not-cached'
  | 'root-pointer'
  | 'context-global'
  | 'context-domain'
  | 'context-device'
  | 'pasid-global'
  | 'pasid-domain'
  | 'pasid-selective'
  | 'iotlb-global'
  | 'iotlb-domain'
  | 'iotlb-page'
  | 'piotlb-pasid'
  | 'piotlb-page'
  | 'interrupt-pointer'
  | 'interrupt-global'
  | 'interrupt-index';
/** An invalidation that took effect: entries that were replaced at or before `time` are gone, surely from `done` on. */
export interface Since {
  readonly time: number;
  readonly done: number;
  readonly kind: Kind;
}
interface Paged {
  readonly base: bigint;
  readonly last: bigint;
  readonly since: Since;
  /** Only leaves were asked for: upper entries may stay. */
  readonly leaves: boolean;
  readonly pasid?: number;
}
export interface Caches {
  readonly context: {
    all: Since;
    readonly domains: Map<number, Since>;
    devices: { id: number; ignore: number; domain: number; since: Since }[];
  };
  readonly pasid: { all: Since; readonly domains: Map<number, Since>; readonly each: Map<string, Since> };
  readonly iotlb: {
    all: Since;
    readonly domains: Map<number, Since>;
    readonly pages: Map<number, Paged[]>;
    readonly pasids: Map<string, Since>;
    readonly pasidPages: Map<string, Paged[]>;
  };
  readonly interrupt: { all: Since; ranges: { first: number; last: number; since: Since }[] };
}
const never: Since = { time: -1, done: -1, kind: 'never' };
export const newCaches = (): Caches => ({
  context: { all: never, domains: new Map(), devices: [] },
  pasid: { all: never, domains: new Map(), each: new Map() },
  iotlb: { all: never, domains: new Map(), pages: new Map(), pasids: new Map(), pasidPages: new Map() },
  interrupt: { all: never, ranges: [] },
});
const later = (a: Since, b: Since | undefined): Since => (b !== undefined && b.time > a.time ? b : a);

/** For the cached context entry of a source-id, which held this domain-id; undefined: another entry on the way to it. In scalable mode entries carry no
 *  domain; else a device-selective invalidation has to name that of the entry (CCMD_REG, FM). */
export const contextSince = (c: Caches, sourceId: number, domain: number | 'untagged' | undefined): Since => {
  let s = later(c.context.all, typeof domain === 'number' ? c.context.domains.get(domain) : undefined);
  for (const d of c.context.devices)
    if ((d.id | d.ignore) === (sourceId | d.ignore) && (domain === 'untagged' || domain === d.domain)) s = later(s, d.since);
  return s;
};
export const pasidSince = (c: Caches, domain: number, pasid: number): Since =>
  later(later(c.pasid.all, c.pasid.domains.get(domain)), c.pasid.each.get(`${domain}/${pasid}`));
/** A large page is surely dropped only by a mask of its size (IVA_REG, AM). */
const pagesSince = (s: Since, pages: readonly Paged[] | undefined, at: bigint, leaf: boolean, level: number): Since => {
  const size = leaf ? 1n << BigInt(12 + 9 * (level - 1)) : 0n;
  for (const p of pages ?? [])
    if (at >= p.base && at <= p.last && p.last - p.base >= size - 1n && (leaf || !p.leaves)) s = later(s, p.since);
  return s;
};
/** For entries of second-stage walks, tagged by domain and address. `level`: of the entry, 1 where it maps 4 KiB. */
export const iotlbSince = (c: Caches, domain: number, at: bigint, leaf: boolean, level = 1): Since =>
  pagesSince(later(c.iotlb.all, c.iotlb.domains.get(domain)), c.iotlb.pages.get(domain), at, leaf, level);
/** For entries of first-stage and nested walks, tagged by domain, PASID and address. */
export const piotlbSince = (c: Caches, domain: number, pasid: number, at: bigint, leaf: boolean, level = 1): Since => {
  const tag = `${domain}/${pasid}`;
  const s = later(later(c.iotlb.all, c.iotlb.domains.get(domain)), c.iotlb.pasids.get(tag));
  return pagesSince(s, c.iotlb.pasidPages.get(tag), at, leaf, level);
};
export const interruptSince = (c: Caches, index: number): Since => {
  let s = c.interrupt.all;
  for (const r of c.interrupt.ranges) if (index >= r.first && index <= r.last) s = later(s, r.since);
  return s;
};

/** One invalidation, whichever front end asked for it: registers and queue are two doors to the same operation. */
export type Invalidation =
  | { readonly what: 'context'; readonly grain: 'global' }
  | { readonly what: 'context'; readonly grain: 'domain'; readonly domain: number }
  | {
      readonly what: 'context';
      readonly grain: 'device';
      readonly domain: number;
      readonly sourceId: number;
      readonly functionMask: number;
    }
  | { readonly what: 'iotlb'; readonly grain: 'global' }
  | { readonly what: 'iotlb'; readonly grain: 'domain'; readonly domain: number }
  | {
      readonly what: 'iotlb';
      readonly grain: 'page';
      readonly domain: number;
      readonly at: bigint;
      readonly am: number;
      readonly leaves: boolean;
    }
  | { readonly what: 'pasid'; readonly grain: 'global' }
  | { readonly what: 'pasid'; readonly grain: 'domain'; readonly domain: number }
  | { readonly what: 'pasid'; readonly grain: 'selective'; readonly domain: number; readonly pasid: number }
  | { readonly what: 'piotlb'; readonly grain: 'pasid'; readonly domain: number; readonly pasid: number }
  | {
      readonly what: 'piotlb';
      readonly grain: 'page';
      readonly domain: number;
      readonly pasid: number;
      readonly at: bigint;
      readonly am: number;
      readonly leaves: boolean;
    }
  | { readonly what: 'interrupt'; readonly grain: 'global' }
  | { readonly what: 'interrupt'; readonly grain: 'index'; readonly first: number; readonly last: number };
/** FM masks function bits: none, bit 2, bits 2:1, bits 2:0. */
export const functionBits = (fm: number): number => [0, 4, 6, 7][fm & 3] as number;
const range = (at: bigint, am: number, since: Since, leaves: boolean): Paged => {
  const base = (at >> BigInt(12 + am)) << BigInt(12 + am);
  return { base, last: base + (1n << BigInt(12 + am)) - 1n, since, leaves };
};
const add = <K>(map: Map<K, Paged[]>, key: K, p: Paged): void => {
  const list = map.get(key);
  if (list === undefined) map.set(key, [p]);
  else {
    const kept = list.filter((q) => !(q.base >= p.base && q.last <= p.last && q.since.time <= p.since.time && (q.leaves || !p.leaves)));
    map.set(key, [...kept, p]);
  }
};
/** The invalidation is complete at `done`; it was asked for at `time`. */
export const dropped = (c: Caches, i: Invalidation, time: number, done: number): void => {
  const since = (kind: Kind): Since => ({ time, done, kind });
  switch (i.what) {
    case 'context':
      if (i.grain === 'global') {
        c.context.all = later(c.context.all, since('context-global'));
        c.context.domains.clear();
        c.context.devices = [];
      } else if (i.grain === 'domain') c.context.domains.set(i.domain, since('context-domain'));
      else {
        const ignore = functionBits(i.functionMask);
        c.context.devices = c.context.devices.filter((d) => d.id !== i.sourceId || d.ignore !== ignore || d.domain !== i.domain);
        c.context.devices.push({ id: i.sourceId, ignore, domain: i.domain, since: since('context-device') });
      }
      break;
    case 'iotlb':
      if (i.grain === 'global') {
        c.iotlb.all = later(c.iotlb.all, since('iotlb-global'));
        c.iotlb.domains.clear();
        c.iotlb.pages.clear();
        c.iotlb.pasids.clear();
        c.iotlb.pasidPages.clear();
      } else if (i.grain === 'domain') {
        c.iotlb.domains.set(i.domain, since('iotlb-domain'));
        c.iotlb.pages.delete(i.domain);
      } else add(c.iotlb.pages, i.domain, range(i.at, i.am, since('iotlb-page'), i.leaves));
      break;
    case 'pasid':
      if (i.grain === 'global') c.pasid.all = later(c.pasid.all, since('pasid-global'));
      else if (i.grain === 'domain') c.pasid.domains.set(i.domain, since('pasid-domain'));
      else c.pasid.each.set(`${i.domain}/${i.pasid}`, since('pasid-selective'));
      break;
    case 'piotlb': {
      const tag = `${i.domain}/${i.pasid}`;
      if (i.grain === 'pasid') c.iotlb.pasids.set(tag, since('piotlb-pasid'));
      else add(c.iotlb.pasidPages, tag, range(i.at, i.am, since('piotlb-page'), i.leaves));
      break;
    }
    default:
      if (i.grain === 'global') {
        c.interrupt.all = later(c.interrupt.all, since('interrupt-global'));
        c.interrupt.ranges = [];
      } else c.interrupt.ranges.push({ first: i.first, last: i.last, since: since('interrupt-index') });
  }
};
/** Setting the root pointer with ESRTPS, the interrupt pointer with ESIRTPS, drops everything by itself. */
export const pointerSet = (c: Caches, which: 'root' | 'interrupt', time: number): void => {
  const since: Since = { time, done: time, kind: which === 'root' ? 'root-pointer' : 'interrupt-pointer' };
  if (which === 'interrupt') c.interrupt.all = since;
  else {
    c.context.all = since;
    c.pasid.all = since;
    c.iotlb.all = since;
  }
};
/** Everything cached before this time has been dropped; the PASID and interrupt caches count only where they exist. */
export const allSince = (c: Caches, scalable: boolean, interrupts: boolean): number =>
  Math.min(c.context.all.time, c.iotlb.all.time, scalable ? c.pasid.all.time : Infinity, interrupts ? c.interrupt.all.time : Infinity);
