// Sweeps: each has a unit that it fits, breaks no duty, and finds nothing on the reference; where the end of a request is not told none is played.

import { describe, expect, test } from 'vitest';
import { machine as machineArea } from '../../spec/machine.ts';
import { vtd } from '../../spec/vt-d/index.ts';
import type { Area } from '../../spec/clause.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { play } from '../run.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { VtdChoice } from './choices.ts';
import { sweptMachines } from './machines.ts';
import { software } from './software.ts';
import { vtdSweepSuite } from './sweep-suite.ts';
import { SWEEPS, sweep } from './sweeps.ts';

const suite = vtdSweepSuite as unknown as Suite;
const areas = [machineArea, vtd] as unknown as readonly Area<never>[];
const begin = (n: number): VtdChoice => ({
  op: 'init',
  scalable: n % 3 !== 0,
  queue: n % 4 !== 1,
  remaps: n % 2 === 0,
  levels: n,
  domain: n,
  attached: n % 2,
  enabled: n % 5 !== 0,
});

describe('sweeps', () => {
  test('each is played on the reference, which keeps every clause, and breaks no duty', async () => {
    const target = refTarget();
    const judge = createJudge(areas);
    for (const [i, what] of SWEEPS.entries())
      for (const n of [i, i + 1, i + 2]) {
        const machine = sweptMachines[(7 * n + i) % sweptMachines.length] as (typeof sweptMachines)[number];
        const choices = [begin(n), { op: 'sweep', what, n } as const];
        const played = await play(target, suite, { suite: suite.id, machine, choices }, judge);
        expect([what, n, played.findings, played.broke, judge.breaches]).toEqual([what, n, [], undefined, []]);
      }
  }, 120_000);

  test('is not played where the end of a request is not told', () => {
    const vtdMachine = sweptMachines[0]?.vtd;
    if (vtdMachine === undefined) throw new Error('a machine without a unit');
    const sw = software({
      memory: { size: 0x4_0000, fill: 0, seen: 'compared' },
      level: 'pci',
      reset: 'device',
      offers: ['memory.seen', 'vt-d', 'vt-d.register'],
      vtd: vtdMachine,
    });
    for (const what of SWEEPS) sweep(sw, what, 1);
    expect(sw.out).toEqual([]);
  });
});
