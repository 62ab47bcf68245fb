// Judges a recording by today's spec, in one pass, and compares with what its footer says.

import type { MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import type { Finding, Judge } from '../judge.ts';
import { type Entry, type Header, isTraceError, readTrace } from './read.ts';

export interface Judgement {
  readonly header: Header | undefined;
  readonly events: number;
  readonly lines: number;
  readonly findings: readonly Finding[];
  /** First event, over the whole trace, at which each clause was broken. */
  readonly brokenAt: ReadonlyMap<string, number>;
  /** The footer, where there is one. */
  readonly verdicts: Readonly<Record<string, string>> | undefined;
  /** Why the trace ends early. */
  readonly truncated?: string;
}
/** Called for each entry, with the findings it led to. */
export type Follow = (entry: Entry, findings: readonly Finding[], at: number) => void;
const findingsKept = 1000;
const none: readonly Finding[] = [];

/** Throws TraceError for anything but a missing end. */
export const judgeTrace = async (path: string, judge: Judge, follow?: Follow): Promise<Judgement> => {
  let header: Header | undefined;
  let verdicts: Readonly<Record<string, string>> | undefined;
  let truncated: string | undefined;
  let held: Stimulus | undefined; // judged once its answer shows that it happened
  let events = 0;
  let lines = 0;
  let image: MachineConfig['image'];
  const findings: Finding[] = [];
  const brokenAt = new Map<string, number>();
  const see = (entry: Entry, event: Parameters<Judge['see']>[0] | undefined): void => {
    const at = events++;
    const found = event === undefined ? none : judge.see(event);
    if (event === undefined) judge.pass();
    for (const f of found) {
      if (findings.length < findingsKept) findings.push(f);
      if (!brokenAt.has(f.clause)) brokenAt.set(f.clause, at);
    }
    follow?.(entry, found, at);
  };
  const release = (happened: boolean): void => {
    if (held === undefined) return;
    const stimulus = held;
    held = undefined;
    see({ event: stimulus }, happened ? stimulus : undefined);
  };
  try {
    for await (const entries of readTrace(path))
      for (const entry of entries) {
        lines++;
        if ('event' in entry && 'saw' in entry.event) {
          release(entry.event.saw !== 'unsupported');
          see(entry, entry.event);
          continue;
        }
        release(true);
        if ('event' in entry) {
          held = entry.event as Stimulus;
          continue;
        }
        if ('header' in entry) header = entry.header;
        else if ('reset' in entry) image = entry.reset.image;
        else if ('granted' in entry) judge.reset(entry.granted, image);
        else if ('end' in entry) verdicts = entry.verdicts;
        follow?.(entry, [], events);
      }
    release(true);
  } catch (error) {
    if (!isTraceError(error) || !error.truncated) throw error;
    release(true);
    truncated = error.message;
  }
  return { header, events, lines, findings, brokenAt, verdicts, ...(truncated === undefined ? {} : { truncated }) };
};

/** How a judgement differs from the footer: one sentence a clause; empty where they agree. */
export const differences = (j: Judgement, judge: Judge): readonly string[] => {
  const said: string[] = [];
  for (const [clause, verdict] of Object.entries(j.verdicts ?? {})) {
    const at = j.brokenAt.get(clause);
    const tally = judge.tallies.get(clause);
    if (verdict.startsWith('broken') && at === undefined)
      said.push(`${clause}: recorded as broken, and judged ${tally === undefined ? 'by no clause of today' : 'kept or not applied'}`);
    if (verdict === 'kept' && at !== undefined) said.push(`${clause}: recorded as kept, and broken at event ${at}`);
    if (verdict === 'kept' && at === undefined && (tally?.kept ?? 0) === 0) said.push(`${clause}: recorded as kept, and shown by nothing`);
  }
  for (const [clause, at] of j.brokenAt)
    if (j.verdicts !== undefined && !(clause in j.verdicts)) said.push(`${clause}: broken at event ${at}, and not recorded as broken`);
  return said;
};
