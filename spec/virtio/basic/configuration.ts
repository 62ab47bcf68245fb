// Device configuration space: readable before FEATURES_OK, whole between changes, and changes are announced.
// VIRTIO 1.4, Device Configuration Space; Notification of Device Configuration Changes.

import { type Clause, clauseOf, type Duty, dutyOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import { status } from '../features.ts';
import { type BasicGhost, mayChange } from './ghost.ts';
import { hex } from './status.ts';

const section = 'Basic Facilities of a Virtio Device / Device Configuration Space';
const changes = 'General Initialization And Device Operation / Device Operation / Notification of Device Configuration Changes';
const clause = clauseOf<BasicGhost>();
const duty = dutyOf<BasicGhost>();
const device = (): string => 'device:0';
const lasting = (g: BasicGhost, at: number): number | undefined => (mayChange(at) ? undefined : g.config.get(at));

export const configurationClauses: readonly Clause<BasicGhost>[] = [
  clause({
    id: 'virtio.config.readable-and-stable',
    cite: virtio(section, 'config.dev.01'),
    level: 'must',
    binds: 'device',
    says: 'a configuration field reads the same before and after FEATURES_OK, until it changes',
    on: ['virtio.config'],
    harm: 'interop',
    scope: device,
    when: ({ before, event }) => event.bytes.some((_, i) => lasting(before, event.at + i) !== undefined),
    holds: ({ before, event }) => {
      const i = event.bytes.findIndex((byte, k) => (lasting(before, event.at + k) ?? byte) !== byte);
      return (
        i < 0 || {
          expected: `${hex(before.config.get(event.at + i) ?? 0)} at offset ${event.at + i}`,
          saw: hex(event.bytes[i] ?? 0),
          kind: 'config-changed',
        }
      );
    },
  }),
  clause({
    id: 'virtio.config.generation-stable',
    cite: virtio(section),
    level: 'should',
    binds: 'device',
    says: 'the generation does not change while the configuration does not',
    on: ['virtio.generation'],
    needs: ['virtio.generation'],
    harm: 'interop',
    scope: device,
    when: (m) => m.before.generation !== undefined && !m.before.configChanged && !m.before.resetting,
    holds: ({ before, event }) =>
      event.value === before.generation || {
        expected: `generation ${before.generation}`,
        saw: `${event.value}`,
        kind: 'generation-changed',
      },
  }),
  clause({
    id: 'virtio.config.change-notified',
    cite: virtio(changes),
    // Advice, since all that a host changes here is a capacity, of which Block Device / Device Operation says SHOULD.
    level: 'should',
    binds: 'device',
    says: 'a change of the configuration in a live device is notified',
    on: ['settled'],
    needs: ['host.resize'],
    harm: 'wrong-data',
    scope: device,
    when: (m) => m.before.live && m.before.changedLive && !m.before.raw,
    holds: ({ before, event }) =>
      !before.configChanged ||
      (event.by === 'bound'
        ? { unknown: 'only a time bound ran out' }
        : { expected: 'a configuration change notification', saw: 'none by the time the device was idle', kind: 'not-notified' }),
  }),
  clause({
    id: 'virtio.config.notified-only-on-change',
    cite: virtio(changes),
    level: 'should',
    binds: 'device',
    says: 'a configuration change notification means a change or DEVICE_NEEDS_RESET',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'interop',
    scope: device,
    // Asked at the next status read, which tells whether the notification meant DEVICE_NEEDS_RESET.
    when: ({ before }) => before.live && before.configNotified,
    holds: ({ before, event }) =>
      !before.unexplained ||
      (event.value & status.NEEDS_RESET) !== 0 || {
        expected: 'no notification',
        saw: 'a configuration change notification',
        kind: 'spurious',
      },
  }),
];

export const configurationDuties: readonly Duty<BasicGhost>[] = [
  duty({
    id: 'virtio.init.no-config-write-before-features-ok',
    cite: virtio('General Initialization And Device Operation / Device Initialization', 'init.drv.03'),
    says: 'a driver writes no configuration field while it chooses features',
    on: ['virtio.config.write'],
    keeps: ({ before }) =>
      (before.written & status.FEATURES_OK) !== 0 || { expected: 'FEATURES_OK first', saw: 'virtio.config.write', kind: 'too-early' },
    taints: device,
  }),
];
