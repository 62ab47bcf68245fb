// Where the three parts of a split virtqueue lie: adjacent, at page ends, at no better than the required alignment, at the end of memory.
// VIRTIO 1.4, Split Virtqueues: 16, 2 and 4 byte alignment; 16n, 6+2n and 6+8n bytes.

import type { Allotment, Spot } from './allot.ts';
import { allot } from './allot.ts';

export const RING_PLACES = ['packed', 'reversed', 'skewed', 'page-end', 'top', 'bottom'] as const;
export type RingPlace = (typeof RING_PLACES)[number];

export interface Rings {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}
type Part = keyof Rings;

export const ALIGN: Readonly<Record<Part, number>> = { desc: 16, avail: 2, used: 4 };
export const partSize = (part: Part, size: number): number =>
  part === 'desc' ? 16 * size : part === 'avail' ? 6 + 2 * size : 6 + 8 * size;

/** Which part is placed first takes the very end (top) or address 0 (bottom). */
const ORDER: Readonly<Record<RingPlace, readonly Part[]>> = {
  packed: ['desc', 'avail', 'used'],
  reversed: ['used', 'avail', 'desc'],
  skewed: ['avail', 'desc', 'used'],
  'page-end': ['used', 'desc', 'avail'],
  top: ['avail', 'used', 'desc'],
  bottom: ['used', 'desc', 'avail'],
};
const SPOT: Readonly<Record<RingPlace, Spot>> = {
  packed: 'low',
  reversed: 'low',
  skewed: 'skewed',
  'page-end': 'page-end',
  top: 'top',
  bottom: 'bottom',
};

/** Undefined where memory has no room left. */
export const placeRings = (a: Allotment, size: number, place: RingPlace): Rings | undefined => {
  const at = { desc: 0, avail: 0, used: 0 };
  for (const part of ORDER[place]) {
    const found = allot(a, partSize(part, size), ALIGN[part], SPOT[place]);
    if (found === undefined) return undefined;
    at[part] = found;
  }
  return at;
};
