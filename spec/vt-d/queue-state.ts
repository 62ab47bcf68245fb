// What is known of the invalidation queue: where it is, how far it got, what is in flight, and the error it stopped at.
// VT-d 4.1, Queued Invalidation Interface.

import type { Invalidation } from './caches.ts';

/** Submitted at `time`; complete once a later wait was seen to complete, or the unit is at rest. */
export type Flight =
  | { readonly kind: 'invalidate'; readonly what: Invalidation; readonly time: number }
  | { readonly kind: 'wait'; readonly number: number };
export interface Queue {
  enabled: boolean;
  base: bigint;
  /** Descriptors. */
  size: number;
  /** Bytes of a descriptor. */
  width: 16 | 32;
  /** Index of the next descriptor to fetch, and the tail as written. */
  head: number;
  tail: number;
  /** IQEI codes that fit the error the queue stopped at. */
  error: readonly number[] | undefined;
  errorRule: string | undefined;
  /** A device-TLB invalidation that is not answered. */
  timeout: number | undefined;
  flight: Flight[];
  waits: number;
  /** The unit was at rest since the queue last moved. */
  rested: boolean;
  /** Why nothing is known of it. */
  unknown: string | undefined;
}
export const newQueue = (): Queue => ({
  enabled: false,
  base: 0n,
  size: 256,
  width: 16,
  head: 0,
  tail: 0,
  error: undefined,
  errorRule: undefined,
  timeout: undefined,
  flight: [],
  waits: 0,
  rested: true,
  unknown: undefined,
});
