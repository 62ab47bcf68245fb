// The equivalence property is sharp: each seeded fault of a monitor lets some guest of the normal draw tell.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { load } from '../faults/bundle.ts';
import { monitorFaults } from '../faults/monitors.ts';
import { caseOf } from './choice.ts';
import { stimuliOf } from './desk.ts';
import { machineFor } from './furniture.ts';
import { guestOf, guestStimuli } from './monitor-guests.ts';
import { differences, pairOf } from './monitor-pairs.ts';
import { laid } from './suite.ts';

const machines = [machineFor('prot32', '32-bit', ['pse']), machineFor('long64', '4-level', ['nx'])];
/** As many as the property itself draws, with its seed. */
const GUESTS = 250;
test.each(monitorFaults.map((f) => [f.id, f] as const))('%s is found', { timeout: 60_000 }, async (_, fault) => {
  const reference = await load({ ...fault, killedBy: 'instructions.monitor' });
  const told = machines.some((config) => {
    const pair = pairOf(config, fault.monitor, false, reference.createMachine);
    const guests = fc.sample(guestOf, { numRuns: GUESTS, seed: 1 }).map((g) => () => guestStimuli(g, config));
    const cases = fc.sample(caseOf, { numRuns: GUESTS, seed: 1 }).map((c) => () => stimuliOf(laid(config, pair.granted, c), 2000));
    return [...guests, ...cases].some((stimuli) => differences(pair, stimuli()).length > 0);
  });
  expect(told, fault.story).toBe(true);
});
