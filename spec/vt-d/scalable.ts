// Scalable mode: root, context, PASID directory and PASID table, then first stage, second stage, nested or pass-through.
// VT-d 4.1, Scalable Mode Address Translation; Fault Conditions (scalable-mode tables).

import type { Kind, Since } from './caches.ts';
import { contextSince, iotlbSince, pasidSince, piotlbSince } from './caches.ts';
import { firstStage } from './first-stage.ts';
import { bit, field, mask } from './layout.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { any, block, interruptRange, killed, killedFault, put, shares } from './outcome.ts';
import type { Leaf } from './second-stage.ts';
import { scalableReasons, secondStage } from './second-stage.ts';
import type { Version } from './tables.ts';
import { versions } from './tables.ts';

const entry = (u: Unit, at: bigint, words: number, r: Result): readonly Version[] | undefined => {
  const list = versions(u.tables, u.memory, at, words);
  if (typeof list !== 'string') return list;
  r.unknown ??= list;
  return [];
};
const supported = (u: Unit, aw: number): boolean => aw >= 1 && aw < 5 && ((u.a.sagaw >> aw) & 1) === 1;
const reach = (r: Result, l: Leaf, domain: number): void =>
  put(r, {
    kind: 'reach',
    at: l.at,
    size: l.size,
    read: l.read,
    write: l.write,
    domain,
    ...(l.killer === undefined ? {} : { killer: l.killer }),
  });

/** The PASID-table entry's own errors. `unclear` ones may be refused or not. */
const wrong = (u: Unit, w: readonly bigint[]): { readonly reasons: readonly number[]; readonly unclear: boolean } => {
  const { a } = u;
  const [q0 = 0n, q1 = 0n, q2 = 0n] = w;
  const pgtt = field(q0, 8, 6);
  const aw = field(q0, 4, 2);
  const flpm = field(q2, 3, 2);
  const first = pgtt === 1 || pgtt === 3;
  const second = pgtt === 2 || pgtt === 3;
  const reasons: number[] = [];
  const reserved =
    (q0 & mask(11, 10)) !== 0n ||
    (q1 & mask(22, 16)) !== 0n ||
    (q2 & mask(11, 8)) !== 0n ||
    (second && (q0 & mask(63, a.haw)) !== 0n) ||
    (pgtt === 1 && (q2 & mask(63, a.haw)) !== 0n);
  if (reserved) reasons.push(0x5a);
  const kinds = [false, a.flts, a.slts, a.nest && a.flts && a.slts, a.pt];
  if (kinds[pgtt] !== true || (second && !supported(u, aw)) || (first && (flpm > 1 || (flpm === 1 && !a.fl5lp)))) reasons.push(0x5b);
  const unclear =
    w.slice(3).some((x) => x !== 0n) ||
    (q1 & mask(63, 25)) !== 0n ||
    (q0 & mask(5, 5)) !== 0n ||
    (!a.slads && bit(q0, 9)) ||
    (pgtt === 4 && !supported(u, aw)) ||
    (!second && (q0 & mask(63, a.haw)) !== 0n) ||
    (!first && (q2 & mask(63, a.haw)) !== 0n);
  return { reasons, unclear };
};

interface Found {
  readonly q: Request;
  readonly pasid: number;
  readonly privileged: boolean;
  readonly words: readonly bigint[];
  readonly killer: Kind | undefined;
  readonly fpd: boolean;
}
const second = (
  u: Unit,
  f: Found,
  at: bigint,
  access: { read: boolean; write: boolean; zero: boolean },
  since: (leaf: boolean) => Since,
  r: Result,
  killer: Kind | undefined,
  blocked: (reasons: readonly number[], k: Kind | undefined) => void,
  table?: true,
): readonly Leaf[] => {
  const aw = field(f.words[0] as bigint, 4, 2);
  return secondStage(
    u,
    {
      pointer: (f.words[0] as bigint) & mask(u.a.haw - 1, 12),
      levels: aw + 2,
      at,
      ...access,
      reasons: scalableReasons,
      scalable: true,
      since,
      killer,
      ...(table === undefined ? {} : { table }),
    },
    r,
    blocked,
  );
};
const widthOf = (u: Unit, f: Found): bigint => 1n << BigInt(Math.min(u.a.mgaw, 30 + 9 * field(f.words[0] as bigint, 4, 2)));

const translate = (u: Unit, f: Found, r: Result): void => {
  const { q, words, fpd, killer } = f;
  const [q0 = 0n, q1 = 0n, q2 = 0n] = words;
  const domain = field(q1, 15, 0);
  const pgtt = field(q0, 8, 6);
  if (killer === undefined && domain >= u.a.domains) r.unknown ??= 'a domain-id past ND';
  if (killer === undefined) {
    // First-stage translations are tagged by PASID too.
    const table = pgtt === 1 ? `${f.pasid}: ${q2}` : `${q0 & ~3n}`;
    shares(u, r, pgtt === 1 ? domain + 0x10000 * (f.pasid + 1) : domain, table, iotlbSince(u.caches, domain, -1n, false).time);
  }
  const blocked = (reasons: readonly number[], k: Kind | undefined): void => block(r, reasons, fpd, k);
  if (q.execute && !bit(q2, 1)) blocked([0x5c], killer);
  if (f.privileged && q.pasid !== undefined && !bit(q2, 0)) blocked([0x5d], killer);
  if ((q.execute && !bit(q2, 1)) || (f.privileged && q.pasid !== undefined && !bit(q2, 0))) return;
  if (q.execute && pgtt !== 1) {
    r.unknown ??= 'execute permission outside first-stage translation';
    return;
  }
  if (pgtt === 4) {
    if (interruptRange(q.at)) blocked([0x87], killer);
    else if (q.at >= 1n << BigInt(u.a.haw)) blocked([0x83], killer);
    else reach(r, { at: q.at, size: 4096n, read: true, write: true, killer }, domain);
    return;
  }
  if (pgtt === 2) {
    if (q.at >= widthOf(u, f)) {
      blocked([0x83, 0x84], killer);
      return;
    }
    const access = { read: q.read, write: q.write, zero: q.zero };
    for (const l of second(u, f, q.at, access, (leaf) => iotlbSince(u.caches, domain, q.at, leaf), r, killer, blocked)) reach(r, l, domain);
    return;
  }
  const since = (leaf: boolean): Since => piotlbSince(u.caches, domain, f.pasid, q.at, leaf);
  // What a nested walk caches of the second stage is tagged by both addresses: dropped by what drops everything of the domain.
  const inner = (): Since => iotlbSince(u.caches, domain, -1n, false);
  const through = (at: bigint, use: 'top' | 'table' | 'data', k: Kind | undefined): readonly Leaf[] => {
    if (at >= widthOf(u, f)) {
      blocked([0x74, 0x84], k);
      return [];
    }
    // A read refused on the way to a first-stage entry is told by its own reasons; accessed flags need a write.
    const reasons = (list: readonly number[]): readonly number[] =>
      use === 'data' || !list.includes(0x86) ? list : [use === 'top' ? 0x75 : 0x76, ...list];
    const access = use === 'data' ? { read: q.read, write: q.write, zero: q.zero } : { read: true, write: false, zero: false };
    const leaves = second(u, f, at, access, inner, r, k, (list, kk) => blocked(reasons(list), kk), use === 'data' ? undefined : true);
    if (use !== 'data') for (const l of leaves) if (!l.write) blocked([0x77, 0x79, 0x85], l.killer);
    return leaves;
  };
  const leaves = firstStage(
    u,
    {
      pointer: q2 & (pgtt === 1 ? mask(u.a.haw - 1, 12) : mask(63, 12)),
      levels: field(q2, 3, 2) === 1 ? 5 : 4,
      request: q,
      privileged: f.privileged,
      wpe: bit(q2, 4),
      nxe: bit(q2, 5),
      smep: bit(q2, 6),
      since,
      killer,
      ...(pgtt === 3 ? { through } : {}),
    },
    r,
    blocked,
  );
  for (const l of leaves) reach(r, l, domain);
};

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

/** From the PASID directory on. */
const byPasid = (u: Unit, q: Request, c: readonly bigint[], path: readonly Step[], fpd: boolean, r: Result): void => {
  const above = dead(path, u.caches.iotlb.all);
  const { a } = u;
  const [lo = 0n, hi = 0n] = c;
  const rid = q.pasid === undefined;
  const pasid = q.pasid ?? (a.rps ? field(hi, 19, 0) : 0);
  if (pasid >= 2 ** (field(lo, 11, 9) + 13)) {
    block(r, [rid ? 0x48 : 0x46], fpd, above);
    return;
  }
  const privileged = rid ? bit(hi, 20) : q.privileged;
  const directory = entry(u, (lo & mask(a.haw - 1, 12)) + BigInt(pasid >> 6) * 8n, 1, r);
  if (directory === undefined) block(r, [0x50], false, above);
  for (const d of directory ?? []) {
    const e = d.words[0] as bigint;
    const off = fpd || bit(e, 1);
    const faulty = above ?? killedFault(u, d, u.caches.pasid.all);
    if (!bit(e, 0)) block(r, [0x51], off, faulty);
    else if ((e & (mask(11, 2) | mask(63, a.haw))) !== 0n) block(r, [0x52], off, faulty);
    else {
      const table = entry(u, (e & mask(a.haw - 1, 12)) + BigInt(pasid & 63) * 64n, 8, r);
      const gone = above ?? killed(d.until, u.caches.pasid.all);
      if (table === undefined) block(r, [0x58], false, gone);
      for (const p of table ?? []) {
        const [q0 = 0n, q1 = 0n] = p.words;
        const silentHere = off || bit(q0, 1);
        const domain = field(q1, 15, 0);
        const since = pasidSince(u.caches, domain, pasid);
        const pgtt = field(q0, 8, 6);
        const combined =
          pgtt === 1 || pgtt === 3 ? piotlbSince(u.caches, domain, pasid, q.at, true) : iotlbSince(u.caches, domain, q.at, true);
        const pFaulty = gone ?? killedFault(u, p, since);
        const killer = dead([...path, [d.until, u.caches.pasid.all], [p.until, since]], combined);
        if (!bit(q0, 0)) {
          block(r, [0x59], silentHere, pFaulty);
          continue;
        }
        const { reasons, unclear } = wrong(u, p.words);
        block(r, reasons, silentHere, pFaulty);
        if (unclear) block(r, [0x5a, 0x5b], silentHere, pFaulty);
        if (reasons.length > 0) continue;
        translate(u, { q, pasid, privileged, words: p.words, killer, fpd: silentHere }, r);
      }
    }
  }
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
  if ((lo & (mask(8, 5) | mask(63, a.haw))) !== 0n || (hi & mask(63, 21)) !== 0n || x2 !== 0n || x3 !== 0n) {
    block(r, [0x42], fpd, faulty);
    return;
  }
  // What a capability does not offer is an invalid setting or a reserved bit, by edition.
  if ((bit(lo, 2) && !a.dt) || (bit(lo, 3) && !a.pasid) || (bit(lo, 4) && !a.prs)) block(r, [0x42, 0x43], fpd, faulty);
  if (bit(hi, 20)) {
    block(r, [0x42, 0x43], fpd, faulty);
    r.unknown ??= 'privilege of requests without PASID';
  }
  if (q.kind !== 'untranslated' && q.kind !== 'page' && !bit(lo, 2)) block(r, [0x44], fpd, above);
  else if (q.kind === 'page' && !bit(lo, 4)) block(r, [0x47], fpd, above);
  else if (q.pasid !== undefined && !bit(lo, 3)) block(r, [0x45], fpd, above);
  else if (q.kind === 'page' || q.kind === 'translated') {
    // Whether the PASID of a request that needs no PASID-table entry is held against the directory's size is not said.
    const pasid = q.pasid ?? (q.kind === 'translated' && a.rps ? field(hi, 19, 0) : 0);
    if (pasid >= 2 ** (field(lo, 11, 9) + 13)) block(r, [q.pasid === undefined ? 0x48 : 0x46], fpd, above);
    reach(r, { at: q.kind === 'page' ? 0n : q.at, size: 4096n, read: true, write: true, killer: above }, 0);
  } else byPasid(u, q, c, path, fpd, r);
};

export const scalable = (u: Unit, q: Request, root: { readonly value: bigint; readonly until: number }, r: Result): void => {
  const { a } = u;
  const since = contextSince(u.caches, q.sourceId, undefined);
  // What combines a context entry with others: first- and second-stage entries of any domain it named.
  const combined = u.caches.iotlb.all;
  const rootKiller = killed(root.until, since, combined);
  const rootFault = root.until === Infinity || a.cachingMode ? rootKiller : 'not-cached';
  if (interruptRange(q.at) && q.pasid === undefined && q.kind === 'untranslated') {
    block(r, [any], false, undefined);
    return;
  }
  const roots = entry(u, (root.value & mask(a.haw - 1, 12)) + BigInt(q.sourceId >> 8) * 16n, 2, r);
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
    const list = entry(u, (half & mask(a.haw - 1, 12)) + BigInt(q.sourceId & 0x7f) * 32n, 4, r);
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
