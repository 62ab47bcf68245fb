// Plays programs of one machine together: one by one, ahead of the judge, side by side, or whole blocks at once, as the target and the suite allow.
// Whatever the way, each program has the trace that playing it alone would have.

import type { Answer, Course, Granted, MachineConfig, Ran as SideRun, Target, WholeAnswers, WholeRun } from '../spec/units.ts';
import type { Judge } from './judge.ts';
import type { Program, Step, Suite } from './program.ts';
import { bounded, isCutOff, judged, type Played, play, silent } from './run.ts';
import { isAdapterError } from './targets/exec/blame.ts';

/** What an oblivious player would do whatever came back. */
const lowered = (suite: Suite, program: Program, granted: Granted): readonly Step[] => {
  const steps: Step[] = [];
  let given = 0;
  const player = suite.play(program.choices, granted, program.machine);
  for (let step = player.next(); !step.done; step = player.next([])) {
    bounded(suite, (given += step.value.do.length));
    steps.push(step.value);
  }
  return steps;
};
/** Programs that run before the first of them is judged, where a target answers at once or runs them side by side: run and judge are much code each, and neither then drives the
 *  other out of the processor's caches. */
const ahead = 64;
interface Ran {
  readonly granted: Granted;
  readonly steps: readonly Step[];
  readonly answers: readonly Answer[];
  /** What the target threw in the middle of it. */
  readonly mistake?: { readonly error: unknown };
}
/** Undefined where the machine is refused or breaks at once. */
const ran = (target: Target, suite: Suite, program: Program): Ran | undefined => {
  const granting = target.reset(program.machine) as Awaited<ReturnType<Target['reset']>>;
  if (!('granted' in granting)) return undefined;
  const { granted } = granting;
  const steps = lowered(suite, program, granted);
  const answers: Answer[] = [];
  for (const step of steps)
    for (const stimulus of step.do) {
      let answer: Answer;
      try {
        answer = target.apply(stimulus) as Answer;
      } catch (error) {
        return { granted, steps, answers, mistake: { error } };
      }
      answers.push(answer);
      if ('broke' in answer) return { granted, steps, answers };
    }
  return { granted, steps, answers };
};
function* playAhead(target: Target, suite: Suite, programs: readonly Program[], judge: Judge | undefined): Generator<InBlock | Program> {
  for (let i = 0; i < programs.length; i += ahead) {
    const some: { readonly program: Program; readonly run: Ran | undefined }[] = [];
    let mistake: { readonly error: unknown } | undefined;
    for (const program of programs.slice(i, i + ahead))
      try {
        some.push({ program, run: ran(target, suite, program) });
      } catch (error) {
        mistake = { error }; // thrown once those before it are judged
        break;
      }
    for (const { program, run } of some)
      if (run === undefined) yield program;
      else {
        const { granted, steps, answers, mistake: own } = run;
        if (own === undefined || isAdapterError(own.error))
          yield { program, played: judged(program.machine, granted, steps, answers, judge, own !== undefined) };
        if (own !== undefined) throw own.error;
      }
    if (mistake !== undefined) throw mistake.error;
  }
}
/** As many answers as the step has stimuli; none is looked at after the first that lacks. */
const whole =
  (steps: readonly Step[]) =>
  (answers: readonly Answer[], step: number): readonly Answer[] => {
    const wanted = steps[step]?.do.length ?? 0;
    return answers.length < wanted && !answers.some((a) => 'broke' in a) ? [...answers, { broke: silent }] : answers.slice(0, wanted);
  };
/** Several programs in flight, and the judge after them. */
async function* playSideBySide(
  target: Target,
  suite: Suite,
  programs: readonly Program[],
  judge: Judge | undefined,
): AsyncGenerator<InBlock> {
  for (let i = 0; i < programs.length; i += ahead) {
    const some = programs.slice(i, i + ahead);
    const machine = (some[0] as Program).machine;
    const told = some.map((): Step[] => []);
    const answered = some.map((): (readonly Answer[])[] => []);
    const builds: Granted[] = [];
    const courses = some.map(
      ({ choices }, number): Course =>
        function* (granted) {
          builds[number] = granted;
          const player = suite.play(choices, granted, machine);
          let given = 0;
          for (let step = player.next(); !step.done; ) {
            bounded(suite, (given += step.value.do.length));
            told[number]?.push(step.value);
            const answers = yield step.value.do;
            answered[number]?.push(answers);
            step = player.next(answers);
          }
        },
    );
    let ran: readonly SideRun[];
    try {
      ran = (await target.sideBySide?.(machine, courses)) ?? [];
    } catch (error) {
      // What programs were answered until then they did, whichever of them it was.
      for (const [number, program] of isAdapterError(error) ? some.entries() : []) {
        const [granted, steps, answers] = [builds[number], told[number] ?? [], answered[number] ?? []];
        if (granted !== undefined && answers.length > 0)
          yield { program, played: judged(machine, granted, steps, answers.flatMap(whole(steps)), judge, true) };
      }
      throw error;
    }
    for (const [number, program] of some.entries()) {
      const run = ran[number] ?? { broke: silent };
      if ('threw' in run) throw run.threw;
      const steps = told[number] ?? [];
      // An answer that lacks shifts none of those that follow.
      if ('granted' in run) yield { program, played: judged(machine, run.granted, steps, run.answers.flatMap(whole(steps)), judge) };
      else yield { program, played: { findings: [], lines: [{ reset: machine }], stimuli: 0, ...refusing(run) } };
    }
  }
}
interface InBlock {
  readonly program: Program;
  readonly played: Played;
}

/** What blocks of one machine's programs did, before any of it is judged. */
export interface Block {
  readonly programs: readonly Program[];
  readonly granted: Granted;
  readonly lowerings: readonly (readonly Step[])[];
  readonly answers: WholeAnswers;
}
type Refused = Pick<Played, 'refused' | 'broke'>;
const refusing = (why: { readonly unsupported: string } | { readonly broke: string }): Refused =>
  'unsupported' in why ? { refused: why.unsupported } : { broke: why.broke };
/** Whether blocks are given to the target whole. */
export const takesBlocks = (target: Target, suite: Suite): boolean => suite.oblivious === true && target.runAll !== undefined;
/** Runs blocks of programs of one machine at once. */
export const runBlocks = async (
  target: Target,
  suite: Suite,
  machine: MachineConfig,
  blocks: readonly (readonly Program[])[],
): Promise<readonly Block[] | Refused> => {
  const granting = await target.reset(machine);
  if (!('granted' in granting)) return refusing(granting);
  const lowerings = blocks.map((programs) => programs.map((p) => lowered(suite, p, granting.granted)));
  const stimuli = lowerings.flatMap((of) => of.map((steps) => (steps.length === 1 ? (steps[0] as Step).do : steps.flatMap((s) => s.do))));
  const whole: WholeRun = (await target.runAll?.(machine, stimuli)) ?? { unsupported: 'programs all at once' };
  if (!('granted' in whole)) return refusing(whole);
  const { granted, answers } = whole;
  let next = 0;
  return blocks.map((programs, i) => {
    const first = next;
    next += programs.length;
    return { programs, granted, lowerings: lowerings[i] ?? [], answers: { at: (program) => answers.at(first + program) } };
  });
};

/** One program, and where the adapter breaks the protocol in it what it showed before, and then the error. */
async function* playOne(target: Target, suite: Suite, program: Program, judge: Judge | undefined): AsyncGenerator<InBlock> {
  let played: Played;
  try {
    played = await play(target, suite, program, judge);
  } catch (error) {
    if (isCutOff(error)) yield { program, played: error.played };
    throw error;
  }
  yield { program, played };
}
/** Plays programs of one machine in order: one by one, or where suite and target allow it all at once. `block`: these have run already. */
export async function* playBlock(
  target: Target,
  suite: Suite,
  programs: readonly Program[],
  judge: Judge | undefined,
  block?: Block | Refused,
): AsyncGenerator<InBlock> {
  const [first] = programs;
  if (first === undefined) return;
  const { machine } = first;
  if (!takesBlocks(target, suite)) {
    if (target.sideBySide !== undefined) return yield* playSideBySide(target, suite, programs, judge);
    const prompt = suite.oblivious === true && target.prompt === true;
    for (const one of prompt ? playAhead(target, suite, programs, judge) : programs)
      if ('program' in one) yield one;
      else yield* playOne(target, suite, one, judge);
    return;
  }
  const given = block ?? (await runBlocks(target, suite, machine, [programs]));
  const ran = Array.isArray(given) ? (given as readonly Block[])[0] : (given as Block | Refused);
  if (ran === undefined || !('answers' in ran))
    return yield { program: first, played: { findings: [], lines: [{ reset: machine }], stimuli: 0, ...ran } };
  for (const [i, program] of programs.entries())
    yield { program, played: judged(machine, ran.granted, ran.lowerings[i] ?? [], ran.answers.at(i) ?? [], judge) };
}
