// Used buffer notifications: owed, suppressed, and by which of the two mechanisms.
// VIRTIO 1.4, Used Buffer Notification Suppression.

import { type Clause, clauseOf, type Judged, type Moment } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import type { EventOf } from '../../vocabulary.ts';
import { featureOf, has } from '../features.ts';
import type { Queue, SplitGhost } from './ghost.ts';

const section = 'Basic Facilities of a Virtio Device / Virtqueues / Used Buffer Notification Suppression';
const clause = clauseOf<SplitGhost>();
type Settled = Moment<SplitGhost, EventOf<'settled'>>;
const judged = (g: SplitGhost, which: (q: Queue) => boolean): readonly Queue[] =>
  g.live && !g.raw ? g.all.filter((q) => !q.raced && which(q)) : [];

const notified =
  (which: (q: Queue) => boolean) =>
  ({ before, event }: Settled): Judged => {
    const silent = judged(before, which).find((q) => !q.notified);
    if (silent === undefined) return true;
    if (event.by === 'bound') return { unknown: 'only a time bound ran out' };
    // A queue that stopped before its work was done is judged for that, once.
    if ([...silent.outstanding.values()].some((o) => o.told))
      return { unknown: 'chains are left in the queue, which has a clause of its own' };
    return {
      expected: `a used buffer notification for queue ${silent.index}`,
      saw: 'none by the time the device was idle',
      kind: 'not-notified',
    };
  };
const silent =
  (which: (q: Queue) => boolean) =>
  ({ before }: Settled): Judged => {
    const loud = judged(before, which).find((q) => q.named);
    return loud === undefined || { expected: `no notification for queue ${loud.index}`, saw: 'one', kind: 'notified' };
  };
const quiet = (q: Queue): boolean => q.quietUse && !q.loudUse;
const must = {
  level: 'must',
  binds: 'device',
  on: ['settled'],
  needs: ['memory.seen'],
  harm: 'self-stuck',
  scope: () => 'device:0',
} as const;
const should = { ...must, level: 'should', harm: 'interop' } as const;

export const notificationClauses: readonly Clause<SplitGhost>[] = [
  clause({
    ...must,
    id: 'virtio.split.notify.flags-clear',
    cite: virtio(section, 'split.usedsupp.dev.03'),
    says: 'without EVENT_IDX, avail flags 0 mean a notification after each use',
    when: ({ before }) => !has(before.features, 'EVENT_IDX') && judged(before, (q) => q.owed).length > 0,
    holds: notified((q) => q.owed),
  }),
  clause({
    ...must,
    id: 'virtio.split.notify.used-event-ignored',
    cite: virtio(section, 'split.usedsupp.dev.01'),
    says: 'without EVENT_IDX, used_event suppresses nothing',
    when: ({ before }) => !has(before.features, 'EVENT_IDX') && judged(before, (q) => q.owed && q.owedBy.eventIgnored).length > 0,
    holds: notified((q) => q.owed && q.owedBy.eventIgnored),
  }),
  clause({
    ...must,
    id: 'virtio.split.notify.used-event-reached',
    feature: featureOf('EVENT_IDX'),
    cite: virtio(section, 'split.usedsupp.dev.05'),
    says: 'with EVENT_IDX, using the entry at used_event means a notification',
    when: ({ before }) => has(before.features, 'EVENT_IDX') && judged(before, (q) => q.owed).length > 0,
    holds: notified((q) => q.owed),
  }),
  clause({
    ...must,
    id: 'virtio.split.notify.flags-ignored',
    feature: featureOf('EVENT_IDX'),
    cite: virtio(section, 'split.usedsupp.dev.04'),
    says: 'with EVENT_IDX, bit 0 of avail flags suppresses nothing',
    when: ({ before }) => has(before.features, 'EVENT_IDX') && judged(before, (q) => q.owed && q.owedBy.flagsIgnored).length > 0,
    holds: notified((q) => q.owed && q.owedBy.flagsIgnored),
  }),
  clause({
    ...should,
    id: 'virtio.split.notify.flags-set',
    cite: virtio(section, 'split.usedsupp.dev.02'),
    says: 'without EVENT_IDX, avail flags 1 mean no notification',
    when: ({ before, event }) => event.by !== 'bound' && !has(before.features, 'EVENT_IDX') && judged(before, quiet).length > 0,
    holds: silent(quiet),
  }),
  clause({
    ...should,
    id: 'virtio.split.notify.used-event-ahead',
    feature: featureOf('EVENT_IDX'),
    cite: virtio(section, 'split.usedsupp.dev.06'),
    says: 'with EVENT_IDX, entries other than the one at used_event bring no notification',
    when: ({ before, event }) => event.by !== 'bound' && has(before.features, 'EVENT_IDX') && judged(before, quiet).length > 0,
    holds: silent(quiet),
  }),
];
