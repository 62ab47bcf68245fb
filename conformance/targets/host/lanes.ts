// Several programs in flight on machines of one kind: what one waits for is under way while another takes its turn.
// A lane stops only where it waits.

import type { Answer, Course, Ran, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { readable } from './eventfd.ts';
import { loadLibc } from './libc.ts';
import { probeHost } from './probe.ts';

/** Work that stops wherever it waits for what somebody else is doing. Where it looked and nothing was there, it tells the descriptor that becomes
 *  readable. */
export type Waits<T> = Generator<number | undefined, T, undefined>;
/** Waits every wait out. */
export function waited<T>(work: Waits<T>): T {
  let step = work.next();
  while (!step.done) step = work.next();
  return step.value;
}

/** Milliseconds that a single turn counts for at most: what another lane, or a starved machine, took between two turns is not one's own. */
const turn = 50;
/** Whether a wait has used up so many milliseconds of its own; to be asked once a turn. */
export const ownTime = (limit: number): (() => boolean) => {
  let spent = 0;
  let last = performance.now();
  return () => {
    const now = performance.now();
    spent += Math.min(now - last, turn);
    last = now;
    return spent > limit;
  };
};

/** One machine, behind verbs that stop where they wait. */
export interface Lane {
  reset(): Waits<Awaited<ReturnType<Target['reset']>>>;
  applyAll(stimuli: readonly Stimulus[]): Waits<readonly Answer[]>;
}
function* run(lane: Lane, course: Course): Waits<Ran> {
  const granting = yield* lane.reset();
  if (!('granted' in granting)) return granting;
  const { granted } = granting;
  const answers: (readonly Answer[])[] = [];
  let player: ReturnType<Course>;
  let step: ReturnType<ReturnType<Course>['next']>;
  const threw = (error: unknown): Ran => ({ threw: error });
  try {
    player = course(granted);
    step = player.next();
  } catch (error) {
    return threw(error);
  }
  while (!step.done) {
    const given = yield* lane.applyAll(step.value);
    answers.push(given);
    if (given.some((a) => 'broke' in a)) break;
    try {
      step = player.next(given);
    } catch (error) {
      return threw(error);
    }
  }
  return { granted, answers };
}

/** Rounds of looks that cost less than to be woken. */
const looks = 300;
const pause = 1; // ms
const libc = (await probeHost()).ok ? await loadLibc() : undefined;

/** What a lane has in flight. */
interface Flight {
  readonly number: number;
  readonly work: Waits<Ran>;
  /** The descriptor that it waits for, where it found nothing at its last turn. */
  empty: number | undefined;
}

/** Runs the programs, as many at a time as there are lanes; what each led to. A program's lane goes by its number, so that what a machine has behind it
 *  does not depend on who was faster. A machine that is refused once is not asked for again. */
export function abreast(lanes: readonly Lane[], programs: readonly Course[]): readonly Ran[] {
  const ran: Ran[] = [];
  const flying = new Map<Lane, Flight>();
  let refused: Ran | undefined;
  let mistake: { readonly error: unknown } | undefined;
  const begin = (lane: Lane, number: number): void => {
    const course = programs[number];
    if (course === undefined || mistake !== undefined) return;
    if (refused === undefined) flying.set(lane, { number, work: run(lane, course), empty: undefined });
    else {
      ran[number] = refused;
      begin(lane, number + lanes.length);
    }
  };
  const go = (lane: Lane, flight: Flight): void => {
    try {
      const step = flight.work.next();
      if (!step.done) return void (flight.empty = step.value);
      ran[flight.number] = step.value;
      if ('unsupported' in step.value) refused ??= step.value;
    } catch (error) {
      // The others come to their end, so that none is left in the middle of something.
      mistake ??= { error };
    }
    flying.delete(lane);
    begin(lane, flight.number + lanes.length);
  };
  for (const [number, lane] of lanes.entries()) begin(lane, number);
  for (let fruitless = 0; flying.size > 0; ) {
    const waiting = [...flying];
    for (const [lane, flight] of waiting) go(lane, flight);
    const empty = waiting.flatMap(([, flight]) => flight.empty ?? []);
    fruitless = empty.length < waiting.length ? 0 : fruitless + 1;
    // Looking on would take the processor from what is waited for.
    if (libc !== undefined && fruitless > looks) readable(libc, empty, pause);
  }
  if (mistake !== undefined) throw mistake.error;
  return ran;
}

/** Runs the programs one after the other, each on the lane of its number. `rest`: the lane has done its program, and may prepare for its next one while
 *  others work: for machines that keep a processor of their own busy, where two at work would only hinder each other. */
export function inTurn(lanes: readonly Lane[], programs: readonly Course[], rest: (lane: number) => void): readonly Ran[] {
  const ran: Ran[] = [];
  for (const [number, course] of programs.entries()) {
    const [last] = ran.slice(-1);
    const lane = lanes[number % lanes.length];
    if (lane === undefined) throw new Error('no lanes');
    if (last !== undefined && 'unsupported' in last) ran.push(last);
    else {
      ran.push(waited(run(lane, course)));
      rest(number % lanes.length);
    }
  }
  return ran;
}
