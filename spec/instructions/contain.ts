// Whether a program at CPL 3 changed memory that its page tables do not let it write. Asked of whole runs, whatever they did in between.
// Intel SDM volume 3, Paging: Access Rights.

import { cr4, low, numberOf } from './bits.ts';
import type { Memory } from '../clause.ts';
import type { Granted } from '../units.ts';
import type { InstructionsGhost } from './ghost.ts';
import { type Access, lookUp } from './paging.ts';
import { tablesOf } from './tables.ts';
import type { CpuState } from './vocabulary.ts';
import { begin, ia32e, type Work } from './work.ts';

const writing: Access = { write: true };
/** Physical page that a user write to a linear page reaches, or why none. */
const reach = (w: Work, linear: bigint): number | string => {
  try {
    const found = lookUp(w, linear, writing);
    return typeof found === 'number' ? found >> 12 : found.rule;
  } catch (thrown) {
    if (typeof thrown === 'object' && thrown !== null && 'undecided' in thrown) return 'undecided';
    throw thrown;
  }
};
/** Linear addresses from which present entries lead to a physical page. `place`: number of the table among those of its level. */
function* leading(w: Work, page: number, table: number, level: number, width: 4 | 8, place = 0): Generator<bigint> {
  const count = 4096 / width;
  const span = count ** (level - 1);
  for (let i = 0; i < count; i++) {
    const at = table + width * i;
    const entry = width === 8 ? w.memory.u64(at) : w.memory.u32(at);
    if (entry === undefined || (BigInt(entry) & 1n) === 0n) continue;
    const frame = Number((BigInt(entry) & 0xf_ffff_ffff_f000n) >> 12n);
    const large = level > 1 && (BigInt(entry) & 0x80n) !== 0n;
    const here = place * count + i;
    if (level === 1 || large) {
      const base = frame - (frame % span);
      if (page >= base && page < base + span) yield (BigInt(here) * BigInt(span) + BigInt(page - base)) << 12n;
    } else if (frame < w.memory.size >> 12) yield* leading(w, page, frame * 4096, level - 1, width, here);
  }
}
/** Whether the user may write the page by some linear address. */
const aliased = (w: Work, page: number): boolean => {
  const { s } = w;
  const root = Number(s.cr3 & 0xf_ffff_f000n);
  const wide = (low(s.cr4) & cr4.PAE) !== 0;
  const five = (low(s.cr4) & cr4.LA57) !== 0;
  const found = (linears: Iterable<bigint>): boolean => {
    for (const linear of linears) if (reach(w, linear) === page) return true;
    return false;
  };
  if (ia32e(s)) {
    const bits = five ? 57 : 48;
    for (const linear of leading(w, page, root, five ? 5 : 4, 8))
      if (reach(w, BigInt.asUintN(64, BigInt.asIntN(bits, linear))) === page) return true;
    return false;
  }
  if (!wide) return found(leading(w, page, root, 2, 4));
  // Of the four page-directory-pointer registers memory may hold others by now: what they hold is taken from it.
  return [0, 1, 2, 3].some((n) => {
    const entry = w.memory.u64(Number(s.cr3 & 0xffff_ffe0n) + 8 * n);
    return entry !== undefined && (entry & 1n) !== 0n && found(leading(w, page, Number(entry & 0xf_ffff_f000n), 2, 8, n));
  });
};
/** The first changed page that only reading permits, or that is not mapped; undefined where there is none. */
export const strays = (g: InstructionsGhost, memory: Memory, granted: Granted): string | undefined => {
  const state = g.state as CpuState;
  const pages = new Set<number>();
  for (const { at, bytes } of g.written) {
    const start = numberOf(at);
    for (let page = start >> 12; page <= (start + bytes.length - 1) >> 12; page++) pages.add(page);
  }
  const w = begin(state, memory, granted, g.cpu);
  for (const page of pages) {
    const reached = reach(w, BigInt(page) << 12n);
    // Supervisor pages change by delivery and by the processor's own bookkeeping.
    if (reached === page || reached === 'page.rights' || reached === 'undecided') continue;
    if (!aliased(w, page)) return reached === 'page.write' ? 'a read-only page was written' : 'a page that is not mapped was written';
  }
  return undefined;
};
/** Whether more of the paging structures was changed than accessed and dirty flags: what a page permits is then not known. A handler that an edited gate
 *  leads to, at CPL 0, may push over them. */
export const remapped = (g: InstructionsGhost, memory: Memory): boolean => {
  const state = g.state as CpuState;
  const pages = tablesOf(state, memory);
  const width = (low(state.cr4) & cr4.PAE) !== 0 ? 8 : 4;
  return g.written.some(({ at, bytes }) => {
    const start = numberOf(at);
    if (!pages.has(start >> 12) && !pages.has((start + bytes.length - 1) >> 12)) return false;
    const flags = start % width === 0 && (bytes.length === 1 || bytes.length === width);
    return !flags || ((bytes[0] ?? 0) & 0x21) !== 0x21;
  });
};
