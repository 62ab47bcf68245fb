// Plays one program on a target while the judge watches: what happened, as the lines of a trace, and what it led to.
// Awaits only what is a promise, because a step costs less than an await.

import type { Answer, Course, Granted, MachineConfig, Target, WholeRun } from '../spec/units.ts';
import type { Event, Observation, Stimulus } from '../spec/vocabulary.ts';
import type { Finding, Judge } from './judge.ts';
import type { Choice, Program, Step, Suite } from './program.ts';
import { type AdapterError, isAdapterError } from './targets/exec/blame.ts';

/** A line of a program's trace, between header and footer. `event` covers stimuli and observations. */
export type Line =
  | { readonly reset: MachineConfig }
  | { readonly granted: Granted }
  | { readonly plan: Choice }
  | { readonly event: Stimulus | Observation };

export interface Played {
  readonly findings: readonly Finding[];
  readonly lines: readonly Line[];
  readonly stimuli: number;
  /** The machine was refused, and why. Nothing was judged. */
  readonly refused?: string;
  /** The target died or hung. */
  readonly broke?: string;
}

/** The adapter broke the protocol in the middle of a program. Still an AdapterError, which ends a run. */
export interface CutOff extends AdapterError {
  /** What the program had shown before. */
  readonly played: Played;
}
export const isCutOff = (error: unknown): error is CutOff => isAdapterError(error) && 'played' in error;

/** No program needs more; a player that wants more is stopped, and the run says so. */
export const stimuliLimit = 20_000;

const observations = (answer: Answer): readonly Observation[] => {
  if ('saw' in answer) return answer.saw;
  return 'unsupported' in answer ? [{ saw: 'unsupported', what: answer.unsupported }] : [{ saw: 'broke', why: answer.broke }];
};

const applyAll = async (target: Target, stimuli: readonly Stimulus[]): Promise<readonly Answer[]> => {
  const answers: Answer[] = [];
  try {
    for (const stimulus of stimuli) {
      const given = target.apply(stimulus);
      const answer = given instanceof Promise ? await given : given;
      answers.push(answer);
      if ('broke' in answer) break;
    }
  } catch (error) {
    throw isAdapterError(error) ? Object.assign(error, { answers }) : error;
  }
  return answers;
};

/** The trace of one program as it comes about. */
const recording = (machine: MachineConfig, granted: Granted, judge: Judge | undefined) => {
  const lines: Line[] = [{ reset: machine }, { granted }];
  const findings: Finding[] = [];
  let stimuli = 0;
  judge?.reset(granted, machine.image);
  const see = (event: Event): void => {
    lines.push({ event: event as Stimulus | Observation });
    if (judge !== undefined) for (const finding of judge.see(event)) findings.push(finding);
  };
  return {
    plan: ({ plan }: Step): void => {
      if (plan !== undefined) lines.push({ plan });
    },
    /** Why the target broke. */
    answered: (stimulus: Stimulus, answer: Answer): string | undefined => {
      stimuli++;
      // Nearly always; asked first, and not with `in`, because every stimulus asks.
      const { saw } = answer as { readonly saw?: readonly Observation[] };
      if (saw !== undefined) {
        see(stimulus);
        for (const seen of saw) see(seen);
        return undefined;
      }
      if ('unsupported' in answer) {
        lines.push({ event: stimulus });
        judge?.pass();
      } else see(stimulus);
      for (const seen of observations(answer)) see(seen);
      return 'broke' in answer ? answer.broke : undefined;
    },
    played: (broke?: string): Played => ({ findings, lines, stimuli, ...(broke === undefined ? {} : { broke }) }),
    stimuli: (): number => stimuli,
  };
};
const bounded = (suite: Suite, stimuli: number): void => {
  if (stimuli > stimuliLimit) throw new Error(`a ${suite.id} program went past ${stimuliLimit} stimuli`);
};

const silent = 'the target stopped answering in this program';

/** Plays `program`; with `judge` undefined it only plays (for measuring). */
export const play = async (target: Target, suite: Suite, program: Program, judge: Judge | undefined): Promise<Played> => {
  const fresh = target.reset(program.machine);
  const granting = fresh instanceof Promise ? await fresh : fresh;
  const unplayed: Played = { findings: [], lines: [{ reset: program.machine }], stimuli: 0 };
  if ('unsupported' in granting) return { ...unplayed, refused: granting.unsupported };
  if ('broke' in granting) return { ...unplayed, broke: granting.broke };
  const { granted } = granting;
  const trace = recording(program.machine, granted, judge);
  const player = suite.play(program.choices, granted, program.machine);
  /** Why the target broke. */
  const told = (value: Step, answers: readonly Answer[]): string | undefined => {
    trace.plan(value);
    for (const [i, answer] of answers.entries()) {
      const stimulus = value.do[i];
      if (stimulus === undefined) break;
      const broke = trace.answered(stimulus, answer);
      if (broke !== undefined) return broke;
    }
    return undefined;
  };
  let step = player.next();
  while (!step.done) {
    const { value } = step;
    let answers: readonly Answer[];
    try {
      const given = target.applyAll?.(value.do) ?? applyAll(target, value.do);
      answers = given instanceof Promise ? await given : given;
    } catch (error) {
      if (!isAdapterError(error)) throw error;
      told(value, error.answers ?? []);
      throw Object.assign(error, { played: trace.played() });
    }
    const broke = told(value, answers);
    if (broke !== undefined) return trace.played(broke);
    bounded(suite, trace.stimuli());
    step = player.next(answers);
  }
  return trace.played();
};

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
/** Judges what was answered to steps that have all been given; `partly`: as far as it goes. */
export const judged = (
  machine: MachineConfig,
  granted: Granted,
  steps: readonly Step[],
  answers: readonly Answer[],
  judge: Judge | undefined,
  partly: boolean = false,
): Played => {
  const trace = recording(machine, granted, judge);
  for (const step of steps) {
    trace.plan(step);
    for (const stimulus of step.do) {
      if (partly && trace.stimuli() >= answers.length) return trace.played();
      const broke = trace.answered(stimulus, answers[trace.stimuli()] ?? { broke: silent });
      if (broke !== undefined) return trace.played(broke);
    }
  }
  return trace.played();
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
    const courses = some.map(
      ({ choices }, number): Course =>
        function* (granted) {
          const player = suite.play(choices, granted, machine);
          let given = 0;
          for (let step = player.next(); !step.done; ) {
            bounded(suite, (given += step.value.do.length));
            told[number]?.push(step.value);
            step = player.next(yield step.value.do);
          }
        },
    );
    const ran = (await target.sideBySide?.(machine, courses)) ?? [];
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
  readonly answers: readonly (readonly Answer[])[];
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
  let next = 0;
  return blocks.map((programs, i) => ({
    programs,
    granted: whole.granted,
    lowerings: lowerings[i] ?? [],
    answers: whole.answers.slice(next, (next += programs.length)),
  }));
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
    yield { program, played: judged(machine, ran.granted, ran.lowerings[i] ?? [], ran.answers[i] ?? [], judge) };
}
