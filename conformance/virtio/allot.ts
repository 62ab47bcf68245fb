// Where in guest memory the driver puts things: first fit, with the places that implementations get wrong
// (odd addresses, page ends, the last byte of memory, address 0). Ranges never overlap while they live.

/** low: first fit; skewed: no better aligned than asked; page-end: ends where a page ends; top: as late as possible; bottom: address 0. */
export type Spot = 'low' | 'skewed' | 'page-end' | 'top' | 'bottom';

export interface Allotment {
  /** Bytes of memory. */
  readonly size: number;
  /** Start and end of every live range, ascending. */
  readonly starts: number[];
  readonly ends: number[];
}
export const allotment = (size: number): Allotment => ({ size, starts: [], ends: [] });

const PAGE = 4096;
/** Only `bottom` goes below: a range at address 0 by accident would hide what a range there shows. */
const FLOOR = 64;

const up = (at: number, align: number): number => Math.ceil(at / align) * align;
const down = (at: number, align: number): number => Math.floor(at / align) * align;

const within = (from: number, to: number, length: number, align: number, spot: Spot): number => {
  switch (spot) {
    case 'low':
      return up(from, align);
    case 'skewed':
      return up(from - align, 2 * align) + align;
    case 'page-end': {
      const at = down(up(from + length, PAGE) - length, align);
      return at >= from ? at : down(up(from + length, PAGE) + PAGE - length, align);
    }
    case 'top':
      return down(to - length, align);
    case 'bottom':
      return from === FLOOR ? 0 : up(from, align);
  }
};

const take = (a: Allotment, gap: number, length: number, align: number, spot: Spot): number | undefined => {
  const before = gap === 0 ? 0 : (a.ends[gap - 1] as number);
  const from = Math.max(before, FLOOR);
  const to = gap === a.starts.length ? a.size : (a.starts[gap] as number);
  const at = within(from, to, length, align, spot);
  if (at < before || at + length > to) return undefined;
  a.starts.splice(gap, 0, at);
  a.ends.splice(gap, 0, at + length);
  return at;
};

/** The address of a new range of `length` bytes, or undefined where none fits. Falls back to first fit. */
export const allot = (a: Allotment, length: number, align: number, spot: Spot): number | undefined => {
  const gaps = a.starts.length;
  if (spot === 'top') {
    for (let gap = gaps; gap >= 0; gap--) {
      const at = take(a, gap, length, align, spot);
      if (at !== undefined) return at;
    }
    return undefined;
  }
  for (let gap = 0; gap <= gaps; gap++) {
    const at = take(a, gap, length, align, spot);
    if (at !== undefined) return at;
  }
  return spot === 'low' ? undefined : allot(a, length, align, 'low');
};

/** Gives back the range that starts at `at`. */
export const release = (a: Allotment, at: number): void => {
  const i = a.starts.indexOf(at);
  if (i < 0) return;
  a.starts.splice(i, 1);
  a.ends.splice(i, 1);
};
