// Whether a program at CPL 3 changed memory that its page tables do not let it write. Asked of whole runs, whatever they did in between.
// Intel SDM volume 3, Paging: Access Rights.

import type { Memory } from '../clause.ts';
import type { Granted } from '../units.ts';
import type { InstructionsGhost } from './ghost.ts';
import { translate } from './paging.ts';
import type { CpuState } from './vocabulary.ts';
import { begin, isRaised, type Work } from './work.ts';

/** Physical page that a user write to a linear page reaches, or why none. */
const reach = (w: Work, page: number): number | string => {
  try {
    return translate(w, BigInt(page) << 12n, { write: true }) >> 12;
  } catch (thrown) {
    if (isRaised(thrown)) return thrown.faults[0]?.rule ?? 'fault';
    if (typeof thrown === 'object' && thrown !== null && 'undecided' in thrown) return 'undecided';
    throw thrown;
  }
};
/** The first changed page that only reading permits, or that is not mapped; undefined where there is none. */
export const strays = (g: InstructionsGhost, memory: Memory, granted: Granted): string | undefined => {
  const state = g.state as CpuState;
  const pages = new Set<number>();
  for (const { at, bytes } of g.written) for (let page = at >> 12; page <= (at + bytes.length - 1) >> 12; page++) pages.add(page);
  const w = begin(state, memory, granted, g.cpu);
  for (const page of pages) {
    const reached = reach(w, page);
    // Supervisor pages change by delivery and by the processor's own bookkeeping.
    if (reached === page || reached === 'page.rights' || reached === 'undecided') continue;
    let alias = false;
    for (let other = 0; other < memory.size >> 12 && !alias; other++) alias = reach(w, other) === page;
    if (!alias) return reached === 'page.write' ? 'a read-only page was written' : 'a page that is not mapped was written';
  }
  return undefined;
};
