// What is permitted to happen in one case: decoded once, its faults and its completion foretold from state and memory as they were.
// Intel SDM volume 3, Priority Among Concurrent Events; volume 2, Instruction Format.

import { copyOf } from './copy.ts';
import type { Memory } from '../clause.ts';
import type { Granted } from '../units.ts';
import { flag } from './bits.ts';
import { complete, goesOnStill, trapsPerhaps } from './completion.ts';
import { type Foretell, follow } from './course.ts';
import { decode, type Instruction } from './decode.ts';
import { arrivalOf, arrive } from './event.ts';
import { fetcher } from './fetch.ts';
import { type Ending, type Expectation, expectationOf } from './ghost.ts';
import { legal } from './legal.ts';
import { meaningOf } from './meaning/index.ts';
import { codeBreakpoints, setStatus, watchOf } from './breakpoints.ts';
import { bothPending } from './virtual-interrupts.ts';
import type { CpuFeature, CpuState, CpuStimulus, GrantedCpu } from './vocabulary.ts';
import {
  anew,
  begin,
  codeSize,
  type Fault,
  flagsOf,
  has,
  isRaised,
  leave,
  like8086,
  low,
  own,
  raise,
  type Undecided,
  undecided,
  type Work,
} from './work.ts';

const isUndecided = (thrown: unknown): thrown is Undecided =>
  typeof thrown === 'object' && thrown !== null && (thrown as Partial<Undecided>).undecided !== undefined;
const unknown = (why: string, instruction: Instruction | undefined, loud: boolean): Expectation =>
  expectationOf(instruction, [], false, why, loud);

/** A repeated string instruction starts again where it stopped. */
const restarted = (w: Work): Work['s'] => {
  const s = copyOf(w.s);
  s.rip = w.before.rip;
  return s;
};
/** How the run ends when the instruction faults: over the state as it was, or as a repeated string instruction had brought it. */
const faulting = (w: Work, fault: Fault): Ending => {
  const fresh = anew(w);
  fresh.i = w.i;
  if (w.around.size > 0) fresh.around = new Map(w.around);
  if (w.progress) {
    fresh.s = restarted(w);
    fresh.stores = new Map(w.stores);
    fresh.lowest = w.lowest;
    fresh.highest = w.highest;
    fresh.ports = w.ports;
  }
  // Of what it had stored before it faulted nothing is said: not of a byte that an earlier instruction stored to either.
  for (const [at, value] of w.stores)
    if (w.carried?.stores.has(at) && w.carried.stores.get(at) !== value) fresh.loose = own(fresh.loose).set(at, 0xff);
  // DR6 and CR2 apart, a fault changes nothing before delivery.
  const asItWas = !w.progress && fault.debug === undefined;
  const keepsRf = fault.trap === true || fault.rule === 'debug.code';
  const flags = flagsOf(fresh.s) | (keepsRf ? 0 : flag.RF);
  if (w.watch !== undefined) {
    const { ranges, enabled, met, memory } = w.watch;
    fresh.watch = { ranges, enabled, met, memory, over: true };
    // Whether a breakpoint that a faulting instruction met is remembered is open.
    if (w.watch.met !== 0) leave(fresh, 'dr6', 0xfn);
  }
  if (fault.debug !== undefined) setStatus(fresh, fault.debug, w.watch?.enabled ?? 0);
  return arrive(
    fresh,
    arrivalOf(fault.vector, w.before.rip, flags, {
      error: fault.error,
      cr2: fault.cr2,
      open: fault.rule === 'debug.detect' ? flag.RF : 0,
    }),
    { rule: fault.rule, fault: true, completed: asItWas ? w.before : copyOf(fresh.s), perhaps: w.repeats ? w.tried : w.stores },
  );
};

/** Whether a store of the instruction lies in its own bytes. Pages that programs run in are where they seem to be. */
const overwritten = ({ before, i, stores }: Work): boolean => {
  if (stores.size === 0) return false;
  const start = Number(codeSize(before) === 64 ? before.rip : (before.cs.base + before.rip) & 0xffffffffn);
  for (let n = 0; n < i.length; n++) if (stores.has(start + n)) return true;
  return false;
};
/** The instruction completed once more, for another of its endings. */
const repeated = (w: Work): Work => {
  const again = anew(w);
  again.i = w.i;
  meaningOf(w.i.form)(again);
  return again;
};
/** Asked before the run: memory is as the first instruction finds it. */
export const expect = (run: CpuStimulus, state: CpuState, memory: Memory, granted: Granted, cpu: GrantedCpu): Expectation => {
  const first = one(begin(state, memory, granted, cpu), run);
  if (first.goesOn === undefined) return first;
  try {
    const course = follow(first.goesOn, run, one);
    return course === undefined
      ? first
      : expectationOf(first.instruction, first.endings, first.completes, first.unknown, first.loud, course);
  } catch (thrown) {
    if (!isUndecided(thrown)) throw thrown;
    return first;
  }
};
/** One instruction. */
const one: Foretell = (w, run) => {
  const { before: state } = w;
  let instruction: Instruction | undefined;
  try {
    let faults: readonly Fault[] = [];
    try {
      if ((low(state.dr7) & 0xff) !== 0) {
        if (!w.system) undecided("the debug registers are the host's own");
        w.watch = watchOf(state);
        const hit = w.watch === undefined ? 0 : codeBreakpoints(w.watch, state);
        if (hit !== 0) raise({ vector: 1, rule: 'debug.code', debug: hit });
      }
      if (bothPending(w)) undecided('VIF and VIP both set');
      const decoded = decode(fetcher(w), {
        code: codeSize(state),
        protected: !like8086(state),
        lacks: (feature) => !has(w, feature as CpuFeature),
      });
      if ('notCovered' in decoded) return unknown(`unknown instruction: ${decoded.notCovered}`, undefined, decoded.reserved !== true);
      instruction = decoded;
      w.i = decoded;
      legal(w);
      meaningOf(decoded.form)(w);
    } catch (thrown) {
      if (!isRaised(thrown)) throw thrown;
      ({ faults } = thrown);
      if (w.repeats && w.watch !== undefined && w.watch.met !== 0) undecided('a breakpoint that an iteration before the fault met');
    }
    if (faults.length > 0 && instruction !== undefined && overwritten(w))
      undecided('an instruction that stores over its own bytes and then faults');
    // Where completion is permitted beside faults, what it goes on to store may stand after them too.
    if (w.also.length > 0) {
      w.stores = own(w.stores);
      w.tried = own(w.tried);
    }
    const refused: Ending[] = [];
    for (const fault of faults) refused.push(faulting(w, fault));
    for (const fault of w.also) refused.push(faulting(w, fault));
    if (faults.length > 0) return expectationOf(instruction, refused, false);
    const perhaps: Ending[] = [];
    if (trapsPerhaps(w)) {
      if (w.watch !== undefined) undecided('breakpoints where a trap only perhaps comes');
      const again = repeated(w);
      perhaps.push(complete(again, run, true) ?? undecided(goesOnStill));
    }
    // Which of several faults of a new task's segments is reported is the model's own.
    for (let k = 1; k < w.troubles.length; k++) {
      const again = repeated(w);
      perhaps.push(complete(again, run, false, k) ?? undecided(goesOnStill));
    }
    const main = complete(w, run);
    if (main === undefined) {
      const nothing = unknown(goesOnStill, instruction, false);
      // Where it may also end here, two things would be followed.
      const alone = w.also.length === 0 && w.troubles.length === 0 && !trapsPerhaps(w);
      return alone ? { ...nothing, goesOn: w } : nothing;
    }
    const endings = [main];
    for (const e of perhaps) endings.push(e);
    for (const e of refused) endings.push(e);
    return expectationOf(instruction, endings, refused.length === 0);
  } catch (thrown) {
    if (!isUndecided(thrown)) throw thrown;
    return unknown(thrown.undecided, instruction, thrown.loud === true);
  }
};
