// Keeps a counterexample as a trace: a changed generator voids seeds, never traces.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MachineConfig } from '../../spec/units.ts';
import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { CheckResult, Counterexample } from '../report/result.ts';
import type { Line } from '../run.ts';
import { type TraceHead, traceWriter, type Verdicts } from './write.ts';

/** Every clause that these lines break, and where: what a footer says. */
export const verdictsOf = (lines: readonly Line[]): Verdicts => {
  const judge = createJudge(areas);
  const verdicts: Record<string, string> = {};
  let at = 0;
  let image: MachineConfig['image'];
  for (const [i, line] of lines.entries()) {
    if ('reset' in line) ({ image } = line.reset);
    if ('granted' in line) judge.reset(line.granted, image);
    if (!('event' in line)) continue;
    const next = lines[i + 1];
    const happened = !(
      'do' in line.event &&
      next !== undefined &&
      'event' in next &&
      'saw' in next.event &&
      next.event.saw === 'unsupported'
    );
    if (happened) for (const f of judge.see(line.event)) verdicts[f.clause] ??= `broken@${at}`;
    else judge.pass();
    at++;
  }
  return verdicts;
};

/** `used.id-outstanding.1f3a.jsonl`: the clause without its area, and four digits of the signature's hash. */
export const traceName = (c: Counterexample): string => {
  const rule = c.finding.clause.split('.').slice(-2).join('.');
  return `${rule}.${createHash('sha256')
    .update(c.repeated ? c.signature : `${c.signature} ${JSON.stringify(c.program.choices)}`)
    .digest('hex')
    .slice(0, 4)}.jsonl`;
};

/** Writes the trace into `folder` and returns its path. */
export const saveCounterexample = (folder: string, c: Counterexample, target: CheckResult['target']): string => {
  const path = join(folder, traceName(c));
  const head: TraceHead = {
    about: [c.finding.clause],
    story: `expected ${c.finding.expected}; saw ${c.finding.saw}`,
    target: target as TraceHead['target'],
  };
  const writer = traceWriter(path, head);
  writer.write(c.lines);
  writer.end(verdictsOf(c.lines));
  writer.close();
  return path;
};
