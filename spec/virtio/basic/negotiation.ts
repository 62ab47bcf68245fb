// Feature bits: what may be offered, which choices must be agreed to, and that agreement lasts.
// VIRTIO 1.4, Feature Bits; Reserved Feature Bits.

import { type Clause, clauseOf, type Duty, dutyOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import { bit, definedFor, deviceTypeBits, has, mayInsistOn, reserved, status, undefinedBits } from '../features.ts';
import type { BasicGhost } from './ghost.ts';
import { hex } from './status.ts';

const section = 'Basic Facilities of a Virtio Device / Feature Bits';
const clause = clauseOf<BasicGhost>();
const duty = dutyOf<BasicGhost>();
const device = (): string => 'device:0';

/** FEATURES_OK was written and this status read tells whether it stuck, for the first time. */
const answered = (g: BasicGhost): boolean => !g.resetting && (g.written & status.FEATURES_OK) !== 0 && !g.negotiated && !g.live;
const fresh = (g: BasicGhost): boolean => answered(g) && g.offered !== undefined;
const refused = { expected: 'FEATURES_OK set', saw: 'FEATURES_OK clear', kind: 'refused' } as const;

export const negotiationClauses: readonly Clause<BasicGhost>[] = [
  clause({
    id: 'virtio.features.version-1-offered',
    cite: virtio('Reserved Feature Bits', 'reservedbits.dev.01'),
    level: 'must',
    binds: 'device',
    says: 'VIRTIO_F_VERSION_1 is offered',
    on: ['virtio.features'],
    harm: 'interop',
    scope: device,
    when: () => true,
    holds: ({ event }) => has(event.offered, 'VERSION_1') || { expected: 'bit 32 set', saw: hex(event.offered), kind: 'not-offered' },
  }),
  clause({
    id: 'virtio.features.undefined-not-offered',
    cite: virtio(section, 'features.dev.04'),
    level: 'must',
    binds: 'device',
    says: 'no bit is offered that is undefined or reserved for extensions',
    on: ['virtio.features'],
    harm: 'interop',
    scope: device,
    when: () => true,
    holds: ({ event, granted }) => {
      const foreign = granted.virtio === undefined ? 0n : deviceTypeBits & ~definedFor[granted.virtio.device];
      const extra = event.offered & (undefinedBits | foreign);
      return extra === 0n || { expected: 'only defined bits', saw: `also ${hex(extra)}`, kind: 'undefined-bit' };
    },
  }),
  clause({
    id: 'virtio.features.offer-stable',
    cite: virtio(section, 'features.dev.05'),
    level: 'should',
    binds: 'device',
    says: 'the offer is the same each time it is read and after a reset',
    on: ['virtio.features'],
    harm: 'interop',
    scope: device,
    when: (m) => m.before.offered !== undefined,
    holds: ({ before, event }) =>
      event.offered === before.offered || { expected: hex(before.offered ?? 0n), saw: hex(event.offered), kind: 'offer-changed' },
  }),
  clause({
    id: 'virtio.features.valid-subset-agreed',
    cite: virtio(section, 'features.dev.02'),
    level: 'should',
    binds: 'device',
    says: 'every valid subset of the offer is agreed to',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'interop',
    scope: device,
    when: ({ before }) => fresh(before) && validSubset(before),
    holds: ({ event }) => (event.value & status.FEATURES_OK) !== 0 || refused,
  }),
  clause({
    id: 'virtio.features.agreed-again',
    cite: virtio(section, 'features.dev.05'),
    level: 'should',
    binds: 'device',
    says: 'a set of features agreed to once is agreed to again after a reset',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'self-stuck',
    scope: device,
    when: ({ before }) => answered(before) && before.agreed.has(before.accepted),
    holds: ({ event }) => (event.value & status.FEATURES_OK) !== 0 || refused,
  }),
  clause({
    id: 'virtio.features.unoffered-refused',
    cite: virtio(section, 'features.dev.03'),
    level: 'should',
    binds: 'device',
    says: 'a set with a bit that was not offered is refused by leaving FEATURES_OK clear',
    on: ['virtio.status'],
    needs: ['virtio.status'],
    harm: 'interop',
    always: true,
    scope: device,
    when: ({ before }) => fresh(before) && (before.accepted & ~(before.offered ?? 0n)) !== 0n,
    holds: ({ before, event }) =>
      (event.value & status.FEATURES_OK) === 0 || {
        expected: 'FEATURES_OK clear',
        saw: `FEATURES_OK set for ${hex(before.accepted & ~(before.offered ?? 0n))} never offered`,
        kind: 'unoffered-agreed',
      },
  }),
];

const validSubset = (g: BasicGhost): boolean =>
  g.offered !== undefined && (g.accepted & ~g.offered) === 0n && (g.offered & mayInsistOn & ~g.accepted) === 0n;

export const negotiationDuties: readonly Duty<BasicGhost>[] = [
  duty({
    id: 'virtio.features.accepts-only-offered',
    cite: virtio(section, 'features.drv.01'),
    says: 'a driver accepts no bit that was not offered',
    on: ['virtio.features.write'],
    keeps: ({ before, event }) => {
      if (before.offered === undefined) return { unknown: 'the offer was not read' };
      const extra = event.accepted & ~before.offered;
      return extra === 0n || { expected: `a subset of ${hex(before.offered)}`, saw: hex(event.accepted), kind: 'not-offered' };
    },
    taints: device,
  }),
  duty({
    id: 'virtio.features.accepts-version-1',
    cite: virtio('Reserved Feature Bits', 'reservedbits.drv.01'),
    says: 'a driver accepts VIRTIO_F_VERSION_1 when it is offered',
    on: ['virtio.features.write'],
    keeps: ({ before, event }) =>
      before.offered === undefined ||
      (before.offered & bit(reserved.VERSION_1) & ~event.accepted) === 0n || {
        expected: 'bit 32',
        saw: hex(event.accepted),
        kind: 'declined',
      },
    taints: device,
  }),
  duty({
    id: 'virtio.init.no-features-after-features-ok',
    cite: virtio('General Initialization And Device Operation / Device Initialization', 'init.drv.04'),
    says: 'a driver accepts no further bits after FEATURES_OK',
    on: ['virtio.features.write'],
    keeps: ({ before, event }) =>
      (before.written & status.FEATURES_OK) === 0 ||
      (event.accepted & ~before.accepted) === 0n || { expected: hex(before.accepted), saw: hex(event.accepted), kind: 'too-late' },
    taints: device,
  }),
];
