// What an invalidation descriptor asks for, or what is wrong with it: types, granularities, reserved bits by type.
// VT-d 4.1, Invalidation Descriptors; Invalidation Queue Error Record Register (IQEI).

import type { Invalidation } from './caches.ts';
import type { Abilities } from './layout.ts';
import { bit, field, mask } from './layout.ts';

export type Descriptor =
  | { readonly is: 'invalidate'; readonly what: Invalidation }
  | { readonly is: 'device'; readonly sourceId: number; readonly at: bigint; readonly pages: bigint; readonly pasid?: number }
  | { readonly is: 'response'; readonly sourceId: number; readonly group: number; readonly code: number; readonly pasid?: number }
  | {
      readonly is: 'wait';
      readonly status: { readonly at: bigint; readonly data: number } | undefined;
      readonly interrupt: boolean;
      readonly fence: boolean;
      readonly drain: boolean;
    }
  /** IQEI codes that fit. 0: the unit does not tell. */
  | { readonly is: 'error'; readonly rule: string; readonly codes: readonly number[] }
  | { readonly is: 'unclear'; readonly why: string };

const TYPE = 3;
const RESERVED = 4;
const unclear = (why: string): Descriptor => ({ is: 'unclear', why });
const reserved: Descriptor = { is: 'error', rule: 'vt-d.queue.reserved', codes: [0, RESERVED] };
/** Reserved bits in a type that the unit does not have: which of the two is looked at first is not said. */
const reservedOrType: Descriptor = { is: 'error', rule: 'vt-d.queue.reserved', codes: [0, TYPE, RESERVED] };
/** A granularity or a mask value that the type does not have: told as a reserved field, or as a type. */
const grain: Descriptor = { is: 'error', rule: 'vt-d.queue.granularity', codes: [0, TYPE, RESERVED] };
const type: Descriptor = { is: 'error', rule: 'vt-d.queue.type', codes: [0, TYPE, RESERVED] };

/** Reserved bits of the low and high word by type; the type's own bits 11:9 and 3:0 are not among them. */
const RESERVED_BITS: Readonly<Record<number, readonly [bigint, bigint]>> = {
  1: [mask(8, 6) | mask(15, 12) | mask(63, 50), mask(63, 0)],
  2: [mask(8, 8) | mask(15, 12) | mask(63, 32), mask(11, 7)],
  3: [mask(8, 4) | mask(31, 21) | mask(51, 48), mask(11, 1)],
  4: [mask(8, 5) | mask(26, 12) | mask(63, 48), mask(63, 0)],
  5: [mask(8, 8) | mask(31, 12), mask(1, 0)],
  6: [mask(8, 6) | mask(15, 12) | mask(63, 52), mask(11, 7)],
  7: [mask(8, 6) | mask(15, 12) | mask(63, 52), mask(63, 0)],
  8: [0n, mask(10, 1)],
  9: [mask(8, 5) | mask(63, 52), mask(63, 12) | mask(1, 0)],
};
const pagesOf = (at: bigint, sized: boolean): { readonly at: bigint; readonly pages: bigint } => {
  const page = at >> 12n;
  if (!sized) return { at: page << 12n, pages: 1n };
  // The lowest clear bit of the page number tells the size: twice what the ones below it span.
  let pages = 2n;
  for (let p = page; (p & 1n) === 1n && pages < 1n << 52n; p >>= 1n) pages <<= 1n;
  return pages >= 1n << 52n ? { at: 0n, pages: 0n } : { at: (page & ~(pages - 1n)) << 12n, pages };
};

const context = (lo: bigint): Descriptor => {
  const domain = field(lo, 31, 16);
  switch (field(lo, 5, 4)) {
    case 1:
      return { is: 'invalidate', what: { what: 'context', grain: 'global' } };
    case 2:
      return { is: 'invalidate', what: { what: 'context', grain: 'domain', domain } };
    case 3:
      return {
        is: 'invalidate',
        what: { what: 'context', grain: 'device', domain, sourceId: field(lo, 47, 32), functionMask: field(lo, 49, 48) },
      };
    default:
      return grain;
  }
};
const iotlb = (a: Abilities, lo: bigint, hi: bigint): Descriptor => {
  const domain = field(lo, 31, 16);
  switch (field(lo, 5, 4)) {
    case 1:
      return { is: 'invalidate', what: { what: 'iotlb', grain: 'global' } };
    case 2:
      return { is: 'invalidate', what: { what: 'iotlb', grain: 'domain', domain } };
    case 3: {
      const am = field(hi, 5, 0);
      // MAMV is valid only with PSI: whether a unit holds a mask against it all the same is not judged.
      if (!a.psi && am > a.mamv) return unclear('an address mask without page-selective invalidation');
      if (!a.psi) return { is: 'invalidate', what: { what: 'iotlb', grain: 'domain', domain } };
      if (am > a.mamv) return grain;
      return { is: 'invalidate', what: { what: 'iotlb', grain: 'page', domain, at: hi & mask(63, 12), am, leaves: bit(hi, 6) } };
    }
    default:
      return grain;
  }
};
const interrupt = (a: Abilities, lo: bigint): Descriptor => {
  if (!bit(lo, 4)) return { is: 'invalidate', what: { what: 'interrupt', grain: 'global' } };
  const im = field(lo, 31, 27);
  // That a unit detects this is said of AM, not of IM.
  if (im > a.mhmv) return unclear('an interrupt index mask past MHMV');
  const first = field(lo, 47, 32) & ~((1 << im) - 1);
  return { is: 'invalidate', what: { what: 'interrupt', grain: 'index', first, last: first + (1 << im) - 1 } };
};
const wait = (a: Abilities, lo: bigint, hi: bigint): Descriptor => {
  if (bit(lo, 7) && !a.pds) return reserved;
  const status = bit(lo, 5);
  const irq = bit(lo, 4);
  if (!status && !irq && !bit(lo, 6)) return unclear('a wait that does nothing');
  if (!status && !irq) return unclear('a fence alone');
  return {
    is: 'wait',
    status: status ? { at: hi & mask(63, 2), data: Number(lo >> 32n) } : undefined,
    interrupt: irq,
    fence: bit(lo, 6),
    drain: bit(lo, 7),
  };
};
const pasidIotlb = (lo: bigint, hi: bigint): Descriptor => {
  const domain = field(lo, 31, 16);
  const pasid = field(lo, 51, 32);
  const g = field(lo, 5, 4);
  if (g === 2) return { is: 'invalidate', what: { what: 'piotlb', grain: 'pasid', domain, pasid } };
  if (g !== 3) return grain;
  // Any address mask, whatever MAMV says (CAP_REG, MAMV); past what covers every address none is defined.
  const am = field(hi, 5, 0);
  if (am > 52) return unclear('an address mask past every address');
  return { is: 'invalidate', what: { what: 'piotlb', grain: 'page', domain, pasid, at: hi & mask(63, 12), am, leaves: bit(hi, 6) } };
};
const pasidCache = (lo: bigint): Descriptor => {
  const domain = field(lo, 31, 16);
  const g = field(lo, 5, 4);
  if (g === 0) return { is: 'invalidate', what: { what: 'pasid', grain: 'domain', domain } };
  if (g === 1) return { is: 'invalidate', what: { what: 'pasid', grain: 'selective', domain, pasid: field(lo, 51, 32) } };
  return g === 3 ? { is: 'invalidate', what: { what: 'pasid', grain: 'global' } } : grain;
};

/** Types that go with a capability. */
const offered = (a: Abilities, kind: number): boolean => (kind === 3 || kind === 8 ? a.dt : kind === 4 ? a.ir : kind === 9 ? a.prs : true);

/** Reads one descriptor; `scalable`: the table translation mode is scalable. */
export const descriptor = (a: Abilities, words: readonly bigint[], scalable: boolean): Descriptor => {
  const [lo = 0n, hi = 0n, x2 = 0n, x3 = 0n] = words;
  const kind = field(lo, 3, 0);
  if (field(lo, 11, 9) !== 0 || kind === 0 || kind > 9) return type;
  const wide = words.length === 4;
  if (scalable && !wide) return unclear('a narrow descriptor in scalable mode');
  if (kind >= 6 && !a.smts) return type;
  if (kind >= 6 && !scalable) return unclear('a descriptor of scalable mode in legacy mode');
  const bits = RESERVED_BITS[kind];
  if (bits !== undefined) {
    const wrong = offered(a, kind) ? reserved : reservedOrType;
    // A page group response once had private data there.
    if ((lo & bits[0]) !== 0n || (wide && kind !== 9 && (x2 !== 0n || x3 !== 0n))) return wrong;
    if ((hi & bits[1]) !== 0n) {
      // What an address field holds where no address is used is checked by some and ignored by others.
      return (kind === 2 || kind === 6) && field(lo, 5, 4) !== 3 ? unclear('reserved bits beside an unused address') : wrong;
    }
  }
  switch (kind) {
    case 1:
      return context(lo);
    case 2:
      return iotlb(a, lo, hi);
    case 3: {
      if (!a.dt) return unclear('a device-TLB invalidation without device TLBs');
      if (!a.dit && (lo & (mask(15, 12) | mask(63, 52))) !== 0n) return reserved;
      return { is: 'device', sourceId: field(lo, 47, 32), ...pagesOf(hi & mask(63, 12), bit(hi, 0)) };
    }
    case 4:
      return a.ir ? interrupt(a, lo) : unclear('an interrupt entry invalidation without interrupt remapping');
    case 5:
      return wait(a, lo, hi);
    case 6:
      return pasidIotlb(lo, hi);
    case 7:
      return pasidCache(lo);
    case 8: {
      if (!a.dt) return unclear('a device-TLB invalidation without device TLBs');
      if (!a.dit && (lo & (mask(15, 12) | mask(63, 52))) !== 0n) return reserved;
      const where = pagesOf(hi & mask(63, 12), bit(hi, 11));
      return { is: 'device', sourceId: field(lo, 31, 16), ...where, ...(bit(hi, 0) ? {} : { pasid: field(lo, 51, 32) }) };
    }
    default:
      if (!a.prs) return unclear('a page response without page requests');
      return {
        is: 'response',
        sourceId: field(lo, 31, 16),
        group: field(hi, 11, 3),
        code: field(lo, 15, 12),
        ...(bit(lo, 4) ? { pasid: field(lo, 51, 32) } : {}),
      };
  }
};
