// Decides how the guest runs on the real processor until something is the monitor's: an exception, a stop, a limit, a call out of translated code.
// The way from an exception into the monitor's handler is not played: the real IDT's gates have DPL 0, so that no guest gets there by itself.

import { CS, type Cpu, type Op } from '../processor/cpu.ts';
import { isFault } from '../processor/fault.ts';
import type { StopRange } from '../processor/run.ts';
import type { World } from './world.ts';

/** Code that runs natively; `call`: then the emulator is to do the next instruction. */
export interface Code {
  readonly ops: readonly Op[];
  readonly call?: boolean;
}
/** Where code at a linear address comes from. Raises what the fetch does. */
export type Source = (w: World, at: number) => Code;
export interface Exit {
  by: 'exception' | 'emulate' | 'continue';
  vector: number;
  error: number;
}

/** At most `most` instructions; gives how many completed. `exit` says why it ended. */
export const runNatively = (w: World, source: Source, stops: StopRange | undefined, most: number, exit: Exit): number => {
  const { c, host } = w;
  const span = stops === undefined ? 0 : stops.stride * stops.count;
  let left = most;
  let count = 0;
  let inside = false;
  const end = (by: Exit['by']): number => {
    exit.by = by;
    c.done += most - left;
    return most - left;
  };
  try {
    while (left > 0) {
      const at = linearIp(c);
      if (stops !== undefined && c.ipHi === stops.hi) {
        const from = (at - stops.lo) >>> 0;
        if (from < span && from % stops.stride === 0) return end('emulate');
      }
      const { ops, call } = source(w, at);
      let n = ops.length;
      if (n > left) n = left;
      count = 0;
      inside = true;
      while (count < n && c.attention === 0 && !host.codeChanged) {
        const op = ops[count]!;
        c.op = op;
        op.run(c);
        count++;
      }
      inside = false;
      left -= count;
      if (count > 0) {
        const { op } = c;
        if (!op.jumps) {
          c.ipLo = op.nextLo;
          c.ipHi = op.nextHi;
        }
      }
      if (call === true && count === ops.length) return end(c.attention === 0 ? 'emulate' : 'continue');
      if (c.attention !== 0 || host.codeChanged) {
        host.codeChanged = false;
        return end('continue');
      }
    }
    return end('continue');
  } catch (thrown) {
    if (inside) {
      left -= count;
      // Back to the guest's address of the operation that could not complete.
      c.ipLo = c.op.lo;
      c.ipHi = c.op.hi;
    }
    if (!isFault(thrown)) throw thrown;
    host.codeChanged = false;
    exit.vector = thrown.vector;
    exit.error = thrown.error;
    return end('exception');
  }
};
/** Low half of the linear address of the next instruction. */
export const linearIp = (c: Cpu): number => (c.code === 64 ? c.ipLo : (c.seg[CS].lo + c.ipLo) | 0);
