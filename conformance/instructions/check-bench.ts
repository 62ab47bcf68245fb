// Measures what `vmmc check` does for single instructions: cases drawn, laid out, run and judged a second, and what each of the four costs.
// Run with tsx: the target's name, then the number of cases. Processor time counts, of this process: the machine is shared.

import { cpuUsage } from 'node:process';
import type { MachineConfig } from '../../spec/units.ts';
import { areas } from '../areas.ts';
import { connect } from '../connect.ts';
import { createJudge } from '../judge.ts';
import type { Program, Suite } from '../program.ts';
import { playBlock } from '../run.ts';
import { blockOf, programsOf } from '../sample.ts';
import { instructionsSuite } from './suite.ts';

const name = process.argv[2] ?? 'ref';
const runs = Number(process.argv[3] ?? 32_000);
const target = await connect(name);
const suite = instructionsSuite as unknown as Suite;
const machines: MachineConfig[] = [];
for (const machine of suite.machines) if ('granted' in (await target.reset(machine))) machines.push(machine);
const judge = createJudge(areas);

interface Spent {
  cases: number;
  draw: number;
  lay: number;
  run: number;
  whole: number;
}
const seconds = async (body: () => unknown): Promise<number> => {
  const before = cpuUsage();
  await body();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1e6;
};
/** A block drawn, laid out alone, played unjudged, played judged: the differences are what the stages cost. */
const block = async (spent: Spent, n: number): Promise<void> => {
  const machine = machines[n % machines.length] as MachineConfig;
  let programs: readonly Program[] = [];
  spent.draw += await seconds(() => (programs = programsOf(suite, machine, 1, n)));
  const granting = await target.reset(machine);
  if (!('granted' in granting)) throw new Error('a machine that was granted is refused');
  spent.lay += await seconds(() => {
    for (const p of programs) {
      const player = suite.play(p.choices, granting.granted, machine);
      while (player.next([]).done !== true);
    }
  });
  const played = async (judging: boolean): Promise<void> => {
    for await (const _ of playBlock(target, suite, programs, judging ? judge : undefined)) if (judging) spent.cases++;
  };
  spent.run += await seconds(() => played(false));
  spent.whole += await seconds(() => played(true));
};
const fresh = (): Spent => ({ cases: 0, draw: 0, lay: 0, run: 0, whole: 0 });
const round = async (count: number): Promise<Spent> => {
  const spent = fresh();
  for (let n = 0; spent.cases < count; n++) await block(spent, n);
  return spent;
};
await round(Math.max(runs, 4 * blockOf(suite)));
const { cases, draw, lay, run, whole } = await round(runs);
await target.close();
const each = (s: number): string => `${((s / cases) * 1e6).toFixed(0)} µs`;
console.log(
  `${name}: ${(cases / (draw + whole) / 1e3).toFixed(1)} k judged cases/s of this process's time; a case: draw ${each(draw)}, lay out ${each(lay)}, run ${each(run - lay)}, judge ${each(whole - run)} (${cases} cases)`,
);
process.exit(0);
