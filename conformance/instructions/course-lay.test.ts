// Short programs lie as they were chosen: jumps lead to where pieces start, one loop counts, calls return, and any subset of the choices is a program.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createJudge } from '../judge.ts';
import { areas } from '../areas.ts';
import { play } from '../run.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { type CourseChoice, courseOf, jumps, type Single, straight } from './course-choice.ts';
import { courseSuite } from './course-suite.ts';

const suite = courseSuite as never;
const machineIn = (mode: string): MachineConfig => {
  const found = courseSuite.machines.find((m) => m.cpu?.mode === mode);
  if (found === undefined) throw new Error(`no machine is in mode ${mode}`);
  return found;
};
const ref = refTarget();
/** What the areas tell of the program, and how it ended. */
const told = async (mode: string, choices: readonly CourseChoice[]): Promise<string> => {
  const lines: string[] = [];
  const judge = createJudge(areas, (line) => lines.push(line));
  const played = await play(ref, suite, { suite: courseSuite.id, machine: machineIn(mode), choices }, judge);
  expect(played.findings).toEqual([]);
  return lines.filter((line) => /permitted|judged/.test(line)).join('\n');
};
const nop: Single = { op: 'instruction', form: 0, size: 0, reg: 0, rm: 0, memory: false, slot: 0, imm: 0, prefix: 0 };
const named = (mnemonic: string, more: Partial<Single> = {}): Single => {
  const form = straight
    .filter((f) => f.modes === 'all' || f.modes === 'protected' || f.modes === 'only64')
    .findIndex((f) => f.mnemonic === mnemonic);
  return { ...nop, form, ...more };
};
const jmp = jumps.filter((f) => f.modes !== 'not64').findIndex((f) => f.mnemonic === 'JMP');

test('a jump leads over as many pieces as it says, or to the end', async () => {
  const [inc, dec] = [named('INC'), named('DEC')];
  expect(await told('long64', [{ op: 'jump', form: jmp, over: 1 }, inc, dec])).toMatch(/^2 instructions: JMP DEC;/);
  expect(await told('long64', [inc, { op: 'jump', form: jmp, over: 9 }, dec])).toMatch(/^2 instructions: INC JMP;/);
});
test('the pieces before a loop come as often as it says', async () => {
  const all = await told('long64', [named('INC'), { op: 'loop', back: 0, times: 2 }]);
  expect(all).toMatch(/^10 instructions: MOV INC DEC JNZ INC DEC JNZ INC DEC JNZ; permitted: #BP; was: #BP/);
});
test('a second loop would count with the same register, and is left out', async () => {
  const all = await told('long64', [named('INC'), { op: 'loop', back: 0, times: 0 }, { op: 'loop', back: 1, times: 3 }]);
  expect(all).toMatch(/^4 instructions: MOV INC DEC JNZ;/);
});
test.each(['long64', 'prot32', 'prot16', 'real'])('a call returns, in %s', async (mode) => {
  expect(await told(mode, [{ op: 'call' }, nop])).toMatch(/^4 instructions: CALL RET JMP \w+; permitted: #BP; was: #BP/);
});
test('any part of a program is a program on any machine, and most are followed to their end', async () => {
  let followed = 0;
  const programs = fc.sample(fc.tuple(courseOf, fc.nat({ max: 1000 }), fc.nat({ max: courseSuite.machines.length - 1 })), {
    numRuns: 60,
    seed: 5,
  });
  for (const [choices, odd, m] of programs) {
    const part = choices.filter((_, i) => (i * 7 + odd) % 5 !== 0);
    const mode = courseSuite.machines[m]?.cpu?.mode ?? '';
    if (/^\d+ instructions/.test(await told(mode, part))) followed++;
  }
  expect(followed).toBeGreaterThan(20);
});
