// Cases of one group tell what they tell alone: of lines that are looked at after each, of lines that are not, and where one case puts down or writes
// back what another has changed.

import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { Answer, Gpa, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { hotLines } from '../../agents/hot.ts';
import { connect } from '../../connect.ts';
import { code } from '../../instructions/layout.ts';
import { startState } from '../../instructions/state.ts';
import { machines } from '../../instructions/suite.ts';
import { allOf } from '../answers.fixture.ts';

const has = (program: string): boolean => spawnSync(program, ['--help'], { timeout: 20_000 }).error === undefined;
const installed = { bochs: has('bochs-bin') };
/** On the stacks' page, and on one of data. */
const places = [0xd400, 0x14800, 0x1d640];
const machineOf = (mode: string, paging: string): MachineConfig =>
  machines.find((m) => m.cpu?.mode === mode && m.cpu.paging === paging) as MachineConfig;

test('none of these places is looked at after each case', () => {
  for (const at of places) expect(hotLines).not.toContain(at & -64);
});

test.skipIf(!installed.bochs).each([
  ['long64', '4-level'],
  ['prot32', '32-bit'],
  ['prot32', 'none'],
])('each case of a group tells what it tells alone: %s, paging %s', { timeout: 60_000 }, async (mode, paging) => {
  const machine = machineOf(mode, paging);
  const target = await connect('bochs');
  const state = startState(machine, 0);
  const write = (at: number, ...bytes: readonly number[]): Stimulus => ({
    do: 'memory.write',
    at: BigInt(at) as Gpa,
    bytes: Uint8Array.from(bytes),
  });
  const run = (bytes: readonly number[], at: number, ...before: readonly Stimulus[]): readonly Stimulus[] => [
    ...before,
    write(code, ...bytes, 0xcc),
    { do: 'cpu.run', state: { ...state, rax: 0x1122_3344n, rsi: BigInt(at + 0x80), rdi: BigInt(at) }, limit: 10 },
  ];
  const [nop, store, copy, invert, late] = [[0x90], [0x89, 0x07], [0xa5], [0xf7, 0x17], [0x90, 0xf7, 0x17]] as const;
  const cases = places.flatMap((at) => [
    run(nop, at),
    run(store, at),
    run(nop, at),
    // What another case has changed is put down anew, is copied over by what stood there, is changed back.
    run(nop, at, write(at, 1, 2, 3, 4)),
    run(store, at, write(at, 0x44, 0x33, 0x22, 0x11)),
    run(store, at),
    run(copy, at),
    run(invert, at),
    run(invert, at),
    run(nop, at),
  ]);
  // The last of a group, with nothing else that differs there.
  const few = places.map((at) => [run(nop, at), run(invert, at), run(invert, at), run(late, at), run(late, at), run(nop, at)]);
  const apart = [];
  for (const some of few) apart.push(await target.runAll?.(machine, some));
  const together = await target.runAll?.(machine, cases);
  const alone = new Map<number, Awaited<ReturnType<NonNullable<typeof target.runAll>>> | undefined>();
  for (const i of [1, 4, 6, 8]) alone.set(i, await target.runAll?.(machine, [cases[i] ?? []]));
  await target.close();
  if (together === undefined || !('answers' in together)) throw new Error(`not run: ${JSON.stringify(together)}`);
  for (const [i, ran] of alone) {
    if (ran === undefined || !('answers' in ran)) throw new Error('a case was not run');
    expect(ran.answers.at(0)).toEqual(together.answers.at(i));
  }
  // The stores and the inversions are seen, at each place; what leaves memory as it was is not.
  const changed = (answers: readonly Answer[], place: number): boolean => {
    const at = BigInt(place);
    const last = answers.at(-1);
    if (last === undefined || !('saw' in last)) throw new Error('a case was not run');
    return last.saw.some((o) => o.saw === 'memory.changed' && o.writes.some((w) => w.at <= at && at < w.at + BigInt(w.bytes.length)));
  };
  const seen = allOf(together.answers, cases).map((answers, i) => changed(answers, places[Math.floor(i / 10)] ?? 0));
  const of = [false, true, false, false, false, true, false, true, true, false];
  expect(seen).toEqual(places.flatMap(() => of));
  for (const [i, at] of places.entries()) {
    const ran = apart[i];
    if (ran === undefined || !('answers' in ran)) throw new Error('a group was not run');
    expect(allOf(ran.answers, few[i] ?? []).map((answers) => changed(answers, at))).toEqual([false, true, true, true, true, false]);
  }
});
