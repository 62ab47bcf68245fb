// Who wrote what: memory that changed is explained by a request's bytes, a wait's status, a page request, a posted interrupt or a flag.
// What nothing explains is a stray write; what must have come and did not is missing.

import type { Memory } from '../clause.ts';
import type { Event, EventOf } from '../vocabulary.ts';
import { absentWrite, landed, missing, strayed } from './access.ts';
import type { Expected, VtdGhost } from './ghost.ts';
import type { Chunk, Pending } from './request.ts';
import { changed } from './tables.ts';
import { statusSeen } from './queue.ts';
import type { VtdCheck } from './vocabulary.ts';

/** Requests that may still show effects, since memory was last compared as a whole. */
export interface Open {
  readonly pending: Pending;
  wrote: boolean;
}
const ruleOf: Readonly<Record<Expected['by'], string>> = {
  dma: 'vt-d.walk.address',
  status: 'vt-d.queue.wait-status',
  'page-request': 'vt-d.pri.descriptor',
  posted: 'vt-d.interrupt.posted',
};
const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** The bytes a request may write, at each host address that it may reach. */
export const expectWrites = (g: VtdGhost, memory: Memory, p: Pending): void => {
  if (p.event.do === 'dma.read') return;
  for (const c of p.chunks) {
    const list: { readonly at: bigint; readonly rule?: string }[] = [...c.reaches];
    for (const o of c.excluded)
      if (o.kind === 'reach' && o.killer !== undefined && !list.some((l) => l.at === o.at)) list.push({ at: o.at, rule: o.killer });
    for (const { at, rule } of list) {
      const bytes = bytesAt(memory, p, c, at);
      if (bytes === undefined) continue;
      g.expected.push({ at, bytes, by: 'dma', pending: p, ...(rule === undefined ? {} : { rule }), seen: false, time: g.time });
      if (g.compared) for (let n = at >> 12n; n <= (at + BigInt(bytes.length)) >> 12n; n++) g.tables.unsure.add(Number(n));
    }
  }
};
const bytesAt = (memory: Memory, p: Pending, c: Chunk, at: bigint): Uint8Array | undefined => {
  const e = p.event;
  if (e.do === 'dma.write')
    return at + BigInt(c.length) > BigInt(memory.size) ? undefined : e.bytes.subarray(c.offset, c.offset + c.length);
  if (e.do !== 'dma.atomic' || c.length !== e.width) return undefined;
  const old = e.width === 8 ? memory.u64(at) : memory.u32(at);
  if (old === undefined) return undefined;
  let sum = BigInt.asUintN(e.width * 8, BigInt(old) + e.operand);
  const bytes = new Uint8Array(e.width);
  for (let i = 0; i < e.width; i++) {
    bytes[i] = Number(sum & 0xffn);
    sum >>= 8n;
  }
  return bytes;
};

/** Accessed and dirty flags: set in entries that some walk used. */
const flags = (g: VtdGhost, memory: Memory, at: bigint): boolean => {
  const word = at & ~7n;
  const page = g.tables.pages.get(Number(word >> 12n));
  const now = memory.u64(word);
  if (page === undefined || now === undefined) return false;
  const before = page.words[Number((word >> 3n) & 511n)] as bigint;
  for (const t of g.touched) {
    if (t.at !== word) continue;
    if ((now & before) === before && ((now ^ before) & ~t.may) === 0n) return true;
  }
  return false;
};
const matches = (e: Expected, at: bigint, byte: number): boolean => {
  const i = at - e.at;
  return i >= 0n && i < BigInt(e.bytes.length) && e.bytes[Number(i)] === byte;
};
/** A request whose way is not known may have flagged any entry, and a write may be anywhere. */
const unknowable = (g: VtdGhost): boolean =>
  g.flagged ||
  g.sent.some((s) => s.unknown !== undefined) ||
  (g.a.prs && g.pageQueue.tail === undefined) ||
  g.open.some(({ pending: p }) => p.unknown !== undefined);

const explain = (g: VtdGhost, memory: Memory, at: bigint, bytes: Uint8Array, events: Event[]): boolean => {
  let last: Expected | undefined;
  let fine = true;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    const where = at + BigInt(i);
    if (last !== undefined && matches(last, where, byte)) continue;
    last = undefined;
    // What is permitted is asked first, and of several the latest.
    for (let k = g.expected.length - 1; k >= 0; k--) {
      const e = g.expected[k] as Expected;
      if (!matches(e, where, byte)) continue;
      if (last === undefined || (last.rule !== undefined && e.rule === undefined)) last = e;
      if (e.rule === undefined) break;
    }
    // A request whose way is not known may be what only an excluded way of another would show.
    if (last !== undefined && (last.rule === undefined || !unknowable(g))) {
      see(g, last, events);
      continue;
    }
    last = undefined;
    if (flags(g, memory, where) || unknowable(g) || g.queue.unknown !== undefined) continue;
    const from = g.open.findLast(({ pending: p }) => p.event.do === 'dma.write' && p.event.bytes.includes(byte));
    if (from === undefined) fine = false;
    else if (!from.wrote) {
      // It looks like this request's: the rule that the request breaks is named instead.
      from.wrote = true;
      const event = strayed(from.pending, where);
      if (event !== undefined) events.push(event);
    }
  }
  return fine;
};
const see = (g: VtdGhost, e: Expected, events: Event[]): void => {
  if (e.seen) return;
  e.seen = true;
  if (e.wait !== undefined) statusSeen(g, e.wait);
  if (e.pending === undefined) return;
  const event = landed(e, e.pending);
  if (event !== undefined) events.push(event);
  for (const o of g.open) if (o.pending === e.pending) o.wrote = true;
};

export const memoryChanged = (g: VtdGhost, memory: Memory, e: EventOf<'memory.changed'>): readonly Event[] => {
  const events: Event[] = [];
  for (const w of e.writes) {
    const explained = explain(g, memory, w.at, w.bytes, events);
    events.push({ saw: 'vtd.changed', explained, where: `${w.bytes.length} bytes at ${hex(w.at)}` });
  }
  for (const w of e.writes) changed(g.tables, memory, w.at, w.bytes.length, g.time);
  return events;
};
/** Someone else wrote here since: what was expected may be gone. */
export const overwrote = (g: VtdGhost, at: bigint, length: number): void => {
  g.overwritten.push({ at, end: at + BigInt(length), time: g.time });
};
const untouched = (g: VtdGhost, at: bigint, length: number, since: number): boolean =>
  !g.overwritten.some((o) => o.time > since && o.at < at + BigInt(length) && at < o.end);

/** Accessed and dirty flags that a walk must have set: where the request had one way, used entries that no cache knew as accessed. Ways that an invalidation has closed do not count: who takes them breaks another rule. */
const flagChecks = (g: VtdGhost, memory: Memory): readonly VtdCheck[] => {
  const checks: VtdCheck[] = [];
  for (const { pending: p } of g.open) {
    const [c] = p.chunks;
    if (p.told !== 'completed' || p.unknown !== undefined || p.chunks.length !== 1 || c?.reaches.length !== 1 || c.blocks.length > 0)
      continue;
    // The tables of one may lead where those of another do: whose flags are due is not known.
    if (p.several) continue;
    // A nested walk is held to the flags of its first stage: one entry of a level, or it is not known which was used.
    const used = p.touched.filter((t) => t.used);
    const stage = used.some((t) => t.stage === 1) ? 1 : 2;
    const mine = used.filter((t) => t.stage === stage);
    if (new Set(mine.map((t) => t.level)).size < mine.length) continue;
    for (const t of mine) {
      const word = memory.u64(t.at);
      if (word === undefined || !untouched(g, t.at, 8, p.time)) continue;
      const name = t.stage === 1 ? '' : 'second-';
      if (t.fresh && t.accessed !== 0n)
        checks.push({ rule: `vt-d.walk.${name}accessed`, ok: (word & t.accessed) !== 0n, expected: 'A set', got: hex(word) });
      if (t.leaf && t.clean && t.dirty !== 0n && p.event.do !== 'dma.read')
        checks.push({ rule: `vt-d.walk.${name}dirty`, ok: (word & t.dirty) !== 0n, expected: 'D set', got: hex(word) });
    }
  }
  return checks;
};
/** Memory was compared whole and nothing more will come: what must be there is, and what must not is not. */
export const settledMemory = (g: VtdGhost, memory: Memory): readonly Event[] => {
  const events: Event[] = [];
  for (const o of g.open) {
    const { pending: p } = o;
    if (p.unknown !== undefined || p.event.do !== 'dma.write') continue;
    for (const c of p.chunks) {
      if (c.length === 0) continue;
      const mine = g.expected.filter((e) => e.pending === p && e.rule === undefined && c.reaches.some((r) => r.at === e.at));
      if (c.reaches.length === 0) {
        if (!o.wrote && p.told === 'unseen') events.push(absentWrite(p, c));
        continue;
      }
      // Seen elsewhere: told already.
      if (o.wrote && !mine.some((e) => e.seen)) continue;
      if (c.blocks.length > 0 || mine.length === 0 || p.told === 'blocked' || mine.length < c.reaches.length) continue;
      const there = (e: Expected): boolean => {
        const now = memory.read(e.at, e.bytes.length);
        return now !== undefined && now.every((b, i) => b === e.bytes[i]);
      };
      const later = (e: Expected): boolean =>
        g.expected.some((f) => f !== e && f.pending !== p && f.at < e.at + BigInt(e.bytes.length) && e.at < f.at + BigInt(f.bytes.length));
      if (mine.some((e) => e.seen || there(e) || later(e) || !untouched(g, e.at, e.bytes.length, p.time))) continue;
      events.push(missing(p, c));
    }
  }
  const checks: VtdCheck[] = [];
  for (const e of g.expected) {
    if (e.by === 'dma' || e.seen || e.at + BigInt(e.bytes.length) > BigInt(memory.size)) continue;
    const now = memory.read(e.at, e.bytes.length);
    const there = now?.every((b, i) => b === e.bytes[i]) === true;
    if (e.wait !== undefined && there) statusSeen(g, e.wait);
    const later = g.expected.some((f) => f !== e && f.at < e.at + BigInt(e.bytes.length) && e.at < f.at + BigInt(f.bytes.length));
    if (e.optional === true || later || g.queue.unknown !== undefined || !untouched(g, e.at, e.bytes.length, e.time)) continue;
    checks.push({
      rule: ruleOf[e.by],
      ok: there,
      expected: `bytes at ${hex(e.at)}`,
      got: there ? 'them' : 'others',
    });
  }
  for (const e of g.expected) if (e.by !== 'dma' && e.seen) checks.push({ rule: ruleOf[e.by], ok: true, expected: '', got: '' });
  checks.push(...flagChecks(g, memory));
  if (checks.length > 0) events.push({ saw: 'vtd.status', checks });
  g.tables.unsure.clear();
  g.expected = [];
  g.overwritten = [];
  g.open = [];
  g.touched = [];
  g.flagged = false;
  return events;
};
