// What the violations share: a live queue with room and the right features, and choosing a variant by number.

import { OPTIONAL } from './bits.ts';
import type { Driver, Play } from './driver.ts';
import { flush, has, initialise, PLAIN, settle } from './driver.ts';
import type { Queue } from './queue.ts';

/** Breaks its duty, by stimuli left in `d.out`; false when it does not fit here. */
export type Violation = (d: Driver, n: number) => Play<boolean>;

export const which = <T>(n: number, variants: readonly T[]): T => variants[n % variants.length] as T;

/** The set-up that declines exactly `without`. */
export const declining = (without: readonly number[]): number => without.reduce((mask, f) => mask | (1 << OPTIONAL.indexOf(f)), 0);

/** A live queue with at least four free slots, or all it has, on a device where `features` hold and `without` do not. */
export function* live(d: Driver, n: number, features: readonly number[], without: readonly number[]): Play<Queue | undefined> {
  const fits = (): boolean => d.live && features.every((f) => has(d, f)) && without.every((f) => !has(d, f));
  if (!fits()) {
    yield* initialise(d, { ...PLAIN, decline: declining(without) });
    yield* flush(d);
  }
  if (!fits() || d.queues.length === 0) return undefined;
  const q = which(n, d.queues);
  if (q.freeCount < Math.min(4, q.size)) yield* settle(d);
  return q.freeCount < Math.min(4, q.size) || q.stuck || d.gone ? undefined : q;
}
