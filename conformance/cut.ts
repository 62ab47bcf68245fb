// A counterexample ends where its finding stands, with what was answered in the same breath: what came after shows nothing of it.

import type { Counterexample } from './report/result.ts';

/** How many stimuli a reader is shown of it. */
export const shownStimuli = (c: Pick<Counterexample, 'finding' | 'lines' | 'stimuli'>): number => cut(c).stimuli;

export const cut = <C extends Pick<Counterexample, 'finding' | 'lines' | 'stimuli'>>(c: C): C => {
  let events = 0;
  let stimuli = 0;
  for (const [i, line] of c.lines.entries()) {
    if (!('event' in line)) continue;
    if ('do' in line.event) {
      // The next stimulus after the event of the finding.
      if (events > c.finding.at) return { ...c, lines: c.lines.slice(0, ends(c.lines, i)), stimuli };
      stimuli++;
    }
    events++;
  }
  return c;
};
/** A plan of what comes after stands before its first stimulus. */
const ends = (lines: Counterexample['lines'], next: number): number => {
  let end = next;
  for (let last = lines[end - 1]; last !== undefined && 'plan' in last; last = lines[end - 1]) end--;
  return end;
};
