// Writes traces: JSON Lines, whole lines only, so that a killed writer leaves everything up to its last line readable.

import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { type DocumentId, editions } from '../../spec/sources.ts';
import type { Hello } from '../../spec/units.ts';
import type { Line } from '../run.ts';
import { encodeGranted, encodeLine, encodeMachine } from '../wire/events.ts';

export interface TraceHead {
  /** Clause ids the trace is about. */
  readonly about: readonly string[];
  readonly story: string;
  readonly target: Pick<Hello, 'name' | 'version' | 'offers'>;
}
/** `clause` to 'kept' or 'broken@N', N counting events of the whole trace from 0. */
export type Verdicts = Readonly<Record<string, string>>;

/** The document that decides about an area. */
const documents: readonly (readonly [prefix: string, document: DocumentId])[] = [
  ['instructions.', 'sdm'],
  ['vt-d.', 'vt-d'],
];
/** Editions of the documents that the clauses come from. */
const editionsOf = (about: readonly string[]): Readonly<Record<string, string>> => {
  const cited = about.map((id) => documents.find(([prefix]) => id.startsWith(prefix))?.[1] ?? 'virtio');
  const used = cited.length === 0 ? (['virtio', 'sdm', 'vt-d'] as const) : [...new Set(cited)].sort();
  return Object.fromEntries(used.map((d) => [d, editions[d]]));
};

export const headLine = (head: TraceHead): string => {
  const { name, version, offers } = head.target;
  return JSON.stringify({
    trace: 1,
    about: head.about,
    story: head.story,
    editions: editionsOf(head.about),
    target: { name, version, offers },
  });
};
export const lineText = (line: Line): string => {
  if ('reset' in line) return JSON.stringify({ reset: encodeMachine(line.reset) });
  if ('granted' in line) return JSON.stringify({ granted: encodeGranted(line.granted) });
  if ('plan' in line) return JSON.stringify({ plan: line.plan });
  return encodeLine(line.event);
};

export interface TraceWriter {
  write(lines: readonly Line[]): void;
  /** The footer. Without it a trace is truncated. */
  end(verdicts: Verdicts): void;
  close(): void;
}
/** Throws what the file system says, with the file's name; what was written stays. */
export const traceWriter = (path: string, head: TraceHead): TraceWriter => {
  mkdirSync(dirname(path), { recursive: true });
  const fd = openSync(path, 'w');
  let written = 0;
  const put = (texts: readonly string[]): void => {
    const bytes = Buffer.from(texts.map((t) => `${t}\n`).join(''));
    for (let at = 0; at < bytes.length; ) {
      try {
        at += writeSync(fd, bytes, at);
      } catch (error) {
        throw Object.assign(
          new Error(
            `${path}: cannot be written (${(error as Error).message}); ${written} lines of it are whole; free some room or name another file`,
          ),
          { kind: 'trace' },
        );
      }
    }
    written += texts.length;
  };
  put([headLine(head)]);
  return {
    write: (lines) => put(lines.map(lineText)),
    end: (verdicts) => put([JSON.stringify({ end: written, verdicts })]),
    close: () => closeSync(fd),
  };
};
