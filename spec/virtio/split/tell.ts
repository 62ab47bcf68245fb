// Why a driver notifies the device of what it made available, or need not: for who reads a trace and wonders about a kick that is missing.
// VIRTIO 1.4, Split Virtqueues, Available Buffer Notification Suppression.

import type { Moment } from '../../clause.ts';
import { has } from '../features.ts';
import { availEvent, excused, type SplitGhost } from './ghost.ts';

export const tell = ({ event, before, memory }: Moment<SplitGhost>): string | undefined => {
  if (!('do' in event) || event.do !== 'memory.write' || !before.live) return undefined;
  for (const q of before.all) {
    const to = memory.u16(q.avail + 2n);
    if (to === undefined || to === q.availIdx) continue;
    const why = has(before.features, 'EVENT_IDX') ? `, avail_event ${availEvent(q, memory)}` : '';
    const owed = excused(before, q, memory, q.availIdx, to) ? 'no notification is owed' : 'a notification is owed';
    return `queue ${q.index}: available idx from ${q.availIdx} to ${to}${why}: ${owed}`;
  }
  return undefined;
};
