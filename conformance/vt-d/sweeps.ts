// The sweeps by name: each goes through a whole class of values, one by one, where other programs draw a few of it.
// What a unit has no place for gives way to the next that fits.

import type { Software } from './software.ts';
import { beyond, bits, contexts, edges, entries, indices, large, lengths, manners1, ridPasid, rights } from './sweep-tables.ts';

/** False: nothing of it fits this unit. */
export type Sweep = (sw: Software, n: number) => boolean;
const sweeps: Readonly<Record<string, Sweep>> = {
  bits,
  edges,
  contexts,
  'rid-pasid': ridPasid,
  entries,
  rights,
  manners: manners1,
  indices,
  beyond,
  large,
  lengths,
};
export const SWEEPS: readonly string[] = Object.keys(sweeps);
export const sweep = (sw: Software, what: string, n: number): void => {
  // Elsewhere what a request came to would not be told.
  if (!sw.rich) return;
  const from = Math.max(0, SWEEPS.indexOf(what));
  for (let k = 0; k < SWEEPS.length; k++) if (sweeps[SWEEPS[(from + k) % SWEEPS.length] as string]?.(sw, n) === true) return;
};
