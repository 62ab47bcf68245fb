// vmmc replay: judges recordings by today's spec; with --on, runs their stimuli on a target and judges that.
// Exit: 0 as the footer says (with --on: no must broken), 1 otherwise, 2 where a trace ends early or the target refuses its machine.

import { areas } from '../../conformance/areas.ts';
import { connect } from '../../conformance/connect.ts';
import { createJudge, type Finding, type Judge } from '../../conformance/judge.ts';
import { counted, rules } from '../../conformance/report/rules.ts';
import { differences, judgeTrace } from '../../conformance/trace/judge.ts';
import { replayOn } from '../../conformance/trace/replay.ts';
import { cited } from '../../spec/sources.ts';

const told = (f: Finding): string => {
  const rule = rules.get(f.clause);
  const mark = counted(f.clause) ? '✗' : '!';
  return `${mark} ${f.clause} at event ${f.at}: expected ${f.expected}; saw ${f.saw}\n${rule === undefined ? '' : `    ${rule.level.toUpperCase()}: ${rule.says} (${cited(rule.cite)})\n`}`;
};
const firsts = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter((f, i) => findings.findIndex((g) => g.clause === f.clause) === i);
const keptBy = (judge: Judge): number => [...judge.tallies.values()].filter((t) => t.kept > 0 && t.broken === 0).length;
/** 1 before 2 before 0. */
const worse = (a: number, b: number): number => (a === 1 || b === 1 ? 1 : Math.max(a, b));

const replayedOn = async (traces: readonly string[], on: string): Promise<number> => {
  let exit = 0;
  const target = await connect(on);
  try {
    for (const path of traces) {
      const judge = createJudge(areas);
      const { findings, stimuli, machines, unbuilt, refused, died, otherwise, truncated } = await replayOn(target, path, judge, 'granted');
      const broken = firsts(findings);
      for (const f of broken) process.stdout.write(told(f));
      if (truncated !== undefined) process.stdout.write(`${truncated}\n`);
      if (otherwise.length > 0)
        process.stdout.write(
          `${path} on ${on}: could not be built as recorded, so that requests may mean something else: ${otherwise.join('; ')}\n`,
        );
      if (unbuilt > 0) {
        const which = machines === 1 ? 'not run' : `${unbuilt} of its ${machines} machines not run`;
        const why = [refused && `the target refuses: ${refused}`, died && `the target ended at reset: ${died}`].filter(Boolean).join('; ');
        process.stdout.write(`${path} on ${on}: ${which}; ${why}\n`);
      }
      if (unbuilt < machines)
        process.stdout.write(`${path} on ${on}: ${stimuli} stimuli, ${keptBy(judge)} clauses kept, ${broken.length} broken\n`);
      exit = worse(exit, broken.some((f) => counted(f.clause)) ? 1 : unbuilt > 0 || truncated !== undefined ? 2 : 0);
    }
  } finally {
    await target.close();
  }
  return exit;
};

/** A recording answers nothing but what it recorded, so it is judged as it stands. Exit: 1 where a must is broken, 2 where it ends early. */
export const judgeRecording = async (path: string): Promise<number> => {
  const judge = createJudge(areas);
  const j = await judgeTrace(path, judge);
  const broken = firsts(j.findings);
  for (const f of broken) process.stdout.write(told(f));
  if (j.truncated !== undefined) process.stdout.write(`${j.truncated}\n`);
  process.stdout.write(
    `${path}: a recording, judged as it stands: ${j.events} events, ${keptBy(judge)} clauses kept, ${broken.length} broken\n`,
  );
  return broken.some((f) => counted(f.clause)) ? 1 : j.truncated === undefined ? 0 : 2;
};

export const replayCommand = async (traces: readonly string[], options: { readonly on?: string }): Promise<number> => {
  if (options.on !== undefined) return replayedOn(traces, options.on);
  let exit = 0;
  for (const path of traces) {
    const judge = createJudge(areas);
    const j = await judgeTrace(path, judge);
    for (const f of firsts(j.findings)) process.stdout.write(told(f));
    const wrong = differences(j, judge);
    for (const w of wrong) process.stdout.write(`≠ ${path}: ${w}\n`);
    if (j.truncated !== undefined) process.stdout.write(`${j.truncated}\n`);
    const state = wrong.length > 0 ? 'not as recorded' : j.truncated === undefined ? 'as recorded' : 'undecided';
    process.stdout.write(`${path}: ${j.events} events, ${keptBy(judge)} clauses kept, ${j.brokenAt.size} broken; ${state}\n`);
    exit = worse(exit, wrong.length > 0 ? 1 : j.truncated === undefined ? 0 : 2);
  }
  return exit;
};
