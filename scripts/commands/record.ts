// vmmc record: plays programs on a target and keeps what was seen, program after program, in one trace.
// A name that ends in .gz is compressed at the end; until then the lines stand in the plain file, readable if the run is killed.

import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { connect } from '../../conformance/connect.ts';
import { createJudge } from '../../conformance/judge.ts';
import { isCutOff, type Line, play } from '../../conformance/run.ts';
import { programsOf } from '../../conformance/sample.ts';
import { areas } from '../../conformance/areas.ts';
import { traceWriter, type Verdicts } from '../../conformance/trace/write.ts';
import { suitesNamed, whole } from '../options.ts';
import { usage } from '../usage.ts';

export interface RecordOptions {
  readonly area?: readonly string[];
  readonly output: string;
  readonly runs: string;
  readonly seed: string;
}
/** Where the lines go first. */
const plainOf = (output: string): string => (output.endsWith('.gz') ? output.slice(0, -'.gz'.length) : output);
const compress = (output: string): void => {
  const plain = plainOf(output);
  if (plain === output) return;
  writeFileSync(output, gzipSync(readFileSync(plain), { level: 9 }));
  unlinkSync(plain);
};
const eventsOf = (lines: readonly Line[]): number => lines.filter((l) => 'event' in l).length;

export const recordCommand = async (name: string, options: RecordOptions): Promise<number> => {
  const [runs, seed] = [whole(options.runs, '--runs', 1), whole(options.seed, '--seed')];
  const suites = suitesNamed(options.area);
  const target = await connect(name);
  const playable = suites.filter((s) => s.needs.every((c) => target.hello.offers.includes(c)));
  if (playable.length === 0) {
    await target.close();
    throw usage(`${name} offers too little for ${suites.map((s) => s.id).join(', ')}: it offers ${target.hello.offers.join(', ')}`);
  }
  const writer = traceWriter(plainOf(options.output), {
    about: options.area ?? [],
    story: `${runs} programs of each of ${playable.map((s) => s.id).join(', ')}, seed ${seed}`,
    target: target.hello,
  });
  const judge = createJudge(areas);
  const verdicts: Record<string, string> = {};
  let events = 0;
  let programs = 0;
  try {
    for (const suite of playable) {
      const machines = [...suite.machines];
      let played = 0;
      for (let block = 0; played < runs && machines.length > 0; block++) {
        const machine = machines[block % machines.length] as (typeof machines)[number];
        for (const program of programsOf(suite, machine, seed, block, target.hello.offers)) {
          if (played >= runs) break;
          const result = await play(target, suite, program, judge);
          if (result.refused !== undefined) {
            machines.splice(machines.indexOf(machine), 1);
            break;
          }
          writer.write(result.lines);
          for (const f of result.findings) verdicts[f.clause] ??= `broken@${events + f.at}`;
          events += eventsOf(result.lines);
          played++;
          programs++;
        }
      }
    }
    for (const t of judge.tallies.values()) if (t.kept > 0 && t.broken === 0) verdicts[t.id] = 'kept';
    writer.end(verdicts satisfies Verdicts);
  } catch (error) {
    if (isCutOff(error)) writer.write(error.played.lines);
    throw error;
  } finally {
    writer.close();
    await target.close();
  }
  compress(options.output);
  process.stdout.write(`${options.output}: ${programs} programs, ${events} events\n`);
  return programs === 0 ? 2 : 0;
};
