// Measures what `vmmc check` does for single instructions: cases drawn, laid out, run and judged a second, and what each of the four costs.
// Run it built: the target's name, then the number of cases; a round as long warms up. Processor time counts, of this process and of those that it started.

import { readdirSync, readFileSync } from 'node:fs';
import { cpuUsage, pid } from 'node:process';
import type { MachineConfig } from '../../spec/units.ts';
import '../compiler.ts';
import { areas } from '../areas.ts';
import { connect } from '../connect.ts';
import { createJudge } from '../judge.ts';
import type { Program, Suite } from '../program.ts';
import { type Block, playBlock, runBlocks } from '../run-block.ts';
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
  /** Those that the target did not refuse. */
  ran: number;
  draw: number;
  lay: number;
  run: number;
  whole: number;
  /** What the target's own processes took for the unjudged run. */
  theirs: number;
}
/** proc(5), stat, from the state on: parent at 1; user and system time at 11 and 12, those of children that have ended at 13 and 14; in ticks of 10 ms. */
const statOf = (process: string): readonly number[] => {
  try {
    return (readFileSync(`/proc/${process}/stat`, 'latin1').split(') ')[1] ?? '').split(' ').map(Number);
  } catch {
    return []; // it ended meanwhile
  }
};
const children = (): number => {
  const sum = (stat: readonly number[], ...fields: readonly number[]): number => fields.reduce((all, f) => all + (stat[f] ?? 0), 0);
  let ticks = sum(statOf(`${pid}`), 13, 14);
  for (const other of readdirSync('/proc')) {
    const stat = /^\d+$/.test(other) ? statOf(other) : [];
    if (stat[1] === pid) ticks += sum(stat, 11, 12, 13, 14);
  }
  return ticks / 100;
};
const seconds = async (body: () => unknown): Promise<number> => {
  const before = cpuUsage();
  await body();
  const { user, system } = cpuUsage(before);
  return (user + system) / 1e6;
};
/** As many blocks of a machine as `check` gives the target at once. */
const many = target.atOnce === undefined ? 1 : Math.ceil(target.atOnce / blockOf(suite));
/** Blocks drawn, laid out alone, played unjudged, played judged: the differences are what the stages cost. */
const blocks = async (spent: Spent, n: number): Promise<void> => {
  const machine = machines[n % machines.length] as MachineConfig;
  let drawn: (readonly Program[])[] = [];
  spent.draw += await seconds(
    () => (drawn = Array.from({ length: many }, (_, k) => programsOf(suite, machine, 1, n + k * machines.length, target.hello.offers))),
  );
  const granting = await target.reset(machine);
  if (!('granted' in granting)) throw new Error('a machine that was granted is refused');
  spent.lay += await seconds(() => {
    for (const p of drawn.flat()) {
      const player = suite.play(p.choices, granting.granted, machine);
      while (player.next([]).done !== true);
    }
  });
  const played = async (judging: boolean): Promise<void> => {
    const ran = many === 1 ? undefined : await runBlocks(target, suite, machine, drawn);
    if (ran !== undefined && !Array.isArray(ran)) throw new Error('a machine that was granted is refused');
    for (const [k, programs] of drawn.entries())
      for await (const { played: of } of playBlock(
        target,
        suite,
        programs,
        judging ? judge : undefined,
        (ran as readonly Block[] | undefined)?.[k],
      )) {
        if (!judging) continue;
        spent.cases++;
        const last = of.lines.at(-1);
        if (last !== undefined && !('event' in last && 'saw' in last.event && last.event.saw === 'unsupported')) spent.ran++;
      }
  };
  const before = children();
  spent.run += await seconds(() => played(false));
  spent.theirs += children() - before;
  spent.whole += await seconds(() => played(true));
};
const fresh = (): Spent => ({ cases: 0, ran: 0, draw: 0, lay: 0, run: 0, whole: 0, theirs: 0 });
const round = async (count: number): Promise<Spent> => {
  const spent = fresh();
  for (let n = 0; spent.cases < count; n++) await blocks(spent, n);
  return spent;
};
await round(runs);
const { cases, ran, draw, lay, run, whole, theirs } = await round(runs);
await target.close();
const thousands = (n: number): string => (n / (draw + whole) / 1e3).toFixed(1);
const each = (s: number): string => `${((s / cases) * 1e6).toFixed(0)} µs`;
console.log(
  `${name}: ${thousands(cases)} k cases/s of this process's time, ${thousands(ran)} k of them not refused; a case: draw ${each(draw)}, lay out ${each(lay)}, run ${each(run - lay)}, judge ${each(whole - run)}; in the target's processes ${each(theirs)} (${cases} cases)`,
);
process.exit(0);
