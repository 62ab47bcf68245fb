// Keeps a counterexample as a trace: a changed generator voids seeds, never traces.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { CheckResult, Counterexample } from '../report/result.ts';
import { traceWriter } from './write.ts';

/** `used.id-outstanding.1f3a.jsonl`: the clause without its area, and four digits of the signature's hash. */
export const traceName = (c: Counterexample): string => {
  const rule = c.finding.clause.split('.').slice(-2).join('.');
  return `${rule}.${createHash('sha256').update(c.signature).digest('hex').slice(0, 4)}.jsonl`;
};

/** Writes the trace into `folder` and returns its path. */
export const saveCounterexample = (folder: string, c: Counterexample, target: CheckResult['target']): string => {
  const path = join(folder, traceName(c));
  const writer = traceWriter(path, {
    about: [c.finding.clause],
    story: `expected ${c.finding.expected}; saw ${c.finding.saw}`,
    target: target as Parameters<typeof traceWriter>[1]['target'],
  });
  writer.write(c.lines);
  writer.end({ [c.finding.clause]: `broken@${c.finding.at}` });
  writer.close();
  return path;
};
