// Scalable mode: root, context, PASID directory and PASID table, each as it may be cached; what the PASID-table entry says is another file's.
// VT-d 4.1, Scalable Mode Address Translation; Fault Conditions (scalable-mode tables).

import type { Kind, Since } from './caches.ts';
import { contextSince, iotlbSince, pasidSince, piotlbSince } from './caches.ts';
import { bit, field, mask } from './layout.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { any, block, interruptRange, killed, killedFault, look, mayLast } from './outcome.ts';
import { attributes, reach, translate, wrong } from './pasid-entry.ts';

/** Entries passed on the way, each with the invalidations of its own cache. */
type Step = readonly [until: number, since: Since];
/** What killed the way, given the invalidations of what may combine it with paging entries. */
const dead = (path: readonly Step[], combined: Since): Kind | undefined => {
  for (const [until, since] of path) {
    const k = killed(until, since, combined);
    if (k !== undefined) return k;
  }
  return undefined;
};
const earlier = (a: Since, b: Since): Since => (b.time < a.time ? b : a);

/** From the PASID directory on. */
const byPasid = (u: Unit, q: Request, c: readonly bigint[], path: readonly Step[], fpd: boolean, r: Result): void => {
  const { a } = u;
  // What is refused on the way is cached in caching mode only; then the PASID cache may hold it too.
  const above = dead(path, u.a.cachingMode || u.a.rwbf ? earlier(u.caches.pasid.all, u.caches.iotlb.all) : u.caches.iotlb.all);
  const [lo = 0n, hi = 0n] = c;
  const rid = q.pasid === undefined;
  const pasid = q.pasid ?? (a.rps ? field(hi, 19, 0) : 0);
  if (pasid >= 2 ** (field(lo, 11, 9) + 13)) {
    block(r, [rid ? 0x48 : 0x46], fpd, above);
    return;
  }
  const privileged = rid ? bit(hi, 20) : q.privileged;
  const directory = look(u, r, (lo & mask(a.haw - 1, 12)) + BigInt(pasid >> 6) * 8n, 1);
  if (directory === undefined) block(r, [0x50], false, above);
  for (const d of directory ?? []) {
    const e = d.words[0] as bigint;
    const off = fpd || bit(e, 1);
    const faulty = above ?? killedFault(u, d, u.caches.pasid.all);
    if (!bit(e, 0)) block(r, [0x51], off, faulty);
    else if ((e & (mask(11, 2) | mask(63, a.haw))) !== 0n) block(r, [0x52], off, faulty);
    else {
      const table = look(u, r, (e & mask(a.haw - 1, 12)) + BigInt(pasid & 63) * 64n, 8);
      const gone = above ?? killed(d.until, u.caches.pasid.all);
      if (table === undefined) block(r, [0x58], false, gone);
      for (const p of table ?? []) {
        const [q0 = 0n, q1 = 0n] = p.words;
        const silentHere = off || bit(q0, 1);
        const domain = field(q1, 15, 0);
        const since = pasidSince(u.caches, domain, pasid);
        const pgtt = field(q0, 8, 6);
        const combined =
          pgtt === 1 || pgtt === 3 ? piotlbSince(u.caches, domain, pasid, q.at, false) : iotlbSince(u.caches, domain, q.at, false);
        const pFaulty = gone ?? killedFault(u, p, since);
        // A PASID-table entry found through an old root, context or directory entry stays in the PASID cache until that is invalidated:
        // after a change of a context entry software invalidates both (Guidance to Software for Invalidations; also Linux pasid.c).
        const killer = dead([...path, [d.until, u.caches.pasid.all], [p.until, since]], earlier(since, combined));
        if (!bit(q0, 0)) {
          // Which domain its absence was cached under is not said: an invalidation of one may miss it.
          block(r, [0x59], silentHere, gone ?? killedFault(u, p, u.caches.pasid.all));
          continue;
        }
        const { reasons, unclear } = wrong(u, p.words);
        if (reasons.length > 0) block(r, [...reasons, ...attributes(q, privileged, p.words)], silentHere, pFaulty);
        if (unclear) block(r, [0x5a, 0x5b], silentHere, pFaulty);
        if (reasons.length > 0) continue;
        translate(u, { q, pasid, privileged, words: p.words, killer, fpd: silentHere }, r);
      }
    }
  }
};

/** What a present context entry does not let through, whatever else is wrong: no order is named. */
const refusals = (u: Unit, q: Request, lo: bigint, hi: bigint): readonly number[] => {
  const list: number[] = [];
  if ((q.kind === 'translation' || q.kind === 'translated') && !bit(lo, 2)) list.push(0x44);
  if (q.kind === 'page' && !bit(lo, 4)) list.push(0x47);
  if (q.pasid !== undefined && !bit(lo, 3)) list.push(0x45);
  const pasid = q.pasid ?? (u.a.rps ? field(hi, 19, 0) : 0);
  if (list.length > 0 && pasid >= 2 ** (field(lo, 11, 9) + 13)) list.push(q.pasid === undefined ? 0x48 : 0x46);
  return list;
};
const context = (u: Unit, q: Request, c: readonly bigint[], path: readonly Step[], faulty: Kind | undefined, r: Result): void => {
  const above = dead(path, u.caches.iotlb.all);
  const { a } = u;
  const [lo = 0n, hi = 0n, x2 = 0n, x3 = 0n] = c;
  const fpd = bit(lo, 1);
  if (!bit(lo, 0)) {
    block(r, [0x41], fpd, faulty);
    return;
  }
  const refused = refusals(u, q, lo, hi);
  if ((lo & (mask(8, 5) | mask(63, a.haw))) !== 0n || (hi & mask(63, 21)) !== 0n || x2 !== 0n || x3 !== 0n) {
    block(r, [0x42, ...refused], fpd, faulty);
    return;
  }
  // What a capability does not offer is an invalid setting or a reserved bit, by edition: refused either way.
  if ((bit(lo, 2) && !a.dt) || (bit(lo, 3) && !a.pasid) || (bit(lo, 4) && !a.prs)) {
    block(r, [0x42, 0x43, ...refused], fpd, faulty);
    return;
  }
  if (bit(hi, 20)) {
    block(r, [0x42, 0x43], fpd, faulty);
    r.unknown ??= 'privilege of requests without PASID';
  }
  if (refused.length > 0) block(r, refused, fpd, above);
  else if (q.kind === 'page' || q.kind === 'translated') {
    // Whether the PASID of a request that needs no PASID-table entry is held against the directory's size is not said.
    const pasid = q.pasid ?? (q.kind === 'translated' && a.rps ? field(hi, 19, 0) : 0);
    if (pasid >= 2 ** (field(lo, 11, 9) + 13)) block(r, [q.pasid === undefined ? 0x48 : 0x46], fpd, above);
    reach(r, { at: q.kind === 'page' ? 0n : q.at, size: 4096n, read: true, write: true, killer: above }, 0);
  } else byPasid(u, q, c, path, fpd, r);
};

export const scalable = (u: Unit, q: Request, root: { readonly value: bigint; readonly until: number }, r: Result): void => {
  const { a } = u;
  const since = contextSince(u.caches, q.sourceId, 'untagged');
  // What combines a context entry with others: first- and second-stage entries of any domain it named.
  const combined = u.caches.iotlb.all;
  const rootKiller = killed(root.until, since, combined);
  const rootFault = root.until === Infinity || mayLast(u, root.until) ? rootKiller : 'not-cached';
  if (interruptRange(q.at) && q.pasid === undefined && q.kind === 'untranslated') {
    block(r, [any], false, undefined);
    return;
  }
  const roots = look(u, r, (root.value & mask(a.haw - 1, 12)) + BigInt(q.sourceId >> 8) * 16n, 2);
  if (roots === undefined) block(r, [0x38], false, rootFault);
  const upper = (q.sourceId & 0x80) !== 0;
  for (const v of roots ?? []) {
    const half = v.words[upper ? 1 : 0] as bigint;
    const other = v.words[upper ? 0 : 1] as bigint;
    const fault = rootFault ?? killedFault(u, v, since);
    if (!bit(half, 0)) {
      block(r, [0x39], false, fault);
      continue;
    }
    const bad = mask(11, 1) | mask(63, a.haw);
    if ((half & bad) !== 0n) {
      block(r, [0x3a], false, fault);
      continue;
    }
    if ((other & bad) !== 0n) block(r, [0x3a], false, fault);
    const list = look(u, r, (half & mask(a.haw - 1, 12)) + BigInt(q.sourceId & 0x7f) * 32n, 4);
    const above = rootKiller ?? killed(v.until, since, combined);
    if (list === undefined) block(r, [0x40], false, above);
    for (const c of list ?? []) {
      const path: readonly Step[] = [
        [root.until, since],
        [v.until, since],
        [c.until, since],
      ];
      context(u, q, c.words, path, above ?? killedFault(u, c, since), r);
    }
  }
};
