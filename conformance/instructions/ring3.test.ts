// Whether targets without `cpu.system` are given cases that ring 3 of a process can have, and all others the cases that they always were given.

import { expect, test } from 'vitest';
import type { Capability, MachineConfig } from '../../spec/units.ts';
import { forms } from '../../spec/instructions/index.ts';
import type { Suite } from '../program.ts';
import { programsOf } from '../sample.ts';
import type { Case } from './choice.ts';
import { courseSuite } from './course-suite.ts';
import type { CourseChoice } from './course-choice.ts';
import { instructionsSuite, machines } from './suite.ts';

const user: readonly Capability[] = ['cpu', 'memory.seen'];
const drawn = (suite: unknown, machine: MachineConfig, block: number, offers?: readonly Capability[]) =>
  programsOf(suite as Suite, machine, 1, block, offers);
const cases = (machine: MachineConfig, block: number): readonly Case[] =>
  drawn(instructionsSuite, machine, block, user).flatMap((p) => p.choices as readonly unknown[] as readonly Case[]);

test('a target that offers cpu.system draws what is drawn for no target in particular', () => {
  for (const [block, machine] of machines.entries()) {
    expect(drawn(instructionsSuite, machine, 11 * block, ['cpu.system', ...user])).toEqual(drawn(instructionsSuite, machine, 11 * block));
    expect(drawn(courseSuite, machine, block, ['cpu.system', ...user])).toEqual(drawn(courseSuite, machine, block));
  }
});
test('without it all code is of ring 3, with edits of its own registers and memory', () => {
  const kinds = new Set<string>();
  const mnemonics = new Set<string>();
  for (const [block, machine] of machines.slice(0, 4).entries())
    for (const c of cases(machine, block)) {
      expect(c.level).toBe(0);
      for (const t of c.tweaks) kinds.add(t.kind);
      mnemonics.add(forms[c.form]?.mnemonic ?? '');
    }
  expect([...kinds].sort()).toEqual(['code', 'cr4', 'flag', 'frame', 'long', 'register', 'segment', 'stack', 'wide']);
  expect(mnemonics.has('SYSCALL') || mnemonics.has('SGDT')).toBe(false);
  expect(mnemonics.size).toBeGreaterThan(150);
  for (const p of drawn(courseSuite, machines[0] as MachineConfig, 0, user))
    expect((p.choices as readonly unknown[] as readonly CourseChoice[])[0]).toMatchObject({ op: 'start', level: 0 });
});
test('the same again for the same seed and block', () => {
  const [machine] = machines as readonly [MachineConfig];
  expect(cases(machine, 3)).toEqual(cases(machine, 3));
  expect(cases(machine, 3)).not.toEqual(cases(machine, 4));
});
