// Commands: GCMD_REG and what GSTS_REG shows of it, and the register-based invalidations.
// VT-d 4.1, Global Command Register; Global Status Register; Context Command Register; IOTLB Invalidate Register.

import type { Memory } from '../clause.ts';
import type { Event } from '../vocabulary.ts';
import type { Invalidation } from './caches.ts';
import { pointerSet } from './caches.ts';
import { indexReset } from './faults.ts';
import type { Pointer, VtdGhost } from './ghost.ts';
import { CFIS, IRES, IRTPS, QIES, RTPS, TES, status, stored64 } from './ghost.ts';
import { CCMD, IRTA, RTADDR, bit, field, mask } from './layout.ts';
import { unfold } from './owed.ts';
import { complete, derivedOf, enable } from './queue.ts';
import { flushed } from './tables.ts';
import type { VtdCheck } from './vocabulary.ts';

const EAFLS = 28;
const SFL = 29;
const WBFS = 27;
/** Bits that say what shall hold, against bits that ask for something once. */
export const persistent: number = ((1 << TES) | (1 << EAFLS) | (1 << QIES) | (1 << IRES) | (1 << CFIS)) >>> 0;
export const once: number = ((1 << RTPS) | (1 << SFL) | (1 << WBFS) | (1 << IRTPS)) >>> 0;

/** Bits of GCMD_REG that this unit has. */
export const offered = (g: VtdGhost): number => {
  const { a } = g;
  let bits = ((1 << TES) | (1 << RTPS)) >>> 0;
  if (a.afl) bits |= (1 << SFL) | (1 << EAFLS);
  if (a.rwbf) bits |= 1 << WBFS;
  if (a.qi) bits |= 1 << QIES;
  if (a.ir) bits |= (1 << IRES) | (1 << IRTPS) | (1 << CFIS);
  return bits >>> 0;
};
/** What a write of GCMD_REG asks for: bits that change, and bits asked for once. */
export const requested = (g: VtdGhost, value: number): number => ((((value ^ g.gsts) & persistent) | (value & once)) & offered(g)) >>> 0;
/** A command after which interrupt requests are remapped otherwise. */
export const changesInterrupts = (g: VtdGhost, value: number): boolean =>
  (requested(g, value) & ((1 << IRES) | (1 << IRTPS) | (1 << CFIS))) !== 0;
const single = (bits: number): boolean => bits !== 0 && (bits & (bits - 1)) === 0;

/** Former pointers are kept, the latest first; `lost`: when the last one was replaced that there was no room for. */
const replaced = (
  olds: readonly Pointer[],
  value: bigint,
  time: number,
  any: boolean,
  most: number,
): { readonly kept: Pointer[]; readonly lost: number } => {
  // Before the first pointer there was none. What was read through one that is set again counts as read through it now.
  const former = any ? olds.map((r) => (r.until === Infinity ? { ...r, until: time } : r)).filter((r) => r.value !== value) : [];
  return { kept: [{ value, until: Infinity }, ...former.slice(0, most - 1)], lost: former[most - 1]?.until ?? -1 };
};
export const commandWritten = (g: VtdGhost, memory: Memory, value: number): void => {
  const bits = requested(g, value);
  if (!single(bits)) return;
  const n = 31 - Math.clz32(bits);
  const set = (value & bits) !== 0;
  g.command = { bit: n, set, time: g.time, settled: false };
  if (n === RTPS) {
    const { kept, lost } = replaced(g.roots, stored64(g, RTADDR), g.time, status(g, RTPS), 8);
    g.roots = kept;
    g.tables.cut = Math.max(g.tables.cut, lost);
    if (g.a.esrtps) pointerSet(g.caches, 'root', g.time);
  } else if (n === IRTPS) {
    const { kept, lost } = replaced(g.interruptTables, stored64(g, IRTA), g.time, status(g, IRTPS), 4);
    g.interruptTables = kept;
    g.interruptTablesLost = Math.max(g.interruptTablesLost, lost);
    if (g.a.esirtps) pointerSet(g.caches, 'interrupt', g.time);
  } else if (n === QIES) {
    if (set) enable(g, memory);
    else {
      g.queue.enabled = false;
      g.queue.rested = false;
      g.queue.head = 0;
      g.queue.unknown = undefined;
    }
  }
};
/** The command takes effect. */
const effect = (g: VtdGhost): readonly Event[] => {
  const { command: c } = g;
  if (c === undefined || c.settled) return [];
  if (c.bit === WBFS) {
    flushed(g.tables, c.time);
    return [];
  }
  const bits = (1 << c.bit) >>> 0;
  g.gsts = (c.set ? g.gsts | bits : g.gsts & ~bits) >>> 0;
  if ((c.bit === TES || c.bit === IRES) && !c.set && !status(g, TES)) {
    unfold(g);
    g.faults = indexReset(g.faults, !status(g, IRES));
  }
  const tables: Readonly<Record<number, Extract<Event, { readonly saw: 'vtd.table' }>['what']>> = {
    [TES]: 'translation',
    [RTPS]: 'root',
    [QIES]: 'queue',
    [IRES]: 'interrupt',
    [IRTPS]: 'interrupt',
  };
  const what = tables[c.bit];
  return what === undefined ? [] : [{ saw: 'vtd.table', what }];
};
const names: Readonly<Record<number, string>> = {
  [TES]: 'translation',
  [RTPS]: 'root-pointer',
  [SFL]: 'fault-log',
  [EAFLS]: 'fault-log',
  [WBFS]: 'write-buffer',
  [QIES]: 'queue',
  [IRES]: 'interrupt-remapping',
  [IRTPS]: 'interrupt-pointer',
  [CFIS]: 'compatibility',
};
const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
/** What a read of GSTS_REG must show. */
export const statusChecks = (g: VtdGhost, value: number): readonly VtdCheck[] => {
  const checks: VtdCheck[] = [];
  const { command: c } = g;
  const free = (c === undefined ? 0 : 1 << c.bit) | (1 << WBFS) | (1 << SFL) | (1 << EAFLS);
  const kept = ~free & offered(g);
  checks.push({
    rule: 'vt-d.command.status',
    ok: ((value ^ g.gsts) & kept) === 0,
    expected: `${hex(g.gsts & kept)} of ${hex(kept)}`,
    got: hex(value),
  });
  const none = ~offered(g) >>> 0;
  checks.push({ rule: 'vt-d.command.not-offered', ok: (value & none) === 0, expected: `no bit of ${hex(none)}`, got: hex(value) });
  if (c !== undefined) {
    const shows = ((value >>> c.bit) & 1) === (c.bit === WBFS ? 0 : c.set ? 1 : 0);
    // Before the unit was at rest it may still be at it.
    if (shows || c.settled)
      checks.push({
        rule: `vt-d.command.${names[c.bit]}`,
        ok: shows,
        expected: `bit ${c.bit} ${c.set && c.bit !== WBFS ? 1 : 0}`,
        got: hex(value),
      });
  }
  return checks;
};
export const statusRead = (g: VtdGhost, value: number): readonly Event[] => {
  const { command: c } = g;
  if (c === undefined) return [];
  const now = ((value >>> c.bit) & 1) === 1;
  if (now === (c.bit === WBFS ? false : c.set)) {
    const events = effect(g);
    g.command = undefined;
    return events;
  }
  if (!c.settled) return [];
  // It was refused: told once; from here on it is what the register says.
  const bits = (1 << c.bit) >>> 0;
  g.gsts = (now ? g.gsts | bits : g.gsts & ~bits) >>> 0;
  if (c.bit === QIES) g.queue.unknown = 'a queue that was not switched';
  g.command = undefined;
  return [];
};
/** The unit is at rest: what was asked for has taken effect, unless a read shows otherwise. */
export const commandRested = (g: VtdGhost): readonly Event[] => {
  const events: Event[] = [...effect(g)];
  if (g.command !== undefined) g.command.settled = true;
  for (const [c, what] of [
    [g.contextCommand, g.contextCommand && contextOf(g.contextCommand.value)],
    [g.iotlbCommand, g.iotlbCommand && iotlbOf(g, g.iotlbCommand.value, g.iotlbCommand.iva)],
  ] as const) {
    if (c === undefined || c.settled) continue;
    c.settled = true;
    if (what === undefined || !c.legacy) continue;
    flushed(g.tables, c.time);
    complete(g, what, c.time);
    events.push(derivedOf(what.what, 'register'));
  }
  return events;
};

const ICC = 63;
/** Outside legacy mode registers ask for nothing: actual granularity 0. Units that carry it out all the same are let be, and nothing counts as dropped until they say so. */
const legacyMode = (g: VtdGhost): boolean => field(g.roots[0]?.value ?? 0n, 11, 10) === 0;
export const contextCommandWritten = (g: VtdGhost, value: bigint): void => {
  if (bit(value, ICC)) g.contextCommand = { value, time: g.time, legacy: legacyMode(g), settled: false };
};
export const iotlbCommandWritten = (g: VtdGhost, value: bigint): void => {
  if (bit(value, ICC)) g.iotlbCommand = { value, iva: g.iva, time: g.time, legacy: legacyMode(g), settled: false };
};
/** Asked-for granularity (1 global, 2 domain, 3 device or page), and the one it may be carried out with: as asked or coarser. */
const grains = (asked: number, refused: boolean): readonly number[] => (refused || asked === 0 ? [0] : [1, 2, 3].filter((n) => n <= asked));
const contextOf = (value: bigint): Invalidation | undefined => {
  const domain = field(value, 15, 0);
  switch (field(value, 62, 61)) {
    case 1:
      return { what: 'context', grain: 'global' };
    case 2:
      return { what: 'context', grain: 'domain', domain };
    case 3:
      return { what: 'context', grain: 'device', domain, sourceId: field(value, 31, 16), functionMask: field(value, 33, 32) };
    default:
      return undefined;
  }
};
const iotlbOf = (g: VtdGhost, value: bigint, iva: bigint): Invalidation | undefined => {
  const domain = field(value, 47, 32);
  const am = field(iva, 5, 0);
  switch (field(value, 61, 60)) {
    case 1:
      return { what: 'iotlb', grain: 'global' };
    case 2:
      return { what: 'iotlb', grain: 'domain', domain };
    case 3:
      if (!g.a.psi) return { what: 'iotlb', grain: 'domain', domain };
      return am > g.a.mamv ? undefined : { what: 'iotlb', grain: 'page', domain, at: iva & mask(63, 12), am, leaves: bit(iva, 6) };
    default:
      return undefined;
  }
};
/** A read of CCMD_REG or IOTLB_REG, whole: is the invalidation complete, and at which granularity was it carried out. */
export const invalidationRead = (
  g: VtdGhost,
  at: number,
  value: bigint,
): { readonly checks: readonly VtdCheck[]; readonly events: readonly Event[] } => {
  const context = at === CCMD;
  const c = context ? g.contextCommand : g.iotlbCommand;
  if (c === undefined) return { checks: [], events: [] };
  const name = context ? 'context' : 'iotlb';
  const busy = bit(value, ICC);
  const checks: VtdCheck[] = [];
  const tell = `0x${value.toString(16)}`;
  if (c.settled || !busy) checks.push({ rule: `vt-d.command.${name}-completes`, ok: !busy, expected: 'bit 63 clear', got: tell });
  if (busy) return { checks, events: [] };
  const what = context ? contextOf(c.value) : iotlbOf(g, c.value, g.iotlbCommand?.iva ?? 0n);
  const asked = context ? field(c.value, 62, 61) : field(c.value, 61, 60);
  const actual = context ? field(value, 60, 59) : field(value, 58, 57);
  const grain = grains(!context && asked === 3 && !g.a.psi ? 2 : asked, what === undefined);
  const may = c.legacy || what === undefined ? grain : [0, ...grain];
  checks.push({
    rule: what === undefined ? `vt-d.command.${name}-refused` : `vt-d.command.${name}-granularity`,
    ok: may.includes(actual),
    expected: `actual granularity ${may.join(' or ')}`,
    got: tell,
  });
  if (context) g.contextCommand = undefined;
  else g.iotlbCommand = undefined;
  if (what === undefined || c.settled || actual === 0 || !may.includes(actual)) return { checks, events: [] };
  flushed(g.tables, c.time);
  complete(g, what, c.time);
  return { checks, events: [derivedOf(what.what, 'register')] };
};
