// What a block device owes before the first request: offered features, cache mode, notice of a new capacity.
// VIRTIO 1.4, Block Device, Device Initialization and Device Operation (device requirements).

import type { Clause, Judged } from '../../clause.ts';
import { clauseOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import type { Read } from './configuration.ts';
import { valueIn } from './configuration.ts';
import type { BlkGhost } from './ghost.ts';
import { negotiated } from './ghost.ts';
import { includes, offered } from './layout.ts';

const clause = clauseOf<BlkGhost>();
const initialization = virtio('Device Types / Block Device / Device Initialization', 'device requirements');
const device = (): string => 'device:0';
const needs = ['virtio.blk'] as const;

/** writeback means something only once CONFIG_WCE is negotiated: before FEATURES_OK whatever a driver reads there is permitted. */
const writebackIn = (g: BlkGhost, e: Read): number | undefined =>
  negotiated(g, 'CONFIG_WCE') === true ? valueIn(e, 'writeback') : undefined;
const isWriteback = (saw: number | undefined, expected: 0 | 1): Judged =>
  saw === expected || { kind: 'writeback', expected: `writeback ${expected}`, saw: `${saw}` };

export const initializationClauses: readonly Clause<BlkGhost>[] = [
  clause({
    id: 'virtio.blk.features.wce-flush',
    feature: offered('CONFIG_WCE'),
    cite: initialization,
    level: 'must',
    binds: 'device',
    says: 'a device that offers CONFIG_WCE offers FLUSH',
    on: ['virtio.features'],
    needs,
    harm: 'wrong-data',
    scope: device,
    when: (m) => includes(m.event.offered, 'CONFIG_WCE'),
    holds: (m) =>
      includes(m.event.offered, 'FLUSH') || { kind: 'flush missing', expected: 'FLUSH offered', saw: 'CONFIG_WCE without FLUSH' },
  }),
  clause({
    id: 'virtio.blk.features.flush',
    cite: initialization,
    level: 'should',
    binds: 'device',
    says: 'FLUSH is offered',
    on: ['virtio.features'],
    needs,
    harm: 'wrong-data',
    scope: device,
    // A machine that was asked for without FLUSH is no news about the implementation.
    when: (m) => m.granted.virtio === undefined || includes(m.granted.virtio.offer, 'FLUSH'),
    holds: (m) => includes(m.event.offered, 'FLUSH') || { kind: 'flush missing', expected: 'FLUSH offered', saw: 'FLUSH not offered' },
  }),
  clause({
    id: 'virtio.blk.features.zoned',
    cite: initialization,
    level: 'should',
    binds: 'device',
    says: 'a disk without zones is not offered as ZONED',
    on: ['virtio.features'],
    needs,
    harm: 'interop',
    scope: device,
    // The machines we ask for have no zones, unless one was asked to offer the bit.
    when: (m) => m.granted.virtio !== undefined && !includes(m.granted.virtio.offer, 'ZONED'),
    holds: (m) => !includes(m.event.offered, 'ZONED') || { kind: 'ZONED offered', expected: 'ZONED not offered', saw: 'ZONED offered' },
  }),
  clause({
    id: 'virtio.blk.features.read-only',
    cite: virtio('Device Types / Block Device / Feature bits'),
    level: 'must',
    binds: 'device',
    says: 'RO is offered by a read-only device and by no other',
    on: ['virtio.features'],
    needs,
    harm: 'interop',
    scope: device,
    // A machine that was asked to offer RO over a writable disk may do so.
    when: (m) => m.granted.virtio !== undefined && (m.granted.virtio.blk.readOnly || !includes(m.granted.virtio.offer, 'RO')),
    holds: (m) => {
      const ro = m.granted.virtio?.blk.readOnly === true;
      if (includes(m.event.offered, 'RO') === ro) return true;
      return {
        kind: ro ? 'RO missing' : 'RO offered',
        expected: ro ? 'RO offered' : 'RO not offered',
        saw: ro ? 'RO not offered' : 'RO offered',
      };
    },
  }),
  clause({
    id: 'virtio.blk.writeback.initial',
    feature: offered('CONFIG_WCE'),
    cite: initialization,
    level: 'must',
    binds: 'device',
    says: 'with CONFIG_WCE and without FLUSH, writeback starts at 0',
    on: ['virtio.config'],
    needs,
    harm: 'wrong-data',
    scope: device,
    when: (m) =>
      writebackIn(m.before, m.event) !== undefined && m.before.writeback === undefined && negotiated(m.before, 'FLUSH') === false,
    holds: (m) => isWriteback(writebackIn(m.before, m.event), 0),
  }),
  clause({
    id: 'virtio.blk.writeback.value',
    feature: offered('CONFIG_WCE'),
    cite: virtio('Device Types / Block Device / Device Initialization'),
    level: 'must',
    binds: 'device',
    says: 'with CONFIG_WCE, writeback reads 0 or 1',
    on: ['virtio.config'],
    needs,
    harm: 'interop',
    scope: device,
    when: (m) => writebackIn(m.before, m.event) !== undefined && m.before.writeback !== 'other',
    holds: (m) => {
      const value = writebackIn(m.before, m.event) ?? 0;
      return value <= 1 || { kind: 'value', expected: '0 or 1', saw: `${value}` };
    },
  }),
  clause({
    id: 'virtio.blk.writeback.switch',
    feature: offered('CONFIG_WCE'),
    cite: virtio('Device Types / Block Device / Device Operation', 'driver requirements'),
    level: 'must',
    binds: 'device',
    says: 'with CONFIG_WCE, writeback shows the mode the driver switched to',
    on: ['virtio.config'],
    needs,
    harm: 'wrong-data',
    scope: device,
    when: (m) => writebackIn(m.before, m.event) !== undefined && typeof m.before.writeback === 'number',
    holds: (m) => (typeof m.before.writeback === 'number' ? isWriteback(writebackIn(m.before, m.event), m.before.writeback) : true),
  }),
  clause({
    id: 'virtio.blk.capacity.notice',
    cite: virtio('Device Types / Block Device / Device Operation', 'device requirements'),
    level: 'should',
    binds: 'device',
    says: 'a change of capacity is followed by a configuration change notification',
    on: ['settled'],
    needs: ['virtio.blk', 'host.resize'],
    harm: 'interop',
    scope: device,
    when: (m) => m.before.notice !== 'none' && m.event.by !== 'bound',
    holds: (m) => m.before.notice === 'given' || { kind: 'silent', expected: 'an interrupt for the configuration', saw: 'none' },
  }),
];
