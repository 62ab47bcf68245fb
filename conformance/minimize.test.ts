// Minimizing makes a program shorter to read: what is simpler in its records and longer in its stimuli is no step.

import { expect, test } from 'vitest';
import { type Area, clauseOf } from '../spec/clause.ts';
import { machine as machineArea } from '../spec/machine.ts';
import { project } from '../spec/sources.ts';
import type { Granted, MachineConfig, Target } from '../spec/units.ts';
import { shownStimuli } from './cut.ts';
import { createJudge } from './judge.ts';
import { minimize } from './minimize.ts';
import type { Choice, Program, Suite } from './program.ts';
import { play } from './run.ts';

interface Sized extends Choice {
  readonly op: 'queue' | 'batch' | 'rest';
  readonly size: number;
}
const machine: MachineConfig = { memory: 4096, fill: 0, bus: 'none' };
const granted: Granted = { memory: { size: 4096, fill: 0, seen: 'compared' }, level: 'queue', reset: 'device', offers: [] };
/** Broken at the first settle after so many notifications. */
const target = (needed: () => number): Target => {
  let left = 0;
  return {
    hello: { protocol: 1, name: 'fake', version: '1', offers: [] },
    reset: () => {
      left = needed();
      return { granted };
    },
    apply: ({ do: name }) => {
      if (name === 'virtq.notify') left--;
      return { saw: name === 'settle' && left <= 0 ? [{ saw: 'settled', by: 'bound' }] : [] };
    },
    close: () => undefined,
  };
};
const area: Area<never> = {
  id: 'fake',
  initial: () => ({}) as never,
  observe: () => [],
  on: [],
  duties: [],
  clauses: [
    clauseOf<never>()({
      id: 'fake.settles',
      cite: project('test'),
      level: 'must',
      binds: 'device',
      says: 'comes to rest',
      on: ['settled'],
      harm: 'self-stuck',
      when: () => true,
      holds: () => ({ expected: 'rest', saw: 'none', kind: 'left' }),
    }),
  ],
};
/** A full batch is as long as its queue; the plainest queue is long. A rest after it is one stimulus more. */
const suite: Suite<Sized> = {
  id: 'fake',
  needs: [],
  machines: [machine],
  choices: undefined as never,
  *play(choices) {
    const size = choices.find((c) => c.op === 'queue')?.size ?? 1;
    for (const plan of choices) {
      if (plan.op === 'batch') yield { plan, do: Array.from({ length: size }, () => ({ do: 'virtq.notify', queue: 0 }) as const) };
      if (plan.op !== 'queue') yield { plan, do: [{ do: 'settle' }] };
    }
  },
  shape: (c) => c.op,
  simpler: (c) => (c.op === 'queue' && c.size < 64 ? [{ ...c, size: 64 }] : []),
  runs: 1,
};
const program: Program<Sized> = {
  suite: 'fake',
  machine,
  choices: [
    { op: 'queue', size: 4 },
    { op: 'rest', size: 0 },
    { op: 'batch', size: 0 },
    { op: 'rest', size: 0 },
  ],
};
const minimal = async (on: Target, areas: readonly Area<never>[] = [area]) => {
  const played = await play(on, suite as unknown as Suite, program, createJudge(areas));
  const [finding] = played.findings;
  if (finding === undefined) throw new Error('the program shows nothing');
  const first = { finding, lines: played.lines, stimuli: played.stimuli };
  return { first, least: await minimize(on, areas, suite as unknown as Suite, program, finding, first) };
};

test('a plainer choice that makes the program longer is no step', async () => {
  const { least } = await minimal(target(() => 4));
  expect(least.program.choices).toEqual([
    { op: 'queue', size: 4 },
    { op: 'batch', size: 0 },
  ]);
  expect(shownStimuli(least)).toBe(5);
});
test('a program that shows it later the second time is told as it was first', async () => {
  let runs = 0;
  const { first, least } = await minimal(target(() => (runs++ === 0 ? 0 : 4)));
  expect([shownStimuli(first), shownStimuli(least)]).toEqual([1, 1]);
});
/** Dies at so many notifications since its process began; the next reset begins another. */
const mortal = (most: number): Target => {
  let lived = 0;
  return {
    ...target(() => Number.POSITIVE_INFINITY),
    apply: ({ do: name }) => {
      if (name !== 'virtq.notify' || ++lived < most) return { saw: [] };
      lived = 0;
      return { broke: 'it died' };
    },
  };
};
test('a death of what programs before have left behind is not shown by the last of them', async () => {
  const machineAreas = [machineArea] as unknown as readonly Area<never>[];
  const own = await minimal(mortal(4), machineAreas);
  expect(own.least.repeated).toBe(true);
  const old = mortal(10);
  const judge = createJudge(machineAreas);
  for (let n = 0; n < 2; n++) expect((await play(old, suite as unknown as Suite, program, judge)).findings).toEqual([]);
  const { least } = await minimal(old, machineAreas);
  expect([least.repeated, least.shrinks]).toEqual([false, 0]);
});
