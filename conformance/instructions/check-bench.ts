// Measures what `vmmc check` does in this area: programs drawn, laid out, run and judged a second, of wall and of this process's time.
// Run with tsx: the target's name, then the number of programs. The first tenth warms up.

import { cpuUsage } from 'node:process';
import { connect } from '../connect.ts';
import { explore } from '../explore.ts';

const name = process.argv[2] ?? 'ref';
const runs = Number(process.argv[3] ?? 32_000);
const target = await connect(name);
const round = async (count: number, seed: number): Promise<readonly [programs: number, wall: number, cpu: number]> => {
  const started = process.hrtime.bigint();
  const before = cpuUsage();
  const result = await explore({ target, name, areas: ['instructions'], runs: count, seed, strict: false, deviations: 'none' });
  const spent = cpuUsage(before);
  return [result.programs, Number(process.hrtime.bigint() - started) / 1e9, (spent.user + spent.system) / 1e6];
};
await round(Math.ceil(runs / 10), 2);
const [programs, wall, cpu] = await round(runs, 1);
await target.close();
const thousands = (n: number): string => `${(n / 1e3).toFixed(1)} k`;
console.log(
  `${name}: ${programs} programs, ${thousands(programs / wall)} judged cases/s of wall, ${thousands(programs / cpu)} of this process's time`,
);
process.exit(0);
