// vmmc diff: the first line in which two traces differ, with what stands before it. Exit 0: none, 1: one.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { traceError } from '../../conformance/trace/read.ts';

const linesOf = (path: string): readonly string[] => {
  try {
    const raw = readFileSync(path);
    return (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('utf8').split('\n');
  } catch (error) {
    throw traceError(`${path}: cannot be read (${(error as Error).message}); name a trace file`);
  }
};
/** The header names the target and its version, which is no difference of behaviour. */
const compared = (line: string | undefined): boolean => line !== undefined && !line.startsWith('{"trace":');
const context = 3;

export const diffCommand = async (a: string, b: string): Promise<number> => {
  const [left, right] = [linesOf(a), linesOf(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    if (left[i] === right[i] || (compared(left[i]) === false && compared(right[i]) === false)) continue;
    for (let k = Math.max(0, i - context); k < i; k++) process.stdout.write(`  ${k + 1}  ${left[k] ?? ''}\n`);
    process.stdout.write(`- ${i + 1}  ${left[i] ?? '(the trace has ended)'}\n+ ${i + 1}  ${right[i] ?? '(the trace has ended)'}\n`);
    return 1;
  }
  process.stdout.write('no difference\n');
  return 0;
};
