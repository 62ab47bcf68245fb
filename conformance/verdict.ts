// From tallies and counterexamples to verdicts: kept < unsupported < untested < undecided < broken, and the exit code.
// Kept needs positive evidence; a broken `should` is advice; a death seen once only is undecided.

import type { Clause } from '../spec/clause.ts';
import type { Capability, Hello } from '../spec/units.ts';
import { cut } from './cut.ts';
import type { Deviation } from './deviations.ts';
import type { Tally } from './judge.ts';
import type { CheckResult, ClauseResult, Counterexample, Verdict } from './report/result.ts';

export const order: readonly Verdict[] = ['kept', 'unsupported', 'untested', 'undecided', 'broken'];
export const worst = (verdicts: readonly Verdict[]): Verdict =>
  verdicts.reduce((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a), 'kept' as Verdict);

interface Seen {
  readonly target: Hello;
  readonly seed: number;
  readonly programs: number;
  readonly stimuli: number;
  readonly clauses: readonly Clause<never>[];
  readonly tallies: ReadonlyMap<string, Tally>;
  readonly offered: ReadonlySet<Capability>;
  /** All feature bits that any machine was seen to offer; absent: that is not known of all. */
  readonly features?: bigint;
  readonly counterexamples: readonly Counterexample[];
  readonly deviations: readonly Deviation[];
  readonly unexpectedlyKept: CheckResult['unexpectedlyKept'];
  readonly notShown?: CheckResult['notShown'];
  readonly refused: CheckResult['refused'];
  readonly cutShort?: CheckResult['cutShort'];
  readonly strict: boolean;
}

/** Whether the objection is to silence: it was raised where the target had come to rest, not at something it did. */
const silence = (c: Counterexample): boolean => {
  const events = c.lines.flatMap((line) => ('event' in line ? [line.event] : []));
  const at = events[c.finding.at];
  return at !== undefined && 'saw' in at && at.saw === 'settled';
};
/** Death and silence count when a second run showed them again; any other finding is its own evidence. */
export const stands = (c: Counterexample): boolean => c.repeated || (c.finding.clause !== 'machine.alive' && !silence(c));

/** Deviations by each of their signatures. */
export const bySignature = (deviations: readonly Deviation[]): ReadonlyMap<string, Deviation> =>
  new Map(deviations.flatMap((d) => [d.signature, ...(d.also ?? [])].map((signature) => [signature, d] as const)));
const kindOf = ({ finding }: Counterexample): string => `${finding.clause} | ${finding.kind} | `;
const wordsOf = (c: Counterexample): readonly string[] =>
  c.signature.startsWith(kindOf(c)) ? c.signature.slice(kindOf(c).length).split('+') : [];
/** By clause and kind; `*` for the shape is for kinds that name the whole difference themselves, `*word*` for shapes that have the word. */
export const names = (explained: ReadonlyMap<string, Deviation>, c: Counterexample): Deviation | undefined =>
  explained.get(c.signature) ??
  explained.get(`${kindOf(c)}*`) ??
  wordsOf(c)
    .map((word) => explained.get(`${kindOf(c)}*${word}*`))
    .find((d) => d !== undefined);
/** By that, or by `area.* | * | *word*`, whatever clause of the area it is: the word names the cause then, and what follows from it is anything. */
export const explains = (explained: ReadonlyMap<string, Deviation>, c: Counterexample): Deviation | undefined => {
  const area = c.finding.clause.slice(0, c.finding.clause.indexOf('.'));
  return (
    names(explained, c) ??
    wordsOf(c)
      .map((word) => explained.get(`${area}.* | * | *${word}*`))
      .find((d) => d !== undefined)
  );
};

const clauseResult = (clause: Clause<never>, seen: Seen, explained: ReadonlyMap<string, Deviation>): ClauseResult => {
  const tally = seen.tallies.get(clause.id) ?? { id: clause.id, applied: 0, kept: 0, broken: 0, unknown: 0 };
  const shown = seen.counterexamples.filter((c) => c.finding.clause === clause.id);
  const result = (verdict: Verdict, because?: string): ClauseResult => ({
    id: clause.id,
    verdict,
    tally,
    ...(because === undefined ? {} : { because }),
  });
  if (shown.some(stands)) {
    const known = shown.filter(stands).every((c) => explains(explained, c) !== undefined);
    return { ...result('broken'), ...(known ? { deviates: true as const } : {}) };
  }
  if (shown.length > 0) return result('undecided', 'the target died or was silent once, and not again in a second run of the same program');
  if (tally.broken > 0) return result('undecided', 'broken in a program that the end of the run left without a trace');
  if (tally.kept > 0) return result('kept');
  if (tally.unknown > 0) return result('undecided', tally.why ?? 'unknown');
  const lacks = (clause.needs ?? []).filter((c) => !seen.offered.has(c));
  if (lacks.length > 0) return result('unsupported', `needs ${[...new Set(lacks)].join(', ')}`);
  const { feature } = clause;
  if (feature !== undefined && seen.features !== undefined && (seen.features & feature.bit) === 0n)
    return result('unsupported', `needs ${feature.name}`);
  return result('untested', 'no program brought it about');
};

export const concluded = (seen: Seen): CheckResult => {
  const explained = bySignature(seen.deviations);
  const clauses = seen.clauses.map((c) => clauseResult(c, seen, explained));
  const ids = new Set(clauses.map((c) => c.id));
  const reported = seen.counterexamples.filter((c) => ids.has(c.finding.clause));
  const levels = new Map(seen.clauses.map((c) => [c.id, c.level]));
  const counts = (id: string): boolean => seen.strict || levels.get(id) === 'must';
  const verdicts = clauses.filter((c) => counts(c.id)).map((c): Verdict => (c.deviates ? 'kept' : c.verdict));
  if (seen.unexpectedlyKept.length > 0) verdicts.push('broken');
  if (seen.cutShort !== undefined) verdicts.push('undecided');
  const verdict = seen.programs === 0 ? 'undecided' : worst(verdicts);
  const expected = reported.flatMap((c) => {
    const d = explains(explained, c);
    return d === undefined ? [] : [{ clause: c.finding.clause, signature: c.signature, because: d.because, trace: d.trace }];
  });
  return {
    target: { name: seen.target.name, version: seen.target.version, offers: seen.target.offers },
    seed: seen.seed,
    programs: seen.programs,
    stimuli: seen.stimuli,
    clauses,
    counterexamples: reported.filter((c) => explains(explained, c) === undefined).map(cut),
    expected,
    unexpectedlyKept: seen.unexpectedlyKept,
    notShown: seen.notShown ?? [],
    refused: seen.refused,
    ...(seen.cutShort === undefined ? {} : { cutShort: seen.cutShort }),
    verdict,
    exit: verdict === 'broken' ? 1 : verdict === 'undecided' ? 2 : 0,
  };
};
