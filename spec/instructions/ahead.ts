// What may stand in memory ahead of need: the accessed flag of a paging-structure entry, which a processor may set for a translation that it only tries.
// Intel SDM volume 3, Paging, Accessed and Dirty Flags.

import { cr4, low } from './bits.ts';
import { tablesOf } from './tables.ts';
import type { CpuState } from './vocabulary.ts';
import { cr0Of, ia32e, undecided, type Work } from './work.ts';

const present = 1;
const accessed = 0x20;
/** The tables of the last state that was asked about: a program reads several words, or none. */
let known: CpuState | undefined;
let tables: ReadonlySet<number> = new Set();
const inTables = ({ before, memory }: Work, at: number): boolean => {
  if (before !== known) {
    known = before;
    tables = tablesOf(before, memory);
  }
  return tables.has(at >> 12);
};
/** Undecided where a program reads the accessed flag of an entry that is present and has it clear: it may be set by now. */
export const readsAhead = (w: Work, at: number, size: number): void => {
  if ((cr0Of(w.before) & 0x80000000) === 0) return;
  const wide = (low(w.before.cr4) & cr4.PAE) !== 0 ? 8 : 4;
  // Those of PAE paging that MOV CR3 loads have no such flag (SDM volume 3, table Format of a PAE Page-Directory-Pointer-Table Entry).
  const loaded = wide === 8 && !ia32e(w.before) ? low(w.before.cr3) >>> 12 : -1;
  for (let entry = at & -wide; entry < at + size; entry += wide) {
    if (entry < at || ((w.memory.u8(entry) ?? 0) & (present | accessed)) !== present) continue;
    if (entry >>> 12 !== loaded && inTables(w, entry)) undecided('an accessed flag that may have been set ahead of need');
  }
};
