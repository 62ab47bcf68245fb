// When a finding is broken and when it is undecided: death and silence need a second run, everything else is its own evidence.

import { describe, expect, test } from 'vitest';
import type { Clause } from '../spec/clause.ts';
import { project } from '../spec/sources.ts';
import type { Observation } from '../spec/vocabulary.ts';
import type { Deviation } from './deviations.ts';
import type { Counterexample } from './report/result.ts';
import { bySignature, concluded, explains } from './verdict.ts';

const clause = (id: string): Clause<never> => ({
  id,
  cite: project('test'),
  level: 'must',
  binds: 'device',
  says: '',
  on: ['settled'],
  harm: 'interop',
  when: () => true,
  holds: () => true,
});
const shown = (id: string, event: Observation, repeated: boolean): Counterexample => ({
  finding: { clause: id, at: 1, scope: 'machine', expected: '', saw: '', kind: 'kind' },
  signature: `${id} | kind | set-up`,
  suite: 'test',
  program: { suite: 'test', machine: { memory: 4096, fill: 0, bus: 'none' }, choices: [] },
  lines: [{ event: { do: 'settle' } }, { event }],
  stimuli: 1,
  of: 1,
  shrinks: 0,
  partly: false,
  repeated,
  seen: 1,
});
const settled: Observation = { saw: 'settled', by: 'idle' };
const changed: Observation = { saw: 'memory.changed', writes: [] };

test.each([
  ['silence, seen again', shown('a.b', settled, true), 'broken'],
  ['silence, seen once', shown('a.b', settled, false), 'undecided'],
  ['a deed, seen once', shown('a.b', changed, false), 'broken'],
  ['a death, seen once', shown('machine.alive', { saw: 'broke', why: '' }, false), 'undecided'],
  ['a death, seen again', shown('machine.alive', { saw: 'broke', why: '' }, true), 'broken'],
])('%s', (_, counterexample, verdict) => {
  const id = counterexample.finding.clause;
  const result = concluded({
    target: { protocol: 1, name: 'x', version: '0', offers: [] },
    seed: 1,
    programs: 1,
    stimuli: 1,
    clauses: [clause(id)],
    tallies: new Map([[id, { id, applied: 9, kept: 8, broken: 1, unknown: 0 }]]),
    offered: new Set(),
    counterexamples: [counterexample],
    deviations: [],
    unexpectedlyKept: [],
    refused: [],
    strict: false,
  });
  expect(result).toMatchObject({ verdict, exit: verdict === 'broken' ? 1 : 2 });
});

test.each([
  ['offered by none', 1n << 32n, 'unsupported', 'needs VIRTIO_F_IN_ORDER'],
  ['offered by one', 1n << 35n, 'untested', 'no program brought it about'],
  ['not known of all', undefined, 'untested', 'no program brought it about'],
])('a clause of a feature that is %s', (_, features, verdict, because) => {
  const result = concluded({
    target: { protocol: 1, name: 'x', version: '0', offers: [] },
    seed: 1,
    programs: 1,
    stimuli: 1,
    clauses: [{ ...clause('a.b'), feature: { name: 'VIRTIO_F_IN_ORDER', bit: 1n << 35n } }],
    tallies: new Map(),
    offered: new Set(),
    ...(features === undefined ? {} : { features }),
    counterexamples: [],
    deviations: [],
    unexpectedlyKept: [],
    refused: [],
    strict: false,
  });
  expect(result.clauses).toMatchObject([{ id: 'a.b', verdict, because }]);
});

describe('a deviation', () => {
  const known = (also: string): ReadonlyMap<string, Deviation> =>
    bySignature([{ signature: 'area.first | kind | NOP', also: [also], trace: '', because: 'it is', evidence: '' }]);
  const found = (id: string, kind: string, shape: string): Counterexample => {
    const one = shown(id, changed, true);
    return { ...one, finding: { ...one.finding, kind }, signature: `${id} | ${kind} | ${shape}` };
  };
  const other = found('area.second', 'other', 'ADD+odd-cause+even');
  test.each([
    ['area.second | other | ADD+odd-cause+even', true],
    ['area.second | other | *', true],
    ['area.second | other | *odd-cause*', true],
    ['area.second | other | *odd*', false],
    ['area.second | kind | *odd-cause*', false],
    ['area.* | * | *odd-cause*', true],
    ['area.* | * | *odd*', false],
    ['machine.* | * | *odd-cause*', false],
  ])('%s: %s', (also, explained) => {
    expect(explains(known(also), other) !== undefined).toBe(explained);
  });
  test('by a word of one area is none of the machine: no cause excuses a death', () => {
    expect(explains(known('area.* | * | *odd-cause*'), found('machine.alive', 'died', 'ADD+odd-cause'))).toBeUndefined();
  });
});
