// What must be looked at after a case: the pages whose dirty flags are set tell all only while every walk ends in the machine's one page table.
// SDM volume 3, Paging: entries of 4-level, PAE and 32-bit paging; bit 0 present, bit 7 page size, address from bit 12.

import type { MachineConfig } from '../../spec/units.ts';
import { entryWidth } from './image.ts';
import type { Patch } from './loan.ts';
import { compared, everywhere, pageTable, ramSize, wholeTables } from './map.ts';

/** The machines' paging structures, a page each; one leads to the next. */
const tables = 0x6000;
const pageSize = 0x80n;
const addressBits = 0x000f_ffff_ffff_f000n;

const overlaps = (p: Patch, from: number, to: number): boolean => p.at < to && p.at + p.bytes.length > from;
const entryAt = (view: DataView, at: number, width: number): bigint =>
  width === 4 ? BigInt(view.getUint32(at, true)) : view.getBigUint64(at, true);
/** Whether an entry above the page table leads nowhere or to the next table, as all others do. Its accessed flag is then looked at. */
const leadsDown = (entry: bigint, at: number): boolean =>
  (entry & 1n) === 0n || (entry & (addressBits | pageSize)) === BigInt((at & ~0xfff) + 0x1000);
/** The page of those compared that an entry of the page table maps in place of its own, or undefined: it is then written without its own dirty flag. */
const otherPage = (entry: bigint, at: number, width: number): bigint | undefined => {
  const page = (entry & addressBits) >> 12n;
  return (entry & 1n) === 0n || page === BigInt((at - pageTable) / width) || page >= BigInt(compared >> 12) ? undefined : page;
};
/** Whether an edited entry maps, or takes for a table, what lies past the machine's memory: there the agent keeps its copies of that memory. */
export const leadsPast = (machine: MachineConfig, view: DataView, patches: readonly Patch[]): boolean => {
  const width = entryWidth(machine) ?? 8;
  for (const p of patches) {
    if (!overlaps(p, tables, pageTable + 0x1000)) continue;
    for (let at = Math.max(p.at, tables) & -width; at < Math.min(p.at + p.bytes.length, pageTable + 0x1000); at += width) {
      const entry = entryAt(view, at, width);
      const address = entry & addressBits;
      if ((entry & 1n) !== 0n && address >= BigInt(machine.memory) && address < BigInt(ramSize)) return true;
    }
  }
  return false;
};
/** How memory is looked at after a case with these patches, which stand in the memory of `view`: its flags, and pages that are looked at beside those whose dirty
 *  flags are set. */
export const lookOf = (
  machine: MachineConfig,
  view: DataView,
  patches: readonly Patch[],
): { readonly flags: number; readonly also: bigint } => {
  const width = entryWidth(machine) ?? 8;
  let flags = 0;
  let also = 0n;
  for (const p of patches) {
    if (!overlaps(p, tables, pageTable + 0x1000)) continue;
    for (let at = Math.max(p.at, tables) & -width; at < Math.min(p.at + p.bytes.length, pageTable + 0x1000); at += width) {
      const entry = entryAt(view, at, width);
      if (at < pageTable) {
        if (!leadsDown(entry, at)) return { flags: everywhere, also: 0n };
        flags = wholeTables;
      } else {
        const other = otherPage(entry, at, width);
        if (other !== undefined) also |= 1n << other;
      }
    }
  }
  return { flags, also };
};
