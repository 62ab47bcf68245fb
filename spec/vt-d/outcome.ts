// What a translation may come to, and the small steps all walks share: which version of an entry is alive, and what killed the others.
// One walk yields the permitted outcomes and, each with the rule that excludes it, those that only a stale cache could show.

import type { Memory } from '../clause.ts';
import type { Caches, Kind, Since } from './caches.ts';
import type { Abilities } from './layout.ts';
import { type Tables, type Version, versions } from './tables.ts';

/** One request as the unit sees it, within one page. */
export interface Request {
  readonly sourceId: number;
  readonly at: bigint;
  readonly read: boolean;
  readonly write: boolean;
  /** A read of no bytes. */
  readonly zero: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  readonly pasid: number | undefined;
  readonly kind: 'untranslated' | 'translated' | 'translation' | 'page';
}
export interface Reach {
  readonly kind: 'reach';
  /** Host address of the request's first byte. */
  readonly at: bigint;
  /** Bytes of the page that holds it. */
  readonly size: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly domain: number | undefined;
  /** The rule that excludes this outcome. Absent: it is permitted. */
  readonly killer?: Kind;
}
export interface Block {
  readonly kind: 'block';
  /** Fault reason; `silent`: nothing is reported; `any`: which one is not said. */
  readonly reason: number;
  /** FPD was set where the fault was met. */
  readonly fpd: boolean;
  readonly killer?: Kind;
}
/** Nothing is reported: no memory stands there; abort mode; a protected region; a function that does not exist, or may not master the bus. */
export const silent: number = 0;
export const aborted: number = -2;
export const protectedRegion: number = -3;
export const noFunction: number = -4;
export const noMaster: number = -5;
/** Which reason is reported, and whether, is not said. */
export const any: number = -1;
export const reported = (reason: number): boolean => reason > 0 || reason === any;
export type Outcome = Reach | Block;

/** What is known of the unit when a request comes. */
export interface Unit {
  readonly a: Abilities;
  readonly memory: Memory;
  readonly tables: Tables;
  readonly caches: Caches;
  /** By domain-id: the tables that walks used under it, and when last. */
  readonly domains: Map<number, Map<string, number>>;
  readonly time: number;
  /** Root pointers in use and formerly in use, the present one first. */
  readonly roots: readonly { readonly value: bigint; readonly until: number }[];
}
/** Table entries that were looked at: where accessed and dirty flags may appear. */
export interface Touched {
  readonly at: bigint;
  readonly stage: 1 | 2;
  /** 1 is the last. */
  readonly level: number;
  readonly leaf: boolean;
  /** Some version of it is in use, and not only in a cache that was to forget it. */
  readonly used: boolean;
  /** No version of the entry that may be in use has the accessed flag set; the same for the dirty flag. */
  readonly fresh: boolean;
  readonly clean: boolean;
  /** Flags that use sets; those that use may set beside them; those that a write sets. 0: none. */
  readonly accessed: bigint;
  readonly also: bigint;
  readonly dirty: bigint;
}
export interface Result {
  readonly outcomes: Outcome[];
  readonly touched: Touched[];
  /** Why the set is not known. */
  unknown: string | undefined;
  /** Versions of entries looked at so far. */
  looks: number;
  /** The context or PASID-table entry that the request may meet; `several`: another one beside it. */
  way: readonly bigint[] | undefined;
  several: boolean;
}
export const newResult = (): Result => ({ outcomes: [], touched: [], unknown: undefined, looks: 0, way: undefined, several: false });
/** The request may meet this entry. */
export const meets = (r: Result, words: readonly bigint[]): void => {
  const { way } = r;
  r.way ??= words;
  r.several ||= way !== undefined && (way.length !== words.length || way.some((w, i) => w !== words[i]));
};
export const many = 'which of many former translations is cached';
/** Former entries multiply level by level; a walk that has looked at so many versions of them looks no further. */
const looksMost = 2048;
/** Every version of the entry of `words` words at `at`, the present one first, or none where that is not known; undefined where no memory is. */
export const look = (u: Unit, r: Result, at: bigint, words: number): readonly Version[] | undefined => {
  const list = r.looks >= looksMost ? many : versions(u.tables, u.memory, at, words);
  if (typeof list === 'string') {
    u.tables.cut = u.time;
    r.unknown ??= list;
    return [];
  }
  r.looks += list?.length ?? 1;
  return list;
};

/** Whether what was asked of the one cache came before the other, from which it may be filled again, had surely dropped its own. No request comes
 *  between the descriptors that one write of the tail gives. */
const tooEarly = (combined: Since, since: Since): boolean => combined.time < since.done && combined.time !== since.time;
/** An entry is gone once invalidated in its own cache, and then in the one that combines it with others if there is one. */
export const killed = (until: number, since: Since, combined?: Since): Kind | undefined =>
  until > since.time || (combined !== undefined && tooEarly(combined, since)) ? undefined : since.kind;
/** What faults is read from memory each time, unless caching mode lets it be cached, or what replaced it may still stand in a write buffer. That is
 *  flushed by WBF and by invalidations (CAP_REG, CM; RWBF; GCMD_REG, WBF; IOTLB_REG, IVT). */
export const mayLast = (u: Pick<Unit, 'a' | 'tables'>, until: number): boolean => u.a.cachingMode || (u.a.rwbf && until > u.tables.flushed);
export const killedFault = (u: Unit, v: Version, since: Since): Kind | undefined =>
  v.until === Infinity ? undefined : mayLast(u, v.until) ? killed(v.until, since) : 'not-cached';
const same = (a: Outcome, b: Outcome): boolean =>
  a.kind === 'reach'
    ? b.kind === 'reach' && a.at === b.at && a.size === b.size && a.read === b.read && a.write === b.write && a.killer === b.killer
    : b.kind === 'block' && a.reason === b.reason && a.fpd === b.fpd && a.killer === b.killer;
export const put = (r: Result, o: Outcome): void => {
  for (const p of r.outcomes) if (same(p, o)) return;
  if (r.outcomes.length >= outcomesKept) r.unknown ??= many;
  else r.outcomes.push(o);
};
const outcomesKept = 64;
export const block = (r: Result, reasons: readonly number[], fpd: boolean, killer: Kind | undefined): void => {
  for (const reason of reasons) put(r, killer === undefined ? { kind: 'block', reason, fpd } : { kind: 'block', reason, fpd, killer });
};
/** FEEx_xxxxH: interrupt requests, never memory. */
export const interruptRange = (at: bigint): boolean => at >> 20n === 0xfeen;

/** Translations are tagged by domain-id: entries that name one domain-id and different tables, against the rule, share what is cached. */
export const shares = (u: Unit, r: Result, domain: number, table: string, dropped: number): void => {
  let tables = u.domains.get(domain);
  if (tables === undefined) {
    tables = new Map();
    u.domains.set(domain, tables);
  }
  tables.set(table, u.time);
  for (const [other, last] of tables) {
    if (other === table) continue;
    if (last > dropped) r.unknown ??= 'a domain-id that names several tables';
    else tables.delete(other);
  }
};
