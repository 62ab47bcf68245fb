// When the back end has finished, and on what evidence: what was waited for came and a round trip found no more, or every
// thread of the back end proved asleep with the kicks consumed, or only the time bound ran out.

import type { Settle, Settled } from '../../../spec/vocabulary.ts';
import { readable } from '../host/eventfd.ts';
import { ownTime, type Waits } from '../host/lanes.ts';
import type { Libc } from '../host/libc.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { Bells, Link } from './link.ts';
import { still } from './stillness.ts';

/** Milliseconds after which nothing but the clock ends a wait. */
const bound = 5000;
/** Looks at memory before giving the processor away: a request through shared memory takes some 20 µs. */
const spins = 3000;

export interface Settling {
  readonly libc: Libc;
  readonly memory: GuestMemory;
  /** Absent after the back end closed the connection. */
  readonly link: Link | undefined;
  readonly pid: number;
  /** Queues that are started. */
  readonly bells: ReadonlyMap<number, Bells>;
  /** Milliseconds of silence asked for between the two looks of a proof: a back end whose disk is not ours may wait for it asleep. */
  readonly quiet: number;
}
type Evidence = Settled['by'] | 'ended';

/** Whether the back end is idle: threads asleep around a moment when no kick was pending and nothing was left to read. */
const idle = (s: Settling): boolean | 'ended' => {
  if (s.pid === 0) return false;
  const kicks = [...s.bells.values()].map((bell) => bell.kick.fd);
  const calls = [...s.bells.values()].map((bell) => bell.call.fd);
  return still(s.pid, () => {
    if (s.quiet > 0 && readable(s.libc, calls, s.quiet)) return false;
    return s.link === undefined || kicks.length === 0 || !readable(s.libc, kicks, 0);
  });
};

/** Waits; `called` collects the queues that interrupted. Throws `Gone` where the connection ends meanwhile. */
export const settle = function* (s: Settling, wish: Settle, called: Set<number>): Waits<Evidence> {
  const until = wish.until ?? [];
  const listen = (): void => {
    for (const [queue, bell] of s.bells) if (bell.call.take()) called.add(queue);
  };
  const reached = (): boolean => until.every(({ at, value }) => s.memory.word(at) === value);
  const satisfied = (): boolean => {
    listen();
    return until.length > 0 && reached() && (wish.interrupt !== true || called.size > 0);
  };
  /** Everything wished for is there, and the back end has answered once more since. */
  const answered = function* (): Waits<boolean> {
    if (until.length === 0 || s.link === undefined || !reached()) return false;
    yield* s.link.connection.roundTrip();
    return satisfied();
  };
  const waits = [...s.bells.values()].map((bell) => bell.call.fd);
  if (s.link !== undefined) waits.push(s.link.connection.fd);

  let by: Evidence | undefined;
  const expired = ownTime(bound);
  while (by === undefined) {
    for (let spin = 0; spin < spins && until.length > 0 && !reached(); spin++) yield;
    if (yield* answered()) {
      by = 'until';
      break;
    }
    // Nothing is owed to us here, so that a readable socket means its end: the round trip tells how.
    if (s.link !== undefined && readable(s.libc, [s.link.connection.fd], 0)) yield* s.link.connection.roundTrip();
    if (until.length > 0 && wish.interrupt === true && called.size === 0 && readable(s.libc, waits, 1)) {
      listen();
      continue;
    }
    const asleep = idle(s);
    if (asleep === 'ended') by = 'ended';
    else if (asleep) by = satisfied() ? 'until' : 'idle';
    else if (expired()) by = 'bound';
    else yield;
  }
  listen();
  return by;
};
