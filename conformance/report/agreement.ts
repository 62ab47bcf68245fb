// What became of each clause and each program on several targets: every one of them is agreed on, differs as known, differs, or is not comparable.
// A program is the same one where its choices and its machine are, whatever bus the machine is reached by.

import type { Program } from '../program.ts';
import type { Played } from '../run.ts';
import { encodeMachine } from '../wire/events.ts';
import type { CheckResult, ClauseResult } from './result.ts';

export interface Account {
  readonly agree: number;
  /** Only by what is a known deviation of the target that breaks it. */
  readonly differKnown: number;
  readonly differNew: number;
  /** Fewer than two targets decide the clause, or play the program on the same machine. */
  readonly notComparable: number;
}
/** What one target did: kinds of objection by program, the n-th of the same ones by itself. */
export type Outcomes = ReadonlyMap<string, ReadonlySet<string>>;

/** Collects the outcomes of one target. */
export const outcomes = (): { readonly of: Outcomes; readonly add: (program: Program, played: Played) => void } => {
  const of = new Map<string, ReadonlySet<string>>();
  const times = new Map<string, number>();
  return {
    of,
    add: ({ suite, machine, choices }, { refused, broke, findings }) => {
      if (refused !== undefined) return;
      const same = JSON.stringify([suite, encodeMachine({ ...machine, bus: 'none' }), choices]);
      const n = times.get(same) ?? 0;
      times.set(same, n + 1);
      // One that is dead before anything could be judged agrees with nobody.
      const kinds =
        broke !== undefined && findings.length === 0 ? ['machine.alive | reset'] : findings.map((f) => `${f.clause} | ${f.kind}`);
      of.set(`${same} ${n}`, new Set(kinds));
    },
  };
};
const kindOf = (signature: string): string => signature.split(' | ').slice(0, 2).join(' | ');
/** Kinds of objection that this target is known for, and for nothing else of the kind. */
const knownKinds = ({ expected, counterexamples }: CheckResult): ReadonlySet<string> => {
  const news = new Set(counterexamples.map((c) => kindOf(c.signature)));
  return new Set(expected.map((e) => kindOf(e.signature)).filter((kind) => !news.has(kind)));
};

export const programsAccount = (results: readonly CheckResult[], told: readonly Outcomes[]): Account => {
  const known = results.map(knownKinds);
  /** What is not asked about is judged too, and is no difference here. */
  const asked = new Set(results[0]?.clauses.map((c) => c.id));
  const count = { agree: 0, differKnown: 0, differNew: 0, notComparable: 0 };
  for (const program of new Set(told.flatMap((of) => [...of.keys()]))) {
    const by = told.flatMap((of, i) => {
      const kinds = of.get(program);
      return kinds === undefined ? [] : [{ kinds, known: known[i] ?? new Set<string>() }];
    });
    const kinds = [...new Set(by.flatMap((t) => [...t.kinds]))].filter((kind) => asked.has(kind.split(' | ')[0] ?? ''));
    const differing = kinds.filter((kind) => by.some((t) => !t.kinds.has(kind)));
    if (by.length < 2) count.notComparable++;
    else if (differing.length === 0) count.agree++;
    else if (differing.every((kind) => by.every((t) => !t.kinds.has(kind) || t.known.has(kind)))) count.differKnown++;
    else count.differNew++;
  }
  return count;
};

const decidedBy = (results: readonly CheckResult[], id: string): readonly ClauseResult[] =>
  results.flatMap((r) => r.clauses.find((c) => c.id === id) ?? []).filter((c) => c.verdict === 'kept' || c.verdict === 'broken');
/** Clauses that fewer than two targets decide. */
export const undecided = (results: readonly CheckResult[]): readonly string[] =>
  (results[0]?.clauses ?? []).map((c) => c.id).filter((id) => decidedBy(results, id).length < 2);

export const clausesAccount = (results: readonly CheckResult[]): Account => {
  const count = { agree: 0, differKnown: 0, differNew: 0, notComparable: 0 };
  for (const { id } of results[0]?.clauses ?? []) {
    const decided = decidedBy(results, id);
    if (decided.length < 2) count.notComparable++;
    else if (new Set(decided.map((c) => c.verdict)).size === 1) count.agree++;
    else if (decided.every((c) => c.verdict === 'kept' || c.deviates === true)) count.differKnown++;
    else count.differNew++;
  }
  return count;
};
