// What the registers of a virtio-mmio device return: identity, features, queues, reset, interrupts, generation.
// VIRTIO 1.4, MMIO Device Register Layout (device requirements and the register table).

import type { Clause, Harm, Level } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { Granted } from '../../units.ts';
import type { MmioGhost } from './ghost.ts';
import { noneReady, registerOf } from './ghost.ts';
import { blockDevice, changed, magic, used, version } from './layout.ts';

const requirements: Citation = virtio('Virtio Transport Options / Virtio Over MMIO / MMIO Device Register Layout', 'device requirements');
const table: Citation = virtio('Virtio Transport Options / Virtio Over MMIO / MMIO Device Register Layout');
const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;

interface Expectation {
  readonly permits: (value: number) => boolean;
  readonly expected: string;
}
const exactly = (value: number): Expectation => ({ permits: (v) => v >>> 0 === value >>> 0, expected: hex(value) });
const always = (e: Expectation) => (): Expectation => e;

/** [id, register, level, harm, what it says, what it demands of a read now; undefined: nothing]. */
type Rule = readonly [
  id: string,
  register: string,
  level: Level,
  harm: Harm,
  cite: Citation,
  says: string,
  demands: (g: MmioGhost, granted: Granted) => Expectation | undefined,
];
/** With no queue ready since reset and no change of configuration, no event can have taken place. */
const impossible = (g: MmioGhost): number => ~(used | changed) | (g.own && g.idle ? used : 0);

const rules: readonly Rule[] = [
  ['virtio.mmio.id.magic', 'MagicValue', 'must', 'self-stuck', requirements, 'MagicValue reads "virt"', always(exactly(magic))],
  ['virtio.mmio.id.version', 'Version', 'must', 'self-stuck', requirements, 'Version reads 2', always(exactly(version))],
  ['virtio.mmio.id.device', 'DeviceID', 'must', 'self-stuck', table, 'DeviceID reads the virtio device ID', always(exactly(blockDevice))],
  [
    'virtio.mmio.features.window',
    'DeviceFeatures',
    'must',
    'interop',
    table,
    'DeviceFeatures shows the 32 bits of the selected window, the same each time, and none past window 1',
    (g) => {
      const value = g.select.device === undefined ? undefined : g.select.device > 1 ? 0 : g.offered.get(g.select.device);
      return value === undefined ? undefined : exactly(value);
    },
  ],
  [
    'virtio.mmio.queue.absent',
    'QueueSizeMax',
    'must',
    'stray-write',
    table,
    'QueueSizeMax is 0 for a queue the device does not have',
    (g, { virtio: v }) => (v !== undefined && g.select.queue !== undefined && g.select.queue >= v.queues ? exactly(0) : undefined),
  ],
  [
    'virtio.mmio.queue.exists',
    'QueueSizeMax',
    'must',
    'self-stuck',
    table,
    'QueueSizeMax of requestq1 is above 0',
    (g) => (g.select.queue === 0 ? { permits: (v) => v > 0, expected: 'above 0' } : undefined),
  ],
  [
    'virtio.mmio.queue.ready',
    'QueueReady',
    'must',
    'self-stuck',
    table,
    'QueueReady reads what was last written to it, unless the queue was reset since',
    (g, { virtio: v }) => {
      const { queue } = g.select;
      const value = queue === undefined || queue >= (v?.queues ?? 1) ? undefined : g.ready.get(queue);
      return value === 0 || value === 1 ? exactly(value) : undefined;
    },
  ],
  [
    'virtio.mmio.reset.ready',
    'QueueReady',
    'must',
    'stray-write',
    requirements,
    'after reset every QueueReady is 0',
    ({ reset, select: { queue }, ready, renewed }) =>
      reset === 'done' && queue !== undefined && !ready.has(queue) && !renewed.has(queue) ? exactly(0) : undefined,
  ],
  [
    'virtio.mmio.reset.status',
    'Status',
    'must',
    'self-stuck',
    table,
    'after 0 was written, Status reads 0 once the device is at rest',
    (g) => (g.reset === 'due' ? exactly(0) : undefined),
  ],
  [
    'virtio.mmio.reset.interrupt',
    'InterruptStatus',
    'must',
    'interop',
    requirements,
    'after reset InterruptStatus is 0',
    (g) => (g.reset === 'done' && g.idle && g.fresh && g.quiet && g.set === 0 ? exactly(0) : undefined),
  ],
  [
    'virtio.mmio.interrupt.zero',
    'InterruptStatus',
    'must',
    'interop',
    requirements,
    'InterruptStatus has no bit of an event that cannot have happened',
    (g) => ({ permits: (v) => (v & impossible(g)) === 0, expected: `no bit of ${hex(impossible(g))}` }),
  ],
  [
    'virtio.mmio.interrupt.held',
    'InterruptStatus',
    'must',
    'self-stuck',
    requirements,
    'InterruptStatus keeps a bit from its event until it is acknowledged',
    (g) => (g.set === 0 ? undefined : { permits: (v) => (v & g.set) === g.set, expected: `bits ${hex(g.set)}` }),
  ],
  [
    'virtio.mmio.interrupt.queue',
    'InterruptStatus',
    'must',
    'self-stuck',
    table,
    'bit 0 of InterruptStatus stands once a used buffer notification was owed',
    (g) => (g.own && g.rings.due ? { permits: (v) => (v & used) !== 0, expected: 'bit 0' } : undefined),
  ],
  [
    'virtio.mmio.interrupt.acknowledged',
    'InterruptStatus',
    'must',
    'all-stuck',
    requirements,
    'acknowledged bits are clear',
    (g) => (g.clear === 0 ? undefined : { permits: (v) => (v & g.clear) === 0, expected: `bits ${hex(g.clear)} clear` }),
  ],
  [
    'virtio.mmio.generation.changed',
    'ConfigGeneration',
    'must',
    'wrong-data',
    requirements,
    'ConfigGeneration has changed once a changed configuration value was read',
    ({ generation: { stale, value } }) =>
      stale && value !== undefined ? { permits: (v) => v !== value, expected: `other than ${value}` } : undefined,
  ],
  [
    'virtio.mmio.generation.steady',
    'ConfigGeneration',
    'should',
    'interop',
    table,
    'ConfigGeneration stays while nothing changes the configuration',
    (g) => (g.steady === undefined ? undefined : exactly(g.steady)),
  ],
];

const clause = clauseOf<MmioGhost>();
export const registerClauses: readonly Clause<MmioGhost>[] = [
  ...rules.map(([id, register, level, harm, cite, says, demands]) =>
    clause({
      id,
      cite,
      level,
      binds: 'device',
      says,
      on: ['mmio'],
      needs: ['virtio.mmio'],
      harm,
      scope: () => 'device:0',
      when: (m) => registerOf(m.event) === register && demands(m.before, m.granted) !== undefined,
      holds: (m) => {
        const e = demands(m.before, m.granted);
        return (
          e === undefined || e.permits(m.event.value) || { kind: register, expected: `${register} ${e.expected}`, saw: hex(m.event.value) }
        );
      },
    }),
  ),
  clause({
    id: 'virtio.mmio.queue.untouched',
    cite: requirements,
    level: 'must',
    binds: 'device',
    says: 'while QueueReady of every queue is 0, from the start or once stopped, nothing is written to memory',
    on: ['memory.changed', 'settled'],
    needs: ['virtio.mmio', 'memory.seen'],
    harm: 'stray-write',
    scope: () => 'device:0',
    blind: 'reads of the queue',
    when: ({ before: g, event: e }) => noneReady(g) && (e.saw === 'memory.changed' ? e.writes.length > 0 : e.by !== 'bound' && g.kicked),
    holds: ({ event: e }) => e.saw === 'settled' || { kind: 'write', expected: 'no write', saw: `${e.writes.length} places written` },
  }),
];
