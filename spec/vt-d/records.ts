// A fault record that was read, beside the faults that may stand there; and how reads narrow what is possible.
// VT-d 4.1, Fault Recording Registers; Fault Status Register.

import type { EventOf } from '../vocabulary.ts';
import type { Fault, FaultState } from './faults.ts';
import { distinct, pending } from './faults.ts';
import type { VtdGhost } from './ghost.ts';
import type { Abilities } from './layout.ts';
import { any } from './outcome.ts';
import type { Read } from './registers.ts';

/** Parts of a record that one access showed: undefined where it did not. */
interface Shown {
  readonly index: number;
  readonly f: boolean | undefined;
  readonly sourceId: number | undefined;
  readonly reason: number | undefined;
  readonly info: bigint | undefined;
  /** Which bits of `info` were seen. */
  readonly infoMask: bigint;
  readonly read: boolean | undefined;
  readonly type: number | undefined;
  readonly pp: boolean | undefined;
  readonly pasid: number | undefined;
  readonly execute: boolean | undefined;
  readonly privileged: boolean | undefined;
  readonly a: Abilities;
}
const hex = (n: bigint | number): string => `0x${n.toString(16)}`;
export const shown = (g: VtdGhost, e: Read): Shown | undefined => {
  const offset = e.at - g.a.fro;
  if (offset < 0 || offset >= g.a.records * 16) return undefined;
  const within = offset & 15;
  const low = e.value & 0xffffffffn;
  const high = e.width === 8 ? e.value >> 32n : e.value & 0xffffffffn;
  const upper = within === 12 || (within === 8 && e.width === 8) ? Number(high) : undefined;
  const lower = within === 8 ? Number(low) : undefined;
  const at = within < 8 ? (within === 4 ? low << 32n : e.value) : undefined;
  return {
    index: offset >> 4,
    f: upper === undefined ? undefined : upper >>> 31 === 1,
    reason: upper === undefined ? undefined : upper & 0xff,
    pasid: upper === undefined ? undefined : (upper >>> 8) & 0xfffff,
    type: upper === undefined ? undefined : (upper >>> 28) & 3,
    read: upper === undefined ? undefined : ((upper >>> 30) & 1) === 1,
    sourceId: lower === undefined ? undefined : lower & 0xffff,
    pp: lower === undefined ? undefined : lower >>> 31 === 1,
    execute: lower === undefined ? undefined : ((lower >>> 30) & 1) === 1,
    privileged: lower === undefined ? undefined : ((lower >>> 29) & 1) === 1,
    info: at,
    a: g.a,
    infoMask: within >= 8 ? 0n : within === 4 ? 0xffffffff00000000n : e.width === 8 ? 0xfffffffffffff000n : 0xfffff000n,
  };
};
type Field = EventOf<'vtd.record'>['fields'][number];
const infoFits = (f: Fault, s: Shown): boolean => {
  if (s.info === undefined || f.info === undefined) return true;
  const bits = (f.interrupt ? 0xffff000000000000n : 0xfffffffffffff000n) & s.infoMask;
  const differs = (s.info ^ f.info) & bits;
  if (f.interrupt || differs === 0n) return differs === 0n;
  // Above the guest address width the field may be reserved (FRCD_REG, FI).
  const above = (bits >> BigInt(s.a.mgaw)) << BigInt(s.a.mgaw);
  return (differs & ~above) === 0n && (s.info & above) === 0n;
};
const fits = (f: Fault, s: Shown): readonly Field[] => {
  const list: Field[] = [];
  const add = (name: string, expected: string, saw: string, ok: boolean): void => {
    list.push({ name, expected, saw, ok });
  };
  if (s.sourceId !== undefined) add('source-id', hex(f.sourceId), hex(s.sourceId), s.sourceId === f.sourceId);
  if (s.read !== undefined && f.read !== undefined) add('direction', f.read ? 'T 1' : 'T 0', s.read ? 'T 1' : 'T 0', s.read === f.read);
  if (s.type !== undefined && f.type !== undefined && !f.interrupt)
    add('address-type', `AT ${f.type}`, `AT ${s.type}`, s.type === f.type || (s.type === 0 && !s.a.dt));
  if (s.info !== undefined && f.info !== undefined)
    add(f.interrupt ? 'interrupt-index' : 'address', hex(f.info), hex(s.info), infoFits(f, s));
  // Without PASID the fields may not be implemented: they read as 0 then.
  const bare = !s.a.pasid;
  if (s.pp !== undefined && !f.interrupt)
    add('pasid', `PP ${f.pasid === undefined ? 0 : 1}`, `PP ${s.pp ? 1 : 0}`, s.pp === (f.pasid !== undefined) || (bare && !s.pp));
  if (s.pasid !== undefined && f.pasid !== undefined)
    add('pasid', hex(f.pasid), hex(s.pasid), s.pasid === f.pasid || (bare && s.pasid === 0));
  if (f.pasid !== undefined && s.execute !== undefined)
    add('attributes', `EXE ${f.execute}`, `EXE ${s.execute}`, s.execute === f.execute || (bare && !s.execute));
  if (f.pasid !== undefined && s.privileged !== undefined)
    add('attributes', `PRIV ${f.privileged}`, `PRIV ${s.privileged}`, s.privileged === f.privileged || (bare && !s.privileged));
  return list;
};
const reasonFits = (f: Fault, s: Shown): boolean => s.reason === undefined || f.reasons.includes(s.reason) || f.reasons.includes(any);
/** The record that comes nearest to what was shown: fewest parts that do not fit, then most that do. */
const nearest = (candidates: readonly Fault[], s: Shown): Fault | undefined => {
  let best: Fault | undefined;
  let score = -Infinity;
  for (const f of candidates) {
    const parts = fits(f, s);
    const bad = parts.filter((x) => !x.ok).length + (reasonFits(f, s) ? 0 : 1);
    const n = parts.length - bad * 100;
    if (n > score) {
      best = f;
      score = n;
    }
  }
  return best;
};
export const recordRead = (g: VtdGhost, e: Read): EventOf<'vtd.record'> | undefined => {
  const s = shown(g, e);
  if (s === undefined || g.faultsUnknown !== undefined) return undefined;
  const standing = g.faults.flatMap((t) => t.records[s.index] ?? []);
  const may = standing.length === 0 ? 'none' : standing.length === g.faults.length ? 'all' : 'some';
  // Without F in sight the rest is judged only where a fault surely stands.
  if (s.f === undefined && may !== 'all') return undefined;
  const f = s.f === false ? undefined : nearest([...new Set(standing)], s);
  const suppressed =
    g.suppressed !== undefined &&
    s.reason !== undefined &&
    g.suppressed.reasons.includes(s.reason) &&
    (s.sourceId === undefined || s.sourceId === g.suppressed.sourceId);
  const fields: Field[] = f === undefined ? [] : [...fits(f, s)];
  if (f !== undefined && s.reason !== undefined && !f.reasons.includes(any))
    fields.push({ name: 'reason', expected: f.reasons.map(hex).join(' or '), saw: hex(s.reason), ok: reasonFits(f, s) });
  return { saw: 'vtd.record', present: s.f, may, suppressed, reasons: f?.reasons ?? [], fields };
};
const agreesRecord = (t: FaultState, s: Shown): boolean => {
  const f = t.records[s.index];
  if (s.f !== undefined && s.f !== (f !== undefined)) return false;
  if (f === undefined || s.f === false) return true;
  return reasonFits(f, s) && fits(f, s).every((x) => x.ok);
};
const keep = (g: VtdGhost, agrees: (s: FaultState) => boolean): void => {
  const left = g.faults.filter(agrees);
  if (left.length === 0) g.faultsUnknown = 'fault records that did not agree before';
  else if (left.length < g.faults.length) g.faults = distinct(left);
};
export const narrowByRecord = (g: VtdGhost, e: Read): void => {
  const s = shown(g, e);
  if (s !== undefined && g.faultsUnknown === undefined) keep(g, (t) => agreesRecord(t, s));
};
/** FSTS_REG was read. All clear, with nothing under way that may still be recorded: the records are known again, whatever was not known before. */
export const narrowByStatus = (g: VtdGhost, value: number): void => {
  if (g.faultsUnknown === undefined)
    keep(
      g,
      (s) =>
        pending(s) === ((value & 2) !== 0) &&
        s.pfo === ((value & 1) !== 0) &&
        s.iqe === ((value & 0x10) !== 0) &&
        s.ite === ((value & 0x40) !== 0) &&
        (!pending(s) || s.fri === ((value >>> 8) & 0xff)),
    );
  if (g.faultsUnknown === undefined || (value & 0xff) !== 0 || !g.quiet) return;
  const first = g.faults[0] as FaultState;
  const empty = {
    ...first,
    records: first.records.map(() => undefined),
    pfo: false,
    iqe: false,
    ice: false,
    ite: false,
    ip: false,
    sent: 0,
    faults: [],
    errors: [],
  };
  g.faults = empty.records.map((_, next) => ({ ...empty, next, fri: 0 }));
  g.faultsUnknown = undefined;
};
