// When two findings are one: same clause, same kind of objection, same shape of the shortest program.
// Shapes are coarse on purpose: the kinds of step in the program, not their number, order or values.

import type { Finding } from './judge.ts';
import type { Program, Suite } from './program.ts';

/** Steps that nearly every program has and that say nothing about what is wrong. */
const common: ReadonlySet<string> = new Set(['init', 'settle', 'kick', 'look', 'config']);

/** The first word of each choice's shape, a violation with its duty, and what the suite tells of the whole; sorted, each once. */
export const shapeOf = (suite: Suite, { choices, machine }: Pick<Program, 'choices' | 'machine'>): string => {
  const words = choices.map((c) => {
    const [word = '', duty = ''] = suite.shape(c, machine).split(' ');
    return word === 'violate' ? `violate ${duty}` : word;
  });
  const telling = [...new Set([...words.filter((w) => !common.has(w)), ...(suite.words?.(choices, machine) ?? [])])].sort();
  return telling.length === 0 ? 'set-up' : telling.join('+');
};

/** clause | kind | shape. A program that did not show the finding twice has no shape that could be relied on. */
export const signatureOf = (finding: Finding, suite: Suite, program: Pick<Program, 'choices' | 'machine'>, repeated: boolean): string =>
  `${finding.clause} | ${finding.kind} | ${repeated ? shapeOf(suite, program) : 'once'}`;
