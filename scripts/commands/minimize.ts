// vmmc minimize: the shortest part of a trace's plan that still breaks, on a target, a clause the trace is about.
// Exit: 0 shortened, 1 the target breaks none of them, 64 the trace has nothing to shorten.

import { self, word } from '../../conformance/report/console.ts';
import { areas, suites } from '../../conformance/areas.ts';
import { connect } from '../../conformance/connect.ts';
import { cut } from '../../conformance/cut.ts';
import { createJudge } from '../../conformance/judge.ts';
import { type Minimal, minimize } from '../../conformance/minimize.ts';
import type { Choice } from '../../conformance/program.ts';
import { type Played, play } from '../../conformance/run.ts';
import { signatureOf } from '../../conformance/signature.ts';
import { isAdapterError } from '../../conformance/targets/exec/blame.ts';
import { readTrace } from '../../conformance/trace/read.ts';
import { saveCounterexample, verdictsOf } from '../../conformance/trace/save.ts';
import { traceWriter } from '../../conformance/trace/write.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { usage } from '../usage.ts';

interface Told {
  readonly story: string;
  readonly machine: MachineConfig;
  readonly choices: readonly Choice[];
  readonly stimuli: number;
  /** What the header is about comes first, then what else the footer calls broken. */
  readonly broken: readonly string[];
}
const tellingOf = async (path: string): Promise<Told> => {
  let story = '';
  let about: readonly string[] = [];
  let machine: MachineConfig | undefined;
  let broken: readonly string[] = [];
  let stimuli = 0;
  const choices: Choice[] = [];
  for await (const entries of readTrace(path))
    for (const entry of entries) {
      if ('header' in entry) ({ story, about } = entry.header);
      else if ('reset' in entry) {
        if (machine !== undefined) throw usage(`${path}: holds several programs; minimize takes the trace of one, as vmmc check saves it`);
        machine = entry.reset;
      } else if ('plan' in entry) choices.push(entry.plan);
      else if ('event' in entry && 'do' in entry.event) stimuli++;
      else if ('end' in entry) broken = Object.keys(entry.verdicts).filter((c) => entry.verdicts[c]?.startsWith('broken'));
    }
  if (machine === undefined || choices.length === 0)
    throw usage(`${path}: has no plan to shorten; minimize takes traces that vmmc check or record wrote`);
  if (broken.length === 0) throw usage(`${path}: its footer calls nothing broken, so there is nothing to shorten`);
  return {
    story,
    machine,
    choices,
    stimuli,
    broken: [...about.filter((c) => broken.includes(c)), ...broken.filter((c) => !about.includes(c))],
  };
};

/** What became of a trace of `of` stimuli. */
const outcome = ({ stimuli, shrinks, partly, repeated }: Minimal, of: number): string => {
  if (!repeated) return `${stimuli} stimuli of ${of}; not seen again when repeated, so that it was not shortened`;
  const bound = partly ? ' (stopped by their bound)' : '';
  if (shrinks === 0 && stimuli >= of) return `${partly ? 'no shorter one found' : 'minimal already'}: ${stimuli} stimuli${bound}`;
  return `${stimuli} stimuli of ${of}, ${shrinks} shrink${shrinks === 1 ? '' : 's'}${bound}`;
};

export const minimizeCommand = async (trace: string, options: { readonly on: string; readonly output?: string }): Promise<number> => {
  const { story, machine, choices, stimuli, broken } = await tellingOf(trace);
  const target = await connect(options.on);
  try {
    for (const suite of suites) {
      const program = { suite: suite.id, machine, choices };
      let played: Played;
      try {
        played = await play(target, suite, program, createJudge(areas));
      } catch (error) {
        if (isAdapterError(error)) throw error;
        continue; // the records are another suite's: it says so by not understanding them
      }
      const finding = broken.flatMap((c) => played.findings.find((f) => f.clause === c) ?? [])[0];
      if (finding === undefined) continue;
      const least = cut(await minimize(target, areas, suite, program, finding, { finding, lines: played.lines, stimuli: played.stimuli }));
      const signature = signatureOf(least.finding, suite, least.program, least.repeated);
      const result = { ...least, signature, suite: suite.id, of: played.stimuli, seen: 1 };
      let path = options.output;
      if (path === undefined) path = saveCounterexample('traces/found', result, target.hello);
      else {
        const writer = traceWriter(path, { about: [finding.clause], story, target: target.hello });
        writer.write(least.lines);
        writer.end(verdictsOf(least.lines));
        writer.close();
      }
      process.stdout.write(
        `${path}: ${outcome(least, stimuli)}\n` +
          `  signature: ${signature}\n  again: ${self()} replay ${word(path)} --on ${word(options.on)}\n`,
      );
      return 0;
    }
  } finally {
    await target.close();
  }
  process.stdout.write(`${trace}: ${options.on} breaks none of ${broken.join(', ')}\n`);
  return 1;
};
