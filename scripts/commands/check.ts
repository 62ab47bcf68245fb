// vmmc check: explores a target and reports. Exit codes as the verdict says; 130 when interrupted, with what was found so far.

import { accessSync, closeSync, constants, existsSync, openSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import cliProgress from 'cli-progress';
import { connect, onlyOnce } from '../../conformance/connect.ts';
import { type Crew, startCrew } from '../../conformance/crew.ts';
import { explore } from '../../conformance/explore.ts';
import { consoleReport } from '../../conformance/report/console.ts';
import { jsonReport } from '../../conformance/report/json.ts';
import { reports } from '../../conformance/report/formats.ts';
import type { CheckResult, Counterexample } from '../../conformance/report/result.ts';
import { saveCounterexample } from '../../conformance/trace/save.ts';
import { areasNamed, areasOf, clausesNamed, whole } from '../options.ts';
import { lastWords, usage } from '../usage.ts';
import { judgeRecording } from './replay.ts';

export interface CheckOptions {
  readonly area?: readonly string[];
  readonly clause?: readonly string[];
  readonly runs?: string;
  readonly for?: string;
  readonly seed?: string;
  readonly shard?: string;
  readonly jobs?: string;
  readonly strict?: boolean;
  readonly deviations?: string;
  readonly report?: readonly string[];
  readonly save?: string;
}
/** `60s`, `2m`, `1500ms`, or plain seconds. */
const duration = (text: string): number => {
  const match = /^(\d+)(ms|s|m)?$/.exec(text);
  if (match === null) throw usage(`--for ${text}: write 60s, 2m or 1500ms`);
  return Number(match[1]) * ({ ms: 1, s: 1000, m: 60_000 }[match[2] ?? 's'] ?? 1000);
};
const isSystemError = (error: unknown): error is NodeJS.ErrnoException => error instanceof Error && 'code' in error && 'syscall' in error;
const shardOf = (text: string): { index: number; of: number } => {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, of] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index < 1 || index > of) throw usage(`--shard ${text}: write 1/4 for the first of four`);
  return { index, of };
};

/** Throws where no traces can be saved: it must not be found out after the run. */
const folderFor = (folder: string): void => {
  let there = resolve(folder);
  while (!existsSync(there)) there = dirname(there);
  try {
    if (!statSync(there).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    accessSync(there, constants.W_OK);
  } catch (error) {
    throw usage(
      `--save ${folder}: traces cannot be written there (${there}: ${(error as NodeJS.ErrnoException).code ?? String(error)}); name a folder`,
    );
  }
};

/** More threads than these help no machine. */
const jobsMost = 256;
/** Programs a suite for which a thread beside this one is worth its start. */
const manyRuns = 4096;

export const checkCommand = async (name: string, options: CheckOptions): Promise<number> => {
  if (name.startsWith('trace:')) {
    if (options.report !== undefined) throw usage('a recording is judged as it stands and has no report: leave --report out');
    return judgeRecording(name.slice('trace:'.length));
  }
  const clauses = clausesNamed(options.clause);
  const only = options.area === undefined ? areasOf(clauses) : areasNamed(options.area);
  const seed = whole(options.seed ?? '1', '--seed');
  const shard = options.shard === undefined ? undefined : shardOf(options.shard);
  const formats = (options.report ?? ['console']).map((r) => ({
    kind: r.split('=')[0] ?? '',
    file: r.includes('=') ? r.slice(r.indexOf('=') + 1) : undefined,
  }));
  for (const f of formats)
    if (!['console', 'json', ...Object.keys(reports)].includes(f.kind))
      throw usage(`no report is called ${f.kind}; there are console, json, ${Object.keys(reports).join(', ')}`);
  for (const { file } of formats) {
    if (file === undefined) continue;
    try {
      closeSync(openSync(file, 'a'));
    } catch (error) {
      throw usage(
        `--report …=${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)}); name a file in a folder that exists`,
      );
    }
  }
  if (options.save !== undefined) folderFor(options.save);
  if (options.for !== undefined && options.runs !== undefined)
    throw usage('--runs and --for exclude each other: a run ends by a count or by the clock; leave one of them out');
  const forMs = options.for === undefined ? undefined : duration(options.for);
  const runs = options.runs === undefined ? undefined : whole(options.runs, '--runs', 1);
  const jobs = options.jobs === undefined ? 1 : whole(options.jobs, '--jobs', 1);
  if (jobs > jobsMost) throw usage(`--jobs ${jobs}: at most ${jobsMost} threads`);
  const once = jobs > 1 ? onlyOnce(name) : undefined;
  if (once !== undefined) throw usage(`--jobs ${jobs}: ${name} can be connected to only once (${once}); leave --jobs out`);
  const target = await connect(name);
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  let crew: Crew | undefined;
  try {
    // One thread too is started where the target runs the next programs while those before are judged: this one could only wait for it.
    const overlap = target.overlaps === true && (runs ?? manyRuns) >= manyRuns;
    if (jobs > 1 || overlap) crew = await startCrew(name, jobs, target.hello);
  } catch (error) {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    await target.close();
    throw error;
  }
  const bar = process.stderr.isTTY
    ? new cliProgress.SingleBar({
        format: '{bar} {percentage}% | {programs} programs | {broken} findings',
        stream: process.stderr,
        hideCursor: true,
      })
    : undefined;
  bar?.start(100, 0, { programs: 0, broken: 0 });
  let unclosed: { readonly error: unknown } | undefined;
  let result: CheckResult;
  try {
    result = await explore({
      target,
      name,
      areas: only,
      clauses,
      seed,
      strict: options.strict ?? false,
      ...(runs === undefined ? {} : { runs }),
      ...(forMs === undefined ? {} : { forMs }),
      ...(shard === undefined ? {} : { shard }),
      ...(options.deviations === undefined ? {} : { deviations: options.deviations }),
      onProgress: (p) => bar?.update(Math.min(100, Math.round(p.done * 100)), { programs: p.programs, broken: p.broken }),
      stopped: () => interrupted,
      ...(crew === undefined ? {} : { crew }),
    });
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    bar?.stop();
    // What was found is told before what closing throws.
    for (const one of [crew, target]) await (async () => one?.close())().catch((error: unknown) => (unclosed ??= { error }));
  }
  const saved = new Map<Counterexample, string>();
  const folder = options.save ?? 'traces/found';
  for (const c of result.counterexamples)
    try {
      saved.set(c, saveCounterexample(folder, c, result.target));
    } catch (error) {
      if (!isSystemError(error)) throw error;
      // The report is worth more than the traces.
      process.stderr.write(
        `vmmc: traces cannot be written in ${folder} (${error.code}): ${c.signature} has none; name another folder by --save\n`,
      );
    }
  for (const { kind, file } of formats) {
    const text =
      kind === 'console'
        ? `${consoleReport(result, name, saved, interrupted)}\n`
        : kind === 'json'
          ? jsonReport(result)
          : (reports[kind]?.(result, name) ?? '');
    if (file === undefined) process.stdout.write(text);
    else writeFileSync(file, text);
  }
  // The report says why; how the adapter's stderr ends is no part of it.
  const { cutShort } = result;
  if (cutShort !== undefined && cutShort.stderr.trim() !== '')
    process.stderr.write(`vmmc: cut short ${lastWords(cutShort.why, cutShort.stderr)}\n`);
  if (unclosed !== undefined) {
    if (result.exit === 0) throw unclosed.error;
    process.stderr.write(`vmmc: ${unclosed.error instanceof Error ? unclosed.error.message : String(unclosed.error)}\n`);
  }
  return interrupted ? 130 : result.exit;
};
