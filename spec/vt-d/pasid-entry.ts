// What a PASID-table entry makes of a request: its own errors, then first stage, second stage, nested or pass-through.
// VT-d 4.1, Scalable-Mode PASID Table Entry; Fault Conditions (PASID table, first stage, second stage).

import type { Kind, Since } from './caches.ts';
import { iotlbSince, piotlbSince } from './caches.ts';
import { firstStage } from './first-stage.ts';
import { bit, field, mask } from './layout.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { block, interruptRange, meets, put, shares } from './outcome.ts';
import type { Leaf } from './second-stage.ts';
import { scalableReasons, secondStage } from './second-stage.ts';

const supported = (u: Unit, aw: number): boolean => aw >= 1 && aw < 5 && ((u.a.sagaw >> aw) & 1) === 1;
/** A leaf that lets the request through. */
export const reach = (r: Result, l: Leaf, domain: number): void =>
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
export const wrong = (u: Unit, w: readonly bigint[]): { readonly reasons: readonly number[]; readonly unclear: boolean } => {
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
    // ERE, SRE and EAFE are reserved where the unit does not support them, by the field's own description.
    (!a.ers && bit(q2, 1)) ||
    (!a.srs && bit(q2, 0)) ||
    (!bit(a.ecap, 34) && bit(q2, 7)) ||
    // PWSNP and PGSNP where SMPWCS and SC are 0.
    (!bit(a.ecap, 48) && bit(q1, 23)) ||
    (!a.sc && bit(q1, 24)) ||
    (pgtt === 4 && !supported(u, aw)) ||
    (!second && (q0 & mask(63, a.haw)) !== 0n) ||
    (!first && (q2 & mask(63, a.haw)) !== 0n);
  return { reasons, unclear };
};

/** Attributes of the request that the entry does not enable. */
export const attributes = (q: Request, privileged: boolean, [, , q2 = 0n]: readonly bigint[]): readonly number[] => [
  ...(q.execute && !bit(q2, 1) ? [0x5c] : []),
  ...(privileged && q.pasid !== undefined && !bit(q2, 0) ? [0x5d] : []),
];
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
  since: (leaf: boolean, level: number) => Since,
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
      flags: u.a.slads && bit(f.words[0] as bigint, 9),
    },
    r,
    blocked,
  );
};
const widthOf = (u: Unit, f: Found): bigint => 1n << BigInt(Math.min(u.a.mgaw, 30 + 9 * field(f.words[0] as bigint, 4, 2)));

/** From a PASID-table entry without errors on. */
export const translate = (u: Unit, f: Found, r: Result): void => {
  const { q, words, fpd, killer } = f;
  const [q0 = 0n, q1 = 0n, q2 = 0n] = words;
  const domain = field(q1, 15, 0);
  const pgtt = field(q0, 8, 6);
  if (killer === undefined && domain >= u.a.domains) r.unknown ??= 'a domain-id past ND';
  if (killer === undefined) {
    meets(r, words);
    // First-stage translations are tagged by PASID too.
    const table = pgtt === 1 ? `${f.pasid}: ${q2}` : `${q0 & ~3n}`;
    shares(u, r, pgtt === 1 ? domain + 0x10000 * (f.pasid + 1) : domain, table, iotlbSince(u.caches, domain, -1n, false).time);
  }
  const blocked = (reasons: readonly number[], k: Kind | undefined): void => block(r, reasons, fpd, k);
  const denied = attributes(q, f.privileged, words);
  blocked(denied, killer);
  if (denied.length > 0) return;
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
    for (const l of second(u, f, q.at, access, (leaf, level) => iotlbSince(u.caches, domain, q.at, leaf, level), r, killer, blocked))
      reach(r, l, domain);
    return;
  }
  const since = (leaf: boolean, level: number): Since => piotlbSince(u.caches, domain, f.pasid, q.at, leaf, level);
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
      eafe: bit(q2, 7),
      since,
      killer,
      ...(pgtt === 3 ? { through } : {}),
    },
    r,
    blocked,
  );
  for (const l of leaves) reach(r, l, domain);
};
