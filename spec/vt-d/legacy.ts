// Legacy mode: root table, context table, then second stage or pass-through, over every version of each entry.
// VT-d 4.1, Legacy Mode Address Translation; Fault Conditions (legacy root, context, second-stage, general).

import { contextSince, iotlbSince } from './caches.ts';
import { bit, field, mask } from './layout.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { any, block, interruptRange, killed, killedFault, look, mayLast, meets, put, shares } from './outcome.ts';
import { legacyReasons, secondStage } from './second-stage.ts';
import type { Kind } from './caches.ts';

const reservedRoot = (u: Unit, [lo = 0n, hi = 0n]: readonly bigint[]): boolean =>
  (lo & (mask(11, 1) | mask(63, u.a.haw))) !== 0n || hi !== 0n;
/** The pointer is not used where the entry passes through: whether its bits above HAW are then reserved is not said. */
const reservedContext = (u: Unit, [lo = 0n, hi = 0n]: readonly bigint[]): 'yes' | 'no' | 'unclear' => {
  if ((lo & mask(11, 4)) !== 0n || (hi & (mask(63, 24) | mask(7, 7))) !== 0n) return 'yes';
  if ((lo & mask(63, u.a.haw)) === 0n) return 'no';
  return field(lo, 3, 2) === 2 ? 'unclear' : 'yes';
};
const supported = (u: Unit, aw: number): boolean => aw < 5 && ((u.a.sagaw >> aw) & 1) === 1 && aw >= 1;
/** The widest second-stage table the unit walks: what pass-through wants named. */
const widest = (u: Unit): number => (bit(BigInt(u.a.sagaw), 3) ? 3 : bit(BigInt(u.a.sagaw), 2) ? 2 : 1);

/** Translation types that the unit has. */
const typed = (u: Unit, tt: number): boolean => [true, u.a.dt, u.a.pt, false][tt] === true;

/** Past every address: reported before whatever else is wrong, or after. */
const far = (u: Unit, q: Request): readonly number[] => (q.kind !== 'translated' && q.at >= 1n << BigInt(u.a.mgaw) ? [0x04] : []);

/** What a present, well-formed context entry makes of the request. */
const translate = (
  u: Unit,
  q: Request,
  [lo = 0n, hi = 0n]: readonly bigint[],
  killer: Kind | undefined,
  faulty: Kind | undefined,
  r: Result,
): void => {
  const { a } = u;
  const fpd = bit(lo, 1);
  const tt = field(lo, 3, 2);
  const aw = field(hi, 2, 0);
  const domain = field(hi, 23, 8);
  // Requests that a good entry refuses may meet a cached one; an entry that is wrong itself is not cached.
  if (killer === undefined && domain >= a.domains) r.unknown ??= 'a domain-id past ND';
  if (killer === undefined) meets(r, [lo, hi]);
  if (killer === undefined) shares(u, r, domain, `${lo & ~3n}/${aw}`, iotlbSince(u.caches, domain, -1n, false).time);
  const refuse = (...reasons: number[]): void => block(r, reasons, fpd, reasons.includes(0x03) ? faulty : killer);
  const invalid = (): void => refuse(0x03, ...far(u, q));
  const plain = q.kind === 'untranslated';
  if (!typed(u, tt)) {
    invalid();
    if (!plain) refuse(0x0d, ...far(u, q));
    return;
  }
  if (!plain && tt !== 1) {
    refuse(0x0d, ...far(u, q));
    if (!supported(u, aw)) invalid();
    return;
  }
  if (q.kind === 'translated') {
    if (!supported(u, aw)) invalid();
    put(r, { kind: 'reach', at: q.at, size: 4096n, read: true, write: true, domain, ...(killer === undefined ? {} : { killer }) });
    return;
  }
  if (tt === 2) {
    if (aw !== widest(u)) refuse(0x03, 0x04);
    if (!supported(u, aw)) return;
    if (q.at >= 1n << BigInt(Math.min(a.haw, 30 + 9 * aw))) refuse(0x04);
    else put(r, { kind: 'reach', at: q.at, size: 4096n, read: true, write: true, domain, ...(killer === undefined ? {} : { killer }) });
    return;
  }
  if (!supported(u, aw)) {
    invalid();
    return;
  }
  if (q.at >= 1n << BigInt(Math.min(a.mgaw, 30 + 9 * aw))) {
    refuse(0x04);
    return;
  }
  for (const leaf of secondStage(
    u,
    {
      pointer: lo & mask(a.haw - 1, 12),
      levels: aw + 2,
      at: q.at,
      read: q.read,
      write: q.write,
      zero: q.zero,
      reasons: legacyReasons,
      scalable: false,
      since: (isLeaf, level) => iotlbSince(u.caches, domain, q.at, isLeaf, level),
      killer,
    },
    r,
    (reasons, k) => block(r, reasons, fpd, k),
  ))
    put(r, {
      kind: 'reach',
      at: leaf.at,
      size: leaf.size,
      read: leaf.read,
      write: leaf.write,
      domain,
      ...(leaf.killer === undefined ? {} : { killer: leaf.killer }),
    });
};

export const legacy = (u: Unit, q: Request, root: { readonly value: bigint; readonly until: number }, r: Result): void => {
  const ours = contextSince(u.caches, q.sourceId, undefined);
  const rootKiller = killed(root.until, ours, u.caches.iotlb.all);
  // A fault on the way from a former root pointer would have to be cached.
  const rootFault = root.until === Infinity || mayLast(u, root.until) ? rootKiller : 'not-cached';
  // Refused whatever its entries say; whether they are looked at first, and one that is wrong reported, is not said.
  const alien = q.pasid !== undefined || q.kind === 'page';
  if (alien) {
    block(r, [q.kind === 'page' ? 0x32 : 0x31], false, rootFault);
    // A unit without PASID does not support such a request: whether it tells of it is its own.
    if (q.kind !== 'page' && !u.a.pasid) block(r, [any], false, rootFault);
  }
  if (interruptRange(q.at)) {
    block(r, [any], false, undefined);
    return;
  }
  const table = root.value & mask(u.a.haw - 1, 12);
  const roots = look(u, r, table + BigInt(q.sourceId >> 8) * 16n, 2);
  if (roots === undefined) block(r, [0x08, ...far(u, q)], false, rootFault);
  for (const v of roots ?? []) {
    const fault = rootFault ?? killedFault(u, v, ours);
    if (!bit(v.words[0] as bigint, 0)) block(r, [0x01, ...far(u, q)], false, fault);
    else if (reservedRoot(u, v.words)) block(r, [0x0a, ...far(u, q)], false, fault);
    else {
      const contexts = look(u, r, ((v.words[0] as bigint) & mask(u.a.haw - 1, 12)) + BigInt(q.sourceId & 0xff) * 16n, 2);
      if (contexts === undefined) block(r, [0x09, ...far(u, q)], false, rootKiller ?? killed(v.until, ours));
      for (const c of contexts ?? []) {
        const [lo = 0n, hi = 0n] = c.words;
        const domain = field(hi, 23, 8);
        const since = contextSince(u.caches, q.sourceId, domain);
        // Upper entries too: those below an old context entry are kept where leaves alone were invalidated.
        const combined = iotlbSince(u.caches, domain, q.at, false);
        const above = killed(root.until, since, combined) ?? killed(v.until, since, combined);
        // What faults is cached under domain 0 in caching mode, or under its own (Caching Mode).
        const ofNone = contextSince(u.caches, q.sourceId, 0);
        const faulty = above ?? killedFault(u, c, bit(lo, 0) && since.time < ofNone.time ? since : ofNone);
        // Of several things that are wrong any may be reported.
        if (!bit(lo, 0)) block(r, [0x02, ...far(u, q)], bit(lo, 1), faulty);
        else {
          const reserved = reservedContext(u, c.words);
          if (reserved !== 'yes' && !alien) translate(u, q, c.words, above ?? killed(c.until, since, combined), faulty, r);
          if (alien && !supported(u, field(hi, 2, 0))) block(r, [0x03], bit(lo, 1), faulty);
          if (alien && !typed(u, field(lo, 3, 2))) block(r, [0x03, 0x0d], bit(lo, 1), faulty);
          if (reserved === 'no') continue;
          // Whether FPD suppresses this one is told both ways.
          block(r, [0x0b, ...far(u, q)], bit(lo, 1), faulty);
          if (bit(lo, 1)) block(r, [0x0b], false, faulty);
          if (field(lo, 3, 2) === 3 || !supported(u, field(hi, 2, 0))) block(r, [0x03], bit(lo, 1), faulty);
        }
      }
    }
  }
};
