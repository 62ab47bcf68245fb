// Plays one program on a target while the judge watches: what happened, as the lines of a trace, and what it led to.
// Awaits only what is a promise, because a step costs less than an await.

import type { Answer, Granted, MachineConfig, Target } from '../spec/units.ts';
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
export const bounded = (suite: Suite, stimuli: number): void => {
  if (stimuli > stimuliLimit) throw new Error(`a ${suite.id} program went past ${stimuliLimit} stimuli`);
};

export const silent: string = 'the target stopped answering in this program';

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
