// How the ghost of the split rings follows what a device gives back: used entries, the notifications they owe, and what was written before.
// VIRTIO 1.4, Receiving Used Buffers From The Device; Used Buffer Notification Suppression; In-order use of descriptors.

import type { Memory } from '../../clause.ts';
import type { Event } from '../../vocabulary.ts';
import { has } from '../features.ts';
import { availFlags, hullAt, meet, type Outstanding, passes, type Queue, type SplitGhost, touches, usedEvent } from './ghost.ts';

/** A notification is owed for the entries [from, to) of the used ring, and what would have kept a careless device from sending it. */
const owe = (g: SplitGhost, q: Queue, m: Memory, from: number, to: number, ordered: boolean): void => {
  const event = usedEvent(q, m);
  const quiet = (availFlags(q, m) & 1) === 1;
  const byEvent = has(g.features, 'EVENT_IDX');
  const owed = byEvent ? passes(event, from, to) : !quiet;
  if (owed) {
    q.owed = true;
    if (ordered) q.notified = false; // elsewhere a notification may have been seen before the bytes it is about
    q.loudUse = true;
    q.owedBy = {
      eventIgnored: q.owedBy.eventIgnored || (!byEvent && !passes(event, from, to)),
      flagsIgnored: q.owedBy.flagsIgnored || (byEvent && quiet),
    };
  } else q.quietUse = true;
};

/** `length` absent: a later used entry stands for the chain. */
const finish = (q: Queue, o: Outstanding, length: number | undefined, events: Event[]): void => {
  q.outstanding.delete(o.chain.head);
  q.returned.set(o.order, o);
  for (const trait of o.traits) q.finished[trait]++;
  const skipped = length === undefined ? ({ skipped: true } as const) : {};
  events.push({ saw: 'virtq.completed', chain: o.chain, length: length ?? 0, order: o.order, ...skipped });
};

/** Used entries that idx has published. Under IN_ORDER one entry may stand for all chains before it. */
export const use = (g: SplitGhost, q: Queue, m: Memory, ordered: boolean, events: Event[]): void => {
  const to = m.u16(q.used + 2n);
  if (to === undefined || to === q.usedIdx) return;
  const from = q.usedIdx;
  const count = (to - from) & 0xffff;
  if (count > q.size) return; // virtio.split.used.idx-bounded has objected; nothing can be read out of it
  owe(g, q, m, from, to, ordered);
  for (let i = 0; i < count; i++) {
    const slot = q.used + 4n + 8n * BigInt(((from + i) & 0xffff) % q.size);
    const id = m.u32(slot) ?? 0;
    const length = m.u32(slot + 4n) ?? 0;
    const o = q.outstanding.get(id);
    if (o === undefined) {
      events.push({ saw: 'virtq.used.stray', queue: q.index, head: id });
      continue;
    }
    if (has(g.features, 'IN_ORDER'))
      for (const earlier of Array.from(q.outstanding.values())) {
        if (earlier.order >= o.order || i + 1 >= count) break;
        finish(q, earlier, undefined, events);
        i++;
      }
    finish(q, o, length, events);
  }
  // What was written ahead of idx stays written: idx may follow in steps.
  for (let i = 0; i < count; i++) q.slotsWritten.delete(((from + i) & 0xffff) % q.size);
  q.usedIdx = to;
};

export const rememberWrite = (q: Queue, at: bigint, length: number): void => {
  const written = hullAt(at, length);
  if (meet(written, q.words.used)) {
    const first = Number(at - q.used - 4n);
    for (let slot = Math.max(0, Math.floor(first / 8)); slot * 8 < first + length && slot < q.size; slot++) q.slotsWritten.add(slot);
    return;
  }
  for (const o of q.outstanding.values()) {
    if (!meet(o.hulls.writable, written)) continue;
    let offset = 0;
    for (const s of o.chain.writable) {
      if (touches(at, length, s.at, s.length)) {
        const from = at > s.at ? Number(at - s.at) : 0;
        const to = Math.min(s.length, Number(at - s.at) + length);
        o.written.push([offset + from, to - from]);
      }
      offset += s.length;
    }
  }
};
