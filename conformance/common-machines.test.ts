// The machines on which targets are compared are those that none of them refuses, of suites that two of them can play.

import { expect, test } from 'vitest';
import type { MachineConfig, Target } from '../spec/units.ts';
import { suites } from './areas.ts';
import { commonMachines } from './common-machines.ts';
import { refTarget } from './targets/ref/ref.ts';

const refusing = (refused: (m: MachineConfig) => boolean, lacks: string = ''): Target => {
  const ref = refTarget();
  return {
    ...ref,
    hello: { ...ref.hello, offers: ref.hello.offers.filter((o) => o !== lacks) },
    reset: (machine) => (refused(machine) ? { unsupported: 'not that one' } : ref.reset(machine)),
  };
};
const ref = refTarget();
/** Of the suite's, those that the reference builds. */
const blk = (suites.find((s) => s.id === 'virtio.blk')?.machines ?? []).filter((m) => 'granted' in ref.reset(m));
const small = (m: MachineConfig): boolean => m.virtio?.queues === 1;
const readOnly = (m: MachineConfig): boolean => m.virtio?.blk.readOnly === true;

test('what one of them refuses is none of theirs', async () => {
  const common = await commonMachines([refusing(small), refusing(readOnly)], ['virtio.blk']);
  const wanted = blk.filter((m) => !small(m) && !readOnly(m));
  expect(wanted.length).toBeGreaterThan(0);
  expect(wanted.length).toBeLessThan(blk.length);
  expect([...common]).toEqual(wanted);
});
test('a target that cannot play a suite refuses nothing of it', async () => {
  const none = (): boolean => false;
  const common = await commonMachines([refusing(none), refusing(none), refusing(() => true, 'virtio.blk')], ['virtio.blk']);
  expect([...common]).toEqual([...blk]);
});
test('what only one can play is compared with nothing', async () => {
  const common = await commonMachines([refusing(() => false), refusing(() => false, 'virtio.blk')], ['virtio.blk']);
  expect(common.size).toBe(0);
});
