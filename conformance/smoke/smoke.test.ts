// The smoke tests of a processor and of a remapping unit are green on the reference, and each check turns red on what it is there to see.

import { expect, test } from 'vitest';
import type { Answer } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { ExecTarget } from '../targets/exec/exec.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { Claim } from './claim.ts';
import { processor } from './processor.ts';
import { remappingUnit } from './remapping-unit.ts';

type Change = (stimulus: Stimulus, answer: Answer) => Answer;
/** The reference, with answers changed on their way. */
const changed = (change: Change, refuses: boolean = false): ExecTarget => {
  const ref = refTarget();
  const apply = (stimulus: Stimulus): Answer => change(stimulus, ref.apply(stimulus) as Answer);
  return {
    ...ref,
    reset: (machine) => (refuses ? { unsupported: 'not today' } : (ref.reset(machine) as ReturnType<ExecTarget['reset']>)),
    apply,
    applyAll: (stimuli) => stimuli.map(apply),
    close: () => undefined,
    file: undefined,
    stderr: () => '',
  };
};
const same: Change = (_, answer) => answer;
const without =
  (saw: Observation['saw']): Change =>
  (_, answer) =>
    'saw' in answer ? { saw: answer.saw.filter((o) => o.saw !== saw) } : answer;
const mapped =
  (change: (o: Observation) => Observation): Change =>
  (_, answer) =>
    'saw' in answer ? { saw: answer.saw.map(change) } : answer;
const unsupported =
  (name: Stimulus['do']): Change =>
  (stimulus, answer) =>
    stimulus.do === name ? { unsupported: 'no' } : answer;
/** The checks that are red, the first only of those that follow from it. */
const reds = (claims: (target: () => ExecTarget) => readonly Claim[], target: ExecTarget): readonly string[] =>
  claims(() => target)
    .map((c) => ({ check: c.check, outcome: c.run() }))
    .flatMap((c) => (typeof c.outcome === 'string' ? [] : [`${c.check}: ${c.outcome.red}`]))
    .slice(0, 1);

const stopsBy = (by: 'limit' | 'stop', stop?: number): Change =>
  mapped((o) => (o.saw === 'cpu.stopped' ? { saw: o.saw, by, ...(stop === undefined ? {} : { stop }), state: o.state } : o));
test.each<readonly [string, ExecTarget, RegExp]>([
  ['grants nothing', changed(same, true), /a machine with a processor is granted: none was: long64.*not today/],
  ['cannot run', changed(unsupported('cpu.run')), /three instructions.*cpu.run was answered/],
  ['says nothing', changed(without('cpu.stopped')), /three instructions.*cpu.run was answered/],
  ['stops elsewhere', changed(stopsBy('stop', 13)), /three instructions.*it stopped by stop 13/],
  ['never stops', changed(stopsBy('limit')), /three instructions.*it stopped by limit/],
  [
    'ignores the state',
    changed(mapped((o) => (o.saw === 'cpu.stopped' ? { ...o, state: { ...o.state, rax: 0n } } : o))),
    /the register that was loaded is seen: al is 0x0/,
  ],
  ['hides memory', changed(without('memory.changed')), /the bytes that were pushed are seen: no changed byte/],
])('a processor that %s is red', (_, target, says) => {
  expect(reds(processor, target)).toEqual([expect.stringMatching(says)]);
});
const registers = (value: (at: number, was: bigint) => bigint): Change =>
  mapped((o) => (o.saw === 'vtd.register' ? { ...o, value: value(o.at, o.value) } : o));
test.each<readonly [string, ExecTarget, RegExp]>([
  ['grants nothing', changed(same, true), /a machine with a remapping unit is granted: none was: CAP_REG 0x.*not today/],
  ['has other capabilities', changed(registers((at, was) => (at === 8 ? was + 1n : was))), /its capability registers.*they hold/],
  ['hides memory', changed(without('memory.changed')), /lands while translation is off: it was answered/],
  ['cannot write', changed(unsupported('dma.write')), /lands while translation is off: dma.write was answered/],
  [
    'lets everything through',
    changed((s, a) =>
      s.do === 'dma.write' && 'saw' in a
        ? { saw: [{ saw: 'memory.changed', writes: [{ at: s.at as never, bytes: s.bytes }] }, ...a.saw] }
        : a,
    ),
    /an empty root table stops the next one: it landed/,
  ],
  ['records nothing', changed(registers((at, was) => (at === 0x34 ? 0n : was))), /an empty root table stops.*FSTS_REG reads 0x0/],
])('a remapping unit that %s is red', (_, target, says) => {
  expect(reds(remappingUnit, target)).toEqual([expect.stringMatching(says)]);
});
test('both are green on the reference', () => {
  expect(reds(processor, changed(same))).toEqual([]);
  expect(reds(remappingUnit, changed(same))).toEqual([]);
});
