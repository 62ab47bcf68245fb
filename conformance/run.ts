// Plays one program on a target while the judge watches: what happened, as the lines of a trace, and what it led to.
// Awaits only what is a promise, because a step costs less than an await.

import type { Answer, Granted, MachineConfig, Target, WholeRun } from '../spec/units.ts';
import type { Event, Observation, Stimulus } from '../spec/vocabulary.ts';
import type { Finding, Judge } from './judge.ts';
import type { Choice, Program, Step, Suite } from './program.ts';

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

/** No program needs more; a player that wants more is stopped, and the run says so. */
export const stimuliLimit = 20_000;

const observations = (answer: Answer): readonly Observation[] => {
  if ('saw' in answer) return answer.saw;
  return 'unsupported' in answer ? [{ saw: 'unsupported', what: answer.unsupported }] : [{ saw: 'broke', why: answer.broke }];
};

const applyAll = async (target: Target, stimuli: readonly Stimulus[]): Promise<readonly Answer[]> => {
  const answers: Answer[] = [];
  for (const stimulus of stimuli) {
    const given = target.apply(stimulus);
    const answer = given instanceof Promise ? await given : given;
    answers.push(answer);
    if ('broke' in answer) break;
  }
  return answers;
};

/** Plays `program`; with `judge` undefined it only plays (for measuring). */
export const play = async (target: Target, suite: Suite, program: Program, judge: Judge | undefined): Promise<Played> => {
  const lines: Line[] = [{ reset: program.machine }];
  const findings: Finding[] = [];
  let stimuli = 0;
  const fresh = target.reset(program.machine);
  const granting = fresh instanceof Promise ? await fresh : fresh;
  if ('unsupported' in granting) return { findings, lines, stimuli, refused: granting.unsupported };
  if ('broke' in granting) return { findings, lines, stimuli, broke: granting.broke };
  const { granted } = granting;
  lines.push({ granted });
  judge?.reset(granted, program.machine.image);
  const see = (event: Event): void => {
    lines.push({ event: event as Stimulus | Observation });
    if (judge !== undefined) for (const finding of judge.see(event)) findings.push(finding);
  };
  const player = suite.play(program.choices, granted, program.machine);
  let step = player.next();
  while (!step.done) {
    const { plan, do: wanted } = step.value;
    if (plan !== undefined) lines.push({ plan });
    const given = target.applyAll?.(wanted) ?? applyAll(target, wanted);
    const answers = given instanceof Promise ? await given : given;
    for (const [i, answer] of answers.entries()) {
      const stimulus = wanted[i];
      if (stimulus === undefined) break;
      stimuli++;
      if ('unsupported' in answer) {
        lines.push({ event: stimulus });
        judge?.pass();
      } else see(stimulus);
      for (const seen of observations(answer)) see(seen);
      if ('broke' in answer) return { findings, lines, stimuli, broke: answer.broke };
    }
    if (stimuli > stimuliLimit) throw new Error(`a ${suite.id} program went past ${stimuliLimit} stimuli`);
    step = player.next(answers);
  }
  return { findings, lines, stimuli };
};

/** What an oblivious player would do whatever came back. */
const lowered = (suite: Suite, program: Program, granted: Granted): readonly Step[] => {
  const steps: Step[] = [];
  const player = suite.play(program.choices, granted, program.machine);
  for (let step = player.next(); !step.done; step = player.next([])) steps.push(step.value);
  return steps;
};
/** Judges what was answered to stimuli that were all given at once. The player is not asked again: it never looks at an answer. */
export const judged = (
  machine: MachineConfig,
  granted: Granted,
  steps: readonly Step[],
  answers: readonly Answer[],
  judge: Judge | undefined,
): Played => {
  const lines: Line[] = [{ reset: machine }, { granted }];
  const findings: Finding[] = [];
  let stimuli = 0;
  judge?.reset(granted, machine.image);
  const see = (event: Event): void => {
    lines.push({ event: event as Stimulus | Observation });
    if (judge !== undefined) for (const finding of judge.see(event)) findings.push(finding);
  };
  for (const { plan, do: wanted } of steps) {
    if (plan !== undefined) lines.push({ plan });
    for (const stimulus of wanted) {
      const answer = answers[stimuli++] ?? { broke: 'the target stopped answering in this program' };
      if ('unsupported' in answer) {
        lines.push({ event: stimulus });
        judge?.pass();
      } else see(stimulus);
      for (const seen of observations(answer)) see(seen);
      if ('broke' in answer) return { findings, lines, stimuli, broke: answer.broke };
    }
  }
  return { findings, lines, stimuli };
};
interface InBlock {
  readonly program: Program;
  readonly played: Played;
}

/** Plays programs of one machine in order: one by one, or where suite and target allow it all at once. */
export async function* playBlock(
  target: Target,
  suite: Suite,
  programs: readonly Program[],
  judge: Judge | undefined,
): AsyncGenerator<InBlock> {
  const machine = programs[0]?.machine;
  if (suite.oblivious !== true || target.runAll === undefined || machine === undefined) {
    for (const program of programs) yield { program, played: await play(target, suite, program, judge) };
    return;
  }
  const granting = await target.reset(machine);
  const refused = (why: Pick<Played, 'refused' | 'broke'>): Played => ({ findings: [], lines: [{ reset: machine }], stimuli: 0, ...why });
  const [first] = programs as [Program, ...Program[]];
  if ('unsupported' in granting) return yield { program: first, played: refused({ refused: granting.unsupported }) };
  if ('broke' in granting) return yield { program: first, played: refused({ broke: granting.broke }) };
  const lowerings = programs.map((p) => lowered(suite, p, granting.granted));
  const whole: WholeRun = await target.runAll(
    machine,
    lowerings.map((steps) => (steps.length === 1 ? (steps[0] as Step).do : steps.flatMap((s) => s.do))),
  );
  if ('unsupported' in whole) return yield { program: first, played: refused({ refused: whole.unsupported }) };
  if ('broke' in whole) return yield { program: first, played: refused({ broke: whole.broke }) };
  for (const [i, program] of programs.entries())
    yield { program, played: judged(machine, whole.granted, lowerings[i] as readonly Step[], whole.answers[i] ?? [], judge) };
}
