// Speed, as ratios of interleaved runs: the same programs judged and not judged, on each target that this machine can run;
// the judge over a long trace; two shards side by side against one. Nothing here is asserted by tests.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { areas, suites } from '../conformance/areas.ts';
import { connect, probes } from '../conformance/connect.ts';
import { createJudge } from '../conformance/judge.ts';
import type { Program, Suite } from '../conformance/program.ts';
import { type Line, play } from '../conformance/run.ts';
import { programsOf } from '../conformance/sample.ts';
import { judgeTrace } from '../conformance/trace/judge.ts';
import { traceWriter } from '../conformance/trace/write.ts';

const rounds = 5;
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** The first machine of the suite that the target builds, and `count` programs for it. */
const programsFor = async (target: Awaited<ReturnType<typeof connect>>, suite: Suite, count: number): Promise<readonly Program[]> => {
  for (const machine of suite.machines) {
    const granting = await target.reset(machine);
    if (!('granted' in granting)) continue;
    const programs: Program[] = [];
    for (let block = 0; programs.length < count; block++) programs.push(...programsOf(suite, machine, 1, block));
    return programs.slice(0, count).map((p) => ({ ...p, choices: p.choices.filter((c) => c.op !== 'violate') }));
  }
  return [];
};
const judgedAgainstNot = async (name: string, count: number): Promise<void> => {
  const target = await connect(name);
  const suite = suites[0] as Suite;
  const programs = await programsFor(target, suite, count);
  const ratios: number[] = [];
  const judged: number[] = [];
  let stimuli = 0;
  const pass = async (judging: boolean): Promise<number> => {
    const judge = judging ? createJudge(areas) : undefined;
    stimuli = 0;
    const began = performance.now();
    for (const program of programs) stimuli += (await play(target, suite, program, judge)).stimuli;
    return (programs.length / (performance.now() - began)) * 1000;
  };
  await pass(true);
  for (let i = 0; i < rounds; i++) {
    const bare = await pass(false);
    const with_ = await pass(true);
    ratios.push(with_ / bare);
    judged.push(with_);
  }
  await target.close();
  print(
    `${name}: judged ${median(judged).toFixed(0)} programs/s of ${(stimuli / programs.length).toFixed(0)} stimuli; ${(100 * median(ratios)).toFixed(0)} % of the same programs not judged (${rounds} interleaved pairs)`,
  );
};
const longTrace = async (folder: string): Promise<void> => {
  const target = await connect('ref');
  const suite = suites[0] as Suite;
  const path = join(folder, 'long.jsonl');
  const writer = traceWriter(path, { about: [], story: 'bench', target: target.hello });
  let lines: readonly Line[] = [];
  let written = 0;
  for (let block = 0; written < 1_000_000; block++)
    for (const program of programsOf(suite, suite.machines[0] as (typeof suite.machines)[number], 1, block)) {
      lines = (await play(target, suite, program, undefined)).lines;
      writer.write(lines);
      written += lines.length;
    }
  writer.end({});
  writer.close();
  const began = performance.now();
  const j = await judgeTrace(path, createJudge(areas));
  const seconds = (performance.now() - began) / 1000;
  print(
    `a trace of ${j.lines} lines (${(statSync(path).size / 1e6).toFixed(0)} MB): ${(j.lines / seconds / 1000).toFixed(0)} k lines/s judged, ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB at most`,
  );
};
const timed = (args: readonly (readonly string[])[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const began = performance.now();
    let left = args.length;
    for (const a of args) {
      const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/vmmc.ts', ...a], { stdio: 'ignore', timeout: 300_000 });
      child.on('error', reject);
      child.on('exit', () => {
        if (--left === 0) resolve(performance.now() - began);
      });
    }
  });
const shards = async (folder: string): Promise<void> => {
  const run = (shard?: string): readonly string[] => [
    'check',
    'ref',
    '--area',
    'virtio.blk',
    '--runs',
    '12000',
    '--save',
    folder,
    ...(shard === undefined ? [] : ['--shard', shard]),
  ];
  const ratios: number[] = [];
  for (let i = 0; i < 3; i++) {
    const one = await timed([run()]);
    const two = await timed([run('1/2'), run('2/2')]);
    ratios.push(one / two);
  }
  print(`shards 1/2 and 2/2 side by side: ${median(ratios).toFixed(2)} times one run`);
};

const folder = mkdtempSync(join(tmpdir(), 'vmmc-bench-'));
try {
  await longTrace(folder);
  const available = (await probes()).filter((p) => p.available).map((p) => p.name);
  await judgedAgainstNot('ref', 3000);
  if (available.includes('qsd')) await judgedAgainstNot('qsd', 800);
  if (available.includes('qemu[:BINARY]')) await judgedAgainstNot('qemu', 500);
  if (available.includes('qemu-microvm')) await judgedAgainstNot('qemu-microvm', 400);
  await shards(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
