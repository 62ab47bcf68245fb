// Decides which descriptors the real processor finds when the guest loads a selector without a trap: copies of the guest's, rings 0 to 2 made 3.
// SDM volume 3, Segment Descriptors. System descriptors are left out, so that gates, tasks and LDTs trap. Nothing here is hidden from the guest.

import { UNUSABLE } from '../processor/bits.ts';
import type { Cpu } from '../processor/cpu.ts';
import { isFault } from '../processor/fault.ts';
import { READ, SUPERVISOR, translate } from '../processor/paging.ts';
import { CODE } from '../processor/ram.ts';
import { GDT_PAGE, LDT_PAGE, type World } from './world.ts';

const PAGE = 4096;
const ENTRIES = PAGE / 8;
const SYSTEM_S = 0x10;

/** Access rights with DPL 3; what is unusable or a system segment stays. */
export const compressed = (access: number): number => ((access & UNUSABLE) !== 0 || (access & SYSTEM_S) === 0 ? access : access | 0x60);
/** DPL of the guest's descriptor. */
export const guestLevel = (w: World, selector: number): number => w.levels[((selector & 4) !== 0 ? ENTRIES : 0) + (selector >>> 3)] ?? 3;

/** A descriptor for the real tables. At virtual CPL 3 levels are as the guest has them; ones without the accessed flag trap, so that the flag is set
 *  in the guest's own. */
const shown = (w: World, table: number, i: number, lo: number, hi: number): void => {
  const access = hi >>> 8;
  const usable = (access & SYSTEM_S) !== 0 && (access & 1) !== 0;
  const at = w.own + table * PAGE + 8 * i;
  w.levels[(table === LDT_PAGE ? ENTRIES : 0) + i] = (access >>> 5) & 3;
  w.host.view.setInt32(at, usable ? lo : 0, true);
  w.host.view.setInt32(at + 4, usable ? (w.v.cpl === 3 ? hi : hi | (3 << 13)) : 0, true);
};
const copyTable = (w: World, table: number, lo: number, hi: number, limit: number): void => {
  const { v, guest } = w;
  w.host.bytes.fill(0, w.own + table * PAGE, w.own + (table + 1) * PAGE);
  let page = -1;
  for (let i = 0; i < ENTRIES && 8 * i + 7 <= limit; i++) {
    const at = (lo + 8 * i) | 0;
    const physical = translate(v, at, (hi + (at >>> 0 < lo >>> 0 && v.lma ? 1 : 0)) | 0, READ, SUPERVISOR);
    // A table that crosses a page askew is left to traps.
    if (physical + 8 > guest.size || (physical & 4095) > PAGE - 8) return;
    if (physical >>> 12 !== page) {
      page = physical >>> 12;
      guest.flags[page]! |= CODE;
      w.sources.push({ page, version: guest.versions[page]! });
    }
    shown(w, table, i, guest.view.getInt32(physical, true), guest.view.getInt32(physical + 4, true));
  }
};
const tablesOf = (v: Cpu): string =>
  `${v.gdtLo},${v.gdtHi},${v.gdtLimit},${v.ldtr.access},${v.ldtr.lo},${v.ldtr.hi},${v.ldtr.limit},${v.cpl === 3},${v.cr3}`;
/** Whether the guest has stored where its tables are. */
export const stale = (w: World): boolean => w.sources.some((s) => w.guest.versions[s.page] !== s.version);
/** The guest's tables as they are now. */
export const refreshTables = (w: World): void => {
  const { v } = w;
  const key = tablesOf(v);
  if (key === w.tablesKey && !stale(w)) return;
  w.tablesKey = key;
  w.sources.length = 0;
  try {
    copyTable(w, GDT_PAGE, v.gdtLo, v.gdtHi, v.gdtLimit);
    if ((v.ldtr.access & UNUSABLE) === 0) copyTable(w, LDT_PAGE, v.ldtr.lo, v.ldtr.hi, v.ldtr.limit);
    else w.host.bytes.fill(0, w.own + LDT_PAGE * PAGE, w.own + (LDT_PAGE + 1) * PAGE);
  } catch (thrown) {
    if (!isFault(thrown)) throw thrown;
  }
};
