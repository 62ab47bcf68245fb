// The used ring: what comes back, how long it says it is, in which order, and that it comes at all.
// VIRTIO 1.4, The Virtqueue Used Ring; In-order use of descriptors; Available Buffer Notification Suppression.

import { type Clause, clauseOf, type Judged, type Moment } from '../../clause.ts';
import { project, virtio } from '../../sources.ts';
import type { EventOf } from '../../vocabulary.ts';
import { featureOf, has } from '../features.ts';
import { hullAt, meet, type Queue, remaining, type SplitGhost, touches, total, type Trait, usedFlags, writtenPrefix } from './ghost.ts';

const virtqueues = 'Basic Facilities of a Virtio Device / Virtqueues';
const usedRing = `${virtqueues} / The Virtqueue Used Ring`;
const clause = clauseOf<SplitGhost>();
const ofQueue = (queue: number): string => `device:0/queue:${queue}`;
/** A chain of more entries may be past what a device reasonably takes (Message Framing). */
const reasonable = 128;

/** Every chain with the trait, which the device was told of, is used by the time it is idle. */
const completes =
  (trait: Trait) =>
  ({ before, event }: Moment<SplitGhost, EventOf<'settled'>>): Judged => {
    const left = before.all.flatMap((q) => remaining(q, trait));
    if (left.length === 0) return true;
    if (event.by === 'bound') return { unknown: 'only a time bound ran out' };
    // What a rule of its own speaks about is judged there, once.
    for (const own of ['mixed', 'at-zero'] as const)
      if (trait !== own && before.all.some((q) => remaining(q, own).length > 0))
        return { unknown: `what is left is ${own}, which has a clause of its own` };
    if (left.every((o) => o.chain.entries > reasonable)) return { unknown: 'the chain may be longer than the device takes' };
    return {
      expected: 'every chain used',
      saw: `heads ${left.map((o) => o.chain.head).join(', ')} left by an idle device`,
      kind: `left-${trait}`,
    };
  };
const someOf =
  (trait: Trait) =>
  ({ before }: Moment<SplitGhost>): boolean =>
    before.live && before.all.some((q) => q.finished[trait] > 0 || remaining(q, trait).length > 0);
const liveness = {
  level: 'must',
  binds: 'device',
  on: ['settled'],
  needs: ['memory.seen'],
  harm: 'self-stuck',
  scope: () => 'device:0',
} as const;

export const usedClauses: readonly Clause<SplitGhost>[] = [
  clause({
    id: 'virtio.split.used.id-outstanding',
    cite: virtio(usedRing),
    level: 'must',
    binds: 'device',
    says: 'a used element names a head that is outstanding, once',
    on: ['virtq.completed', 'virtq.used.stray'],
    harm: 'wrong-data',
    scope: ({ event }) => ofQueue(event.saw === 'virtq.completed' ? event.chain.queue : event.queue),
    when: () => true,
    holds: ({ event }) =>
      event.saw === 'virtq.completed' || { expected: 'the head of an outstanding chain', saw: `id ${event.head}`, kind: 'not-outstanding' },
  }),
  clause({
    id: 'virtio.split.used.len-bounded',
    cite: virtio(usedRing, 'split.used.dev.02'),
    level: 'must',
    binds: 'device',
    says: 'len is no more than the writable bytes of the chain',
    on: ['virtq.completed'],
    harm: 'wrong-data',
    scope: ({ event }) => ofQueue(event.chain.queue),
    when: () => true,
    holds: ({ event }) => {
      const most = total(event.chain.writable);
      return event.length <= most || { expected: `at most ${most}`, saw: `len ${event.length}`, kind: 'len-beyond-writable' };
    },
  }),
  clause({
    id: 'virtio.split.used.len-written',
    cite: virtio(usedRing, 'split.used.dev.02'),
    level: 'must',
    binds: 'device',
    says: 'the first len bytes of the writable elements were written before idx moved',
    on: ['virtq.completed'],
    needs: ['memory.order'],
    harm: 'wrong-data',
    scope: ({ event }) => ofQueue(event.chain.queue),
    when: ({ event }) => event.length > 0,
    holds: ({ before, event }) => {
      const o = before.queues.get(event.chain.queue)?.returned.get(event.order);
      if (o === undefined) return { unknown: 'the chain was not followed' };
      const written = writtenPrefix(o);
      return (
        event.length <= written || {
          expected: `len at most ${written}, what was written without a gap`,
          saw: `len ${event.length}`,
          kind: 'len-not-written',
        }
      );
    },
  }),
  clause({
    id: 'virtio.split.used.elem-before-idx',
    cite: virtio(usedRing, 'split.used.dev.01'),
    level: 'must',
    binds: 'device',
    says: 'a used element is written before idx publishes it',
    on: ['memory.changed'],
    needs: ['memory.order'],
    harm: 'wrong-data',
    scope: () => 'device:0',
    when: (m) => m.before.live && movedQueue(m) !== undefined,
    holds: (m) => {
      const q = movedQueue(m) as Queue;
      const count = has(m.before.features, 'IN_ORDER') ? 1 : ((m.memory.u16(q.used + 2n) ?? 0) - q.usedIdx) & 0xffff;
      for (let i = 0; i < Math.min(count, q.size); i++) {
        const slot = ((q.usedIdx + i) & 0xffff) % q.size;
        if (!q.slotsWritten.has(slot))
          return { expected: `ring[${slot}] written first`, saw: 'idx published it unwritten', kind: 'idx-first' };
      }
      return true;
    },
  }),
  clause({
    id: 'virtio.split.used.idx-bounded',
    cite: virtio(usedRing),
    level: 'must',
    binds: 'device',
    says: 'used idx moves forward, by no more than what is outstanding',
    on: ['memory.changed'],
    needs: ['memory.seen'],
    harm: 'wrong-data',
    scope: () => 'device:0',
    when: (m) => m.before.live && movedQueue(m) !== undefined,
    holds: (m) => {
      const q = movedQueue(m) as Queue;
      const to = m.memory.u16(q.used + 2n) ?? 0;
      const moved = (to - q.usedIdx) & 0xffff;
      return (
        moved <= q.outstanding.size || { expected: `at most ${q.outstanding.size} more`, saw: `idx ${q.usedIdx} → ${to}`, kind: 'idx-jump' }
      );
    },
  }),
  clause({
    id: 'virtio.split.used.flags',
    cite: virtio(`${virtqueues} / Available Buffer Notification Suppression`, 'split.availsupp.dev.01, dev.03'),
    level: 'must',
    binds: 'device',
    says: 'used flags hold 0 or 1, and 0 with VIRTIO_F_EVENT_IDX',
    on: ['memory.changed'],
    needs: ['memory.seen'],
    harm: 'interop',
    scope: () => 'device:0',
    when: (m) => m.before.live && m.before.all.some((q) => m.event.writes.some((w) => touches(w.at, w.bytes.length, q.used, 4))),
    holds: (m) => {
      const most = has(m.before.features, 'EVENT_IDX') ? 0 : 1;
      const q = m.before.all.find((k) => usedFlags(k, m.memory) > most);
      return q === undefined || { expected: most === 0 ? '0' : '0 or 1', saw: `flags ${usedFlags(q, m.memory)}`, kind: 'flags' };
    },
  }),
  clause({
    id: 'virtio.split.used.in-order',
    cite: virtio('Reserved Feature Bits', 'reservedbits.dev.05'),
    level: 'must',
    binds: 'device',
    says: 'with VIRTIO_F_IN_ORDER buffers are used in the order they were made available',
    on: ['virtq.completed'],
    feature: featureOf('IN_ORDER'),
    harm: 'wrong-data',
    scope: ({ event }) => ofQueue(event.chain.queue),
    when: ({ before }) => has(before.features, 'IN_ORDER'),
    holds: ({ before, event }) => {
      const expected = (before.queues.get(event.chain.queue)?.lastOrder ?? -1) + 1;
      return event.order === expected || { expected: `chain ${expected} next`, saw: `chain ${event.order}`, kind: 'out-of-order' };
    },
  }),
  clause({
    ...liveness,
    id: 'virtio.split.completes',
    cite: virtio(virtqueues),
    says: 'every buffer that a device was told of is used in the end',
    when: someOf('any'),
    holds: completes('any'),
  }),
  clause({
    ...liveness,
    id: 'virtio.split.indirect.mixed',
    feature: featureOf('INDIRECT_DESC'),
    cite: virtio(`${virtqueues} / The Virtqueue Descriptor Table / Indirect Descriptors`, 'split.indirect.dev.02'),
    says: 'direct descriptors followed by one indirect descriptor are handled',
    when: someOf('mixed'),
    holds: completes('mixed'),
  }),
  clause({
    ...liveness,
    id: 'virtio.split.layout.at-zero',
    cite: virtio(virtqueues, 'split.layout.drv.01'),
    says: 'a part of the queue at address 0 is as good as at any other aligned address',
    when: someOf('at-zero'),
    holds: completes('at-zero'),
  }),
  clause({
    ...liveness,
    id: 'virtio.split.indirect.handled',
    feature: featureOf('INDIRECT_DESC'),
    cite: virtio(`${virtqueues} / The Virtqueue Descriptor Table / Indirect Descriptors`, 'split.indirect.dev.02'),
    says: 'an indirect table is handled, wherever it stands in memory',
    when: someOf('indirect'),
    holds: completes('indirect'),
  }),
  clause({
    ...liveness,
    id: 'virtio.split.indirect.write-flag-ignored',
    feature: featureOf('INDIRECT_DESC'),
    cite: virtio(`${virtqueues} / The Virtqueue Descriptor Table / Indirect Descriptors`, 'split.indirect.dev.01'),
    says: 'VIRTQ_DESC_F_WRITE means nothing on the descriptor of an indirect table',
    when: someOf('write-flagged'),
    holds: completes('write-flagged'),
  }),
  clause({
    ...liveness,
    id: 'virtio.split.notify.spurious-survived',
    cite: virtio(`${virtqueues} / Available Buffer Notification Suppression`, 'split.availsupp.dev.05'),
    says: 'after a notification without new buffers the queue goes on working',
    when: someOf('after-spurious'),
    holds: completes('after-spurious'),
  }),
  clause({
    id: 'virtio.split.reset-recovers',
    cite: project('What no guest may do to its machine', 'SAFE-RECOVER'),
    level: 'must',
    binds: 'device',
    says: 'a device works again after a reset, whatever was done to it before',
    on: ['settled'],
    needs: ['memory.seen'],
    harm: 'all-stuck',
    scope: () => 'device:0',
    when: (m) => m.before.hurt && someOf('any')(m),
    holds: completes('any'),
  }),
];

/** The queue whose used idx this change moved. */
const movedQueue = (m: Moment<SplitGhost, EventOf<'memory.changed'>>): Queue | undefined =>
  m.before.all.find((q) => {
    const idx = m.memory.u16(q.used + 2n);
    return idx !== undefined && idx !== q.usedIdx && m.event.writes.some((w) => meet(hullAt(w.at, w.bytes.length), q.words.usedIdx));
  });
