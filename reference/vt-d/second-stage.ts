// Decides what the second-stage tables make of an input address: levels, permissions, reserved bits, large pages, accessed and dirty flags.
// VT-d 4.1, Second-Stage Translation; Second-Stage Paging Entries; reserved bits also in QEMU vtd_spte_rsvd.

import { inside, load32, store32 } from '../memory.ts';
import { READ, type Unit, WRITE } from './unit.ts';

/** The reasons of one mode for the same conditions. */
export interface Reasons {
  readonly top: number;
  readonly access: number;
  readonly reserved: number;
  readonly beyond: number;
  readonly write: number;
  readonly read: number;
  readonly execute: number;
}
/** Legacy mode: LCT.4, LSL.1, LSL.2, LGN.1, LGN.2, LGN.3. */
export const legacyReasons: Reasons = { top: 0x03, access: 0x07, reserved: 0x0c, beyond: 0x04, write: 0x05, read: 0x06, execute: 0x06 };
/** Scalable mode: SSL.4, SSL.1, SSL.3, SGN.5, SSL.2, SGN.3. */
export const scalableReasons: Reasons = { top: 0x7b, access: 0x78, reserved: 0x7a, beyond: 0x84, write: 0x79, read: 0x79, execute: 0x82 };

const PAGE_SIZE = 1 << 7;
const ACCESSED = 1 << 8;
const DIRTY_FLAG = 1 << 9;
const SNOOP = 1 << 11;
/** Bit 62, in the upper word. */
const TRANSIENT = 1 << 30;

/** Result of the last walk. */
export interface SecondStage {
  page: number;
  order: number;
  permissions: number;
  dirty: boolean;
}
export const second: SecondStage = { page: 0, order: 0, permissions: 0, dirty: false };
const entries = new Float64Array(5);

/** Accessed and dirty flags: the tables have none; they are updated; they would have to be, but cannot. */
export const NO_FLAGS = 0;
export const FLAGS = 1;
export const FLAGS_FIXED = 2;

/** Input addresses of a table of so many levels end here. */
export const widthOf = (unit: Unit, levels: number): number => Math.min(unit.profile.guestPages, REACH[levels] ?? 0);
/** Pages that a table of so many levels translates. Powers are slow enough to be half of a walk. */
const REACH: readonly number[] = [0, 1, 2, 3, 4, 5].map((levels) => 2 ** (9 * levels));

/** Index into the table of a level, 1 the last. */
export const indexAt = (low: number, high: number, level: number): number => {
  switch (level) {
    case 1:
      return low & 0x1ff;
    case 2:
      return (low >>> 9) & 0x1ff;
    case 3:
      return (low >>> 18) & 0x1ff;
    case 4:
      return ((low >>> 27) | (high << 5)) & 0x1ff;
    default:
      return (high >>> 4) & 0x1ff;
  }
};

/** Translates an input page. 0, or the fault; `need` as in the request; `mask` the permission bits that entries have. */
export const walkSecondStage = (
  unit: Unit,
  page: number,
  tablePage: number,
  levels: number,
  need: number,
  mask: number,
  flags: number,
  setDirty: boolean,
  reasons: Reasons,
): number => {
  const { memory, profile } = unit;
  if (page >= widthOf(unit, levels)) return reasons.beyond;
  const high = Math.floor(page / 2 ** 32);
  const low = page >>> 0;
  let permissions = mask;
  let table = tablePage;
  for (let level = levels; ; level -= 1) {
    const at = table * 4096 + indexAt(low, high, level) * 8;
    if (!inside(memory, at, 8)) return level === levels ? reasons.top : reasons.access;
    const lower = load32(memory, at);
    const upper = load32(memory, at + 4);
    entries[level - 1] = at;

    // Permissions come first: reserved bits count only in entries that allow something.
    permissions &= lower;
    if ((permissions & need) !== need || (permissions & (READ | WRITE)) === 0) {
      second.permissions = permissions;
      if ((need & WRITE) !== 0 && (permissions & WRITE) === 0) return reasons.write;
      if ((need & READ) !== 0 && (permissions & READ) !== 0) return reasons.execute;
      return reasons.read;
    }

    const last = level === 1;
    const large = !last && (lower & PAGE_SIZE) !== 0;
    const leaf = last || large;
    const next = (upper & 0xf_ffff) * 2 ** 20 + (lower >>> 12);
    if (next >= profile.hostPages) return reasons.reserved;
    if ((lower & SNOOP) !== 0 && !(leaf && profile.snoopControl)) return reasons.reserved;
    if ((upper & TRANSIENT) !== 0 && !(leaf && profile.deviceTlb)) return reasons.reserved;
    if (large) {
      if (level > 3 || (profile.largePages & (level === 2 ? 1 : 2)) === 0) return reasons.reserved;
      const inner = level === 2 ? 0x1ff : 0x3_ffff;
      if ((next & inner) !== 0) return reasons.reserved;
    }
    if (!leaf) {
      table = next;
      continue;
    }

    if (flags !== NO_FLAGS) {
      const reason = setAccessed(unit, levels, level, setDirty, flags);
      if (reason !== 0) return reason;
    }
    second.dirty = flags === NO_FLAGS || (load32(memory, at) & DIRTY_FLAG) !== 0;
    second.order = 9 * (level - 1);
    second.page = large ? next + (low & (level === 2 ? 0x1ff : 0x3_ffff)) : next;
    second.permissions = permissions;
    return 0;
  }
};

/** SSL.5: the flags cannot be updated by walks that are not snooped. */
const UNSNOOPED = 0x7c;

/** Accessed in each entry used, dirty in the leaf. */
const setAccessed = (unit: Unit, levels: number, leaf: number, dirty: boolean, how: number): number => {
  for (let level = levels; level >= leaf; level -= 1) {
    const at = entries[level - 1] ?? 0;
    const flags = level === leaf && dirty ? ACCESSED | DIRTY_FLAG : ACCESSED;
    const before = load32(unit.memory, at);
    if ((before & flags) === flags) continue;
    if (how === FLAGS_FIXED) return UNSNOOPED;
    store32(unit.memory, at, before | flags);
  }
  return 0;
};
