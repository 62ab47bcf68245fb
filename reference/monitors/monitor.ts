// Decides what a monitor does over and over: let the guest run on the real processor, and do for it, on its virtual state, what it may not do itself.
// Popek and Goldberg 1974: dispatcher, allocator, interpreters. The interpreter is the reference processor, on the state that the guest believes in.

import { PAGE_FAULT } from '../processor/bits.ts';
import { type End, type Raise, run, type StopRange } from '../processor/run.ts';
import { absorb, deprivilege, hostable } from './deprivilege.ts';
import { type Exit, runNatively, type Source } from './native.ts';
import { type Care, prune, refill } from './shadow.ts';
import type { World } from './world.ts';

/** What tells the techniques apart. */
export interface Technique {
  readonly source: Source;
  readonly care: Care;
  /** Before the guest runs natively, and after. */
  readonly enter: (w: World) => void;
  readonly leave: (w: World) => void;
  /** The host's bytes were put in guest memory, or the guest starts anew. */
  readonly fresh: (w: World) => void;
}

/** As the processor's own `run`, to the last observable step. */
export const runGuest = (w: World, technique: Technique, stops: StopRange | undefined, limit: number, raise?: Raise): End => {
  const { v } = w;
  const start = v.done;
  const exit: Exit = { by: 'continue', vector: 0, error: 0 };
  let pending = raise;
  let left = limit;
  for (;;) {
    // What waits between two instructions comes first: traps, interrupts, a stop.
    if (v.attention !== 0 && (pending === undefined || v.done - start < pending.at)) {
      const ended = run(v, w.emulated, stops, 0);
      if (ended.by !== 'limit') return ended;
    }
    const wait = pending === undefined ? Number.MAX_SAFE_INTEGER : pending.at - (v.done - start);
    if (left > 0 && wait > 0 && hostable(v)) {
      prune(w);
      technique.enter(w);
      deprivilege(w);
      try {
        left -= runNatively(w, technique.source, stops, Math.min(left, wait), exit);
      } finally {
        absorb(w);
        technique.leave(w);
      }
      if (exit.by === 'continue') continue;
      if (exit.by === 'exception' && exit.vector === PAGE_FAULT && refill(w, exit.error, technique.care)) continue;
    }
    // The virtual processor does this one: emulation of a sensitive instruction, or the guest's own exception through the guest's own IDT.
    const most = Math.min(left, 1);
    // HLT waits for an interrupt that comes behind it: the emulator is told of one.
    const at = pending === undefined ? Number.MAX_SAFE_INTEGER : Math.max(pending.at - (v.done - start), 0);
    const due = pending !== undefined && at <= most ? { vector: pending.vector, at } : undefined;
    const ended = run(v, w.emulated, stops, most, due);
    if (pending !== undefined && v.done - start >= pending.at) pending = undefined;
    left -= most - v.left;
    if (ended.by !== 'limit' || left <= 0) return ended;
  }
};
