// Machines and capabilities that several targets have in common: a suite's blocks go round its machines, and what it draws may depend on what is
// offered, so that targets which differ there would be given different programs.

import type { Capability, MachineConfig, Target } from '../spec/units.ts';
import { suitesFor } from './areas.ts';
import type { Suite } from './program.ts';

const able = (targets: readonly Target[], suite: Suite): readonly Target[] =>
  targets.filter((t) => suite.needs.every((c) => t.hello.offers.includes(c)));
/** What all of those targets offer that can play the suite. */
export const commonOffers = (targets: readonly Target[], suite: Suite): readonly Capability[] => {
  const [first, ...rest] = able(targets, suite);
  return first?.hello.offers.filter((c) => rest.every((t) => t.hello.offers.includes(c))) ?? [];
};

/** Of the suites of these areas (dotted prefixes; none: all) that two targets or more can play, the machines that none of those refuses. */
export const commonMachines = async (targets: readonly Target[], areas: readonly string[]): Promise<ReadonlySet<MachineConfig>> => {
  const common = new Set<MachineConfig>();
  for (const suite of suitesFor(areas)) {
    const players = able(targets, suite);
    for (const machine of suite.machines) {
      let granted = players.length > 1;
      for (const target of players) granted &&= !('unsupported' in (await target.reset(machine)));
      if (granted) common.add(machine);
    }
  }
  return common;
};
