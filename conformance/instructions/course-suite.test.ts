// What a signature says of a short program as a whole: where CMPXCHG8B leaves flags that others have written and others read.
// And that no bit string of it lies where earlier instructions have computed.

import { expect, test } from 'vitest';
import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { Suite } from '../program.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { shapeOf } from '../signature.ts';
import { type CourseChoice, straight } from './course-choice.ts';
import { formOf } from './course-lay.ts';
import { courseSuite } from './course-suite.ts';

const machine = courseSuite.machines.find((m) => m.cpu?.mode === 'prot32') as (typeof courseSuite.machines)[number];
const { mode } = machine.cpu as CpuMachine;
const plain = { op: 'instruction', size: 0, reg: 0, rm: 0, memory: false, slot: 0, imm: 0, prefix: 0 } as const;
const called = (mnemonic: string): CourseChoice => {
  const form = straight.findIndex((_, n) => formOf(mode, { ...plain, form: n }).mnemonic === mnemonic);
  if (form < 0) throw new Error(`no ${mnemonic} in short programs`);
  return { ...plain, form };
};
const shape = (...mnemonics: readonly string[]): string =>
  shapeOf(courseSuite as unknown as Suite, { machine, choices: mnemonics.map(called) });

test.each([
  [['CMPXCHG8B', 'MOV'], 'CMPXCHG8B+MOV'],
  [['ADD', 'CMPXCHG8B'], 'ADD+CMPXCHG8B+kept-flags'],
  [['ADD', 'CMPXCHG8B', 'SETNB'], 'ADD+CMPXCHG8B+SETNB+kept-flags+kept-flags-read'],
  [['SETNB', 'ADD', 'CMPXCHG8B'], 'ADD+CMPXCHG8B+SETNB+kept-flags'],
  [['ADD', 'SETNB'], 'ADD+SETNB'],
])('%j', (mnemonics, words) => {
  expect(shape(...mnemonics)).toBe(words);
});
test('a bit string by a register is one of a register', () => {
  const granted = {
    memory: { size: machine.memory, fill: machine.fill, seen: 'compared' },
    level: 'agent',
    reset: 'snapshot',
    offers: ['cpu', 'cpu.system', 'memory.seen'],
    cpu: { ...(machine.cpu as CpuMachine), has: [], physicalBits: 40, vendor: 'intel' },
  } as const;
  const codeOf = (c: CourseChoice): string => {
    const choices: readonly CourseChoice[] = [{ op: 'start', level: 0, values: 0, flags: 0 }, c];
    const stimuli: Stimulus[] = [];
    const player = courseSuite.play(choices, granted, machine);
    for (let step = player.next([]); step.done !== true; step = player.next([])) stimuli.push(...step.value.do);
    const code = stimuli.findLast((s) => s.do === 'memory.write');
    return code?.do === 'memory.write' ? Buffer.from(code.bytes).toString('hex') : '';
  };
  const inRegister = codeOf(called('BTR'));
  expect(inRegister).toMatch(/0fb3[c-f]/);
  expect(codeOf({ ...called('BTR'), memory: true } as CourseChoice)).toBe(inRegister);
});
