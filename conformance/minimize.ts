// The shortest program that still shows a finding: ddmin over records (Zeller and Hildebrandt 2002), then each record made simpler.
// The number of tries is bounded by a count, never by time, so that the same seed gives the same program.

import type { Target } from '../spec/units.ts';
import type { Area } from '../spec/clause.ts';
import { createJudge, type Finding } from './judge.ts';
import type { Choice, Program, Suite } from './program.ts';
import { type Line, play, playBlock } from './run.ts';

export interface Minimal {
  readonly program: Program;
  readonly finding: Finding;
  readonly lines: readonly Line[];
  readonly stimuli: number;
  readonly shrinks: number;
  /** False: the program did not show the finding a second time, and is as long as it was. */
  readonly repeated: boolean;
}
interface Shown {
  readonly finding: Finding;
  readonly lines: readonly Line[];
  readonly stimuli: number;
}
/** Tries per finding. */
export const triesLimit = 400;

/** Same clause and same kind of objection: the finding still stands. */
const same = (a: Finding, b: Finding): boolean => a.clause === b.clause && a.kind === b.kind;

export const minimize = async (
  target: Target,
  areas: readonly Area<never>[],
  suite: Suite,
  program: Program,
  finding: Finding,
  first: Shown,
): Promise<Minimal> => {
  const judge = createJudge(areas);
  let tries = 0;
  const shows = async (choices: readonly Choice[]): Promise<Shown | undefined> => {
    tries++;
    const played = await play(target, suite, { ...program, choices }, judge);
    const again = played.findings.find((f) => same(f, finding));
    return again === undefined ? undefined : { finding: again, lines: played.lines, stimuli: played.stimuli };
  };
  const repeated = await shows(program.choices);
  if (repeated === undefined) return { program, ...first, shrinks: 0, repeated: false };
  let best = repeated;
  let choices = program.choices;
  let shrinks = 0;
  const attempt = async (fewer: readonly Choice[]): Promise<boolean> => {
    const shown = tries < triesLimit ? await shows(fewer) : undefined;
    if (shown === undefined) return false;
    best = shown;
    choices = fewer;
    shrinks++;
    return true;
  };
  /** The first of them that still shows the finding. Asked all at once where the target has that: a start costs more than a program. */
  const attemptFirst = async (list: readonly (readonly Choice[])[]): Promise<boolean> => {
    if (suite.oblivious !== true || target.runAll === undefined) {
      for (const fewer of list) if (await attempt(fewer)) return true;
      return false;
    }
    const programs = list.slice(0, triesLimit - tries).map((fewer) => ({ ...program, choices: fewer }));
    tries += programs.length;
    for await (const { program: tried, played } of playBlock(target, suite, programs, judge)) {
      const again = played.findings.find((f) => same(f, finding));
      if (again === undefined) continue;
      best = { finding: again, lines: played.lines, stimuli: played.stimuli };
      choices = tried.choices;
      shrinks++;
      return true;
    }
    return false;
  };
  const remove = async (): Promise<void> => {
    for (let size = Math.ceil(choices.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let start = choices.length - size; start >= -size + 1 && tries < triesLimit; start -= size) {
        const from = Math.max(start, 0);
        const fewer = [...choices.slice(0, from), ...choices.slice(start + size)];
        if (fewer.length < choices.length) await attempt(fewer);
      }
  };
  const simplify = async (): Promise<boolean> => {
    let any = false;
    for (let i = 0; i < choices.length; i++) {
      for (let again = true; again && tries < triesLimit; ) {
        again = false;
        const choice = choices[i];
        if (choice === undefined) break;
        const [head, tail] = [choices.slice(0, i), choices.slice(i + 1)];
        again = await attemptFirst(suite.simpler(choice).map((simpler) => [...head, simpler, ...tail]));
        any ||= again;
      }
    }
    return any;
  };
  await remove();
  while (tries < triesLimit && (await simplify())) await remove();
  return { program: { ...program, choices }, ...best, shrinks, repeated: true };
};
