// How events change what is known of a remapping unit: stimuli are taken in, answers weighed against what they may be.
// Facts seen are told as derived events; clauses say which of them are wrong.

import type { Moment } from '../clause.ts';
import type { Event, EventName } from '../vocabulary.ts';
import { ended } from './access.ts';
import { overtaken, settledMessages, weigh } from './arrivals.ts';
import { gotInvalidation, gotResponse } from './ats.ts';
import { expectWrites, memoryChanged, overwrote, settledMemory } from './changes.ts';
import { commandRested, statusRead } from './command.ts';
import { faulted } from './faults.ts';
import type { Fault } from './faults.ts';
import { configRead, configWritten, functionReset } from './functions.ts';
import type { VtdGhost } from './ghost.ts';
import { restart } from './ghost.ts';
import { FECTL, FSTS, GSTS, ICS, IECTL, PECTL, PHMBASE, PLMBASE, PQT, PRS } from './layout.ts';
import { narrow } from './line.ts';
import { unknownMessage } from './messages.ts';
import { interruptRange } from './outcome.ts';
import { accessed, paid, recount } from './owed.ts';
import { answered, behindBy } from './page-queue.ts';
import { pageRequested, settledDevices } from './pri.ts';
import { restedQueue } from './queue.ts';
import { narrowByRecord, narrowByStatus, recordRead } from './records.ts';
import { readChecks } from './registers.ts';
import { interruptRequest } from './remap.ts';
import { faultsOf, prepare } from './request.ts';
import { changed } from './tables.ts';
import { translated, translationAsked } from './translation.ts';
import type { VtdObservation } from './vocabulary.ts';
import { registerWritten } from './write.ts';

export const observed: readonly EventName[] = [
  'memory.write',
  'memory.changed',
  'settled',
  'vtd.read',
  'vtd.write',
  'vtd.register',
  'vtd.reset',
  'dma.read',
  'dma.write',
  'dma.atomic',
  'dma.done',
  'ats.request',
  'ats.completion',
  'ats.answers',
  'ats.invalidation',
  'pri.request',
  'pri.response',
  'msi.send',
  'apic.interrupt',
  'function.config.read',
  'function.config.write',
  'function.config',
  'function.reset',
];
/** A fault was met: recorded, collapsed, lost or suppressed. */
export const met = (
  g: VtdGhost,
  f: { readonly fault: Fault | undefined; readonly sure: boolean; readonly suppressed: readonly number[] },
  sourceId: number,
): void => {
  if (f.suppressed.length > 0 && f.fault === undefined) g.suppressed = { sourceId, reasons: f.suppressed };
  if (f.fault === undefined || g.faultsUnknown !== undefined) return;
  g.faults = faulted(g.faults, f.fault, f.sure);
};

/** The request under way is over. */
const conclude = (
  g: VtdGhost,
  m: Moment<VtdGhost>,
  told: 'completed' | 'blocked' | 'unseen',
  bytes: Uint8Array | undefined,
): readonly Event[] => {
  const { pending: p } = g;
  if (p === undefined) return [];
  g.pending = undefined;
  p.told = told;
  const events = ended(g, m.memory, p, told, bytes);
  if (p.unknown !== undefined) {
    if (told !== 'completed') g.faultsUnknown ??= p.unknown;
  } else for (const f of faultsOf(p)) met(g, f, p.sourceId);
  return events;
};
const read = (g: VtdGhost, e: Extract<VtdObservation, { readonly saw: 'vtd.register' }>): readonly Event[] => {
  const events: Event[] = [];
  accessed(g, e.at, e.width);
  const { checks, events: more } = readChecks(g, e);
  if (checks.length > 0) events.push({ saw: 'vtd.status', checks });
  const record = recordRead(g, e);
  if (record !== undefined) events.push(record);
  events.push(...more);
  narrowByRecord(g, e);
  for (let i = 0; i < e.width; i += 4) {
    const value = Number((e.value >> BigInt(i * 8)) & 0xffffffffn);
    const at = e.at + i;
    const cell = g.cells.get(at);
    if (cell !== undefined) cell.seen ??= value;
    // Ones written to a base: those that stick tell its alignment.
    if ((at === PLMBASE || at === PHMBASE) && cell?.value === 0xffffffff && value !== 0)
      g.alignment.set(at, BigInt((value & -value) >>> 0));
    const ip = ((value >>> 30) & 1) === 1;
    if (at === GSTS) events.push(...statusRead(g, value));
    else if (at === FSTS) narrowByStatus(g, value);
    else if (at === FECTL && g.faultsUnknown === undefined) {
      const left = g.faults.filter((s) => s.ip === ip);
      if (left.length > 0) g.faults = left;
    } else if (at === ICS) narrow(g.completion, (s) => s.status === ((value & 1) === 1));
    else if (at === IECTL) narrow(g.completion, (s) => s.ip === ip);
    else if (at === PQT) g.pageQueue.behind = behindBy(g, value) ?? g.pageQueue.behind;
    else if (at === PRS) narrow(g.page, (s) => s.status === ((value & 1) === 1) && s.overflow === ((value & 2) === 2));
    else if (at === PECTL) narrow(g.page, (s) => s.ip === ip);
  }
  return events;
};
/** The unit is at rest. */
const settled = (g: VtdGhost, m: Moment<VtdGhost>): readonly Event[] => {
  const events: Event[] = [...weigh(g), ...commandRested(g)];
  paid(g);
  if (m.granted.offers.includes('vt-d.interrupt')) events.push(...settledMessages(g));
  else g.sent = [];
  if (m.granted.memory.seen !== 'unseen') events.push(...settledMemory(g, m.memory));
  events.push(...settledDevices(g, m), ...restedQueue(g));
  recount(g);
  g.pmenRested = true;
  g.quiet = true;
  return events;
};
const stimulus = (g: VtdGhost, m: Moment<VtdGhost>): readonly Event[] => {
  const e = m.event;
  if (!('do' in e)) return [];
  if (/^(dma|msi|ats|pri)\./.test(e.do)) g.quiet = false;
  switch (e.do) {
    case 'memory.write':
      changed(g.tables, m.memory, e.at, e.bytes.length, g.time);
      overwrote(g, e.at, e.bytes.length);
      overtaken(g, e.at, e.bytes.length);
      return [];
    case 'vtd.write':
      return registerWritten(g, m.memory, e);
    case 'vtd.reset':
      restart(g, m.granted);
      return [{ saw: 'scope.reset', scope: 'vtd' }];
    case 'dma.read':
    case 'dma.write':
    case 'dma.atomic': {
      const p = prepare(g, m.memory, e);
      g.pending = p;
      g.open.push({ pending: p, wrote: false });
      for (const t of p.touched) g.touched.push({ at: t.at, may: t.accessed | t.also | (e.do === 'dma.read' ? 0n : t.dirty) });
      expectWrites(g, m.memory, p);
      // A write to interrupt addresses is an interrupt request, if it has the size of one.
      if (e.do === 'dma.write' && p.chunks.some((c) => interruptRange(c.at))) g.sent.push(unknownMessage(e.requester));
      return [];
    }
    case 'msi.send': {
      const sourceId = g.machine.requesters[e.requester]?.sourceId ?? 0;
      const r = interruptRequest(g, m.memory, { requester: e.requester, sourceId, address: e.address, data: e.data, pasid: e.pasid });
      g.sent.push(r.sent);
      if (r.post !== undefined) g.expected.push({ at: r.post.at, bytes: r.post.bytes, by: 'posted', seen: false, time: g.time });
      if (r.sent.unknown !== undefined) g.faultsUnknown ??= r.sent.unknown;
      else met(g, r, sourceId);
      return [];
    }
    case 'ats.answers':
      if (e.answers) g.devices.mute.delete(e.requester);
      else g.devices.mute.add(e.requester);
      return [];
    case 'ats.request':
      return translationAsked(g, m, e);
    case 'pri.request':
      return pageRequested(g, m, e);
    case 'function.config.write':
      configWritten(g.functions, g.machine, e);
      return [];
    case 'function.reset':
      functionReset(g.functions, g.machine, e.requester);
      return [];
    default:
      return [];
  }
};
export const observe = (g: VtdGhost, m: Moment<VtdGhost>): readonly Event[] => {
  g.time++;
  const e = m.event;
  if ('do' in e) {
    const before = [...weigh(g), ...conclude(g, m, 'unseen', undefined)];
    const after = stimulus(g, m);
    return before.length === 0 ? after : [...before, ...after];
  }
  switch (e.saw) {
    case 'memory.changed':
      return memoryChanged(g, m.memory, e);
    case 'vtd.register':
      return read(g, e);
    case 'dma.done':
      return conclude(g, m, e.outcome, e.bytes);
    case 'apic.interrupt':
      g.arrivals.push(e);
      return [];
    case 'ats.completion':
      return translated(g, m, e);
    case 'ats.invalidation':
      if (g.queue.unknown !== undefined) return [];
      return [
        {
          saw: 'vtd.status',
          checks: [
            {
              rule: 'vt-d.ats.invalidation',
              ok: gotInvalidation(g.devices, e),
              expected: 'an invalidation that was asked for',
              got: `0x${e.at.toString(16)}, ${e.pages} pages`,
            },
          ],
        },
      ];
    case 'pri.response':
      if (g.queue.unknown !== undefined) return [];
      return [
        {
          saw: 'vtd.status',
          checks: [
            {
              rule: 'vt-d.pri.response',
              ok: gotResponse(g.devices, e) || answered(g.pageQueue, e),
              expected: 'a response that was asked for',
              got: `group ${e.group}, code ${e.code}`,
            },
          ],
        },
      ];
    case 'function.config': {
      const checks = configRead(g.functions, g.machine, e);
      return checks.length === 0 ? [] : [{ saw: 'vtd.status', checks }];
    }
    case 'settled':
      return e.by === 'bound'
        ? [...weigh(g), ...conclude(g, m, 'unseen', undefined)]
        : [...conclude(g, m, 'unseen', undefined), ...settled(g, m)];
    default:
      return [];
  }
};
