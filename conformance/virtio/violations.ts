// The one rule a program breaks on purpose, by the name of the duty, and the recovery that every device owes afterwards:
// other queues go on, and a reset, an initialisation and one legal request work.

import { T } from './bits.ts';
import { header } from './blk-requests.ts';
import type { Driver, Play } from './driver.ts';
import { capacity, flush, initialise, PLAIN, settle } from './driver.ts';
import type { Framing } from './frame.ts';
import { post } from './frame.ts';
import { BLK_VIOLATIONS } from './violate-blk.ts';
import { CHAIN_VIOLATIONS } from './violate-chain.ts';
import type { Violation } from './violate-common.ts';
import { INIT_VIOLATIONS } from './violate-init.ts';
import { RING_VIOLATIONS } from './violate-ring.ts';

const VIOLATIONS: Readonly<Record<string, Violation>> = { ...INIT_VIOLATIONS, ...RING_VIOLATIONS, ...CHAIN_VIOLATIONS, ...BLK_VIOLATIONS };
/** Clause-style id of a duty. */
export type DutyName = string;
export const DUTIES: readonly DutyName[] = Object.keys(VIOLATIONS);

const PROBE: Framing = { cuts: [], every: 0, table: 'direct', place: 'row' };
function* probe(d: Driver, queues: typeof d.queues): Play<void> {
  if (capacity(d) < 1) return;
  for (const q of queues) post(d, q, { readable: header(T.IN, 0, 0), writable: 513 }, PROBE, d.out);
  yield* settle(d);
}

/** Breaks the duty in its variant `n`, once a program; what does not fit here does nothing. */
export function* violate(d: Driver, duty: DutyName, n: number): Play<void> {
  const breaks = VIOLATIONS[duty];
  if (d.violated || breaks === undefined) return;
  // That NEEDS_RESET was clear before tells that it was set with DRIVER_OK, and so with a notification.
  if (d.seesStatus && d.live) d.out.push({ do: 'virtio.status.read' });
  if (!(yield* breaks(d, n))) {
    if (!d.live && !d.gone) yield* initialise(d, PLAIN);
    return;
  }
  d.violated = true;
  d.out.push({ do: 'settle' });
  // What a device says of its state, and then the time for what it owes with it: NEEDS_RESET is followed by a notification.
  if (d.seesStatus) d.out.push({ do: 'virtio.status.read' }, { do: 'settle' });
  yield* flush(d);
  const whole = d.queues.filter((q) => !q.stuck);
  if (d.live && whole.length > 0 && whole.length < d.queues.length) yield* probe(d, whole);
  if (d.gone) return;
  if (yield* initialise(d, PLAIN)) yield* probe(d, d.queues);
}
