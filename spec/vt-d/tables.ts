// What table entries held over time: for each page that some walk has read, today's words and what stood in them before.
// A cache may hold what stood there since the last invalidation that covered it; older content only a faulty one can show.

import type { Memory } from '../clause.ts';

/** One entry, of one or more 64-bit words, as it stood until `until` (exclusive, in events); the present one until Infinity. */
export interface Version {
  readonly words: readonly bigint[];
  readonly until: number;
}
export interface Tables {
  readonly pages: Map<number, Page>;
  /** Pages a write may have reached unseen: what stands there is uncertain until memory was compared. */
  readonly unsure: Set<number>;
  /** Everything cached at this time has been invalidated since. */
  floor: number;
  /** When a walk last looked no further than it may, or than is known: tables behind were not noted as read. */
  cut: number;
  /** Memory was small enough to follow all of it from the first write on. */
  primed: boolean;
  /** Writes may wait in a buffer (CAP_REG, RWBF); all before this time have left it. */
  readonly buffered: boolean;
  flushed: number;
}
interface Old {
  readonly value: bigint;
  readonly until: number;
}
interface Page {
  readonly words: BigUint64Array;
  /** Former values by word index, oldest first. */
  readonly old: Map<number, Old[]>;
  /** Former values dropped for want of room: what was replaced at or before this time is not all known. */
  lost: number;
  /** Some walk has read it. */
  walked: boolean;
}
export const newTables = (buffered: boolean): Tables => ({
  pages: new Map(),
  unsure: new Set(),
  floor: -1,
  cut: -1,
  primed: false,
  buffered,
  flushed: -1,
});
/** A flush that was asked for at `time` is done. */
export const flushed = (t: Tables, time: number): void => {
  t.flushed = Math.max(t.flushed, time);
};

const wordsPerPage = 512;
/** Former values kept of one word. */
const versionsKept = 32;
const load = (memory: Memory, page: number): Page | undefined => {
  const base = BigInt(page) << 12n;
  const bytes = memory.read(base, wordsPerPage * 8);
  // A copy of its own, at offset 0: tables are little-endian, as this machine is.
  return bytes === undefined ? undefined : { words: new BigUint64Array(bytes.buffer), old: new Map(), lost: -1, walked: false };
};
/** Largest memory that is followed whole. */
const followed = 1 << 20;
/** A unit may fetch entries before any request needs them, so what stood in a page counts from the start, not from its first walk. */
const prime = (t: Tables, memory: Memory): void => {
  t.primed = true;
  if (memory.size > followed) return;
  for (let number = 0; number * 4096 < memory.size; number++) {
    const page = t.pages.get(number) ?? load(memory, number);
    if (page !== undefined) t.pages.set(number, page);
  }
};
const valueAt = (page: Page, index: number, time: number): bigint => {
  for (const o of page.old.get(index) ?? []) if (o.until >= time) return o.value;
  return page.words[index] as bigint;
};
const rewritten = (page: Page, index: number, count: number): boolean => {
  if (page.old.size === 0) return false;
  for (let i = index; i < index + count; i++) if (page.old.has(i)) return true;
  return false;
};

/** Every version of the entry of `count` words at `at`, the present one first; undefined where no memory is; a string where it is uncertain. */
export const versions = (t: Tables, memory: Memory, at: bigint, count: number): readonly Version[] | undefined | string => {
  if (at >= BigInt(memory.size)) return undefined;
  const number = Number(at >> 12n);
  const index = Number((at >> 3n) & 511n);
  if (t.unsure.has(number)) return 'whether a write reached the table';
  if (!memory.known(at, count * 8)) return 'what stands in the table';
  let page = t.pages.get(number);
  if (page === undefined) {
    page = load(memory, number);
    if (page === undefined) return undefined;
    t.pages.set(number, page);
  }
  page.walked = true;
  if (page.lost > t.floor) return 'what stood in a table rewritten many times';
  if (!rewritten(page, index, count))
    return [
      { words: count === 1 ? [page.words[index] as bigint] : Array.from(page.words.subarray(index, index + count)), until: Infinity },
    ];
  const times = new Set<number>();
  for (let i = index; i < index + count; i++) for (const o of page.old.get(i) ?? []) times.add(o.until);
  const list: Version[] = [{ words: Array.from(page.words.subarray(index, index + count)), until: Infinity }];
  for (const until of [...times].sort((a, b) => b - a)) {
    const words: bigint[] = [];
    for (let i = index; i < index + count; i++) words.push(valueAt(page, i, until));
    list.push({ words, until });
  }
  return list;
};

/** Memory at `at` changed at event `time`; it holds the new bytes already, so that of the very first write no former value is known. */
export const changed = (t: Tables, memory: Memory, at: bigint, length: number, time: number): void => {
  const first = !t.primed;
  if (first) prime(t, memory);
  if (t.pages.size === 0 || length === 0) return;
  const end = at + BigInt(length);
  for (let number = Number(at >> 12n); number <= Number((end - 1n) >> 12n); number++) {
    const page = t.pages.get(number);
    if (page === undefined) continue;
    const base = BigInt(number) << 12n;
    const from = at > base ? Number((at - base) >> 3n) : 0;
    const to = end >= base + 4096n ? wordsPerPage - 1 : Number((end - 1n - base) >> 3n);
    for (let i = from; i <= to; i++) {
      const value = memory.u64(base + BigInt(i * 8));
      // What the very first write replaced was not seen: nothing, as memory starts.
      const before = first && t.buffered ? 0n : (page.words[i] as bigint);
      if (value === undefined || value === before) continue;
      // Nothing fetches what is empty before it is asked for; but what replaces it may be on its way yet.
      if (!page.walked && before === 0n && !t.buffered) {
        page.words[i] = value;
        continue;
      }
      const old = page.old.get(i) ?? [];
      // Of what was invalidated long ago the last two are kept: enough to recognize a stale entry.
      const gone = old.filter((o) => o.until <= t.floor).length;
      if (gone > 2) old.splice(0, gone - 2);
      if (old.length >= versionsKept) page.lost = (old.shift() as Old).until;
      old.push({ value: before, until: time });
      page.old.set(i, old);
      page.words[i] = value;
    }
  }
};
