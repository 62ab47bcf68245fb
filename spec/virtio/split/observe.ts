// How the ghost of the split rings follows events, and the derived events it makes for the areas above.
// VIRTIO 1.4, Supplying Buffers to The Device; Receiving Used Buffers From The Device; In-order use of descriptors.

import type { Memory, Moment } from '../../clause.ts';
import type { Gpa } from '../../units.ts';
import type { Event, EventOf } from '../../vocabulary.ts';
import type { Segment } from '../vocabulary.ts';
import { descriptorBytes, walk } from './chain.ts';
import { rememberWrite, use } from './receive.ts';
import {
  excused,
  hullsOf,
  hullAt,
  type Hull,
  meet,
  noneFinished,
  type Outstanding,
  type Queue,
  type SplitGhost,
  touches,
  type Trait,
  usedBytes,
  wordsOf,
} from './ghost.ts';

const none: readonly Event[] = [];

const enable = (g: SplitGhost, m: Memory, e: EventOf<'virtq.enabled'>): void => {
  const queue: Queue = {
    index: e.queue,
    size: e.size,
    desc: e.desc,
    avail: e.avail,
    used: e.used,
    words: wordsOf(e),
    left: { flags: m.u16(e.used), idx: m.u16(e.used + 2n) },
    availIdx: e.base,
    usedIdx: e.base,
    submitted: 0,
    lastOrder: -1,
    returned: new Map(),
    outstanding: new Map(),
    slotsWritten: new Set(),
    loose: [],
    spurious: false,
    owed: false,
    owedBy: { eventIgnored: false, flagsIgnored: false },
    notified: false,
    named: false,
    quietUse: false,
    loudUse: false,
    raced: false,
    finished: noneFinished(),
  };
  const before = g.all.findIndex((q) => q.index === e.queue);
  if (before < 0) g.all.push(queue);
  else g.all[before] = queue;
  g.queues.set(e.queue, queue);
};

/** Whatever any entry of the available ring leads to: all that a device can be after once idx says nothing. */
const reachable = (g: SplitGhost, q: Queue, m: Memory): readonly Segment[] => {
  const heads = new Set(Array.from({ length: q.size }, (_, i) => m.u16(q.avail + 4n + 2n * BigInt(i)) ?? 0));
  return [...heads].flatMap((head) => {
    const walked = walk(m, q, head, g.features);
    return 'duty' in walked ? walked.writable : walked.chain.writable;
  });
};

/** What the driver made available since: chains, in order. An impossible idx makes nothing available. */
const publish = (g: SplitGhost, q: Queue, m: Memory, events: Event[]): void => {
  const from = q.availIdx;
  const to = m.u16(q.avail + 2n);
  if (to === undefined) return;
  const count = (to - from) & 0xffff;
  if (count === 0) return;
  q.availIdx = to;
  if (count + q.outstanding.size > q.size) {
    q.loose.push(...reachable(g, q, m));
    events.push({
      saw: 'virtq.malformed',
      queue: q.index,
      head: -1,
      why: `idx moved by ${count} with ${q.outstanding.size} of ${q.size} outstanding`,
      writable: [],
    });
    return;
  }
  // Of what comes behind a notification that is due and was not sent, a device is told by that notification at the earliest.
  const told = excused(g, q, m, from, to) && [...q.outstanding.values()].every((o) => o.told);
  for (let i = 0; i < count; i++) {
    const position = (from + i) & 0xffff;
    const head = m.u16(q.avail + 4n + 2n * BigInt(position % q.size)) ?? 0;
    const twice = q.outstanding.get(head);
    if (twice !== undefined) q.loose.push(...twice.chain.writable);
    const walked =
      twice !== undefined
        ? { duty: 'virtio.split.driver.head-not-outstanding', why: `head ${head} is outstanding`, writable: [] }
        : walk(m, q, head, g.features);
    if ('duty' in walked) {
      q.loose.push(...walked.writable);
      events.push({ saw: 'virtq.malformed', queue: q.index, head, why: `${walked.duty}: ${walked.why}`, writable: walked.writable });
      continue;
    }
    const traits: Trait[] = ['any'];
    if (walked.indirect !== undefined) traits.push('indirect');
    if (walked.chain.mixed) traits.push('mixed');
    if (walked.writeFlagged) traits.push('write-flagged');
    if (q.spurious) traits.push('after-spurious');
    if (q.desc === 0n || q.avail === 0n || q.used === 0n) traits.push('at-zero');
    const { chain, slots, indirect, writeFlagged } = walked;
    const [hulls, order] = [hullsOf(q, walked), q.submitted++];
    const outstanding: Outstanding = { chain, slots, indirect, writeFlagged, hulls, order, position, told, traits, written: [] };
    q.outstanding.set(head, outstanding);
    events.push({ saw: 'virtq.submitted', chain: walked.chain, order: outstanding.order });
  }
};

/** A driver that alters exposed entries breaks a duty; what they describe now is the device's to write all the same. */
const reread = (g: SplitGhost, q: Queue, m: Memory, at: bigint, length: number, written: Hull): void => {
  for (const o of q.outstanding.values()) {
    if (!meet(o.hulls.entries, written)) continue;
    const altered =
      o.slots.some((slot) => touches(at, length, q.desc + BigInt(slot * descriptorBytes), descriptorBytes)) ||
      (o.indirect !== undefined && touches(at, length, o.indirect.at, o.indirect.length));
    if (!altered) continue;
    const walked = walk(m, q, o.chain.head, g.features);
    q.loose.push(...('duty' in walked ? walked.writable : walked.chain.writable));
  }
};

const settle = (g: SplitGhost, certain: boolean): void => {
  g.still = certain;
  g.rested ||= certain;
  for (const q of g.all) {
    q.owed = q.notified = q.named = q.quietUse = q.loudUse = q.raced = false;
    q.owedBy = { eventIgnored: false, flagsIgnored: false };
    q.finished = noneFinished();
  }
};

export const observeSplit = (g: SplitGhost, { event: e, memory: m, granted }: Moment<SplitGhost>): readonly Event[] => {
  if ('saw' in e) {
    switch (e.saw) {
      case 'virtq.enabled':
        g.lost ||= (g.live && g.queues.has(e.queue)) || e.size < 1;
        enable(g, m, e);
        return none;
      case 'scope.reset':
        if (e.scope === 'device:0') {
          // Until it has rested once, what it held before the last reset may still be what it writes to after this one.
          g.former = [
            ...(g.rested ? [] : g.former),
            ...g.all.flatMap((q) => [
              { at: q.used as Gpa, length: usedBytes(q) },
              ...q.loose,
              ...[...q.outstanding.values()].flatMap((o) => o.chain.writable),
            ]),
          ];
          g.rested = false;
          g.queues.clear();
          g.all.length = 0;
          g.live = false;
          g.lost = false;
          g.still = false;
          g.hurt ||= g.malformed;
        }
        return none;
      case 'virtq.malformed':
        g.malformed = true;
        return none;
      case 'virtio.negotiated':
        g.features = e.features;
        return none;
      case 'virtio.live': {
        g.live = true;
        g.features = e.features;
        g.still = false;
        const events: Event[] = [];
        for (const q of g.all) publish(g, q, m, events);
        return events;
      }
      case 'memory.changed': {
        if (!g.live) return none;
        const events: Event[] = [];
        for (const q of g.all) {
          if (granted.memory.seen === 'ordered') for (const w of e.writes) rememberWrite(q, w.at, w.bytes.length);
          use(g, q, m, granted.memory.seen === 'ordered', events);
        }
        return events;
      }
      case 'virtq.completed': {
        const q = g.queues.get(e.chain.queue);
        q?.returned.delete(e.order);
        if (q !== undefined) q.lastOrder = e.order;
        return none;
      }
      case 'interrupt':
        if (e.from === 'queue')
          for (const q of g.all) {
            if (e.queue !== undefined && e.queue !== q.index) continue;
            q.notified = true;
            q.named ||= e.queue !== undefined || g.queues.size === 1;
          }
        return none;
      case 'settled':
        settle(g, e.by !== 'bound');
        return none;
      default:
        return none;
    }
  }
  if (e.do === 'mmio.read' || e.do === 'mmio.write' || e.do === 'pci.bar.read' || e.do === 'pci.bar.write') {
    g.raw = true;
    return none;
  }
  if (e.do === 'virtq.notify') {
    g.still = false;
    const q = g.queues.get(e.queue);
    if (q === undefined || !g.live) return none;
    let news = false;
    for (const o of q.outstanding.values()) {
      news ||= !o.told;
      o.told = true;
    }
    if (!news) q.spurious = true;
    return none;
  }
  if (e.do !== 'memory.write') return none;
  const events: Event[] = [];
  const written = hullAt(e.at, e.bytes.length);
  if (!g.live) {
    for (const q of g.all)
      q.left = {
        flags: meet(written, q.words.usedFlags) ? m.u16(q.used) : q.left.flags,
        idx: meet(written, q.words.usedIdx) ? m.u16(q.used + 2n) : q.left.idx,
      };
    return none;
  }
  for (const q of g.all) {
    // A device looks at flags or used_event after it wrote idx: also while what it used last may still be told.
    if (
      (q.outstanding.size > 0 || q.quietUse || (q.owed && !q.notified)) &&
      (meet(written, q.words.availFlags) || meet(written, q.words.usedEvent))
    )
      q.raced = true;
    if (q.outstanding.size > 0) reread(g, q, m, e.at, e.bytes.length, written);
    if (meet(written, q.words.availIdx)) publish(g, q, m, events);
  }
  return events;
};
