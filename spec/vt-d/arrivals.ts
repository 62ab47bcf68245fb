// Interrupts that arrived, told apart: a request's, the unit's own events, one that only a stale entry explains, or nobody's.
// They are weighed when the next stimulus comes, so that the order within one answer does not matter.

import type { Event, EventOf } from '../vocabulary.ts';
import type { VtdGhost } from './ghost.ts';
import { stored32 } from './ghost.ts';
import { FECTL, IECTL, PECTL } from './layout.ts';
import { several } from './line.ts';
import type { Message, Seen, Sent } from './messages.ts';
import { agrees, decode, tell } from './messages.ts';
import { unfold } from './owed.ts';
import type { VtdCheck } from './vocabulary.ts';

type Told = EventOf<'vtd.message'>;
/** The message that one of the unit's own events is programmed to send. */
export const eventMessage = (g: VtdGhost, control: number): Message => {
  const upper = g.a.eim ? BigInt(stored32(g, control + 12) >>> 0) << 32n : 0n;
  return decode(upper | BigInt(stored32(g, control + 8) >>> 0), stored32(g, control + 4));
};
const own = [
  ['fault', FECTL],
  ['completion', IECTL],
  ['page', PECTL],
] as const;
type Own = (typeof own)[number][0];
/** An unmasked event is programmed anew, or masked: what is on its way has left as it was. */
export const reprogrammed = (g: VtdGhost, at: number, width: number): void => {
  for (const [, control] of own)
    if (at < control + 16 && at + width > control && (stored32(g, control) & 0x80000000) === 0)
      g.programmed.set(control, [...(g.programmed.get(control) ?? []), eventMessage(g, control)]);
};
/** Whether one message more of it may have been sent than have arrived, and whether one surely was. */
const owes = (g: VtdGhost, name: Own): { readonly more: boolean; readonly all: boolean; readonly known: boolean } => {
  const states = name === 'fault' ? g.faults : name === 'completion' ? g.completion.states : g.page.states;
  const known =
    name === 'fault'
      ? g.faultsUnknown === undefined
      : name === 'page'
        ? g.pageQueue.tail !== undefined
        : g.completionUnknown === undefined && g.queue.unknown === undefined;
  const most = Math.max(...states.map((s) => s.sent));
  const more = most === several || most > (g.ownArrived.get(name) ?? 0);
  return { more, all: states.every((s) => s.sent > 0), known };
};
const told = (s: Sent, seen: Told['seen'], verdict: Pick<Told, 'matched' | 'got'> & { rule?: string }): Told => ({
  saw: 'vtd.message',
  requester: s.requester,
  seen,
  reach: s.may.some((w) => w.rule === undefined),
  form: s.form,
  rules: s.rules,
  reasons: s.reasons,
  expected:
    s.may
      .filter((w) => w.rule === undefined)
      .map((w) => tell(w.message))
      .join(', or ') || `blocked with ${s.reasons.map((r) => `0x${r.toString(16)}`).join(' or ')}`,
  ...verdict,
});
/** Software changes what a request on its way may be remapped by: all of it, or the bytes of one entry. It may be processed before or after. */
export const overtaken = (g: VtdGhost, at?: bigint, length = 0): void => {
  for (const s of g.sent) {
    const hit = at === undefined || (s.entry !== undefined && at < s.entry + 16n && s.entry < at + BigInt(length));
    if (s.arrived || !hit) continue;
    s.unknown ??= 'whether an interrupt request came before a change';
    g.faultsUnknown ??= s.unknown;
  }
};
/** What an event sends, or may have sent before it was programmed anew. */
const programmed = (g: VtdGhost, control: number): readonly Message[] => [eventMessage(g, control), ...(g.programmed.get(control) ?? [])];
/** A unit that keeps only the vector of the data sends fixed, edge-triggered messages. */
const isOf = (g: VtdGhost, control: number, s: Seen, loose: Partial<Message>): boolean =>
  programmed(g, control).some((m) => agrees({ ...m, ...loose }, s) || agrees({ ...m, level: false, ...loose, delivery: 0 }, s));
const one = (g: VtdGhost, s: Seen): readonly Event[] => {
  const got = tell(s);
  for (const sent of g.sent) {
    if (sent.arrived || s.event !== undefined) continue;
    if (!sent.may.some((w) => w.rule === undefined && agrees(w.message, s))) continue;
    sent.arrived = true;
    return [told(sent, 'delivered', { matched: 'permitted', got })];
  }
  let uncertain = g.sent.some((x) => x.unknown !== undefined);
  for (const [name, control] of own) {
    if (s.event !== undefined && s.event !== name) continue;
    const o = owes(g, name);
    if (!o.known) uncertain = true;
    else if (o.more) {
      if (s.event === undefined && !isOf(g, control, s, { level: undefined, redirectionHint: undefined })) continue;
      g.ownArrived.set(name, (g.ownArrived.get(name) ?? 0) + 1);
      // It may have been another's.
      if (s.event === undefined)
        for (const [other, at] of own)
          if (other !== name && owes(g, other).more && isOf(g, at, s, { redirectionHint: undefined })) g.ownPerhaps.add(other);
      const ok = isOf(g, control, s, { redirectionHint: undefined });
      const expected = programmed(g, control).map(tell).join(', or ');
      return [{ saw: 'vtd.status', checks: [{ rule: `vt-d.${ruleOf[name]}`, ok, expected, got }] }];
    }
  }
  g.asked = 'unsure';
  if (uncertain) return [];
  for (const sent of g.sent) {
    const stale = sent.may.find((w) => w.rule !== undefined && agrees(w.message, s));
    if (stale?.rule === undefined || sent.arrived) continue;
    sent.arrived = true;
    return [told(sent, 'delivered', { matched: 'excluded', rule: stale.rule, got })];
  }
  // One of the unit's own events that nothing called for is no request's.
  const mine = own.some(([name, control]) =>
    s.event === undefined ? agrees({ ...eventMessage(g, control), level: undefined, redirectionHint: undefined }, s) : s.event === name,
  );
  // A message merged or sent twice: one request, one interrupt; but an earlier one may have been told late.
  const from = mine ? undefined : g.sent.findLast((x) => !x.arrived);
  if (from !== undefined) {
    from.arrived = true;
    return [told(from, 'delivered', { matched: 'none', got })];
  }
  return [{ saw: 'vtd.status', checks: [{ rule: 'vt-d.interrupt.asked-for', ok: false, expected: 'no interrupt', got }] }];
};
const ruleOf: Readonly<Record<Own, string>> = {
  fault: 'fault.event-message',
  completion: 'queue.completion-message',
  page: 'pri.event-message',
};
const owedRule: Readonly<Record<Own, string>> = { fault: 'fault.event-sent', completion: 'queue.completion-sent', page: 'pri.event-sent' };

export const weigh = (g: VtdGhost): readonly Event[] => {
  if (g.arrivals.length === 0) return [];
  unfold(g);
  const events = g.arrivals.flatMap((s) => one(g, s));
  g.arrivals = [];
  return events;
};
/** At rest: what must have arrived has; a blocked request has stayed away. */
export const settledMessages = (g: VtdGhost): readonly Event[] => {
  const events: Event[] = [];
  for (const s of g.sent) {
    if (s.unknown !== undefined || s.arrived) continue;
    const merged = s.must && g.sent.some((t) => t !== s && t.arrived && t.may.some((w) => s.may.some((v) => alike(w.message, v.message))));
    if (merged) continue;
    events.push(
      told(s, 'nothing', {
        matched: s.must ? (s.rules.includes('not-cached') ? 'excluded' : 'none') : 'permitted',
        got: 'nothing arrived',
        ...(s.must && s.rules.includes('not-cached') ? { rule: 'not-cached' } : {}),
      }),
    );
  }
  const checks: VtdCheck[] = [];
  for (const [name] of own) {
    const o = owes(g, name);
    if (!o.known) continue;
    if (o.all && (g.ownArrived.has(name) || !g.ownPerhaps.has(name)))
      checks.push({
        rule: `vt-d.${owedRule[name]}`,
        ok: g.ownArrived.has(name),
        expected: 'its message',
        got: g.ownArrived.has(name) ? 'it' : 'nothing',
      });
  }
  // Everything that was seen since the last settle has been traced to who sent it.
  if (g.asked === 'all') checks.push({ rule: 'vt-d.interrupt.asked-for', ok: true, expected: '', got: '' });
  g.asked = 'all';
  if (checks.length > 0) events.push({ saw: 'vtd.status', checks });
  g.sent = [];
  g.ownArrived.clear();
  g.ownPerhaps.clear();
  return events;
};
const alike = (a: Message, b: Message): boolean => a.vector === b.vector && a.destination === b.destination;
