// The shortest program that still shows a finding: ddmin over records (Zeller and Hildebrandt 2002), then each record made simpler.
// Tries and the work in them are bounded by counts, never by time, so that the same seed gives the same program.

import type { Target } from '../spec/units.ts';
import type { Area } from '../spec/clause.ts';
import { shownStimuli } from './cut.ts';
import { createJudge, type Finding } from './judge.ts';
import type { Choice, Program, Suite } from './program.ts';
import { type Line, type Played, play } from './run.ts';
import { playBlock } from './run-block.ts';

export interface Minimal {
  readonly program: Program;
  readonly finding: Finding;
  readonly lines: readonly Line[];
  readonly stimuli: number;
  readonly shrinks: number;
  /** The bound on work came first: a shorter program may show it too. */
  readonly partly: boolean;
  /** False: the program did not show the finding a second time, and is as long as it was. */
  readonly repeated: boolean;
}
interface Shown {
  readonly finding: Finding;
  readonly lines: readonly Line[];
  readonly stimuli: number;
}
/** Tries per finding. */
const triesLimit = 400;
/** The same for a hang, of which each try takes a whole deadline. */
const hangTries = 8;
/** Runs of the whole program in which the finding must come again. */
const repeats = 3;
/** A try's work is its stimuli and this much for the start: a machine's reset takes as long as some forty of QEMU's stimuli. */
const startWork = 40;

/** What a whole run may spend on minimizing. A finding gets a quarter of what is left, so that the first ones leave some for those that come late;
 *  when nothing is left, programs are only repeated. */
export interface Allowance {
  left: number;
}
export const initialAllowance = 48_000;
/** Earned by each stimulus of the run itself: a long run may minimize longer. */
export const allowancePerStimulus = 2;
const quarter = (allowance: Allowance): number => Math.max(0, allowance.left) / 4;

/** What was done up to the objection, without the choices that came to nothing: nearly always enough, and one try. */
const upTo = (choices: readonly Choice[], lines: readonly Line[], at: number): readonly Choice[] => {
  const did: Choice[] = [];
  let events = 0;
  for (const line of lines) {
    if ('plan' in line) did.push(line.plan);
    else if ('event' in line && events++ === at) break;
  }
  const wanted = new Set(did);
  return choices.filter((c) => wanted.has(c));
};

/** Same clause and same kind of objection: the finding still stands. */
const same = (a: Finding, b: Finding): boolean => a.clause === b.clause && a.kind === b.kind;

export const minimize = async (
  target: Target,
  areas: readonly Area<never>[],
  suite: Suite,
  program: Program,
  finding: Finding,
  first: Shown,
  allowance: Allowance = { left: Number.POSITIVE_INFINITY },
): Promise<Minimal> => {
  const judge = createJudge(areas);
  const workLimit = quarter(allowance);
  let tries = 0;
  let work = 0;
  const spend = (stimuli: number): void => {
    tries++;
    work += stimuli + startWork;
    allowance.left -= stimuli + startWork;
  };
  const triesMost = finding.kind === 'hung' ? hangTries : triesLimit;
  const spent = (): boolean => tries >= triesMost || work >= workLimit;
  /** Programs that did not show it: the same ones come up again after each simplification. */
  const failed = new Set<string>();
  /** No longer program is simpler, whatever its records say: a full batch of a larger queue is more to read. */
  let most = Number.POSITIVE_INFINITY;
  const shownBy = ({ findings, lines, stimuli }: Played): Shown | undefined => {
    spend(stimuli);
    const again = findings.find((f) => same(f, finding));
    const shown = again === undefined ? undefined : { finding: again, lines, stimuli };
    return shown === undefined || shownStimuli(shown) > most ? undefined : shown;
  };
  /** What other programs left behind must not be what kills: after a death the process is new, and there the program must be deadly too. */
  const fatal = finding.clause === 'machine.alive';
  const shows = async (choices: readonly Choice[]): Promise<Shown | undefined> => {
    const key = JSON.stringify(choices);
    if (failed.has(key)) return undefined;
    let shown = shownBy(await play(target, suite, { ...program, choices }, judge));
    if (shown !== undefined && fatal) shown = shownBy(await play(target, suite, { ...program, choices }, judge));
    if (shown === undefined) failed.add(key);
    return shown;
  };
  let repeated = await shows(program.choices);
  // An interrupt that came late or a race is no reason to give up at once.
  for (let more = 1; repeated === undefined && more < repeats; more++) {
    failed.clear();
    repeated = await shows(program.choices);
  }
  if (repeated === undefined) return { program, ...first, shrinks: 0, partly: false, repeated: false };
  // A target that answers otherwise each time may show it later the second time.
  let best = !fatal && shownStimuli(first) < shownStimuli(repeated) ? first : repeated;
  most = shownStimuli(best);
  let choices = program.choices;
  let shrinks = 0;
  const take = (shown: Shown, by: readonly Choice[]): void => {
    best = shown;
    most = shownStimuli(shown);
    choices = by;
    shrinks++;
  };
  const attempt = async (fewer: readonly Choice[]): Promise<boolean> => {
    const shown = spent() ? undefined : await shows(fewer);
    if (shown !== undefined) take(shown, fewer);
    return shown !== undefined;
  };
  /** The first of them that still shows the finding. Asked all at once where the target has that: a start costs more than a program. */
  const attemptFirst = async (list: readonly (readonly Choice[])[]): Promise<boolean> => {
    if (suite.oblivious !== true || target.runAll === undefined) {
      for (const fewer of list) if (await attempt(fewer)) return true;
      return false;
    }
    if (spent()) return false;
    const programs = list.slice(0, triesMost - tries).map((fewer) => ({ ...program, choices: fewer }));
    for await (const { program: tried, played } of playBlock(target, suite, programs, judge)) {
      const shown = shownBy(played);
      if (shown === undefined || (fatal && (await shows(tried.choices)) === undefined)) continue;
      take(shown, tried.choices);
      return true;
    }
    return false;
  };
  const remove = async (): Promise<void> => {
    for (let size = Math.ceil(choices.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
      for (let start = choices.length - size; start >= -size + 1 && !spent(); start -= size) {
        const from = Math.max(start, 0);
        const fewer = [...choices.slice(0, from), ...choices.slice(start + size)];
        if (fewer.length < choices.length) await attempt(fewer);
      }
  };
  const simplify = async (): Promise<boolean> => {
    let any = false;
    for (let i = 0; i < choices.length; i++) {
      for (let again = true; again && !spent(); ) {
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
  const needed = upTo(choices, repeated.lines, repeated.finding.at);
  if (needed.length < choices.length) await attempt(needed);
  await remove();
  while (!spent() && (await simplify())) await remove();
  return { program: { ...program, choices }, ...best, shrinks, partly: spent(), repeated: true };
};
