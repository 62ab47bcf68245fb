// The second-stage walk: levels of 512 entries, permissions at each, large pages, reserved bits; over every version of each entry.
// VT-d 4.1, Second-Stage Translation; Second-Stage Paging Entries.

import type { Kind, Since } from './caches.ts';
import { bit, mask } from './layout.ts';
import type { Result, Unit } from './outcome.ts';
import { interruptRange, killed, killedFault, look } from './outcome.ts';

/** Fault reasons by mode: in legacy mode permission faults name the access, in scalable mode two families of reasons fit. */
export interface Reasons {
  readonly top: readonly number[];
  readonly fetch: readonly number[];
  readonly reserved: readonly number[];
  readonly read: readonly number[];
  readonly write: readonly number[];
  readonly interrupt: readonly number[];
}
export const legacyReasons: Reasons = { top: [0x03], fetch: [0x07], reserved: [0x0c], read: [0x06], write: [0x05], interrupt: [0x0e] };
export const scalableReasons: Reasons = {
  top: [0x7b],
  fetch: [0x78],
  reserved: [0x7a],
  read: [0x79, 0x86],
  write: [0x79, 0x85],
  interrupt: [0x87],
};
export interface SecondStage {
  readonly pointer: bigint;
  readonly levels: number;
  readonly at: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly zero: boolean;
  readonly reasons: Reasons;
  readonly scalable: boolean;
  readonly since: (leaf: boolean, level: number) => Since;
  readonly killer: Kind | undefined;
  /** The output is an address of a table, not of data: the interrupt range is not asked about. */
  readonly table?: true;
  /** The tables have accessed and dirty flags. */
  readonly flags?: boolean;
}
export interface Leaf {
  readonly at: bigint;
  readonly size: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly killer: Kind | undefined;
}
interface State {
  readonly base: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly denied: boolean;
  readonly killer: Kind | undefined;
}
const ignored = mask(61, 52) | mask(63, 63);
const SNP = 1n << 11n;
const TM = 1n << 62n;
const A = 1n << 8n;
const D = 1n << 9n;
/** Reserved bits of an entry: 'yes', 'no', or 'unclear' where editions differ. */
const reserved = (u: Unit, e: bigint, level: number, leaf: boolean, scalable: boolean): 'yes' | 'no' | 'unclear' => {
  const { a } = u;
  let bad = mask(51, 12) & ~mask(a.haw - 1, 12);
  if (!(leaf && a.dt)) bad |= TM;
  if (!(leaf && a.sc)) bad |= SNP;
  if (leaf && level > 1) bad |= mask(11 + 9 * (level - 1), 12);
  if (bit(e, 7) && level > 1 && (level > 3 || ((a.sllps >> (level - 2)) & 1) === 0)) return 'yes';
  if ((e & bad & ~ignored) !== 0n) return 'yes';
  if (scalable && (e & SNP) !== 0n) return 'unclear';
  return level === 1 && bit(e, 7) ? 'unclear' : 'no';
};

/** Walks; blocks go to `blocked`, leaves are returned. */
export const secondStage = (
  u: Unit,
  w: SecondStage,
  r: Result,
  blocked: (reasons: readonly number[], killer: Kind | undefined) => void,
): readonly Leaf[] => {
  const leaves: Leaf[] = [];
  let states: State[] = [{ base: w.pointer, read: true, write: true, denied: false, killer: w.killer }];
  for (let level = w.levels; level >= 1 && states.length > 0; level--) {
    const shift = BigInt(12 + 9 * (level - 1));
    const next: State[] = [];
    for (const s of states) {
      const at = s.base + ((w.at >> shift) & 511n) * 8n;
      const list = look(u, r, at, 1);
      if (list === undefined) {
        blocked(level === w.levels ? w.reasons.top : w.reasons.fetch, s.killer);
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
        const alive = s.killer ?? killed(v.until, since);
        const R = bit(e, 0);
        const W = bit(e, 1);
        if (!R && !W) {
          blocked(w.write && !w.read ? w.reasons.write : w.reasons.read, s.killer ?? killedFault(u, v, since));
          if (w.write && w.read) blocked(w.reasons.write, s.killer ?? killedFault(u, v, since));
          continue;
        }
        mayLeaf ||= leaf;
        let { denied } = s;
        if (w.read && !R && !(w.zero && u.a.zlr)) {
          blocked(w.reasons.read, alive);
          denied = true;
        }
        if (w.write && !W) {
          blocked(w.reasons.write, alive);
          denied = true;
        }
        const bad = reserved(u, e, level, leaf, w.scalable);
        if (bad !== 'no') blocked(w.reasons.reserved, s.killer ?? killedFault(u, v, since));
        if (bad === 'yes') continue;
        if (alive === undefined) {
          used = true;
          isLeaf ||= leaf;
          inner ||= !leaf;
          accessed ||= bit(e, 8);
          dirty ||= bit(e, 9);
        }
        const address = e & mask(u.a.haw - 1, 12);
        const state: State = { base: address, read: s.read && R, write: s.write && W, denied, killer: alive };
        if (!leaf) {
          if (
            !next.some(
              (n) => n.base === state.base && n.read === state.read && n.write === state.write && n.denied === denied && n.killer === alive,
            )
          )
            next.push(state);
          continue;
        }
        const size = 1n << shift;
        const base = address & ~(size - 1n);
        const out = base | (w.at & (size - 1n));
        if (w.table === undefined) {
          if (interruptRange(out)) {
            blocked(w.reasons.interrupt, alive);
            continue;
          }
          // A large page that reaches into the range may be refused whole.
          if (base <= 0xfeefffffn && base + size > 0xfee00000n) blocked(w.reasons.interrupt, alive);
        }
        if (
          !denied &&
          !leaves.some((l) => l.at === out && l.size === size && l.killer === alive && l.read === state.read && l.write === state.write)
        )
          leaves.push({ at: out, size, read: state.read, write: state.write, killer: alive });
      }
      const on = w.flags === true;
      const dirtied = on && mayLeaf ? D : 0n;
      r.touched.push({
        at,
        stage: 2,
        level,
        leaf: isLeaf && !inner,
        used,
        fresh: !accessed,
        clean: !dirty,
        accessed: on ? A : 0n,
        // Flags of a first-stage entry are written by way of the page that holds it.
        also: w.table === undefined ? 0n : dirtied,
        dirty: w.table === undefined ? dirtied : 0n,
      });
    }
    states = next.length > statesKept ? [] : next;
    if (next.length > statesKept) r.unknown ??= 'which of many former table entries is cached';
  }
  return leaves;
};
const statesKept = 32;
