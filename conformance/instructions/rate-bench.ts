// Measures judged single-instruction cases a second by the clock, as `vmmc check --jobs` plays and judges them: one thread, and as many as there are cores.
// Run it built: the target's name, then the number of cases. Cases that the target refuses do not count.

import { availableParallelism } from 'node:os';
import '../compiler.ts';
import { connect } from '../connect.ts';
import { type Crew, type Result, startCrew } from '../crew.ts';
import type { Suite } from '../program.ts';
import { blockOf } from '../sample.ts';
import { instructionsSuite } from './suite.ts';

const name = process.argv[2] ?? 'ref';
const cases = Number(process.argv[3] ?? 64_000);
const suite = instructionsSuite as unknown as Suite;
const target = await connect(name);
const machines: number[] = [];
for (const [i, machine] of suite.machines.entries()) if ('granted' in (await target.reset(machine))) machines.push(i);
const each = blockOf(suite);
const many = target.atOnce === undefined ? 1 : Math.ceil(target.atOnce / each);

let next = 0;
/** Blocks that no thread has played yet, for the machines in turn. */
const played = async (crew: Crew, count: number): Promise<number> => {
  const jobs: Promise<Result>[] = [];
  for (let programs = 0; programs < count; programs += many * each) {
    const turn = next++;
    const machine = machines[turn % machines.length] as number;
    const blocks = Array.from({ length: many }, (_, k) => ({ block: (turn * many + k) * suite.machines.length + machine, most: each }));
    jobs.push(...crew.order({ seed: 1, suite: suite.id, machine, offers: target.hello.offers, blocks }).results);
  }
  let judged = 0;
  for (const result of await Promise.all(jobs)) {
    if (result === 'undone') throw new Error('a block was not played');
    if (result.error !== undefined) throw new Error(result.error.message);
    for (const part of result.parts) judged += part.programs;
  }
  return judged;
};
for (const jobs of [1, availableParallelism()]) {
  const crew = await startCrew(name, jobs, target.hello);
  await played(crew, cases); // what V8 compiles in the first seconds is not a check's speed
  const began = performance.now();
  const judged = await played(crew, cases);
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${name}, ${jobs} job${jobs === 1 ? '' : 's'}: ${(judged / seconds / 1000).toFixed(1)} k judged cases/s by the clock (${judged} cases)`,
  );
  await crew.close();
}
await target.close();
process.exit(0);
