// Device reset: status comes back to 0, and then nothing moves until the driver starts over.
// VIRTIO 1.4, Device Reset.

import { type Clause, clauseOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import type { BasicGhost } from './ghost.ts';
import { givesBack, hex, suppresses } from './status.ts';

const section = 'Basic Facilities of a Virtio Device / Device Reset';
const clause = clauseOf<BasicGhost>();
/** After a completed reset of a device that had been live, and that was not brought to life again by raw accesses. Until status reads 0, or the device is at rest, work in flight may end. */
const afterReset = (g: BasicGhost): boolean => g.everLive && !g.live && !g.raw && g.quiet;

export const resetClauses: readonly Clause<BasicGhost>[] = [
  clause({
    id: 'virtio.reset.status-zero',
    cite: virtio(section, 'reset.dev.01'),
    level: 'must',
    binds: 'device',
    says: 'status comes back to 0 after a reset',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'all-stuck',
    always: true,
    when: (m) => m.before.resetting,
    holds: ({ before, event }) => {
      if (event.value === 0) return true;
      return before.quiet
        ? { expected: 'status 0', saw: `status ${hex(event.value)} after the device was idle`, kind: 'not-zero' }
        : { unknown: 'the reset may still be under way' };
    },
  }),
  clause({
    id: 'virtio.reset.queues-untouched',
    cite: virtio(section, 'reset.dev.03'),
    level: 'must',
    binds: 'device',
    says: 'queue memory is left alone between a completed reset and the next DRIVER_OK',
    on: ['memory.changed', 'settled'],
    needs: ['memory.seen'],
    harm: 'stray-write',
    always: true,
    when: (m) => afterReset(m.before),
    holds: ({ before, event }) => {
      if (event.saw === 'settled') return event.by !== 'bound' || { unknown: 'only a time bound ran out' };
      const writes = event.writes.filter((w) => !suppresses(before, w.at, w.bytes.length));
      const hit = writes.find((w) => givesBack(before, w.at, w.bytes.length)) ?? writes[0];
      return (
        hit === undefined || {
          expected: 'no write after the reset',
          saw: `${hit.bytes.length} bytes at ${hex(hit.at)}`,
          kind: 'wrote-after-reset',
        }
      );
    },
  }),
  clause({
    id: 'virtio.reset.silent',
    cite: virtio(section, 'reset.dev.02'),
    level: 'must',
    binds: 'device',
    says: 'no notification is sent between a completed reset and the next DRIVER_OK',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    always: true,
    when: (m) => afterReset(m.before),
    holds: ({ event }) => {
      if (event.saw === 'settled') return event.by !== 'bound' || { unknown: 'only a time bound ran out' };
      return { expected: 'silence after the reset', saw: `a ${event.from} notification`, kind: 'notified-after-reset' };
    },
  }),
];
