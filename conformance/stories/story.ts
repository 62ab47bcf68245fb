// What a story is, and how it is told: a short program with one idea, played on the reference or one of its seeded faults.
// The trace is the same bytes each time; `npm run stories` writes all, and a test plays them again.

import type { MachineConfig, Target } from '../../spec/units.ts';
import { areas, suites } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Choice } from '../program.ts';
import { play } from '../run.ts';
import { headLine, lineText } from '../trace/write.ts';

export interface Story<C extends Choice = Choice> {
  /** Path of the trace below traces/, without ending: area folder and idea. */
  readonly name: string;
  /** The idea, in a reader's words. */
  readonly says: string;
  /** Clauses it shows kept; or, on a fault, broken. */
  readonly about: readonly string[];
  /** `ref` or `fault:ID`. */
  readonly target: string;
  readonly suite: string;
  readonly machine: MachineConfig;
  readonly choices: readonly C[];
}

/** The trace's text. Throws where the story does not show what it is about. */
export const told = async (story: Story, target: Target): Promise<string> => {
  const suite = suites.find((s) => s.id === story.suite);
  if (suite === undefined) throw new Error(`${story.name}: there is no suite ${story.suite}`);
  const judge = createJudge(areas);
  const { name, machine, choices } = story;
  const played = await play(target, suite, { suite: suite.id, machine, choices }, judge);
  if (played.refused !== undefined) throw new Error(`${name}: ${story.target} refuses its machine: ${played.refused}`);
  const verdicts: Record<string, string> = {};
  for (const f of played.findings) verdicts[f.clause] ??= `broken@${f.at}`;
  for (const clause of story.about) {
    const broken = clause in verdicts;
    if (broken === (story.target === 'ref')) throw new Error(`${name}: ${story.target} ${broken ? 'breaks' : 'does not break'} ${clause}`);
    if (broken) continue;
    if ((judge.tallies.get(clause)?.kept ?? 0) === 0) throw new Error(`${name}: ${clause} does not apply`);
    verdicts[clause] = 'kept';
  }
  const head = headLine({ about: story.about, story: story.says, target: { ...target.hello, name: story.target } });
  const lines = [head, ...played.lines.map(lineText)];
  return `${[...lines, JSON.stringify({ end: lines.length, verdicts })].join('\n')}\n`;
};
