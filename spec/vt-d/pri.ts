// Page requests (PRI): queued with a descriptor, refused with a fault, or answered by the unit when the queue is full.
// VT-d 4.1, Page Request Services; Page Request Status Register.

import type { Moment } from '../clause.ts';
import type { Event } from '../vocabulary.ts';
import type { Fault } from './faults.ts';
import { faulted } from './faults.ts';
import { field, mask, PQA, PQH } from './layout.ts';
import type { Block } from './outcome.ts';
import { absent, masters } from './functions.ts';
import type { VtdGhost } from './ghost.ts';
import { stored64 } from './ghost.ts';
import { arises } from './line.ts';
import { pageDescriptor } from './page-queue.ts';
import { translating, unitOf } from './request.ts';
import type { VtdCheck, VtdStimulus } from './vocabulary.ts';
import { walk } from './walk.ts';

type Asked = Extract<VtdStimulus, { readonly do: 'pri.request' }>;
/** A refused page request: whether it is recorded is not judged, but if it is, the record tells why. Its address type has no meaning. */
const refusedPage = (g: VtdGhost, sourceId: number, e: Asked, o: Block): void => {
  if (g.faultsUnknown !== undefined || o.fpd) return;
  const fault: Fault = {
    sourceId,
    read: undefined,
    info: e.at & ~0xfffn,
    interrupt: false,
    reasons: [o.reason],
    pasid: e.pasid,
    execute: false,
    privileged: e.privileged === true,
    type: undefined,
  };
  g.faults = faulted(g.faults, fault, false);
};
export const pageRequested = (g: VtdGhost, m: Moment<VtdGhost>, e: Asked): readonly Event[] => {
  const requester = g.machine.requesters[e.requester];
  const queue = stored64(g, PQA);
  const mayAnswer = (): void => {
    g.pageQueue.refused.push({ requester: e.requester, group: e.group, pasid: e.pasid, last: e.last });
  };
  const giveUp = (why: string): readonly Event[] => {
    g.pageQueue.tail = undefined;
    mayAnswer();
    g.faultsUnknown ??= why;
    return [];
  };
  if (!g.a.prs || requester === undefined || translating(g) !== true || queue >> 12n === 0n)
    return giveUp('a page request that nothing is ready for');
  if (absent(g.functions, g.machine, e.requester) !== false || masters(g.functions, g.machine, e.requester) !== true)
    return giveUp('whether the function may make requests');
  const r = walk(unitOf(g, m.memory), {
    sourceId: requester.sourceId,
    at: e.at,
    read: e.read,
    write: e.write,
    zero: false,
    execute: false,
    privileged: e.privileged === true,
    pasid: e.pasid,
    kind: 'page',
  });
  const permitted = r.outcomes.filter((o) => o.killer === undefined);
  if (r.unknown !== undefined || permitted.length !== 1) return giveUp(r.unknown ?? 'which of several entries a page request meets');
  const [o] = permitted;
  if (o?.kind !== 'reach') {
    // Refused: a fault is recorded, the device may be answered at once.
    mayAnswer();
    if (o !== undefined) refusedPage(g, requester.sourceId, e, o);
    return [];
  }
  const { tail } = g.pageQueue;
  if (tail === undefined) {
    // Where it stands is not known, nor whether there is room: the unit answers what does not fit.
    mayAnswer();
    return [];
  }
  const size = 128 << field(queue, 2, 0);
  const head = Number((stored64(g, PQH) & mask(18, 5)) >> 5n);
  const full = (tail + 1) % size === head || g.page.states.every((s) => s.overflow || s.owes.overflow > 0);
  if (full) {
    arises(g.page, 'overflow');
    mayAnswer();
    return [];
  }
  const bytes = pageDescriptor({
    sourceId: requester.sourceId,
    pasid: e.pasid,
    at: e.at,
    read: e.read,
    write: e.write,
    execute: false,
    privileged: e.privileged === true,
    last: e.last,
    group: e.group,
  });
  g.expected.push({ at: (queue & mask(g.a.haw - 1, 12)) + BigInt(tail * 32), bytes, by: 'page-request', seen: false, time: g.time });
  g.pageQueue.tail = (tail + 1) % size;
  g.pageQueue.behind++;
  arises(g.page, 'status');
  return [];
};
/** At rest: devices have got what they were owed; page requests stand in the queue. */
export const settledDevices = (g: VtdGhost, m: Moment<VtdGhost>): readonly Event[] => {
  const checks: VtdCheck[] = [];
  const { devices: d } = g;
  if (m.granted.offers.includes('vt-d.ats'))
    for (const o of d.invalidations)
      if (!o.mute)
        checks.push({
          rule: 'vt-d.ats.invalidation-sent',
          ok: o.seen,
          expected: `an invalidation request at 0x${o.at.toString(16)}`,
          got: o.seen ? 'it' : 'nothing',
        });
  if (m.granted.offers.includes('vt-d.pri'))
    for (const o of d.responses)
      checks.push({
        rule: 'vt-d.pri.response-sent',
        ok: o.seen,
        expected: `a response to group ${o.group}`,
        got: o.seen ? 'it' : 'nothing',
      });
  d.invalidations = [];
  d.responses = [];
  g.pageQueue.refused = [];
  g.pageQueue.behind = 0;
  return checks.length === 0 ? [] : [{ saw: 'vtd.status', checks }];
};
