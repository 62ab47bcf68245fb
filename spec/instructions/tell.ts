// What a run was and how it ended, in one line: for who reads a trace.
// It tells of verdicts that others have come to, and decides none.

import type { Moment } from '../clause.ts';
import { described, seen } from './clauses/clause.ts';
import type { InstructionsGhost } from './ghost.ts';

/** Undefined for events that end no run. */
export const tell = (m: Moment<InstructionsGhost>): string | undefined => {
  const { event } = m;
  if (!('saw' in event) || event.saw !== 'cpu.outcome') return undefined;
  const { instruction, endings, unknown, course } = m.before.expected;
  if (course !== undefined) {
    const names = course.instructions.map((i) => i.form.mnemonic).join(' ');
    return `${course.instructions.length} instructions: ${names}; permitted: ${[...new Set(course.endings.map(described))].join(' or ')}; was: ${seen(event)}`;
  }
  const what = instruction === undefined ? 'no instruction that is known' : `${instruction.form.mnemonic}, ${instruction.length} bytes`;
  const permitted = unknown ?? [...new Set(endings.map(described))].join(' or ');
  return `${what}; ${unknown === undefined ? 'permitted' : 'not judged'}: ${permitted}; was: ${seen(event)}`;
};
