// The first-stage walk, alone or nested: canonical addresses, user and supervisor, execute-disable, large pages, reserved bits.
// VT-d 4.1, First-Stage Translation; First-Stage Paging Entries; Nested Translation.

import type { Kind, Since } from './caches.ts';
import { bit, mask } from './layout.ts';
import type { Request, Result, Unit } from './outcome.ts';
import { interruptRange, killed, killedFault, look } from './outcome.ts';
import type { Leaf } from './second-stage.ts';

export interface FirstStage {
  readonly pointer: bigint;
  readonly levels: 4 | 5;
  readonly request: Request;
  /** The request is privileged, by itself or by RID_PRIV. */
  readonly privileged: boolean;
  readonly wpe: boolean;
  readonly nxe: boolean;
  readonly smep: boolean;
  /** Extended accessed flags are updated too. */
  readonly eafe: boolean;
  readonly since: (leaf: boolean, level: number) => Since;
  readonly killer: Kind | undefined;
  /** Nested: translates an address of a table or of data by the second stage; its blocks are reported by itself. */
  readonly through?: (at: bigint, use: 'top' | 'table' | 'data', killer: Kind | undefined) => readonly Leaf[];
}
interface State {
  readonly base: bigint;
  readonly write: boolean;
  readonly user: boolean;
  readonly xd: boolean;
  readonly denied: boolean;
  readonly killer: Kind | undefined;
}
type Blocked = (reasons: readonly number[], killer: Kind | undefined) => void;

const A = 1n << 5n;
const D = 1n << 6n;
const EA = 1n << 10n;
/** Whether bits 63 down to the highest translated bit are alike. */
export const canonical = (at: bigint, levels: 4 | 5): boolean => {
  const width = levels === 5 ? 57 : 48;
  return BigInt.asUintN(64, BigInt.asIntN(width, at)) === at;
};
const reserved = (u: Unit, w: FirstStage, e: bigint, level: number, leaf: boolean): 'yes' | 'no' | 'unclear' => {
  const wide = mask(51, 12) & ~mask(u.a.haw - 1, 12);
  // In a large page bit 12 is PAT; the address bits below its size are reserved.
  const inner = leaf && level > 1 ? mask(11 + 9 * (level - 1), 13) : 0n;
  if (bit(e, 7) && (level > 3 || (level === 3 && !u.a.fl1gp))) return 'yes';
  if ((e & inner) !== 0n) return 'yes';
  // Nested, the address is a guest's: whether the host width binds it is not said.
  if ((e & wide) !== 0n) return w.through === undefined ? 'yes' : 'unclear';
  return bit(e, 63) && !w.nxe ? 'unclear' : 'no';
};
/** The rights that all levels together give; reasons why the request has not got them. */
const denials = (w: FirstStage, s: State, leaf: boolean): readonly (readonly number[])[] => {
  const { request: q } = w;
  const list: (readonly number[])[] = [];
  if (!w.privileged && !s.user) list.push([0x81]);
  if (q.write && !s.write && (!w.privileged || w.wpe)) list.push([0x85]);
  if (q.execute && s.xd && w.nxe) list.push([0x82]);
  // A user page is one that every entry on the way calls so: not known before the last.
  if (leaf && q.execute && w.privileged && s.user && w.smep) list.push([0x82, 0x86]);
  return list;
};
const physical = (w: FirstStage, at: bigint, top: boolean, killer: Kind | undefined): readonly Pick<Leaf, 'at' | 'killer' | 'write'>[] =>
  w.through === undefined ? [{ at, killer, write: true }] : w.through(at, top ? 'top' : 'table', killer);

export const firstStage = (u: Unit, w: FirstStage, r: Result, blocked: Blocked): readonly Leaf[] => {
  const { request: q } = w;
  if (!canonical(q.at, w.levels)) {
    blocked([0x80], w.killer);
    return [];
  }
  const leaves: Leaf[] = [];
  let states: State[] = [{ base: w.pointer, write: true, user: true, xd: false, denied: false, killer: w.killer }];
  for (let level: number = w.levels; level >= 1 && states.length > 0; level--) {
    const shift = BigInt(12 + 9 * (level - 1));
    const next: State[] = [];
    for (const s of states) {
      const guest = s.base + ((q.at >> shift) & 511n) * 8n;
      for (const where of physical(w, guest, level === w.levels, s.killer)) {
        const list = look(u, r, where.at, 1);
        if (list === undefined) {
          blocked([level === w.levels ? 0x73 : 0x70], where.killer);
          continue;
        }
        if (list.length === 0) continue;
        let accessed = false;
        let dirty = false;
        let isLeaf = false;
        let inner = false;
        let mayLeaf = false;
        let used = false;
        for (const v of list) {
          const e = v.words[0] as bigint;
          const leaf = level === 1 || (level <= 3 && bit(e, 7));
          const since = w.since(leaf, level);
          const alive = where.killer ?? killed(v.until, since);
          if (!bit(e, 0)) {
            blocked([0x71], where.killer ?? killedFault(u, v, since));
            continue;
          }
          mayLeaf ||= leaf;
          const bad = reserved(u, w, e, level, leaf);
          const faulty = where.killer ?? killedFault(u, v, since);
          if (bad !== 'no') blocked([0x72], faulty);
          const address = e & mask(51, 12) & (w.through === undefined ? mask(u.a.haw - 1, 12) : mask(51, 12));
          const state: State = {
            base: address,
            write: s.write && bit(e, 1),
            user: s.user && bit(e, 2),
            xd: s.xd || bit(e, 63),
            // A flag that is still clear must be set, and the second stage lets no walk write there.
            denied: s.denied || (!where.write && !(bit(e, 5) && (!leaf || !q.write || bit(e, 6)))),
            killer: alive,
          };
          const refused = denials(w, state, leaf);
          if (bad === 'yes') {
            for (const reasons of refused) blocked(reasons, faulty);
            continue;
          }
          // One that is malformed is not used; of one that may be a table or a page nobody knows which flags it gets.
          if (alive === undefined) {
            used = true;
            isLeaf ||= leaf;
            inner ||= !leaf;
            accessed ||= bit(e, 5);
            dirty ||= bit(e, 6);
          }
          for (const reasons of refused) blocked(reasons, alive);
          const now: State = refused.length === 0 ? state : { ...state, denied: true };
          if (!leaf) {
            if (
              !next.some(
                (n) =>
                  n.base === now.base &&
                  n.write === now.write &&
                  n.user === now.user &&
                  n.xd === now.xd &&
                  n.denied === now.denied &&
                  n.killer === alive,
              )
            )
              next.push(now);
            continue;
          }
          const size = 1n << shift;
          const out = (address & ~(size - 1n)) | (q.at & (size - 1n));
          const write = now.write || (w.privileged && !w.wpe);
          if (w.through !== undefined) {
            for (const l of w.through(out, 'data', alive))
              if (!now.denied)
                leaves.push({ at: l.at, size: l.size < size ? l.size : size, read: l.read, write: write && l.write, killer: l.killer });
          } else if (now.denied) continue;
          else if (interruptRange(out)) blocked([0x87], alive);
          else leaves.push({ at: out, size, read: true, write, killer: alive });
        }
        r.touched.push({
          at: where.at,
          stage: 1,
          level,
          leaf: isLeaf && !inner,
          used,
          fresh: !accessed,
          clean: !dirty,
          accessed: A,
          also: w.eafe ? EA : 0n,
          dirty: mayLeaf ? D : 0n,
        });
      }
    }
    if (next.length > statesKept) r.unknown ??= 'which of many former table entries is cached';
    states = next.length > statesKept ? [] : next;
  }
  return leaves;
};
const statesKept = 32;
