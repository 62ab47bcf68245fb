// The players themselves: every subsequence of choices is a legal program, lowering is deterministic,
// everything legal completes on an honest device, and no answer whatever makes a player throw.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Answer, Capability, Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { BlkChoice } from './blk-choices.ts';
import { blkSuite } from './blk.ts';
import { gpa } from './bytes.ts';
import type { FakeDevice, Manner } from './fake-device.ts';
import { fakeDevice } from './fake-device.ts';
import { DUTIES } from './violations.ts';

const OFFERS: readonly Capability[] = [
  'memory.order',
  'memory.seen',
  'virtio.blk',
  'virtio.status',
  'virtio.generation',
  'virtq.base',
  'host.resize',
];
const BARE: readonly Capability[] = ['memory.seen', 'virtio.blk'];
const machines = blkSuite.machines.filter((m) => m.bus === 'none');
const manner: fc.Arbitrary<Manner> = fc.record({
  lazy: fc.boolean(),
  backwards: fc.boolean(),
  polling: fc.boolean(),
  batching: fc.boolean(),
});
const plainly: Manner = { lazy: false, backwards: false, polling: false, batching: false };
const machine = fc.constantFrom(...machines);
const offers = fc.constantFrom(OFFERS, BARE);
const legal = blkSuite.choices.map((p) => p.filter((c) => c.op !== 'violate'));

interface Run {
  readonly device: FakeDevice;
  readonly stimuli: readonly Stimulus[];
  readonly planned: readonly BlkChoice[];
}
const run = (choices: readonly BlkChoice[], m: MachineConfig, o: readonly Capability[], how: Manner): Run => {
  const device = fakeDevice(m, o, how);
  const stimuli: Stimulus[] = [];
  const planned: BlkChoice[] = [];
  const player = blkSuite.play(choices, device.granted, m);
  for (let step = player.next(); !step.done; ) {
    if (step.value.plan !== undefined) planned.push(step.value.plan);
    stimuli.push(...step.value.do);
    step = player.next(step.value.do.map((s) => device.apply(s)));
  }
  return { device, stimuli, planned };
};
const init = (more: Partial<Extract<BlkChoice, { op: 'init' }>>): BlkChoice => ({
  op: 'init',
  decline: 0,
  queues: 2,
  halve: 0,
  base: 0,
  rings: 'packed',
  lifo: false,
  early: 0,
  ...more,
});

describe('virtio.blk programs', () => {
  test('every subsequence of choices is legal, whatever freedom the device uses, and completes', () => {
    fc.assert(
      fc.property(legal, fc.infiniteStream(fc.boolean()), machine, offers, manner, (choices, keep, m, o, how) => {
        const some = choices.filter(() => keep.next().value);
        for (const program of [choices, some]) {
          const { device, stimuli } = run(program, m, o, how);
          expect(device.complaints).toEqual([]);
          expect(device.pending()).toBe(0);
          expect(stimuli.length).toBeGreaterThan(5);
        }
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test('the same choices and answers give the same stimuli, and plans stand once, in order', () => {
    fc.assert(
      fc.property(blkSuite.choices, machine, manner, (choices, m, how) => {
        const once = run(choices, m, OFFERS, how);
        const twice = run(choices, m, OFFERS, how);
        expect(twice.stimuli).toEqual(once.stimuli);
        expect(choices.filter((c) => once.planned.includes(c))).toEqual(once.planned);
      }),
      { numRuns: 100, seed: 2 },
    );
  });

  test('choices are plain JSON', () => {
    for (const choices of fc.sample(blkSuite.choices, { numRuns: 100, seed: 3 })) {
      expect(JSON.parse(JSON.stringify(choices))).toEqual(choices);
      for (const c of choices) {
        expect(blkSuite.shape(c, blkSuite.machines[0] as MachineConfig)).not.toBe('');
        expect(blkSuite.simpler(c)).not.toContainEqual(c);
      }
    }
  });

  test('simpler choices end: following the first one always comes to rest', () => {
    for (const [first] of fc.sample(blkSuite.choices, { numRuns: 200, seed: 4 })) {
      let c = first;
      for (let i = 0; c !== undefined; i++) {
        expect(i).toBeLessThan(40);
        c = blkSuite.simpler(c)[0];
      }
    }
  });

  test('a violation is noticed somewhere, happens once, and the device is usable afterwards', () => {
    const unnoticed = DUTIES.filter((duty) =>
      machines.every((m) =>
        [0, 1, 2].every((n) => {
          const { device } = run([init({}), { op: 'violate', duty, n }, { op: 'violate', duty, n: n + 1 }], m, OFFERS, plainly);
          expect(device.complaintsNow()).toEqual([]);
          return device.complaints.length === 0;
        }),
      ),
    );
    // The fake does not look at these: foreign bits (it offers none), and VERSION_1.
    expect(unnoticed).toEqual(['virtio.features.reserved', 'virtio.features.version-1']);
  });

  test('a refused FEATURES_OK, a dead target and a missing queue end the program quietly', () => {
    const [m] = machines as [MachineConfig];
    expect(run([init({})], m, OFFERS, { ...plainly, refuses: 1n << 32n }).stimuli.at(-1)).toEqual({
      do: 'virtio.status.write',
      value: 131,
    });
    const device = fakeDevice(m, OFFERS, plainly);
    const player = blkSuite.play([{ op: 'settle' }], device.granted, m);
    player.next();
    expect(player.next([{ broke: 'died' }]).done).toBe(true);
  });

  test('no answers make the player throw or go on for ever', () => {
    const bytes = fc.uint8Array({ minLength: 0, maxLength: 80 });
    const nonsense: fc.Arbitrary<Observation> = fc.oneof(
      fc.record({ saw: fc.constant('virtio.status' as const), value: fc.integer() }),
      fc.record({ saw: fc.constant('virtio.features' as const), offered: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
      fc.record({ saw: fc.constant('virtio.config' as const), at: fc.integer({ min: -4, max: 200 }), bytes }),
      fc.record({ saw: fc.constant('virtq.state' as const), queue: fc.nat(4), sizeMax: fc.nat(70000), enabled: fc.boolean() }),
      fc.record({
        saw: fc.constant('memory.changed' as const),
        writes: fc.array(fc.record({ at: fc.nat(140000).map(gpa), bytes }), { maxLength: 3 }),
      }),
    );
    const wild: fc.Arbitrary<Answer> = fc.oneof(
      fc.record({ saw: fc.array(nonsense, { maxLength: 3 }) }),
      fc.record({ unsupported: fc.constant('no') }),
    );
    fc.assert(
      fc.property(
        blkSuite.choices,
        machine,
        fc.array(wild, { minLength: 1, maxLength: 40 }),
        fc.boolean(),
        (choices, m, answers, mixed) => {
          const device = fakeDevice(m, OFFERS, plainly);
          const granted: Granted = device.granted;
          const player = blkSuite.play(choices, granted, m);
          let n = 0;
          let steps = 0;
          for (let step = player.next(); !step.done; steps++) {
            expect(steps).toBeLessThan(600);
            step = player.next(
              step.value.do.map((s) => {
                const honest = device.apply(s);
                const pick = answers[n++ % answers.length] as Answer;
                return mixed && n % 3 !== 0 ? honest : pick;
              }),
            );
          }
        },
      ),
      { numRuns: 300, seed: 5 },
    );
  });
});
