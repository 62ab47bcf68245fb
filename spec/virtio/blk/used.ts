// The used length of a block request: how much of data and status the device may claim to have written.
// VIRTIO 1.4, The Virtqueue Used Ring (device requirements): len bytes were written from the start of the device-writable part; it may write more.

import type { Clause } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import type { BlkGhost, Flight } from './ghost.ts';
import { S, T } from './layout.ts';
import type { Completed } from './operation.ts';
import { completedScope, flightOf, needs, statusOf } from './operation.ts';

const clause = clauseOf<BlkGhost>();
const used = virtio('Basic Facilities of a Virtio Device / Split Virtqueues / The Virtqueue Used Ring', 'device requirements');

/** Data bytes before a claim about them can be told from chance. */
const telling = 16;
const delivers = (f: Flight): boolean => f.request.type === T.IN || f.request.type === T.GET_ID;
/** Legal, with buffers of its own and a status that was seen. */
const fair = (m: Completed): Flight | undefined => {
  const flight = flightOf(m);
  return flight?.legal === true && !flight.disturbed && statusOf(m) !== undefined ? flight : undefined;
};

export const usedClauses: readonly Clause<BlkGhost>[] = [
  clause({
    id: 'virtio.blk.used.bound',
    cite: used,
    level: 'must',
    binds: 'device',
    says: 'the used length is at most data plus status: 1 for OUT, FLUSH and erasures, 21 for GET_ID, data plus 1 for IN',
    on: ['virtq.completed'],
    needs: ['virtio.blk'],
    harm: 'wrong-data',
    scope: completedScope,
    when: (m) => flightOf(m)?.legal === true,
    holds: (m) => {
      const most = (flightOf(m)?.request.writableLength ?? 0) + 1;
      return m.event.length <= most || { kind: 'over-reported', expected: `at most ${most}`, saw: `${m.event.length}` };
    },
  }),
  clause({
    id: 'virtio.blk.used.claimed',
    cite: used,
    level: 'must',
    binds: 'device',
    says: 'a refused request does not claim data bytes that were not written',
    on: ['virtq.completed'],
    needs,
    harm: 'wrong-data',
    scope: completedScope,
    blind: 'data overwritten with the same bytes looks unwritten: only claims of 16 bytes or more, none of which changed, count',
    // Shorter claims are judged by virtio.split.used.len-written, where order is seen.
    when: (m) => {
      const flight = fair(m);
      return flight !== undefined && statusOf(m) !== S.OK && flight.request.writableLength >= telling;
    },
    holds: (m) =>
      m.event.length < telling ||
      flightOf(m)?.touched === true || {
        kind: 'claimed',
        expected: 'no more than was written',
        saw: `${m.event.length} with no data byte changed`,
      },
  }),
  clause({
    id: 'virtio.blk.used.complete',
    cite: used,
    level: 'should',
    binds: 'device',
    says: 'a successful request reports all it wrote: data and status',
    on: ['virtq.completed'],
    needs,
    harm: 'interop',
    scope: completedScope,
    when: (m) => {
      const flight = fair(m);
      return (
        flight !== undefined &&
        m.event.skipped !== true &&
        statusOf(m) === S.OK &&
        (delivers(flight) || flight.request.writableLength === 0)
      );
    },
    holds: (m) => {
      const all = (flightOf(m)?.request.writableLength ?? 0) + 1;
      return m.event.length >= all || { kind: 'under-reported', expected: `${all}`, saw: `${m.event.length}` };
    },
  }),
];
