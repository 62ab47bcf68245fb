// Machines on which several targets can be compared: a suite's blocks go round its machines, so that targets which refuse different ones would be
// given different programs.

import type { MachineConfig, Target } from '../spec/units.ts';
import { suitesFor } from './areas.ts';

/** Of the suites of these areas (dotted prefixes; none: all) that two targets or more can play, the machines that none of those refuses. */
export const commonMachines = async (targets: readonly Target[], areas: readonly string[]): Promise<ReadonlySet<MachineConfig>> => {
  const common = new Set<MachineConfig>();
  for (const suite of suitesFor(areas)) {
    const able = targets.filter((t) => suite.needs.every((c) => t.hello.offers.includes(c)));
    for (const machine of suite.machines) {
      let granted = able.length > 1;
      for (const target of able) granted &&= !('unsupported' in (await target.reset(machine)));
      if (granted) common.add(machine);
    }
  }
  return common;
};
