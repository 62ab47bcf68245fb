// Decides what the first-stage tables make of an input address, alone or nested over the second stage: canonical form, presence, reserved bits,
// permissions, accessed and dirty flags. VT-d 4.1, First-Stage Translation; Nested Translation; fault conditions SFL and SGN.

import { inside, load32, store32 } from '../memory.ts';
import type { PasidEntry } from './caches.ts';
import { FLAGS, FLAGS_FIXED, indexAt, NO_FLAGS, scalableReasons, second, walkSecondStage } from './second-stage.ts';
import { DIRTY, EXECUTABLE, EXECUTE, READ, type Request, type Unit, USER, WRITABLE, WRITE } from './unit.ts';

const PRESENT = 1;
const READ_WRITE = 1 << 1;
const USER_SUPERVISOR = 1 << 2;
const ACCESSED = 1 << 5;
const DIRTY_FLAG = 1 << 6;
const PAGE_SIZE = 1 << 7;
const GLOBAL = 1 << 8;
const EXTENDED_ACCESSED = 1 << 10;
/** Bit 63, in the upper word. */
const EXECUTE_DISABLE = 0x8000_0000;

export const NESTED = 3;
/** Host addresses of the entries used, and the pages where a nested walk found them. */
const entries = new Float64Array(5);
const tables = new Float64Array(5);

/** Translates a page of the second stage's input; the reasons of a walk for the first stage's own sake are `denied`'s. */
export const nest = (unit: Unit, entry: PasidEntry, page: number, need: number, denied: number): number => {
  const flags = entry.secondAccessed ? (entry.snooped ? FLAGS : FLAGS_FIXED) : NO_FLAGS;
  const mask = entry.secondExecute ? READ | WRITE | EXECUTE : READ | WRITE;
  const reason = walkSecondStage(unit, page, entry.secondPage, entry.levels, need, mask, flags, (need & WRITE) !== 0, scalableReasons);
  if (reason === scalableReasons.beyond) return 0x74; // SFL.5
  return reason === scalableReasons.read ? denied : reason;
};

/** 0, or the fault; fills the request's result. */
export const walkFirstStage = (unit: Unit, request: Request, entry: PasidEntry): number => {
  const { memory, profile } = unit;
  const nested = entry.type === NESTED;
  const { low, high, page } = request;
  const levels = entry.firstLevels;
  // SGN.1
  const half = levels === 5 ? 2 ** 44 : 2 ** 35;
  if (page >= half && page < 2 ** 52 - half) return 0x80;

  let user = true;
  let writable = true;
  let executable = true;
  let table = entry.firstPage;
  let level = levels;
  let leafPage = 0;
  let leafEntry = 0;
  for (; ; level -= 1) {
    const top = level === levels;
    tables[level - 1] = table;
    let host = table;
    if (nested) {
      const reason = nest(unit, entry, table, READ, top ? 0x75 : 0x76); // SFL.6, SFL.7
      if (reason !== 0) return reason;
      host = second.page;
    }
    const at = host * 4096 + indexAt(low, high, level) * 8;
    if (!inside(memory, at, 8)) return top ? 0x73 : 0x70; // SFL.4, SFL.1
    const lower = load32(memory, at);
    const upper = load32(memory, at + 4);
    entries[level - 1] = at;
    if ((lower & PRESENT) === 0) return 0x71; // SFL.2
    const large = level > 1 && (lower & PAGE_SIZE) !== 0;
    const next = (upper & 0xf_ffff) * 2 ** 20 + (lower >>> 12);
    // SFL.3
    if (!nested && next >= profile.hostPages) return 0x72;
    if (large) {
      if (level > 3 || (level === 3 && !profile.firstStageGiant)) return 0x72;
      // Bit 12 is PAT.
      if ((next & (level === 2 ? 0x1fe : 0x3_fffe)) !== 0) return 0x72;
    }
    user &&= (lower & USER_SUPERVISOR) !== 0;
    writable &&= (lower & READ_WRITE) !== 0;
    executable &&= (upper & EXECUTE_DISABLE) === 0 || !entry.noExecute;
    if (level > 1 && !large) {
      table = next;
      continue;
    }
    leafEntry = lower;
    const inner = level === 1 ? 0 : level === 2 ? 0x1ff : 0x3_ffff;
    leafPage = next - (next & inner) + (low & inner);
    break;
  }
  const permissions = (user ? USER : 0) | (writable ? WRITABLE : 0) | (executable ? EXECUTABLE : 0);
  const denied = firstStageDenies(request, entry, permissions);
  if (denied !== 0) return denied;

  request.order = 9 * (level - 1);
  request.hostPage = leafPage;
  request.global = (leafEntry & GLOBAL) !== 0;
  let outer = READ | WRITE | EXECUTE | DIRTY;
  if (nested) {
    const reason = nest(unit, entry, leafPage, request.need, scalableReasons.read);
    if (reason !== 0) return reason;
    request.hostPage = second.page;
    request.order = Math.min(request.order, second.order);
    outer = second.permissions | (second.dirty ? DIRTY : 0);
  }
  const writes = (request.need & WRITE) !== 0;
  const reason = setFlags(unit, entry, level, writes);
  if (reason !== 0) return reason;
  const dirty = writes || (leafEntry & DIRTY_FLAG) !== 0;
  request.permissions = permissions | (dirty ? outer : outer & ~DIRTY);
  return 0;
};

/** What the first stage's permissions deny: SGN.2, SGN.3, SGN.6; or 0. */
export const firstStageDenies = (request: Request, entry: PasidEntry, permissions: number): number => {
  const { privileged } = request;
  if (!privileged && (permissions & USER) === 0) return 0x81;
  if ((request.need & EXECUTE) !== 0) {
    if ((permissions & EXECUTABLE) === 0) return 0x82;
    if (privileged && entry.smep && (permissions & USER) !== 0) return 0x82;
  }
  if ((request.need & WRITE) !== 0 && (permissions & WRITABLE) === 0 && (!privileged || entry.writeProtect)) return 0x85;
  return 0;
};

/** Accessed in each entry used, dirty in the leaf that is written through. */
const setFlags = (unit: Unit, entry: PasidEntry, leaf: number, writes: boolean): number => {
  for (let level = entry.firstLevels; level >= leaf; level -= 1) {
    const at = entries[level - 1] ?? 0;
    const before = load32(unit.memory, at);
    const accessed = entry.extendedAccessed ? ACCESSED | EXTENDED_ACCESSED : ACCESSED;
    const flags = level === leaf && writes ? accessed | DIRTY_FLAG : accessed;
    if ((before & flags) === flags) continue;
    if (!entry.snooped) return 0x90; // SFL.9
    if (entry.type === NESTED) {
      const reason = nest(unit, entry, tables[level - 1] ?? 0, READ | WRITE, 0x77); // SFL.8
      if (reason !== 0) return reason;
    }
    store32(unit.memory, at, before | flags);
  }
  return 0;
};
