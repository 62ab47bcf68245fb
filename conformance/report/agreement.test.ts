// What several targets did with one program: agreed on, known to differ, differing, or not to be compared.

import { expect, test } from 'vitest';
import type { MachineConfig } from '../../spec/units.ts';
import type { Finding } from '../judge.ts';
import { clausesAccount, type Outcomes, outcomes, programsAccount } from './agreement.ts';
import type { CheckResult, ClauseResult, Verdict } from './result.ts';

const machine: MachineConfig = { memory: 4096, fill: 0, bus: 'none' };
const finding = (clause: string): Finding => ({ clause, at: 0, scope: 'machine', expected: '', saw: '', kind: 'kind' });
const played = (broken: readonly string[], bus: MachineConfig['bus'] = 'none', choice: string = 'one'): Outcomes => {
  const { of, add } = outcomes();
  add({ suite: 's', machine: { ...machine, bus }, choices: [{ op: choice }] }, { findings: broken.map(finding), lines: [], stimuli: 1 });
  return of;
};
const clause = (id: string, verdict: Verdict, deviates = false): ClauseResult => ({
  id,
  verdict,
  tally: { id, applied: 1, kept: 0, broken: 0, unknown: 0 },
  ...(deviates ? { deviates: true } : {}),
});
const result = (clauses: readonly ClauseResult[], known: readonly string[] = []): CheckResult => ({
  target: { name: 'x', version: '0', offers: [] },
  seed: 1,
  programs: 1,
  stimuli: 1,
  clauses,
  counterexamples: [],
  expected: known.map((id) => ({ clause: id, signature: `${id} | kind | set-up`, because: '', trace: '' })),
  unexpectedlyKept: [],
  notShown: [],
  refused: [],
  verdict: 'kept',
  exit: 0,
});
const none = { agree: 0, differKnown: 0, differNew: 0, notComparable: 0 };
const asked = [clause('a.b', 'kept')];

test.each([
  ['alike', [played([]), played([])], [], { agree: 1 }],
  ['alike over another bus', [played([]), played([], 'pci')], [], { agree: 1 }],
  ['alike in what is broken', [played(['a.b']), played(['a.b'])], [], { agree: 1 }],
  ['otherwise, as known', [played([]), played(['a.b'])], ['a.b'], { differKnown: 1 }],
  ['otherwise', [played([]), played(['a.b'])], [], { differNew: 1 }],
  ['otherwise in what is not asked about', [played([]), played(['c.d'])], [], { agree: 1 }],
  ['one program each', [played([]), played([], 'none', 'two')], [], { notComparable: 2 }],
] as const)('%s', (_, told, known, account) => {
  expect(programsAccount([result(asked), result(asked, known)], told)).toEqual({ ...none, ...account });
});
test('clauses are all accounted for', () => {
  const here = ['kept', 'kept', 'kept', 'broken', 'untested'].map((v, i) => clause(`a.${i}`, v as Verdict));
  const there = ['kept', 'broken', 'broken', 'broken', 'kept'].map((v, i) => clause(`a.${i}`, v as Verdict, i === 1));
  expect(clausesAccount([result(here), result(there)])).toEqual({ agree: 2, differKnown: 1, differNew: 1, notComparable: 1 });
});
