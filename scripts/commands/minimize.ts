// vmmc minimize: the shortest part of a trace's plan that still breaks, on a target, a clause the trace is about.

import { areas, suites } from '../../conformance/areas.ts';
import { connect } from '../../conformance/connect.ts';
import { createJudge } from '../../conformance/judge.ts';
import { minimize } from '../../conformance/minimize.ts';
import type { Choice } from '../../conformance/program.ts';
import { play } from '../../conformance/run.ts';
import { signatureOf } from '../../conformance/signature.ts';
import { type Header, readTrace } from '../../conformance/trace/read.ts';
import { saveCounterexample, verdictsOf } from '../../conformance/trace/save.ts';
import { traceWriter } from '../../conformance/trace/write.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { usage } from '../usage.ts';

export const minimizeCommand = async (trace: string, options: { readonly on: string; readonly output?: string }): Promise<number> => {
  let header: Header | undefined;
  let machine: MachineConfig | undefined;
  let about: readonly string[] = [];
  const choices: Choice[] = [];
  for await (const entries of readTrace(trace))
    for (const entry of entries) {
      if ('header' in entry) header = entry.header;
      else if ('reset' in entry) {
        if (machine !== undefined) throw usage(`${trace}: holds several programs; minimize takes the trace of one, as vmmc check saves it`);
        machine = entry.reset;
      } else if ('plan' in entry) choices.push(entry.plan);
      else if ('end' in entry) about = Object.keys(entry.verdicts).filter((c) => entry.verdicts[c]?.startsWith('broken'));
    }
  if (machine === undefined || choices.length === 0)
    throw usage(`${trace}: has no plan to shorten; minimize takes traces that vmmc check or record wrote`);
  const target = await connect(options.on);
  try {
    for (const suite of suites) {
      const program = { suite: suite.id, machine, choices };
      let played: Awaited<ReturnType<typeof play>>;
      try {
        played = await play(target, suite, program, createJudge(areas));
      } catch {
        continue; // the records are another suite's: it says so by not understanding them
      }
      const finding = played.findings.find((f) => about.includes(f.clause));
      if (finding === undefined) continue;
      const least = await minimize(target, areas, suite, program, finding, { finding, lines: played.lines, stimuli: played.stimuli });
      const signature = signatureOf(least.finding, suite, least.program.choices, least.repeated);
      const result = { ...least, signature, suite: suite.id, of: played.stimuli, seen: 1 };
      let path = options.output;
      if (path === undefined) path = saveCounterexample('traces/found', result, target.hello);
      else {
        const writer = traceWriter(path, { about: [finding.clause], story: header?.story ?? '', target: target.hello });
        writer.write(least.lines);
        writer.end(verdictsOf(least.lines));
        writer.close();
      }
      process.stdout.write(`${path}: ${least.stimuli} stimuli of ${played.stimuli}, ${least.shrinks} shrinks; ${signature}\n`);
      return 0;
    }
  } finally {
    await target.close();
  }
  process.stdout.write(`${trace}: ${options.on} breaks none of ${about.join(', ') || 'its clauses'}\n`);
  return 1;
};
