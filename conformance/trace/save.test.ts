// The footer of a saved trace is judged with the machine's image: what the furniture holds is no guess of the judge's.

import { expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { instructionsSuite } from '../instructions/suite.ts';
import { createJudge } from '../judge.ts';
import { play } from '../run.ts';
import { programsOf } from '../sample.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { MachineConfig } from '../../spec/units.ts';
import type { Suite } from '../program.ts';
import { verdictsOf } from './save.ts';

test('verdicts of a program are those that its run had', async () => {
  const suite = instructionsSuite as unknown as Suite;
  const [machine] = suite.machines as readonly [MachineConfig, ...MachineConfig[]];
  const target = refTarget();
  const judge = createJudge(areas);
  for (const program of programsOf(suite, machine, 1, 0).slice(0, 40)) {
    const played = await play(target, suite, program, judge);
    expect(played.findings).toEqual([]);
    expect(verdictsOf(played.lines)).toEqual({});
  }
});
