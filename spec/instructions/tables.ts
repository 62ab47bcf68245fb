// Where the paging structures of a state stand.
// Intel SDM volume 3, Paging: Hierarchical Paging Structures.

import type { Memory } from '../clause.ts';
import { bigOf, low } from './bits.ts';
import type { CpuState } from './vocabulary.ts';

/** Pages with paging-structure entries: that of CR3, and those that present entries above the last level lead to. */
export const tablesOf = (before: CpuState, memory: Memory): ReadonlySet<number> => {
  const wide = (low(before.cr4) & 0x20) !== 0;
  const levels = !wide ? 2 : (before.efer & 0x400n) === 0n ? 3 : (low(before.cr4) & 0x1000) === 0 ? 4 : 5;
  // Bit 7 of a PDE of 32-bit paging is ignored where CR4.PSE is 0.
  const large = wide || (low(before.cr4) & 0x10) !== 0 ? 0x80 : 0;
  const found = new Set<number>();
  let pages = [Number((before.cr3 >> 12n) & 0xfffffn)];
  for (let level = levels; level > 0; level--) {
    const next: number[] = [];
    for (const page of pages) {
      found.add(page);
      if (level === 1) continue;
      // A page at a time: asking for each entry takes longer than the rest.
      const bytes = memory.read(bigOf(page * 4096), 4096);
      if (bytes === undefined) continue;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      for (let at = 0; at < 4096; at += wide ? 8 : 4) {
        // Guest memory ends below 4 GBytes: the low half of an entry has all of the address that matters.
        const entry = view.getUint32(at, true);
        if ((entry & (1 | large)) === 1) next.push(entry >>> 12);
      }
    }
    pages = next.length === 0 ? next : [...new Set(next)].filter((page) => !found.has(page));
  }
  return found;
};
