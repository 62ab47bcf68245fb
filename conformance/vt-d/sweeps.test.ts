// Sweeps: each has a unit that it fits, breaks no duty, and finds nothing on the reference; where the end of a request is not told,
// only those that memory and records tell of are played.

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

  test('former entries that multiply level by level are not all walked', async () => {
    const machine = sweptMachines[14] as (typeof sweptMachines)[number];
    const choices: readonly VtdChoice[] = [
      { op: 'init', scalable: true, queue: false, remaps: true, levels: 0, domain: 0, attached: 3, enabled: true },
      { op: 'sweep', what: 'descriptor-bits', n: 18 },
      { op: 'sweep', what: 'edges', n: 25 },
      { op: 'sweep', what: 'tags', n: 27 },
    ];
    const judge = createJudge(areas);
    const played = await play(refTarget(), suite, { suite: suite.id, machine, choices }, judge);
    expect([played.findings, played.broke]).toEqual([[], undefined]);
    expect(played.stimuli).toBeGreaterThan(1000);
  });

  test('where the end of a request is not told, those that memory and records tell of are played, and none gives way to another', () => {
    const vtdMachine = sweptMachines[0]?.vtd;
    if (vtdMachine === undefined) throw new Error('a machine without a unit');
    const given = (what: string): readonly string[] => {
      const sw = software({
        memory: { size: 0x4_0000, fill: 0, seen: 'compared' },
        level: 'pci',
        reset: 'device',
        offers: ['memory.seen', 'vt-d', 'vt-d.register', 'vt-d.interrupt', 'vt-d.reset'],
        vtd: vtdMachine,
      });
      sw.scene = sw.nextPage;
      sw.queue.on = true;
      sw.remaps = true;
      sweep(sw, what, 0);
      return sw.out.map((s) => s.do);
    };
    expect(given('bits')).toContain('dma.write');
    expect(given('queue-nowhere')).toContain('vtd.reset');
    // A wrong descriptor that is taken, an interrupt that is not shown, requesters that cannot.
    for (const what of ['descriptor-bits', 'types', 'entry-bits', 'messages', 'events', 'translations', 'pages'])
      expect([what, given(what)]).toEqual([what, []]);
  });
});
