// Whether known deviations still stand: their traces, replayed. Where a target runs many programs at once, those of one machine go together,
// because a start may cost more than all of them; what does not show there is replayed alone, so that only the trace by itself can end an entry.

import { dirname, join } from 'node:path';
import type { Area } from '../spec/clause.ts';
import type { MachineConfig, Target } from '../spec/units.ts';
import type { Stimulus } from '../spec/vocabulary.ts';
import type { Deviation } from './deviations.ts';
import { createJudge, type Finding } from './judge.ts';
import { judged } from './run.ts';
import { readTrace } from './trace/read.ts';
import { replayOn } from './trace/replay.ts';
import { encodeMachine } from './wire/events.ts';

/** A race that a trace shows once in some ten replays is shown by this many. */
const raceTries = 200;

const shows = (entry: Deviation, findings: readonly Finding[]): boolean => {
  const [clause = '', kind = ''] = entry.signature.split(' | ');
  return findings.some((f) => f.clause === clause && f.kind === kind);
};
const traceOf = (file: string, entry: Deviation): string => join(dirname(file), entry.trace);

/** Why an entry does not show. `refused`: the target does not build its machine, which says nothing about the deviation. */
export interface Unshown {
  readonly why: string;
  readonly refused: boolean;
}
/** One entry alone: does the target still do it? Undefined: yes. */
const stillStands = async (target: Target, areas: readonly Area<never>[], file: string, entry: Deviation): Promise<Unshown | undefined> => {
  const [clause = '', kind = ''] = entry.signature.split(' | ');
  for (let tries = entry.race === true ? raceTries : 1; tries > 0; tries--) {
    const replayed = await replayOn(target, traceOf(file, entry), createJudge(areas));
    if (replayed.refused !== undefined) return { why: `its trace cannot be replayed: ${replayed.refused}`, refused: true };
    if (shows(entry, replayed.findings)) return undefined;
  }
  return { why: `its trace ${entry.trace} shows no ${clause} (${kind}) any more`, refused: false };
};

interface Together {
  readonly machine: MachineConfig;
  readonly entries: Deviation[];
  readonly programs: Stimulus[][];
}
/** What a trace of one machine gave it to do; undefined where it has more than one, or where it cannot be read whole: reading it again says why. */
const programOf = async (path: string): Promise<{ readonly machine: MachineConfig; readonly program: Stimulus[] } | undefined> => {
  const machines: MachineConfig[] = [];
  const program: Stimulus[] = [];
  let whole = false;
  try {
    for await (const lines of readTrace(path))
      for (const line of lines) {
        if ('reset' in line) machines.push(line.reset);
        else if ('event' in line && 'do' in line.event) program.push(line.event as Stimulus);
        else if ('end' in line) whole = true;
      }
  } catch {
    return undefined;
  }
  const [machine] = machines;
  return whole && machine !== undefined && machines.length === 1 ? { machine, program } : undefined;
};
/** Entries that show when all programs of their machine are run at once. */
const shownTogether = async (
  target: Target,
  areas: readonly Area<never>[],
  file: string,
  entries: readonly Deviation[],
): Promise<ReadonlySet<Deviation>> => {
  const shown = new Set<Deviation>();
  if (target.runAll === undefined) return shown;
  const groups = new Map<string, Together>();
  for (const entry of entries) {
    const read = entry.race === true ? undefined : await programOf(traceOf(file, entry));
    if (read === undefined) continue;
    const key = JSON.stringify(encodeMachine(read.machine));
    const group = groups.get(key) ?? { machine: read.machine, entries: [], programs: [] };
    groups.set(key, group);
    group.entries.push(entry);
    group.programs.push(read.program);
  }
  const judge = createJudge(areas);
  for (const { machine, entries: together, programs } of groups.values()) {
    const whole = await target.runAll(machine, programs);
    if (!('granted' in whole)) continue;
    for (const [i, entry] of together.entries()) {
      const played = judged(machine, whole.granted, [{ do: programs[i] ?? [] }], whole.answers.at(i) ?? [], judge);
      if (shows(entry, played.findings)) shown.add(entry);
    }
  }
  return shown;
};

/** Of each entry, in order, why it does not stand any more; undefined where it does. */
export const standing = async (
  target: Target,
  areas: readonly Area<never>[],
  file: string,
  entries: readonly Deviation[],
): Promise<readonly (Unshown | undefined)[]> => {
  const shown = await shownTogether(target, areas, file, entries);
  const unshown: (Unshown | undefined)[] = [];
  for (const entry of entries) unshown.push(shown.has(entry) ? undefined : await stillStands(target, areas, file, entry));
  return unshown;
};
