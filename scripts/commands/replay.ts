// vmmc replay: judges recordings by today's spec; with --on, runs their stimuli on a target and judges that.
// Exit: 0 as the footer says (with --on: nothing broken), 1 otherwise, 2 where a trace ends early.

import { areas } from '../../conformance/areas.ts';
import { connect } from '../../conformance/connect.ts';
import { createJudge, type Finding } from '../../conformance/judge.ts';
import { rules } from '../../conformance/report/rules.ts';
import { differences, judgeTrace } from '../../conformance/trace/judge.ts';
import { replayOn } from '../../conformance/trace/replay.ts';
import { cited } from '../../spec/sources.ts';

const told = (f: Finding): string => {
  const rule = rules.get(f.clause);
  return `✗ ${f.clause} at event ${f.at}: expected ${f.expected}; saw ${f.saw}${rule === undefined ? '' : `\n    ${rule.says} (${cited(rule.cite)})`}\n`;
};
const firsts = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter((f, i) => findings.findIndex((g) => g.clause === f.clause) === i);

export const replayCommand = async (traces: readonly string[], options: { readonly on?: string }): Promise<number> => {
  let exit = 0;
  if (options.on !== undefined) {
    const target = await connect(options.on);
    try {
      for (const path of traces) {
        const { findings, stimuli, refused } = await replayOn(target, path, createJudge(areas));
        for (const f of firsts(findings)) process.stdout.write(told(f));
        const must = findings.some((f) => rules.get(f.clause)?.level === 'must');
        process.stdout.write(
          `${path} on ${options.on}: ${refused === undefined ? `${stimuli} stimuli, ${firsts(findings).length} clauses broken` : `not run: ${refused}`}\n`,
        );
        if (must) exit = 1;
        else if (refused !== undefined && exit === 0) exit = 2;
      }
    } finally {
      await target.close();
    }
    return exit;
  }
  for (const path of traces) {
    const judge = createJudge(areas);
    const j = await judgeTrace(path, judge);
    for (const f of firsts(j.findings)) process.stdout.write(told(f));
    const wrong = differences(j, judge);
    for (const w of wrong) process.stdout.write(`≠ ${path}: ${w}\n`);
    if (j.truncated !== undefined) process.stdout.write(`${j.truncated}\n`);
    const kept = [...judge.tallies.values()].filter((t) => t.kept > 0 && t.broken === 0).length;
    const state = wrong.length > 0 ? 'not as recorded' : j.truncated === undefined ? 'as recorded' : 'undecided';
    process.stdout.write(`${path}: ${j.events} events, ${kept} clauses kept, ${j.brokenAt.size} broken; ${state}\n`);
    if (wrong.length > 0 || (j.verdicts === undefined && j.truncated === undefined && j.brokenAt.size > 0)) exit = 1;
    else if (j.truncated !== undefined && exit === 0) exit = 2;
  }
  return exit;
};
