// Measures the reference processor against Bochs: the same ROM, the same loop, in interleaved pairs; what starting and the agent cost is taken off.
// Run with tsx; prints one line. Time on the wall, because Bochs is another process: the median of the ratios counts.

import type { Gpa, MachineConfig, Target } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { connect, probes } from '../connect.ts';
import { machineFor } from './furniture.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

const machine: MachineConfig = machineFor('long64', '4-level', []);
const state = startState(machine, 0);
/** Twelve instructions a turn, as in bench.ts, and no more turns than the agent's watchdog allows a case. */
const PER_TURN = 12;
const TURNS = 1_000;
const CASES = 2_000;
const ROUNDS = 5;
const loop = '4801c8 4831c2 48c1e203 8b3b 01c7 893b 4c8d440b08 0fb6f0 4839d6 480f42f2 48ffc9 75dc cc'.replaceAll(' ', '');
const program: readonly Stimulus[] = [{ do: 'memory.write', at: BigInt(at.code) as Gpa, bytes: Uint8Array.from(Buffer.from(loop, 'hex')) }];
const programs = (turns: number): readonly (readonly Stimulus[])[] =>
  Array.from({ length: CASES }, () => [
    ...program,
    { do: 'cpu.run', state: { ...state, rcx: BigInt(turns) }, limit: 1e6 } satisfies Stimulus,
  ]);

const timed = async (target: Target, turns: number): Promise<number> => {
  const given = programs(turns);
  const start = process.hrtime.bigint();
  const whole = await target.runAll?.(machine, given);
  const spent = Number(process.hrtime.bigint() - start) / 1e9;
  if (whole === undefined || !('answers' in whole)) throw new Error(`${target.hello.name} ran nothing`);
  for (const i of given.keys()) {
    const last = whole.answers.at(i)?.at(-1);
    const stopped = last !== undefined && 'saw' in last ? last.saw.find((o) => o.saw === 'cpu.stopped') : undefined;
    if (stopped?.saw !== 'cpu.stopped' || stopped.by !== 'stop' || stopped.stop !== 3)
      throw new Error(`${target.hello.name} did not end the loop`);
  }
  return spent;
};
/** Instructions a second inside the loop. */
const rate = async (target: Target): Promise<number> => {
  const without = await timed(target, 1);
  const within = await timed(target, TURNS);
  return (CASES * PER_TURN * (TURNS - 1)) / (within - without);
};
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const bochsHere = (await probes()).some((p) => p.name.startsWith('bochs') && p.available);
if (!bochsHere) console.log('Bochs is not installed: no ratio');
else {
  const [reference, bochs] = [await connect('ref-rom'), await connect('bochs')];
  await rate(reference);
  const pairs: (readonly [ours: number, theirs: number])[] = [];
  for (let i = 0; i < ROUNDS; i++) pairs.push([await rate(reference), await rate(bochs)]);
  await Promise.all([reference.close(), bochs.close()]);
  const millions = (n: number): string => (n / 1e6).toFixed(1);
  console.log(
    `the agent's ROM: the reference runs ${millions(median(pairs.map(([a]) => a)))} M instructions/s of a mixed integer loop, Bochs ${millions(median(pairs.map(([, b]) => b)))} M; ratio ${median(pairs.map(([a, b]) => a / b)).toFixed(2)} (median of ${ROUNDS} interleaved pairs)`,
  );
}
process.exit(0);
