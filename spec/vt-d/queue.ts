// The invalidation queue at work: descriptors fetched from head to tail, invalidations in flight, waits, errors and going on after them.
// VT-d 4.1, Queued Invalidation Interface; Invalidation Queue Errors.

import type { Memory } from '../clause.ts';
import type { Event } from '../vocabulary.ts';
import { asked, responded } from './ats.ts';
import type { Invalidation } from './caches.ts';
import { allSince, dropped } from './caches.ts';
import type { Descriptor } from './descriptors.ts';
import { descriptor } from './descriptors.ts';
import { queueFailed } from './faults.ts';
import { absent } from './functions.ts';
import type { Pointer, VtdGhost } from './ghost.ts';
import { IRTPS, status, stored32, stored64 } from './ghost.ts';
import { IQA, IQT, bit, field, mask } from './layout.ts';
import { arises } from './line.ts';
import type { Queue } from './queue-state.ts';

export const masked = (g: VtdGhost, control: number): boolean => (stored32(g, control) & 0x80000000) !== 0;
export const derivedOf = (what: Invalidation['what'], by: 'register' | 'queue'): Event => ({
  saw: 'vtd.invalidated',
  what: what === 'piotlb' ? 'iotlb' : what,
  by,
});
const scalableRoot = (root: Pointer | undefined): boolean => field(root?.value ?? 0n, 11, 10) === 1;
const scalableMode = (g: VtdGhost): boolean => scalableRoot(g.roots[0]);
/** An invalidation is complete: it was asked for at `time`. */
export const complete = (g: VtdGhost, what: Invalidation, time: number): void => {
  dropped(g.caches, what, time, g.time);
  // A cache that nothing was ever put into holds nothing: PASID entries without scalable mode, interrupt entries without a table.
  g.tables.floor = allSince(
    g.caches,
    g.roots.some((r) => r.until > g.tables.floor && scalableRoot(r)),
    g.a.ir && status(g, IRTPS),
  );
  g.roots = g.roots.filter((r, i) => i < 3 || r.until > g.tables.floor);
};

const stop = (g: VtdGhost, what: 'iqe' | 'ite'): void => {
  if (g.faultsUnknown === undefined) g.faults = queueFailed(g.faults, what);
};
/** Carries out one descriptor; false: the queue stops here. */
const carryOut = (g: VtdGhost, d: Descriptor): boolean => {
  const { queue: q } = g;
  switch (d.is) {
    case 'error':
      q.error = d.codes;
      q.errorRule = d.rule;
      stop(g, 'iqe');
      return false;
    case 'unclear':
      q.unknown = d.why;
      g.faultsUnknown ??= d.why;
      return false;
    case 'invalidate':
      q.flight.push({ kind: 'invalidate', what: d.what, time: g.time });
      return true;
    case 'device': {
      const i = g.machine.requesters.findIndex((r) => r.sourceId === d.sourceId);
      const answers = i >= 0 && absent(g.functions, g.machine, i) !== false ? undefined : asked(g.devices, g.machine, d);
      if (answers === true) return true;
      if (answers === undefined) return carryOut(g, { is: 'unclear', why: 'a device-TLB invalidation of a device that is not there' });
      q.timeout = d.sourceId;
      stop(g, 'ite');
      q.unknown = 'a device-TLB invalidation that is not answered';
      return false;
    }
    case 'response':
      responded(g.devices, g.machine, d);
      return true;
    default: {
      const number = q.waits++;
      q.flight.push({ kind: 'wait', number });
      const both = d.status !== undefined && d.interrupt;
      if (d.status !== undefined) {
        const { at, data } = d.status;
        const bytes = Uint8Array.of(data & 0xff, (data >>> 8) & 0xff, (data >>> 16) & 0xff, data >>> 24);
        g.expected.push({ at, bytes, by: 'status', wait: number, seen: false, time: g.time, ...(both ? { optional: true } : {}) });
      }
      if (d.interrupt) {
        if (both) g.completionUnknown = 'a wait with status and interrupt at once';
        else arises(g.completion, 'status');
      }
      return true;
    }
  }
};
/** Past the end, or, where descriptors are wide, in the middle of one. */
const wrongTail = (q: Queue): boolean => q.tail >= q.size || q.tail % 1 !== 0;
/** Else a unit may stop at any descriptor (IQERCD_REG, IQEI 7). */
const offersMode = (g: VtdGhost): boolean => [true, g.a.smts, false, g.a.adms][field(g.roots[0]?.value ?? 0n, 11, 10)] === true;
/** Fetches from head to tail. */
export const run = (g: VtdGhost, memory: Memory): void => {
  const { queue: q } = g;
  g.quiet = false;
  if (q.enabled && q.unknown !== undefined) g.faultsUnknown ??= q.unknown;
  if (!q.enabled || q.unknown !== undefined || q.error !== undefined) return;
  if (q.head !== q.tail) q.rested = false;
  if (q.head !== q.tail && !offersMode(g)) {
    carryOut(g, { is: 'unclear', why: 'a queue under a table translation mode that the unit does not have' });
    return;
  }
  if (wrongTail(q)) {
    carryOut(g, { is: 'error', rule: 'vt-d.queue.tail', codes: [0, ...(q.tail >= q.size ? [1] : []), ...(q.tail % 1 === 0 ? [] : [6])] });
    return;
  }
  while (q.head !== q.tail) {
    const at = q.base + BigInt(q.head * q.width);
    const words: bigint[] = [];
    for (let i = 0; i < q.width; i += 8) {
      const word = memory.u64(at + BigInt(i));
      if (word !== undefined) words.push(word);
    }
    let d: Descriptor;
    if (words.length * 8 < q.width) d = { is: 'error', rule: 'vt-d.queue.fetch', codes: [0, 2] };
    else if (!memory.known(at, q.width) || g.tables.unsure.has(Number(at >> 12n))) d = { is: 'unclear', why: 'what stands in the queue' };
    else d = descriptor(g.a, words, scalableMode(g));
    // Nobody says what a status write comes to where no memory is; but nothing is left to be done for it.
    if (d.is === 'wait' && d.status !== undefined && d.status.at + 4n > BigInt(memory.size)) {
      carryOut(g, { is: 'unclear', why: 'a wait whose status lies where no memory is' });
      q.head = q.tail;
      return;
    }
    if (!carryOut(g, d)) return;
    q.head = (q.head + 1) % q.size;
  }
};
/** Queued invalidation was enabled: the queue is latched, the head is 0. */
export const enable = (g: VtdGhost, memory: Memory): void => {
  const iqa = stored64(g, IQA);
  const { queue: q } = g;
  const wide = bit(iqa, 11) && g.a.smts;
  // Without scalable mode DW is an error, or a reserved bit, or wide all the same where there is an abort mode.
  const unknown = bit(iqa, 11) && !g.a.smts ? 'a wide queue of a unit without scalable mode' : undefined;
  Object.assign(q, {
    enabled: true,
    base: iqa & mask(g.a.haw - 1, 12),
    width: wide ? 32 : 16,
    size: 1 << (field(iqa, 2, 0) + (wide ? 7 : 8)),
    head: 0,
    error: undefined,
    timeout: undefined,
    unknown,
    rested: true,
  });
  tailWritten(g, memory);
};
export const tailWritten = (g: VtdGhost, memory: Memory): void => {
  const { queue: q } = g;
  q.tail = Number(stored64(g, IQT) & mask(18, 4)) / q.width;
  run(g, memory);
};
/** Software cleared IQE: fetching goes on where it stopped. */
export const resume = (g: VtdGhost, memory: Memory): void => {
  const { queue: q } = g;
  if (q.error === undefined) return;
  // One whose tail is wrong stops again, or makes of it what it can, or waits for another.
  if (wrongTail(q)) q.unknown ??= 'a queue that goes on with a tail that is wrong';
  // The error may come only now: where what stood there is still wrong, all the same.
  const late = g.faults.some((s) => s.errors.includes('iqe'));
  if (late) g.faults = g.faults.map((s) => ({ ...s, errors: s.errors.filter((e) => e !== 'iqe') }));
  q.error = undefined;
  q.errorRule = undefined;
  q.rested = false;
  run(g, memory);
  if (!late || q.error !== undefined) return;
  q.unknown ??= 'whether an error came before it was cleared';
  g.faultsUnknown ??= q.unknown;
};
/** The status of wait `number` was seen: everything before it is complete. */
export const statusSeen = (g: VtdGhost, number: number): void => {
  const { queue: q } = g;
  const i = q.flight.findIndex((f) => f.kind === 'wait' && f.number === number);
  for (const f of q.flight.splice(0, i + 1)) if (f.kind === 'invalidate') complete(g, f.what, f.time);
};
/** The unit is at rest: everything it fetched is complete. */
export const restedQueue = (g: VtdGhost): readonly Event[] => {
  const events: Event[] = [];
  const { queue: q } = g;
  for (const f of q.flight) {
    if (f.kind !== 'invalidate') continue;
    complete(g, f.what, f.time);
    events.push(derivedOf(f.what.what, 'queue'));
  }
  q.flight = [];
  q.rested = true;
  return events;
};
