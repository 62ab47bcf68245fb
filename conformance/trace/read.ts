// Reads traces as a stream, one line at a time; every error names file, line, what is wrong and what to do.

import { createReadStream, openSync, readSync, closeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import { memoryLimit } from '../memory.ts';
import type { Choice } from '../program.ts';
import { decode, decodeGranted, decodeMachine, isRecord } from '../wire/events.ts';
import { excerpt } from '../wire/validate.ts';

/** A trace that cannot be read further: exit 64, or 2 where it is only truncated. */
export interface TraceError extends Error {
  readonly kind: 'trace';
  readonly truncated: boolean;
}
export const traceError = (message: string, truncated = false): TraceError =>
  Object.assign(new Error(message), { kind: 'trace' as const, truncated });
export const isTraceError = (error: unknown): error is TraceError =>
  error instanceof Error && 'kind' in error && error.kind === 'trace' && 'truncated' in error;

export interface Header {
  readonly about: readonly string[];
  readonly story: string;
  readonly target: { readonly name: string; readonly version: string };
}
export type Entry =
  | { readonly header: Header }
  | { readonly reset: MachineConfig }
  | { readonly granted: Granted }
  | { readonly plan: Choice }
  | { readonly event: Stimulus | Observation }
  | { readonly end: number; readonly verdicts: Readonly<Record<string, string>> };

/** Trace versions that this program reads. */
export const versions: readonly number[] = [1];
/** Longest line, in characters. */
export const lineLimit: number = 16 * 1024 * 1024;

const opened = (path: string): Readable => {
  const magic = Buffer.alloc(2);
  let got: number;
  try {
    const fd = openSync(path, 'r');
    got = readSync(fd, magic, 0, 2, 0);
    closeSync(fd);
  } catch (error) {
    throw traceError(`${path}: cannot be read (${(error as Error).message}); name a trace file`);
  }
  // Larger pieces would outlive a collection of the young while they are judged, and be copied for nothing.
  const raw = createReadStream(path, { highWaterMark: 1 << 17 });
  if (got < 2 || magic[0] !== 0x1f || magic[1] !== 0x8b) return raw;
  const plain = createGunzip();
  raw.on('error', (error) => plain.destroy(error));
  return raw.pipe(plain);
};
const stringsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((v): v is string => typeof v === 'string') : [];
const headerOf = (json: Readonly<Record<string, unknown>>, where: string): Header => {
  if (!versions.includes(json['trace'] as number))
    throw traceError(`${where}: trace version ${excerpt(json['trace'])} is unknown; this program reads ${versions.join(', ')}`);
  const target = isRecord(json['target']) ? json['target'] : {};
  return {
    about: stringsOf(json['about']),
    story: typeof json['story'] === 'string' ? json['story'] : '',
    target: { name: String(target['name'] ?? 'unknown'), version: String(target['version'] ?? 'unknown') },
  };
};
const verdictsOf = (json: unknown, where: string): Readonly<Record<string, string>> => {
  if (
    !isRecord(json) ||
    Object.values(json).some((v) => typeof v !== 'string' || !/^(kept|unsupported|untested|undecided|broken(@\d+)?)$/.test(v))
  )
    throw traceError(`${where}: "verdicts" must map clause ids to kept, undecided, untested, unsupported or broken@N`);
  return json as Readonly<Record<string, string>>;
};

/** What has been read so far of one file. */
interface Progress {
  lines: number;
  granted: boolean;
  ended: boolean;
}
const placeOf = (path: string, p: Progress): string => `${path}:${p.lines + 1}`;
const entryOf = (line: string, p: Progress, path: string): Entry => {
  let json: unknown;
  try {
    json = JSON.parse(line);
    // What nearly every line is. That anything else stands beside it is found by its check.
    if (p.granted && !p.ended && isRecord(json) && ('do' in json || 'saw' in json)) return { event: decode(json) };
  } catch (error) {
    const where = placeOf(path, p);
    if (json !== undefined) throw traceError(`${where}: ${(error as Error).message}`);
    throw traceError(`${where}: is no JSON (${excerpt(line)}); the line is damaged or the file is no trace`);
  }
  const where = placeOf(path, p);
  if (!isRecord(json)) throw traceError(`${where}: must be an object, but is ${excerpt(json)}`);
  if (p.ended) throw traceError(`${where}: stands after the end of the trace; two traces in one file? put each in its own`);
  if (p.lines === 0) {
    if (!('trace' in json))
      throw traceError(
        `${where}: must be the header {"trace":1,…}, but is ${excerpt(json)}; the file is no trace, or its beginning is lost`,
      );
    return { header: headerOf(json, where) };
  }
  if ('trace' in json) throw traceError(`${where}: is a second header; put each trace in a file of its own`);
  try {
    if ('reset' in json) {
      const reset = decodeMachine(json['reset']);
      if (reset.memory > memoryLimit)
        throw traceError(
          `${where}: memory of ${reset.memory} bytes is more than the ${memoryLimit} that are kept; record with a smaller machine`,
        );
      p.granted = false;
      return { reset };
    }
    if ('granted' in json) {
      const granted = decodeGranted(json['granted']);
      if (granted.memory.size > memoryLimit)
        throw traceError(
          `${where}: memory of ${granted.memory.size} bytes is more than the ${memoryLimit} that are kept; record with a smaller machine`,
        );
      p.granted = true;
      return { granted };
    }
    if ('plan' in json) return { plan: json['plan'] as Choice };
    if ('end' in json) {
      if (json['end'] !== p.lines)
        throw traceError(`${where}: says ${excerpt(json['end'])} lines before it, but there are ${p.lines}; lines were lost or added`);
      p.ended = true;
      return { end: p.lines, verdicts: verdictsOf(json['verdicts'], where) };
    }
    if (!p.granted) throw traceError(`${where}: stands before any {"granted":…}; a trace says what machine it is about first`);
    return { event: decode(json) };
  } catch (error) {
    if (isTraceError(error)) throw error;
    throw traceError(`${where}: ${(error as Error).message}`);
  }
};

/** The trace's entries in order. Throws TraceError; a trace without footer throws last, `truncated`, after all whole lines were given. */
export async function* readTrace(path: string): AsyncGenerator<readonly Entry[]> {
  const p: Progress = { lines: 0, granted: false, ended: false };
  let rest = '';
  const stream = opened(path);
  stream.setEncoding('utf8');
  try {
    for await (const chunk of stream as AsyncIterable<string>) {
      rest += chunk;
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > lineLimit)
        throw traceError(`${path}:${p.lines + lines.length + 1}: is longer than ${lineLimit} characters; the file is no trace`);
      const entries: Entry[] = [];
      for (const line of lines) {
        if (line === '') continue;
        entries.push(entryOf(line, p, path));
        p.lines++;
      }
      yield entries;
    }
  } catch (error) {
    if (isTraceError(error)) throw error;
    throw traceError(`${path}: after line ${p.lines}: ${(error as Error).message}; the file is damaged`, true);
  }
  if (p.lines === 0 && rest === '') throw traceError(`${path}: is empty; a trace begins with {"trace":1,…}`);
  if (rest !== '' || !p.ended)
    throw traceError(
      `${path}: ends after line ${p.lines} without {"end":…}; the recording was cut short, and what it shows is undecided`,
      true,
    );
}
