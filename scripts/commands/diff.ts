// vmmc diff: the first line in which two traces differ, with what stands before it. Exit 0: none, 1: one.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { traceError } from '../../conformance/trace/read.ts';

const linesOf = (path: string): readonly string[] => {
  let text: string;
  try {
    const raw = readFileSync(path);
    text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('utf8');
  } catch (error) {
    throw traceError(`${path}: cannot be read (${(error as Error).message}); name a trace file`);
  }
  if (!text.startsWith('{"trace":')) throw traceError(`${path}:1: must be the header {"trace":1,…}; the file is no trace`);
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
};
const context = 3;
const width = 160;
/** `width` characters of a line, from a little before `from`. */
const part = (line: string | undefined, from: number): string => {
  if (line === undefined) return '(the trace has ended)';
  const start = line.length <= width ? 0 : Math.max(0, from - width / 4);
  return `${start > 0 ? '…' : ''}${line.slice(start, start + width)}${start + width < line.length ? '…' : ''}`;
};
const firstDifference = (a: string, b: string): number => {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i++;
  return i;
};

/** The header names the target and its version, which is no difference of behaviour. */
export const diffCommand = async (a: string, b: string): Promise<number> => {
  const [left, right] = [linesOf(a), linesOf(b)];
  for (let i = 1; i < Math.max(left.length, right.length); i++) {
    if (left[i] === right[i]) continue;
    const from = firstDifference(left[i] ?? '', right[i] ?? '');
    process.stdout.write(`- ${a}\n+ ${b}\n`);
    for (let k = Math.max(1, i - context); k < i; k++) process.stdout.write(`  ${k + 1}  ${part(left[k], 0)}\n`);
    process.stdout.write(`- ${i + 1}  ${part(left[i], from)}\n+ ${i + 1}  ${part(right[i], from)}\n`);
    return 1;
  }
  process.stdout.write(`no difference in ${left.length - 1} lines after the header\n`);
  return 0;
};
