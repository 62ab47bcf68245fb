// From a fault or trap to how the run ends: the saved image, the delivery, double faults and shutdown.
// Intel SDM volume 3, Interrupt 8—Double Fault Exception; Instruction-Breakpoint Exception Condition (RF in the image); Error Code.

import { flag } from './bits.ts';
import { BT, GD, setStatus } from './breakpoints.ts';
import { deliver } from './deliver.ts';
import { reach } from './fetch.ts';
import type { Ending, Frame } from './ghost.ts';
import { cpl, type Draft, type Fault, flagsOf, in64, isRaised, leave, low, protectedMode, undecided, type Work } from './work.ts';

/** #DE, #TS, #NP, #SS, #GP (and #CP). SDM volume 3, table Interrupt and Exception Classes. */
const contributory = new Set([0, 10, 11, 12, 13, 21]);

export interface Arrival {
  readonly vector: number;
  readonly error: number | 'any' | undefined;
  readonly cr2: bigint | undefined;
  readonly software: boolean;
  /** External: an interrupt, no exception. */
  readonly external: boolean;
  readonly abort: boolean;
  /** INT1: what its delivery runs into is a fault of the instruction. */
  readonly instruction: boolean;
  /** Flags of the image that are left open: whether RF is set by a fault in delivering an external interrupt or a trap, no page says. */
  readonly open: number;
  readonly rip: bigint;
  readonly flags: number;
}
/** Every arrival has all its parts, in one order: each case reads them, and records of many shapes are slow to read. */
export const arrivalOf = (vector: number, rip: bigint, flags: number, more: Partial<Arrival> = {}): Arrival => ({
  vector,
  error: more.error,
  cr2: more.cr2,
  software: more.software === true,
  external: more.external === true,
  abort: more.abort === true,
  instruction: more.instruction === true,
  open: more.open ?? 0,
  rip,
  flags,
});
/** What is known of an ending before its event is delivered. */
export interface Told {
  readonly rule: string;
  readonly fault: boolean;
  readonly completed: Draft;
  readonly perhaps: ReadonlyMap<number, number>;
}
/** An ending with the state and memory as they are foretold now. */
export const endingOf = (w: Work, told: Told, by: Ending['by'], rule: string, event?: Arrival, stop?: number, frame?: Frame): Ending => ({
  rule,
  by,
  vector: event?.vector,
  error: event !== undefined && protectedMode(w.before) ? event.error : undefined,
  rip: event?.rip,
  stop,
  fault: told.fault,
  s: w.s,
  completed: told.completed,
  stores: w.stores,
  loose: w.loose,
  marks: w.marks,
  around: w.around,
  perhaps: w.tried.size === 0 ? told.perhaps : new Map([...told.perhaps, ...w.tried]),
  open: w.open,
  flagsWritten: w.flagsWritten,
  ports: w.ports,
  frame,
  switched: w.gates > 0,
});
/** The stop at which the handler starts: the guest may have loaded another IDT, or edited its gates. */
const stopAt = ({ s, cpu }: Work): number => {
  const { at, stride, count } = cpu.stops;
  const offset = Number((in64(s) ? s.rip : (s.cs.base + s.rip) & 0xffffffffn) - at);
  if (offset < 0 || offset >= stride * count || offset % stride !== 0) undecided('a handler that is no stop');
  return offset / stride;
};
/** A handler whose first byte cannot be fetched, because it stays at CPL 3, where a fast system call has just led, or because the instruction has changed
 *  how addresses are translated: the fault of that is one more delivery, of which nothing is told. */
const startable = (w: Work): void => {
  const { s, before } = w;
  if (cpl(s) !== 3 && w.stores.size === 0 && s.cr3 === before.cr3 && s.cr4 === before.cr4 && s.cr0 === before.cr0) return;
  try {
    reach(w);
  } catch (thrown) {
    if (isRaised(thrown)) undecided('a handler that cannot be fetched');
    throw thrown;
  }
};
/** How the run ends when `a` is delivered over the foretold state. Later faults of delivery are followed to the end. */
export const arrive = (w: Work, a: Arrival, told: Told): Ending => {
  let now = a;
  let { rule } = told;
  let trapped = w.taskTrap;
  for (let depth = 0; depth < 4; depth++) {
    const { rip, flags } = now;
    if (!w.system) {
      // The host's own IDT: what is seen is the state at the fault, or after a trap.
      w.s.rip = rip;
      return endingOf(
        w,
        told,
        'event',
        rule,
        now.vector === 14 && !w.ring3 ? arrivalOf(14, rip, flags, { error: 'any' }) : now,
        now.vector,
      );
    }
    if (now.cr2 !== undefined) w.s.cr2 = now.cr2;
    // DR6 after faults other than #DB stays; TR and CPL decide the stack.
    let frame: Frame;
    const { gates } = w;
    try {
      frame = deliver(w, now);
    } catch (thrown) {
      if (!isRaised(thrown)) throw thrown;
      const next = thrown.faults[0] as Fault;
      if (depth === 0) rule = next.rule;
      const combined = combine(now, next.vector);
      // Which of several faults of a new task's segments comes tells nothing where each is a double fault.
      if (thrown.faults.length > 1 && (combined === 'serial' || thrown.faults.some((f) => combine(now, f.vector) !== combined)))
        undecided('several faults of one delivery');
      if (combined === 'shutdown') return endingOf(w, told, 'shutdown', rule);
      const fault = (flagsOf(w.s) & ~flag.RF) | flag.RF;
      if (w.gates > gates) {
        // The task gate has been gone through: the fault stands before the first instruction of the new task.
        now =
          combined === 'double'
            ? arrivalOf(8, w.s.rip, flagsOf(w.s), { error: 0, cr2: next.cr2, abort: true })
            : arrivalOf(next.vector, w.s.rip, flagsOf(w.s), { error: next.error, cr2: next.cr2, open: flag.RF });
        continue;
      }
      now =
        combined === 'double'
          ? arrivalOf(8, rip, flags, { error: 0, cr2: next.cr2, abort: true })
          : arrivalOf(
              next.vector,
              // A software interrupt that cannot be delivered is a fault of the INT instruction.
              now.software || now.instruction ? (w.after ?? w.before.rip) : rip,
              now.software || now.instruction ? fault : flags,
              {
                error: next.error,
                cr2: next.cr2,
                open: (now.open & flag.RF) | (now.external || (!now.software && !now.instruction && (flags & flag.RF) === 0) ? flag.RF : 0),
              },
            );
      continue;
    }
    if (w.taskTrap && !trapped) {
      // Before the first instruction of the task that the event has led to. SDM volume 3, Task-Switch Exception Condition.
      trapped = true;
      rule = 'debug.task';
      setStatus(w, BT, 0);
      now = arrivalOf(1, w.s.rip, flagsOf(w.s));
      continue;
    }
    // The handler of a debug exception may use the debug registers. SDM volume 3, Debug Control Register (DR7).
    if (now.vector === 1 && !now.software && !now.external && (low(w.s.dr7) & GD) !== 0) {
      if (now.instruction) leave(w, 'dr7', BigInt(GD));
      else w.s.dr7 &= ~BigInt(GD);
    }
    startable(w);
    return endingOf(w, told, 'event', rule, now, stopAt(w), frame);
  }
  return undecided('a chain of faults');
};
/** SDM volume 3, table Conditions for Generating a Double Fault. */
const combine = (first: Arrival, second: number): 'shutdown' | 'double' | 'serial' => {
  if (first.vector === 8 && !first.software && !first.external) return contributory.has(second) || second === 14 ? 'shutdown' : 'serial';
  if (first.software || first.external) return 'serial';
  if (contributory.has(first.vector)) return contributory.has(second) ? 'double' : 'serial';
  if (first.vector === 14) return contributory.has(second) || second === 14 ? 'double' : 'serial';
  return 'serial';
};
