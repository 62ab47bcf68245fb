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

/** Runs the programs, as many at a time as there are lanes; what each led to. */
export function abreast(lanes: readonly Lane[], programs: readonly Course[]): readonly Ran[] {
  const ran: Ran[] = [];
  const flying = new Map<Lane, { readonly number: number; readonly work: Waits<Ran> }>();
  let begun = 0;
  /** Descriptors of the lanes that found nothing at their last turn, and for how many rounds no lane found anything. */
  const empty = new Map<Lane, number>();
  let fruitless = 0;
  const go = (lane: Lane, number: number, work: Waits<Ran>): void => {
    const step = work.next();
    if (!step.done) {
      flying.set(lane, { number, work });
      if (step.value === undefined) empty.delete(lane);
      else empty.set(lane, step.value);
      return;
    }
    empty.delete(lane);
    ran[number] = step.value;
    flying.delete(lane);
    begin(lane);
  };
  const begin = (lane: Lane): void => {
    const number = begun++;
    const course = programs[number];
    if (course !== undefined) go(lane, number, run(lane, course));
  };
  for (const lane of lanes) begin(lane);
  while (flying.size > 0) {
    for (const [lane, { number, work }] of flying) go(lane, number, work);
    if (libc === undefined || empty.size < flying.size) fruitless = 0;
    // Looking on would take the processor from what is waited for.
    else if (++fruitless > looks) readable(libc, [...empty.values()], pause);
  }
  return ran;
}
