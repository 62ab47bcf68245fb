// Where a device may write: the used rings and the writable elements of chains that it has not given back. Nowhere else.
// VIRTIO 1.4, The Virtqueue Descriptor Table; The Virtqueue Available Ring.

import { type Clause, clauseOf, type Moment } from '../../clause.ts';
import { project, virtio } from '../../sources.ts';
import type { EventOf } from '../../vocabulary.ts';
import { once } from '../once.ts';
import type { Segment } from '../vocabulary.ts';
import { availBytes, type Hull, hullAt, type Queue, type SplitGhost, tableBytes, touches, usedBytes } from './ghost.ts';

const clause = clauseOf<SplitGhost>();
type Place = 'table' | 'indirect' | 'avail' | 'readable' | 'former' | 'elsewhere';
interface Stray {
  readonly place: Place;
  readonly at: bigint;
}
type Changed = Moment<SplitGhost, EventOf<'memory.changed'>>;
const hex = (n: bigint): string => `0x${n.toString(16)}`;

/** The end of a range that may be written and that holds `at`; undefined if there is none. */
const permittedTo = (queues: readonly Queue[], at: bigint): bigint | undefined => {
  for (const q of queues) {
    const end = q.used + BigInt(usedBytes(q));
    if (at >= q.used && at < end) return end;
    for (const o of q.outstanding.values())
      for (const s of o.chain.writable) if (at >= s.at && at < s.at + BigInt(s.length)) return s.at + BigInt(s.length);
    for (const s of q.loose) if (at >= s.at && at < s.at + BigInt(s.length)) return s.at + BigInt(s.length);
  }
  return undefined;
};
const placeOf = (queues: readonly Queue[], at: bigint): Place => {
  for (const q of queues) {
    if (touches(at, 1, q.desc, tableBytes(q))) return 'table';
    if (touches(at, 1, q.avail, availBytes(q))) return 'avail';
    for (const o of q.outstanding.values()) {
      if (o.indirect !== undefined && touches(at, 1, o.indirect.at, o.indirect.length)) return 'indirect';
      if (o.chain.readable.some((s) => touches(at, 1, s.at, s.length))) return 'readable';
    }
  }
  return 'elsewhere';
};
/** Whether all of a change lies in one range that may be written: what most changes are. Past what numbers tell exactly there is no memory. */
const allPermitted = (queues: readonly Queue[], { at, end }: Hull): boolean => {
  const holds = (s: Segment): boolean => {
    const from = Number(s.at);
    return at >= from && end <= from + s.length;
  };
  for (const q of queues) {
    if (at >= q.words.used.at && end <= q.words.used.end) return true;
    for (const o of q.outstanding.values())
      if (at >= o.hulls.writable.at && end <= o.hulls.writable.end && o.chain.writable.some(holds)) return true;
  }
  return false;
};
/** First byte of the change that nothing permits, by the kind of place it is in. */
const strays = once((m: Changed): readonly Stray[] => {
  const queues = m.before.all;
  const found: Stray[] = [];
  for (const w of m.event.writes) {
    if (allPermitted(queues, hullAt(w.at, w.bytes.length))) continue;
    const end = w.at + BigInt(w.bytes.length);
    for (let at: bigint = w.at; at < end; ) {
      const to = permittedTo(queues, at);
      if (to === undefined) {
        const former = m.before.former.some((s) => at >= s.at && at < s.at + BigInt(s.length));
        found.push({ place: former ? 'former' : placeOf(queues, at), at });
        at++;
        if (found.length > 64) return found;
      } else at = to;
    }
  }
  return found;
});
const untouched =
  (places: readonly Place[], expected: string, kind: string) =>
  (m: Changed): true | { expected: string; saw: string; kind: string } => {
    const hit = strays(m).find((s) => places.includes(s.place));
    return hit === undefined || { expected, saw: `a write at ${hex(hit.at)}`, kind };
  };
const table = 'Basic Facilities of a Virtio Device / Virtqueues / The Virtqueue Descriptor Table';
const common = {
  level: 'must',
  binds: 'device',
  on: ['memory.changed'],
  needs: ['memory.seen'],
  harm: 'stray-write',
  always: true,
  scope: () => 'device:0',
  when: (m: Changed) => m.before.live && !m.before.lost && m.before.queues.size > 0,
} as const;

export const memoryClauses: readonly Clause<SplitGhost>[] = [
  clause({
    ...common,
    id: 'virtio.split.desc.table-untouched',
    cite: virtio(table, 'split.desc.dev.04'),
    says: 'a device writes to no entry of a descriptor table, direct or indirect',
    holds: untouched(['table', 'indirect'], 'descriptor tables untouched', 'descriptor-written'),
  }),
  clause({
    ...common,
    id: 'virtio.split.desc.readable-untouched',
    cite: virtio(table, 'split.desc.dev.01'),
    says: 'a device does not write to a device-readable buffer',
    holds: untouched(['readable'], 'device-readable buffers untouched', 'readable-written'),
  }),
  clause({
    ...common,
    id: 'virtio.split.avail.untouched',
    cite: virtio('Basic Facilities of a Virtio Device / Virtqueues / The Virtqueue Available Ring'),
    says: 'only the driver writes to the available ring',
    holds: untouched(['avail'], 'the available ring untouched', 'avail-written'),
  }),
  clause({
    ...common,
    id: 'virtio.split.reset.former-untouched',
    cite: virtio('Basic Facilities of a Virtio Device / Device Reset', 'reset.dev.03'),
    says: 'what a driver held out before a reset is not written after it',
    when: (m) => m.before.live && !m.before.lost && m.before.former.length > 0,
    holds: untouched(['former'], 'buffers of before the reset left alone', 'written-after-reset'),
  }),
  clause({
    ...common,
    id: 'virtio.split.memory.described-only',
    cite: project('What no guest may do to its machine', 'SAFE-MEM'),
    says: 'a device writes only to used rings and to writable elements that it holds',
    holds: untouched(['elsewhere'], 'no write outside what was described', 'undescribed-written'),
  }),
];
