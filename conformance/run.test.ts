// What a program becomes where the target breaks, falls silent or is never done: the trace ends there, and says so.

import { expect, test } from 'vitest';
import type { Answer, Granted, MachineConfig, Target } from '../spec/units.ts';
import type { Stimulus } from '../spec/vocabulary.ts';
import { areas } from './areas.ts';
import { createJudge } from './judge.ts';
import { judgedMemory } from './memory.ts';
import type { Program, Suite } from './program.ts';
import { play, stimuliLimit } from './run.ts';
import { playBlock } from './run-block.ts';
import { adapterError } from './targets/exec/blame.ts';

const machine: MachineConfig = { memory: 4096, fill: 0, bus: 'none' };
const granted: Granted = { memory: { size: 4096, fill: 0, seen: 'compared' }, level: 'queue', reset: 'device', offers: [] };
const settle: Stimulus = { do: 'settle' };
const rest: Answer = { saw: [{ saw: 'settled', by: 'sync' }] };
const target = (more: Partial<Target>): Target => ({
  hello: { protocol: 1, name: 'fake', version: '1', offers: [] },
  reset: () => ({ granted }),
  apply: () => rest,
  close: () => undefined,
  ...more,
});
/** So many steps of two stimuli; Infinity: never done. */
const suite = (steps: number): Suite => ({
  id: 'fake',
  needs: [],
  machines: [machine],
  choices: undefined as never,
  *play() {
    for (let i = 0; i < steps; i++) yield { do: [settle, settle] };
  },
  shape: () => '',
  simpler: () => [],
  oblivious: true,
  runs: 1,
});
const program: Program = { suite: 'fake', machine, choices: [] };

test('a target that breaks in the middle of a step is asked no more', async () => {
  let asked = 0;
  const breaks = target({
    applyAll: () => {
      asked++;
      return [{ broke: 'it died' }, rest];
    },
  });
  const played = await play(breaks, suite(3), program, createJudge(areas));
  expect(played).toMatchObject({ broke: 'it died', stimuli: 1 });
  expect(asked).toBe(1);
});
test.each([
  ['tell of fewer programs than there were', []],
  ['tell of fewer steps than there were', [{ granted, answers: [[rest, rest]] }]],
  ['answer too little', [{ granted, answers: [[rest, rest], [rest]] }]],
  ['answer too little before the end', [{ granted, answers: [[rest], [rest, rest]] }]],
])('programs side by side that %s are a target that stopped answering', async (_, ran) => {
  const both: Suite = suite(2);
  const sideBySide: Target['sideBySide'] = (_machine, courses) => {
    for (const course of courses) Array.from(course(granted));
    return ran;
  };
  for await (const { played } of playBlock(target({ sideBySide }), both, [program], createJudge(areas)))
    expect(played.broke).toMatch(/stopped answering/);
  expect.assertions(1);
});
test('programs side by side that end in an error of the adapter are judged as far as they were answered', async () => {
  const three: Suite = suite(3);
  const steps = [3, 1, 3, 0];
  const sideBySide: Target['sideBySide'] = async (_machine, courses) => {
    for (const [i, course] of courses.entries()) {
      const playing = course(granted);
      playing.next();
      for (let step = 0; step < (steps[i] ?? 0); step++) playing.next([rest, rest]);
    }
    throw adapterError('the adapter sent "oops"', 'print nothing else', '');
  };
  const seen: (readonly [number, string | undefined])[] = [];
  await expect(async () => {
    const programs = steps.map(() => program);
    for await (const { played } of playBlock(target({ sideBySide }), three, programs, createJudge(areas)))
      seen.push([played.stimuli, played.broke]);
  }).rejects.toThrow('oops');
  expect(seen).toEqual([
    [6, undefined],
    [2, undefined],
    [6, undefined],
  ]);
});
test('a player that is never done is stopped, and what ran before it is judged', async () => {
  const prompt = target({ prompt: true });
  const mixed: Suite = { ...suite(1), play: (choices) => suite(choices.length > 0 ? Infinity : 1).play([], granted, machine) };
  const endless: Program = { ...program, choices: [{ op: 'endless' }] };
  const seen: number[] = [];
  await expect(async () => {
    for await (const { played } of playBlock(prompt, mixed, [program, endless], createJudge(areas))) seen.push(played.stimuli);
  }).rejects.toThrow(`past ${stimuliLimit} stimuli`);
  expect(seen).toEqual([2]);
});
test('there is no memory past 64 bits of address', () => {
  const memory = judgedMemory();
  memory.reset(granted.memory);
  expect(memory.u8((1n << 64n) + 5n)).toBeUndefined();
  expect(memory.u8(5n)).toBe(0);
});
