// Several programs in flight on machines of one kind: what one waits for is under way while another takes its turn.
// A lane stops only where it waits.

import type { Answer, Course, Ran, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';

/** Work that stops wherever it waits for what somebody else is doing. */
export type Waits<T> = Generator<undefined, T, undefined>;
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

/** Runs the programs, as many at a time as there are lanes; what each led to. */
export function abreast(lanes: readonly Lane[], programs: readonly Course[]): readonly Ran[] {
  const ran: Ran[] = [];
  const flying = new Map<Lane, { readonly number: number; readonly work: Waits<Ran> }>();
  let begun = 0;
  const go = (lane: Lane, number: number, work: Waits<Ran>): void => {
    const step = work.next();
    if (!step.done) return void flying.set(lane, { number, work });
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
  while (flying.size > 0) for (const [lane, { number, work }] of flying) go(lane, number, work);
  return ran;
}
