// Speed, as ratios of interleaved runs: the same programs judged and not judged, on each target that this machine can run;
// the judge over a long trace; two shards side by side against one; several threads against one; memory by the minute. Nothing here is asserted by tests.
// It runs what is published, built: the loader of the sources makes every inner function slower.
// npm run bench [-- NAME…] [--minutes N]: names of targets, vt-d, processor, cases (single instructions a second), trace, shards, jobs, check, memory; none: all but memory, which N adds.

import '../conformance/compiler.ts';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { areas } from '../conformance/areas.ts';
import { connect, probes } from '../conformance/connect.ts';
import { explore } from '../conformance/explore.ts';
import { createJudge } from '../conformance/judge.ts';
import type { Program, Suite } from '../conformance/program.ts';
import { type Line, play } from '../conformance/run.ts';
import { playBlock } from '../conformance/run-block.ts';
import { programsOf } from '../conformance/sample.ts';
import { judgeTrace } from '../conformance/trace/judge.ts';
import { traceWriter } from '../conformance/trace/write.ts';
import { blkSuite } from '../conformance/virtio/blk.ts';
import type { BlkChoice } from '../conformance/virtio/blk-choices.ts';
import { judgedSpeeds, walkSpeed } from '../conformance/vt-d/bench.ts';
import type { MachineConfig } from '../spec/units.ts';

/** A file of what runs now: the built package, which is what users run. */
const own = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const rounds = 5;
/** Rounds before that are not counted. */
const warming = 6;
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
/** Initialise, then so many reads or writes of a sector, each waited for. */
const requests = (machine: MachineConfig, count: number, each: number): readonly Program[] =>
  Array.from({ length: count }, (_, i) => ({
    suite: blkSuite.id,
    machine,
    choices: Array.from(
      { length: each },
      (_, k): BlkChoice => ({
        op: 'transfer',
        way: (i + k) % 2 === 0 ? 'in' : 'out',
        sector: i + k,
        sectors: 1,
        queue: 0,
        cuts: [],
        every: 0,
        table: k % 2 === 0 ? 'direct' : 'indirect',
        place: 'row',
        times: 1,
        then: 'settle',
      }),
    ),
  }));
/** `each`: programs of so many requests; absent: those that `check` draws. */
const judgedAgainstNot = async (name: string, count: number, each?: number): Promise<void> => {
  const target = await connect(name);
  const suite = blkSuite as unknown as Suite;
  const drawn = await programsFor(target, suite, each === undefined ? count : 1);
  const programs = each === undefined ? drawn : requests((drawn[0] as Program).machine, count, each);
  const ratios: number[] = [];
  const judged: number[] = [];
  let stimuli = 0;
  const pass = async (judging: boolean): Promise<number> => {
    const judge = judging ? createJudge(areas) : undefined;
    stimuli = 0;
    const began = performance.now();
    for await (const { played } of playBlock(target, suite, programs, judge)) stimuli += played.stimuli;
    return (programs.length / (performance.now() - began)) * 1000;
  };
  // A check lasts for many thousand programs: its speed is that of compiled code.
  for (let i = 0; i < warming; i++) await pass(i % 2 === 0);
  const spent = process.cpuUsage();
  const began = performance.now();
  for (let i = 0; i < rounds; i++) {
    const bare = await pass(false);
    const with_ = await pass(true);
    ratios.push(with_ / bare);
    judged.push(with_);
  }
  const cpu = process.cpuUsage(spent);
  const share = (cpu.user + cpu.system) / 1000 / (performance.now() - began);
  await target.close();
  print(
    `${name}, ${each === undefined ? 'programs as check draws them' : `${each} request${each === 1 ? '' : 's'} each`}: judged ${median(judged).toFixed(0)} programs/s of ${(stimuli / programs.length).toFixed(0)} stimuli; ${(100 * median(ratios)).toFixed(0)} % of the same not judged (${rounds} interleaved pairs; ${(100 * share).toFixed(0)} % of a core was ours)`,
  );
};
/** Explores the reference for so many minutes; what the process holds at the end of each, after a collection where node was told to allow it. */
const memory = async (minutes: number): Promise<void> => {
  const target = await connect('ref');
  const began = performance.now();
  let minute = 0;
  const held: string[] = [];
  const result = await explore({
    target,
    name: 'ref',
    areas: [],
    forMs: minutes * 60_000,
    seed: 1,
    strict: false,
    onProgress: () => {
      if (performance.now() - began < (minute + 1) * 60_000) return;
      minute++;
      (globalThis as { gc?: () => void }).gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      held.push(`${minute} min ${(rss / 1048576).toFixed(0)} MB (heap ${(heapUsed / 1048576).toFixed(0)})`);
    },
  });
  print(`memory over ${minutes} minutes and ${result.programs} programs on ref: ${held.join(', ')}`);
};
const remapping = async (available: ReadonlySet<string>): Promise<void> => {
  print(walkSpeed());
  for (const [name, count] of [
    ['ref', 800],
    ['qemu', 320],
  ] as const) {
    if (!available.has(name)) continue;
    const target = await connect(name);
    for (const line of await judgedSpeeds(target, count)) print(line);
    await target.close();
  }
};
const wholeCheck = async (folder: string): Promise<void> => {
  const seconds = (await timed([['check', 'ref', '--save', folder]])) / 1000;
  print(`vmmc check ref with defaults: ${seconds.toFixed(0)} s`);
};
const longTrace = async (folder: string): Promise<void> => {
  const target = await connect('ref');
  const suite = blkSuite as unknown as Suite;
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
      const child = spawn(process.execPath, [own('vmmc.js'), ...a], { stdio: 'ignore', timeout: 300_000 });
      child.on('error', reject);
      child.on('exit', () => {
        if (--left === 0) resolve(performance.now() - began);
      });
    }
  });
/** About two minutes' run, as those that are worth dividing: in its first seconds each command compiles what it runs, on every core that is free, and
 *  sharding does not divide that. */
const sharded = 20_000;
/** Each in a process of its own, whose time is all that it measures. */
const ofInstructions = async (files: readonly (readonly [file: string, ...args: readonly string[]])[]): Promise<void> => {
  for (const [file, ...args] of files)
    await new Promise<void>((resolve, reject) => {
      const child = spawn(process.execPath, [own(`../conformance/instructions/${file}.js`), ...args], {
        stdio: ['ignore', 'inherit', 'inherit'],
        timeout: 300_000,
      });
      child.on('error', reject);
      child.on('exit', () => resolve());
    });
};
const shards = async (folder: string): Promise<void> => {
  const run = (runs: number, shard?: string): readonly string[] => [
    'check',
    'ref',
    '--area',
    'virtio',
    '--runs',
    String(runs),
    '--save',
    folder,
    ...(shard === undefined ? [] : ['--shard', shard]),
  ];
  const whole: number[] = [];
  const steady: number[] = [];
  const starts: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = await timed([run(1)]);
    const one = await timed([run(sharded)]);
    const two = await timed([run(sharded, '1/2'), run(sharded, '2/2')]);
    whole.push(one / two);
    steady.push((one - start) / (two - start));
    starts.push(start);
  }
  print(
    `shards 1/2 and 2/2 of ${sharded} programs side by side: ${median(whole).toFixed(2)} times one run; ${median(steady).toFixed(2)} times without the ${(median(starts) / 1000).toFixed(1)} s that each command takes to start`,
  );
};
/** One thread against as many as there are cores, by the clock, over all areas. */
const threads = async (folder: string): Promise<void> => {
  const most = Math.max(2, availableParallelism());
  const ratios: number[] = [];
  let seconds = 0;
  for (let i = 0; i < 3; i++) {
    const run = (jobs: number): Promise<number> => timed([['check', 'ref', '--runs', '1000', '--jobs', String(jobs), '--save', folder]]);
    const one = await run(1);
    ratios.push(one / (await run(most)));
    seconds = one / 1000;
  }
  print(`check ref --jobs ${most}: ${median(ratios).toFixed(2)} times --jobs 1, of ${seconds.toFixed(0)} s (3 interleaved pairs)`);
};

const words = process.argv.slice(2);
const at = words.indexOf('--minutes');
const minutes = at < 0 ? 0 : Number(words[at + 1]);
if (!Number.isFinite(minutes)) throw new Error('--minutes needs a number');
const wanted = at < 0 ? words : words.toSpliced(at, 2);
const asked = (name: string): boolean => wanted.length === 0 || wanted.includes(name);
const folder = mkdtempSync(join(tmpdir(), 'vmmc-bench-'));
try {
  print(`${cpus().length} cores; load ${loadavg()[0]?.toFixed(1)} before`);
  if (asked('trace')) await longTrace(folder);
  const available = new Set((await probes()).filter((p) => p.available).map((p) => p.name.replace(/\[.*/, '')));
  for (const [name, drawn, one] of [
    ['ref', 1500, 3000],
    ['qsd', 800, 1500],
    ['qemu', 400, 800],
    ['qemu-microvm', 300, 600],
  ] as const) {
    if (!available.has(name) || !asked(name)) continue;
    await judgedAgainstNot(name, one, 1);
    await judgedAgainstNot(name, Math.ceil(one / 3), 4);
    await judgedAgainstNot(name, drawn);
  }
  if (asked('vt-d')) await remapping(available);
  if (asked('processor')) await ofInstructions([['bench'], ['bochs-bench'], ['check-bench', 'ref', '16000'], ['monitor-bench']]);
  if (asked('cases'))
    await ofInstructions(
      (
        [
          ['ref', 64_000],
          ['native', 64_000],
          ['kvm', 32_000],
          ['bochs', 131_072],
          ['qemu-tcg', 131_072],
        ] as const
      ).flatMap(([name, cases]) => (available.has(name) ? [['rate-bench', name, String(cases)] as const] : [])),
    );
  if (asked('check')) await wholeCheck(folder);
  if (asked('shards')) await shards(folder);
  if (asked('jobs')) await threads(folder);
  if (minutes > 0) await memory(minutes);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
