// The device status field: what a device shows of it, and what it may not do before DRIVER_OK.
// VIRTIO 1.4, Device Status Field.

import { type Clause, clauseOf, type Duty, dutyOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import { has, status } from '../features.ts';
import type { BasicGhost } from './ghost.ts';

const section = 'Basic Facilities of a Virtio Device / Device Status Field';
const clause = clauseOf<BasicGhost>();
const duty = dutyOf<BasicGhost>();
const device = (): string => 'device:0';
export const hex = (n: number | bigint): string => `0x${n.toString(16)}`;

/** Whether the range touches idx or an element of a used ring that is set up. */
export const givesBack = (g: BasicGhost, at: bigint, length: number): boolean => {
  for (const [start, end] of g.usedRings.values()) if (at < end && at + BigInt(length) > start) return true;
  return false;
};
/** Whether it is no more than flags or avail_event of one, two bytes before and two behind: a device may fill them in as the queue is enabled. */
export const suppresses = (g: BasicGhost, at: bigint, length: number): boolean => {
  if (givesBack(g, at, length)) return false;
  for (const [start, end] of g.usedRings.values()) if (at >= start - 2n && at + BigInt(length) <= end + 2n) return true;
  return false;
};

/** Bits that the driver sets and nothing but a reset takes away. FEATURES_OK is the device's to refuse. */
const steps = status.ACKNOWLEDGE | status.DRIVER | status.DRIVER_OK | status.FAILED;
/** The driver may have suspended the device: DRIVER_OK and SUSPEND then give way to one another (Device Suspend). */
const suspendable = (g: BasicGhost): boolean => has(g.accepted, 'SUSPEND') && (g.written & status.SUSPEND) !== 0;
const lasting = (g: BasicGhost): number => g.written & (suspendable(g) ? steps & ~status.DRIVER_OK : steps);

export const statusClauses: readonly Clause<BasicGhost>[] = [
  clause({
    id: 'virtio.status.keeps-bits',
    cite: virtio(section),
    level: 'must',
    binds: 'device',
    says: 'status reads back every bit the driver set since the reset',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'interop',
    scope: device,
    when: (m) => !m.before.resetting && lasting(m.before) !== 0,
    holds: ({ before, event }) => {
      const expected = lasting(before);
      return (
        (event.value & expected) === expected || {
          expected: `at least ${hex(expected)}`,
          saw: `status ${hex(event.value)}`,
          kind: 'bit-lost',
        }
      );
    },
  }),
  clause({
    id: 'virtio.status.invents-no-bit',
    cite: virtio(section),
    level: 'must',
    binds: 'device',
    says: 'status shows no driver bit that the driver did not set',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'interop',
    scope: device,
    when: (m) => !m.before.resetting || m.before.quiet,
    holds: ({ before, event }) => {
      const extra = event.value & ~(before.written | status.NEEDS_RESET) & 0xff;
      return (
        extra === 0 ||
        before.resetting || { expected: `at most ${hex(before.written)}`, saw: `status ${hex(event.value)}`, kind: 'bit-invented' }
      );
    },
  }),
  clause({
    id: 'virtio.status.healthy-needs-no-reset',
    cite: virtio(section, 'status.dev.03'),
    level: 'must',
    binds: 'device',
    says: 'a device whose driver broke no rule does not ask for a reset',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'self-stuck',
    scope: device,
    when: (m) => !m.before.resetting,
    holds: ({ before, event }) => {
      if ((event.value & status.NEEDS_RESET) === 0) return true;
      if (before.mixedOffered)
        return { unknown: 'a chain of direct and indirect descriptors was offered: virtio.split.indirect.mixed judges it' };
      if (suspendable(before)) return { unknown: 'a device that fails to suspend or to resume asks for a reset' };
      return { expected: 'DEVICE_NEEDS_RESET clear', saw: `status ${hex(event.value)}`, kind: 'needs-reset' };
    },
  }),
  clause({
    id: 'virtio.status.needs-reset-notified',
    cite: virtio(section, 'status.dev.04'),
    level: 'must',
    binds: 'device',
    says: 'DEVICE_NEEDS_RESET in a live device is announced by a configuration change notification',
    on: ['settled'],
    needs: ['virtio.status'],
    harm: 'self-stuck',
    always: true,
    scope: device,
    when: (m) => m.before.needsReset && !m.before.raw,
    holds: ({ before, event }) => {
      if (before.configNotified) return true;
      if (event.by === 'bound') return { unknown: 'only a time bound ran out' };
      return { expected: 'a configuration change notification', saw: 'none by the time the device was idle', kind: 'not-notified' };
    },
  }),
  clause({
    id: 'virtio.status.no-use-before-driver-ok',
    cite: virtio(section, 'status.dev.01'),
    level: 'must',
    binds: 'device',
    says: 'no buffer is used before DRIVER_OK',
    on: ['memory.changed', 'settled'],
    needs: ['memory.seen'],
    harm: 'stray-write',
    scope: device,
    // A settle without a change is the positive evidence; a change is the objection.
    when: (m) => !m.before.live && !m.before.everLive && !m.before.raw && m.before.usedRings.size > 0,
    holds: ({ before, event }) => {
      if (event.saw === 'settled') return event.by !== 'bound' || { unknown: 'only a time bound ran out' };
      const hit = event.writes.find((w) => givesBack(before, w.at, w.bytes.length));
      return (
        hit === undefined || {
          expected: 'idx and elements of used rings untouched before DRIVER_OK',
          saw: `a write at ${hex(hit.at)}`,
          kind: 'used-before-driver-ok',
        }
      );
    },
  }),
  clause({
    id: 'virtio.status.no-notification-before-driver-ok',
    cite: virtio(section, 'status.dev.02'),
    level: 'must',
    binds: 'device',
    says: 'no used buffer notification is sent before DRIVER_OK',
    on: ['interrupt', 'settled'],
    harm: 'interop',
    scope: device,
    when: (m) => !m.before.live && !m.before.everLive && !m.before.raw && (m.event.saw === 'settled' || m.event.from === 'queue'),
    holds: ({ event }) => {
      if (event.saw === 'settled') return event.by !== 'bound' || { unknown: 'only a time bound ran out' };
      return { expected: 'no used buffer notification before DRIVER_OK', saw: 'one', kind: 'notified-before-driver-ok' };
    },
  }),
];

export const statusDuties: readonly Duty<BasicGhost>[] = [
  duty({
    id: 'virtio.status.clears-no-bit',
    cite: virtio(section, 'status.drv.02'),
    says: 'a driver takes back a status bit only by a reset',
    on: ['virtio.status.write'],
    keeps: ({ before, event }) => {
      const kept = before.written & (suspendable(before) ? ~(status.DRIVER_OK | status.SUSPEND) : 0xff);
      return (
        event.value === 0 ||
        (kept & ~event.value & 0xff) === 0 || { expected: `at least ${hex(kept)}`, saw: `wrote ${hex(event.value)}`, kind: 'bit-cleared' }
      );
    },
    taints: device,
  }),
  duty({
    id: 'virtio.status.failed-means-reset',
    cite: virtio(section, 'status.drv.03'),
    says: 'after FAILED the driver resets before it tries again',
    on: ['virtio.status.write', 'virtq.notify'],
    keeps: ({ before, event }) =>
      (event.do === 'virtio.status.write' && event.value === 0) ||
      (before.written & status.FAILED) === 0 || { expected: 'a reset', saw: event.do, kind: 'went-on' },
    taints: device,
  }),
  duty({
    id: 'virtio.init.order',
    cite: virtio('General Initialization And Device Operation / Device Initialization', 'init.drv.01'),
    says: 'status bits are set in the order ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK',
    on: ['virtio.status.write'],
    keeps: ({ before, event }) => {
      const now = before.written | event.value;
      const has = (bit: number): boolean => (now & bit) !== 0;
      const inOrder =
        (!has(status.DRIVER) || has(status.ACKNOWLEDGE)) &&
        (!has(status.FEATURES_OK) || has(status.DRIVER)) &&
        (!has(status.DRIVER_OK) || has(status.FEATURES_OK));
      return (
        event.value === 0 ||
        inOrder || { expected: 'each step after the one before it', saw: `wrote ${hex(event.value)}`, kind: 'out-of-order' }
      );
    },
    taints: device,
  }),
  duty({
    id: 'virtio.init.features-ok-checked',
    cite: virtio('General Initialization And Device Operation / Device Initialization', 'init.drv.05'),
    says: 'a driver whose features were refused goes no further',
    on: ['virtio.status.write'],
    keeps: ({ before, event }) =>
      (event.value & status.DRIVER_OK) === 0 ||
      before.read === undefined ||
      (before.read & status.FEATURES_OK) !== 0 ||
      (before.written & status.FEATURES_OK) === 0 || {
        expected: 'no DRIVER_OK',
        saw: 'DRIVER_OK with FEATURES_OK refused',
        kind: 'went-on',
      },
    taints: device,
  }),
  duty({
    id: 'virtio.init.no-notify-before-driver-ok',
    cite: virtio('General Initialization And Device Operation / Device Initialization', 'init.drv.08'),
    says: 'a driver notifies no queue before DRIVER_OK',
    on: ['virtq.notify'],
    keeps: ({ before }) => before.live || { expected: 'DRIVER_OK first', saw: 'virtq.notify', kind: 'too-early' },
    // What is owed all the same is that nothing is used: see virtio.status.no-use-before-driver-ok, which this must not silence.
    taints: () => 'device:0/early-notify',
  }),
];
