// Decides the order of things at and between instructions: traps of the last, then interrupts, breakpoints, fetch, decode, execution.
// SDM volume 3, Priority Among Concurrent Events; Masking Exceptions and Interrupts When Switching Stacks; Debug Exceptions.

import { DB, DR6_BS, IF, NMI as NMI_VECTOR, RF, TF } from './bits.ts';
import { type Apic, CS, type Cpu } from './cpu.ts';
import { checkFetch, codeBreakpoints, debugStatus } from './debug.ts';
import { type Block, type Blocks, blockAt } from './decode.ts';
import { exception } from './events.ts';
import { isFault } from './fault.ts';

export const SHADOW_MOV_SS = 2;
/** How a run ended; `stop`: at which of the observer's addresses. */
export interface End {
  readonly by: 'stop' | 'shutdown' | 'halt' | 'limit';
  readonly stop: number;
}
/** Linear addresses where control comes back to the observer. */
export interface StopRange {
  readonly lo: number;
  readonly hi: number;
  readonly stride: number;
  readonly count: number;
}
/** An external interrupt that will be raised when so many instructions have completed. */
export interface Raise {
  readonly vector: number;
  readonly at: number;
}
/** Deliveries past the limit that may still lead to a stop. */
const MOST_IN_A_ROW = 16;
/** A run ends when twice as many numbers have been logged as there are stores: address and length of each. */
const MOST_STORES = 1 << 21;
const end = (by: End['by'], stop = 0): End => ({ by, stop });

/** What is to be done before the next instruction. Gives an end, or undefined; sets `attention` again where the next one goes alone. */
const boundary = (c: Cpu): End | undefined => {
  c.attention = 0;
  if (c.shutdown) return end('shutdown');
  if (c.debug !== 0 && c.shadow !== SHADOW_MOV_SS) {
    debugStatus(c, c.debug & 15);
    c.dr6 |= c.debug & ~15;
    c.debug = 0;
    c.halted = false;
    exception(c, DB, -1, 'exception', false);
    return c.shutdown ? end('shutdown') : again(c);
  }
  if (c.nmi && !c.nmiBlocked && c.shadow !== SHADOW_MOV_SS) {
    c.nmi = false;
    c.nmiBlocked = true;
    c.halted = false;
    exception(c, NMI_VECTOR, -1, 'external', false);
    return again(c);
  }
  const vector = c.interrupt >= 0 ? c.interrupt : (c.apic?.waiting() ?? -1);
  if (vector >= 0 && (c.flags & IF) !== 0 && c.shadow === 0) {
    if (c.interrupt >= 0) c.interrupt = -1;
    else c.apic?.accept();
    c.halted = false;
    exception(c, vector, -1, 'external', false);
    // A task with the debug trap flag may have been gone to: its #DB comes before all else.
    return c.debug !== 0 ? boundary(c) : again(c);
  }
  if (c.halted) {
    const wakes = (c.flags & IF) !== 0 && c.apic !== undefined ? c.apic.deadline() : -1;
    if (wakes < 0) return end('halt');
    // Nothing else can happen: time passes to the timer.
    c.done = Math.max(c.done, wakes);
    c.apic?.tick(c.done);
    // A masked timer wakes nobody.
    if ((c.apic?.waiting() ?? -1) < 0) return end('halt');
    return boundary(c);
  }
  if ((c.flags & (TF | RF)) !== 0 || c.shadow !== 0 || c.debug !== 0 || ((c.dr7 & 0xff) !== 0 && codeBreakpoints(c))) c.attention = 1;
  return undefined;
};
/** After a delivery everything is looked at once more, before the handler's first instruction. */
const again = (c: Cpu): End | undefined => {
  c.attention = 1;
  return c.shutdown ? end('shutdown') : undefined;
};

/** Runs until a stop, shutdown, HLT with nothing to wake it, or `limit` instructions and deliveries. */
export const run = (c: Cpu, blocks: Blocks, stops: StopRange | undefined, limit: number, raise?: Raise): End => {
  const { ram } = c;
  const start = c.done;
  const span = stops === undefined ? 0 : stops.stride * stops.count;
  let pending = raise;
  c.left = limit;
  let inside = false;
  let count = 0;
  for (;;) {
    try {
      for (;;) {
        if (pending !== undefined && c.done - start >= pending.at) {
          c.interrupt = pending.vector;
          pending = undefined;
          c.attention = 1;
        }
        if (c.apic !== undefined) c.apic.tick(c.done);
        let single = false;
        if (c.attention !== 0) {
          const ended = boundary(c);
          if (ended !== undefined) return ended;
          single = c.attention !== 0;
        }
        const at = c.code === 64 ? c.ipLo : (c.seg[CS].lo + c.ipLo) | 0;
        if (stops !== undefined && c.ipHi === stops.hi) {
          const from = (at - stops.lo) >>> 0;
          if (from < span && from % stops.stride === 0 && reached(c, blocks, at)) return end('stop', from / stops.stride);
        }
        if (c.left <= 0 || ram.log.count > MOST_STORES) return end('limit');
        if (single) {
          c.left--;
          step(c, blocks, at);
          continue;
        }
        const block = blockAt(c, blocks, at, c.ipHi, false);
        const { ops } = block;
        c.ops = ops;
        let most = ops.length;
        if (most > c.left) most = c.left;
        if (c.apic !== undefined) most = untilTimer(c, c.apic, most);
        if (pending !== undefined && most > pending.at - (c.done - start)) most = pending.at - (c.done - start);
        count = 0;
        inside = true;
        let op = ops[0]!;
        c.op = op;
        op.run(c);
        count = 1;
        while (count < most && c.attention === 0 && !ram.codeChanged) {
          op = ops[count]!;
          c.op = op;
          op.run(c);
          count++;
        }
        inside = false;
        ram.codeChanged = false;
        c.left -= count;
        c.done += count;
        if (!op.jumps) {
          c.ipLo = op.nextLo;
          c.ipHi = op.nextHi;
        }
      }
    } catch (thrown) {
      if (inside) {
        inside = false;
        if (!c.moved) {
          c.ipLo = c.op.lo;
          c.ipHi = c.op.hi;
        }
        c.left -= count;
        c.done += count;
      }
      if (!isFault(thrown)) throw thrown;
      // Handlers that cannot even be fetched must end too, though a stop is reached without an instruction.
      if (--c.left < -MOST_IN_A_ROW) return end('limit');
      ram.codeChanged = false;
      c.debug &= ~15;
      c.shadow = 0;
      c.moved = false;
      exception(c, thrown.vector, thrown.error, 'exception', thrown.resume);
      c.attention = 1;
    }
  }
};
/** At most as many instructions as are left to the timer, so that it interrupts where it should. */
const untilTimer = (c: Cpu, apic: Apic, most: number): number => {
  const left = apic.deadline() - c.done;
  return left > 0 && left < most ? left : most;
};
/** Whether the instruction at a stop can be fetched: what keeps control from getting there is an exception like any other. */
const reached = (c: Cpu, blocks: Blocks, at: number): boolean => blockAt(c, blocks, at, c.ipHi, true) !== undefined;

/** One instruction alone, with everything that may come before and after it. */
const step = (c: Cpu, blocks: Blocks, at: number): void => {
  if ((c.dr7 & 0xff) !== 0) checkFetch(c, at, c.ipHi);
  const [tf, shadow] = [c.flags & TF, c.shadow];
  const block: Block = blockAt(c, blocks, at, c.ipHi, true);
  c.flags &= ~RF;
  c.shadow = 0;
  c.untraced = false;
  const op = block.ops[0]!;
  c.op = op;
  c.ops = block.ops;
  const before = c.debug;
  try {
    op.run(c);
  } catch (thrown) {
    if (!c.moved) {
      c.ipLo = op.lo;
      c.ipHi = op.hi;
    }
    c.debug = before;
    throw thrown;
  }
  c.ram.codeChanged = false;
  c.done++;
  if (!op.jumps) {
    c.ipLo = op.nextLo;
    c.ipHi = op.nextHi;
  }
  // Only the first of several instructions that load SS holds events off.
  if (shadow === SHADOW_MOV_SS && c.shadow === SHADOW_MOV_SS) c.shadow = 0;
  if (tf !== 0 && c.shadow !== SHADOW_MOV_SS && !c.untraced) c.debug |= DR6_BS;
  c.attention = 1;
};
