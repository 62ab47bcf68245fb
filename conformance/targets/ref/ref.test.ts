// The reference through its buses: one driver, the same answers; interrupts once each and after what they tell of.

import { describe, expect, test } from 'vitest';
import type { Answer, Bus } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { initialise, machine, request, used } from '../qemu/driver.ts';
import { type RefTarget, refTarget } from './ref.ts';

const VIRTIO_BLK_T_IN = 0;
const on = (bus: Bus): RefTarget => {
  const target = refTarget();
  expect(target.reset({ ...machine, bus })).toHaveProperty('granted');
  return target;
};
const seen = (answers: readonly Answer[]): readonly Observation[] =>
  answers.flatMap((a) => {
    if (!('saw' in a)) throw new Error(JSON.stringify(a));
    return a.saw;
  });
/** What every bus must show alike: an MMIO interrupt does not name its queue. */
const alike = (observations: readonly Observation[]): readonly Observation[] =>
  observations.map((o) => (o.saw === 'interrupt' ? { saw: o.saw, from: o.from } : o));
const run = (target: RefTarget): readonly Observation[] =>
  alike(seen(target.applyAll([...initialise, ...request(VIRTIO_BLK_T_IN, 3, 512, true), ...request(VIRTIO_BLK_T_IN, 99, 512, true, 2)])));
const read = (target: RefTarget, stimulus: Stimulus): number => {
  const [o] = seen([target.apply(stimulus)]);
  if (o === undefined || !('value' in o)) throw new Error(`no value from ${stimulus.do}`);
  return Number(o.value);
};

describe('the reference', () => {
  test.each(['pci', 'mmio'] as const)('answers on %s as on a bare queue, again after a reset', (bus) => {
    const target = on(bus);
    const expected = run(on('none'));
    expect(expected.filter((o) => o.saw === 'interrupt')).toHaveLength(2);
    expect(run(target)).toEqual(expected);
    target.reset({ ...machine, bus });
    expect(run(target)).toEqual(expected);
  });

  test.each(['none', 'pci', 'mmio'] as const)('tells the interrupt after what it tells of on %s', (bus) => {
    const target = on(bus);
    seen(target.applyAll(initialise));
    const kick = request(VIRTIO_BLK_T_IN, 0, 512, true).slice(0, -1);
    const told = seen(target.applyAll(kick));
    expect(told.map((o) => o.saw)).toEqual(['memory.changed', 'memory.changed', 'memory.changed', 'memory.changed', 'interrupt']);
    const idx = told.at(-2);
    expect(idx?.saw === 'memory.changed' && idx.writes[0]?.at).toBe(BigInt(used + 2));
  });

  test('comes back from registers that a program has spoilt', () => {
    const target = on('pci');
    seen([target.apply({ do: 'pci.config.write', at: 4, width: 2, value: 0 })]);
    expect(read(target, { do: 'pci.bar.read', bar: 0, at: 0x14, width: 1 })).toBe(0xff);
    target.reset({ ...machine, bus: 'pci' });
    expect(run(target)).toEqual(run(on('none')));
  });

  test('leaves InterruptStatus to a program that reads registers itself', () => {
    const target = on('mmio');
    seen(target.applyAll(initialise));
    const InterruptStatus = { do: 'mmio.read', at: 0x60, width: 4 } as const;
    expect(read(target, InterruptStatus)).toBe(0);
    seen(target.applyAll(request(VIRTIO_BLK_T_IN, 0, 512, true)));
    expect(read(target, InterruptStatus)).toBe(1);
  });

  test('has no vhost-user bus, and says which stimuli a bus lacks', () => {
    const target = refTarget();
    expect(target.reset({ ...machine, bus: 'vhost-user' })).toEqual({
      unsupported: 'no vhost-user socket: the reference is driven over bus none, mmio or pci',
    });
    expect(target.apply({ do: 'settle' })).toHaveProperty('broke');
    target.reset({ ...machine, bus: 'pci' });
    expect(target.apply({ do: 'mmio.read', at: 0, width: 4 })).toHaveProperty('unsupported');
  });
});
