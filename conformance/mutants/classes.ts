// Decides what a survivor is: classed in writing, with the reason, or a gap. A class that no survivor has is stale.
// Score = noticed / (all mutants - those classed as equivalent or permitted). Whether a mutant is reached makes no difference.

import { existsSync, readFileSync } from 'node:fs';
import type { Mutant } from './instrument.ts';
import type { Outcome } from './run.ts';

/**
 * equivalent: no target-visible difference. permitted: a difference that the specification allows, as `because` says.
 * Neither can be noticed by a suite that accuses no correct implementation.
 */
export interface Class {
  readonly file: string;
  /** The whole source line, trimmed. */
  readonly at: string;
  /** What is replaced, and by what; absent: every survivor on the line. */
  readonly text?: string;
  readonly becomes?: string;
  readonly is: 'equivalent' | 'permitted';
  readonly because: string;
}
/** Written shorter: one reason for several places of one file. */
interface Group {
  readonly file: string;
  readonly is: Class['is'];
  readonly because: string;
  readonly places: readonly (string | { readonly at: string; readonly text?: string; readonly becomes?: string })[];
}
export const classesOf = (area: string): readonly Class[] => {
  const url = new URL(`./${area}.json`, import.meta.url);
  if (!existsSync(url)) return [];
  const groups = JSON.parse(readFileSync(url, 'utf8')) as readonly Group[];
  return groups.flatMap(({ file, is, because, places }) =>
    places.map((place): Class => ({ file, is, because, ...(typeof place === 'string' ? { at: place } : place) })),
  );
};
export const fits = (c: Class, m: Mutant): boolean =>
  c.file === m.file && c.at === m.at && (c.text === undefined || c.text === m.text) && (c.becomes === undefined || c.becomes === m.becomes);

export interface Score {
  readonly all: number;
  readonly noticed: number;
  readonly equivalent: number;
  readonly permitted: number;
  readonly survivors: readonly Outcome[];
  /** noticed / (all - equivalent - permitted), of what was tried. */
  readonly score: number;
  readonly stale: readonly Class[];
}
export const scoreOf = (outcomes: readonly Outcome[], classes: readonly Class[]): Score => {
  const alive = outcomes.filter((o) => o.noticedBy === null);
  const classed = alive.map((o) => ({ outcome: o, is: classes.find((c) => fits(c, o.mutant))?.is }));
  const count = (is: Class['is']): number => classed.filter((c) => c.is === is).length;
  const [equivalent, permitted, noticed] = [count('equivalent'), count('permitted'), outcomes.length - alive.length];
  return {
    all: outcomes.length,
    noticed,
    equivalent,
    permitted,
    survivors: classed.filter((c) => c.is === undefined).map((c) => c.outcome),
    score: noticed / (outcomes.length - equivalent - permitted),
    stale: classes.filter((c) => !alive.some((o) => fits(c, o.mutant))),
  };
};
