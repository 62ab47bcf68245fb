// Translation requests of devices (ATS): which pages may be returned with which rights, and when nothing may be.
// PCI Express Base, Address Translation Services; VT-d 4.1, Translation Requests.

import type { Moment } from '../clause.ts';
import type { Event } from '../vocabulary.ts';
import { absent, masters } from './functions.ts';
import type { VtdGhost } from './ghost.ts';
import { bit } from './layout.ts';
import type { Block, Outcome, Reach } from './outcome.ts';
import { interruptRange } from './outcome.ts';
import { translating, unitOf } from './request.ts';
import { tellReasons } from './access.ts';
import type { VtdCheck, VtdObservation, VtdStimulus } from './vocabulary.ts';
import { walk } from './walk.ts';

type Asked = Extract<VtdStimulus, { readonly do: 'ats.request' }>;
type Completion = Extract<VtdObservation, { readonly saw: 'ats.completion' }>;
/** A translation request and what each of its pages may come to. */
export interface Asking {
  readonly event: Asked;
  readonly pages: readonly {
    readonly at: bigint;
    readonly reaches: readonly Reach[];
    readonly blocks: readonly Block[];
    readonly excluded: readonly Outcome[];
  }[];
  readonly unknown: string | undefined;
}
const pagesKept = 16;
/** Missing permission is an answer, not a fault. */
const permission: readonly number[] = [0x05, 0x06, 0x71, 0x79, 0x81, 0x82, 0x85, 0x86];

export const translationAsked = (g: VtdGhost, m: Moment<VtdGhost>, e: Asked): readonly Event[] => {
  const requester = g.machine.requesters[e.requester];
  const on = translating(g);
  let unknown: string | undefined = requester === undefined ? 'a requester that the machine does not name' : undefined;
  // Interrupt addresses are not translated: what a device is told of them is not judged.
  if (interruptRange(e.at) || interruptRange(e.at + BigInt(e.pages) * 4096n - 1n))
    unknown ??= 'a translation request for interrupt addresses';
  if (e.execute === true) unknown ??= 'a translation request with execute permission';
  if (on !== true) unknown ??= 'a translation request while translation is off';
  if (absent(g.functions, g.machine, e.requester) !== false || masters(g.functions, g.machine, e.requester) !== true)
    unknown ??= 'whether the function may make requests';
  const pages: { at: bigint; reaches: Reach[]; blocks: Block[]; excluded: Outcome[] }[] = [];
  for (let i = 0; unknown === undefined && i < Math.min(e.pages, pagesKept); i++) {
    const at = BigInt.asUintN(64, (e.at & ~0xfffn) + BigInt(i) * 4096n);
    const r = walk(unitOf(g, m.memory), {
      sourceId: requester?.sourceId ?? 0,
      at,
      read: false,
      write: false,
      zero: false,
      execute: false,
      privileged: e.privileged === true,
      pasid: e.pasid,
      kind: 'translation',
    });
    unknown ??= r.unknown;
    for (const t of r.touched)
      g.touched.push({ at: t.at, may: t.accessed | t.also | (e.noWrite !== true || !bit(g.a.ecap, 33) ? t.dirty : 0n) });
    const list = { at, reaches: [] as Reach[], blocks: [] as Block[], excluded: [] as Outcome[] };
    for (const o of r.outcomes) {
      if (o.killer !== undefined) list.excluded.push(o);
      else if (o.kind === 'reach') list.reaches.push(o);
      else list.blocks.push(o);
    }
    pages.push(list);
  }
  g.asking = { event: e, pages, unknown };
  g.flagged ||= unknown !== undefined;
  if (unknown !== undefined || pages.some((p) => p.blocks.some((b) => !permission.includes(b.reason) && !b.fpd)))
    g.faultsUnknown ??= unknown ?? 'a translation request that is refused';
  return [];
};
const hex = (n: bigint): string => `0x${n.toString(16)}`;
export const translated = (g: VtdGhost, _m: Moment<VtdGhost>, e: Completion): readonly Event[] => {
  const a = g.asking;
  g.asking = undefined;
  if (a === undefined || a.unknown !== undefined || a.pages.length === 0) return [];
  const checks: VtdCheck[] = [];
  const add = (rule: string, ok: boolean, expected: string, got: string): void => {
    checks.push({ rule, ok, expected, got });
  };
  const first = a.pages[0];
  if (first === undefined) return [];
  const granted = e.status === 'success' && e.entries.some((x) => x.read || x.write);
  if (first.reaches.length === 0) {
    const stale = granted ? first.excluded.find((o) => o.kind === 'reach') : undefined;
    if (stale === undefined)
      add(
        'vt-d.ats.refused',
        !granted,
        `no right (${tellReasons(first.blocks.map((b) => b.reason))})`,
        e.status === 'success' ? 'rights' : e.status,
      );
    else add(`vt-d.cache.${stale.killer}`, false, 'no right', 'rights of an entry that was invalidated');
    return [{ saw: 'vtd.status', checks }];
  }
  add('vt-d.ats.count', e.entries.length <= a.event.pages, `at most ${a.event.pages}`, `${e.entries.length}`);
  if (first.blocks.length === 0) add('vt-d.ats.granted', e.status === 'success' && e.entries.length > 0, 'a translation', e.status);
  // Entries follow each other; each covers a power of two of pages.
  let i = 0;
  for (const x of e.entries) {
    const p = a.pages[i];
    if (p === undefined) break;
    i += Number(x.size >> 12n);
    if (!x.read && !x.write) {
      if (x === e.entries[0] && p.blocks.length === 0 && p.reaches.every((r) => r.read)) add('vt-d.ats.read', false, 'R', '--');
      continue;
    }
    const inside = p.at & (x.size - 1n);
    const to = (x.address & ~(x.size - 1n)) | inside;
    const same = p.reaches.filter((r) => (r.at & ~0xfffn) === to);
    const stale = same.length === 0 ? p.excluded.find((o): o is Reach => o.kind === 'reach' && (o.at & ~0xfffn) === to) : undefined;
    if (stale?.killer !== undefined) add(`vt-d.cache.${stale.killer}`, false, p.reaches.map((r) => hex(r.at)).join(' or '), hex(to));
    else add('vt-d.ats.address', same.length > 0, p.reaches.map((r) => hex(r.at)).join(' or ') || 'no right', hex(to));
    if (same.length === 0) continue;
    const may = same.some((r) => (r.read || !x.read) && (r.write || !x.write));
    const rights = (r: { readonly read: boolean; readonly write: boolean }): string => `${r.read ? 'R' : '-'}${r.write ? 'W' : '-'}`;
    add('vt-d.ats.rights', may, `at most ${same.map(rights).join(' or ')}`, rights(x));
    if (p.blocks.length === 0)
      add(
        'vt-d.ats.read',
        same.some((r) => r.read === x.read || !r.read),
        same.map(rights).join(' or '),
        rights(x),
      );
    // No Write says that the device will not: then the right may be kept back, and the page stays clean. What a supervisor may write is not told.
    if (p.blocks.length === 0 && a.event.noWrite !== true && a.event.privileged !== true)
      add(
        'vt-d.ats.write',
        same.some((r) => r.write === x.write || !r.write),
        same.map(rights).join(' or '),
        rights(x),
      );
  }
  return [{ saw: 'vtd.status', checks }];
};
