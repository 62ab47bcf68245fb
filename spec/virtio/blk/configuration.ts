// What the configuration of a block device says: capacity, block size, limits, queues, padding.
// VIRTIO 1.4, Block Device, Device configuration layout. Geometry has no rule: nothing ties it to capacity.

import type { Clause } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import type { Citation } from '../../sources.ts';
import { virtio } from '../../sources.ts';
import type { BlkGhost } from './ghost.ts';
import { fieldOf, negotiated, offers } from './ghost.ts';
import type { FieldName } from './layout.ts';
import { field, offered, padding } from './layout.ts';

const clause = clauseOf<BlkGhost>();
const initialization = virtio('Device Types / Block Device / Device Initialization', 'device requirements');
const layout: Citation = virtio('Device Types / Block Device / Device configuration layout');
const device = (): string => 'device:0';
const needs = ['virtio.blk'] as const;

export interface Read {
  readonly at: number;
  readonly bytes: Uint8Array;
}
/** The value of a field where one read has all of it. */
export const valueIn = (e: Read, name: FieldName): number | undefined => {
  const [at, width] = field[name];
  if (at < e.at || at + width > e.at + e.bytes.length) return undefined;
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (e.bytes[at - e.at + i] ?? 0);
  return value;
};
/** A field that exists: its feature is offered, and this read has all of it. */
const shown = (g: BlkGhost, e: Read, name: FieldName): number | undefined => {
  const exists = field[name][2];
  return exists === undefined || offers(g, exists) === true ? valueIn(e, name) : undefined;
};
/** Both fields, one of them in this read and the other in it or before: neither ever changes. */
const topology = (g: BlkGhost, e: Read): { readonly exponent: number; readonly offset: number } | undefined => {
  const [exponent, offset] = (['physical_block_exp', 'alignment_offset'] as const).map((name) => shown(g, e, name));
  if (exponent === undefined && offset === undefined) return undefined;
  const known = { exponent: exponent ?? fieldOf(g, 'physical_block_exp'), offset: offset ?? fieldOf(g, 'alignment_offset') };
  return known.exponent === undefined || known.offset === undefined ? undefined : { exponent: known.exponent, offset: known.offset };
};
const weights: readonly number[] = Array.from({ length: 8 }, (_, i) => 256 ** i);
const byte = (value: number, i: number): number => Math.floor(value / (weights[i] ?? 1)) % 256;

/** Limits of which 0 would leave no request possible. */
const nonzero: readonly FieldName[] = [
  'size_max',
  'seg_max',
  'max_discard_sectors',
  'max_discard_seg',
  'max_write_zeroes_sectors',
  'max_write_zeroes_seg',
  'max_secure_erase_sectors',
  'max_secure_erase_seg',
];

const queuesOwed = (g: BlkGhost): number => (negotiated(g, 'MQ') === true ? (fieldOf(g, 'num_queues') ?? 1) : 1);
const paddingFrom = Math.min(...padding.map((p) => p.at));
const paddingIn = (g: BlkGhost, e: Read): readonly { readonly name: string; readonly value: number }[] => {
  if (e.at + e.bytes.length <= paddingFrom) return [];
  return padding
    .filter((p) => p.at < e.at + e.bytes.length && p.at + p.length > e.at && p.past.some((name) => offers(g, name) === true))
    .flatMap((p) => Array.from({ length: p.length }, (_, i) => ({ name: p.name, at: p.at + i })))
    .filter(({ at }) => at >= e.at && at < e.at + e.bytes.length && g.written[at] === 0)
    .map(({ name, at }) => ({ name, value: e.bytes[at - e.at] ?? 0 }));
};

export const configurationClauses: readonly Clause<BlkGhost>[] = [
  clause({
    id: 'virtio.blk.config.capacity',
    cite: layout,
    level: 'must',
    binds: 'device',
    says: 'capacity is the size of the disk in 512-byte sectors, little-endian, always present',
    on: ['virtio.config'],
    needs,
    harm: 'wrong-data',
    scope: device,
    // Half of it is enough: each byte read must belong to one size the disk can have now.
    when: (m) => m.granted.virtio !== undefined && m.event.at < 8 && m.event.bytes.length > 0,
    holds: (m) => {
      const { at, bytes } = m.event;
      const part = [...bytes.subarray(0, 8 - at)];
      const fits = m.before.capacities.some((c) => part.every((b, i) => b === byte(c, at + i)));
      return (
        fits || { kind: 'capacity', expected: `capacity ${m.before.capacities.join(' or ')}`, saw: `bytes ${part.join(' ')} at ${at}` }
      );
    },
  }),
  clause({
    id: 'virtio.blk.config.padding',
    cite: initialization,
    level: 'must',
    binds: 'device',
    says: 'unused0 and unused1 are 0',
    on: ['virtio.config'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) => paddingIn(m.before, m.event).length > 0,
    holds: (m) => {
      const bad = paddingIn(m.before, m.event).find((p) => p.value !== 0);
      return bad === undefined || { kind: bad.name, expected: `${bad.name} 0`, saw: `0x${bad.value.toString(16)}` };
    },
  }),
  clause({
    id: 'virtio.blk.config.block-size',
    feature: offered('BLK_SIZE'),
    cite: virtio('Device Types / Block Device / Device Initialization'),
    level: 'must',
    binds: 'device',
    says: 'with BLK_SIZE, blk_size is the block size of the disk, not 0',
    on: ['virtio.config'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) => shown(m.before, m.event, 'blk_size') !== undefined,
    holds: (m) => {
      const value = shown(m.before, m.event, 'blk_size');
      const is = m.granted.virtio?.blk.blockSize;
      if (value === 0) return { kind: 'zero', expected: 'a block size', saw: '0' };
      return is === undefined || value === is || { kind: 'block size', expected: `${is}`, saw: `${value}` };
    },
  }),
  clause({
    id: 'virtio.blk.config.topology',
    feature: offered('TOPOLOGY'),
    cite: layout,
    level: 'should',
    binds: 'device',
    says: 'alignment_offset counts logical blocks inside one physical block',
    on: ['virtio.config'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) => topology(m.before, m.event) !== undefined,
    holds: (m) => {
      const { exponent, offset } = topology(m.before, m.event) ?? { exponent: 0, offset: 0 };
      return offset < 2 ** exponent || { kind: 'alignment', expected: `below 2^${exponent}`, saw: `${offset}` };
    },
  }),
  clause({
    id: 'virtio.blk.config.limits',
    cite: virtio('Device Types / Block Device / Feature bits'),
    level: 'should',
    binds: 'device',
    says: 'no limit that an offered feature announces is 0',
    on: ['virtio.config'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) => nonzero.some((name) => shown(m.before, m.event, name) !== undefined),
    holds: (m) => {
      const bad = nonzero.find((name) => shown(m.before, m.event, name) === 0);
      return bad === undefined || { kind: bad, expected: `${bad} above 0`, saw: '0' };
    },
  }),
  clause({
    id: 'virtio.blk.config.queues',
    feature: offered('MQ'),
    cite: virtio('Device Types / Block Device / Virtqueues'),
    level: 'must',
    binds: 'device',
    says: 'with MQ, num_queues is at least 1',
    on: ['virtio.config'],
    needs,
    harm: 'self-stuck',
    scope: device,
    when: (m) => shown(m.before, m.event, 'num_queues') !== undefined,
    holds: (m) => shown(m.before, m.event, 'num_queues') !== 0 || { kind: 'no queue', expected: 'num_queues of 1 or more', saw: '0' },
  }),
  clause({
    id: 'virtio.blk.queues.exist',
    cite: virtio('Device Types / Block Device / Virtqueues'),
    level: 'must',
    binds: 'device',
    says: 'requestq1 exists, and with MQ as many queues as num_queues says',
    on: ['virtq.state'],
    needs,
    harm: 'self-stuck',
    scope: device,
    when: (m) => m.event.queue < queuesOwed(m.before),
    holds: (m) =>
      m.event.sizeMax > 0 || { kind: 'queue missing', expected: `queue ${m.event.queue} of ${queuesOwed(m.before)}`, saw: 'size 0' },
  }),
  clause({
    id: 'virtio.blk.queues.bound',
    feature: offered('MQ'),
    cite: virtio('Device Types / Block Device / Virtqueues'),
    level: 'should',
    binds: 'device',
    says: 'with MQ, no queue past num_queues exists',
    on: ['virtq.state'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) =>
      negotiated(m.before, 'MQ') === true && fieldOf(m.before, 'num_queues') !== undefined && m.event.queue >= queuesOwed(m.before),
    holds: (m) =>
      m.event.sizeMax === 0 || { kind: 'queue too many', expected: 'size 0', saw: `queue ${m.event.queue} of size ${m.event.sizeMax}` },
  }),
];
