// What a check found, before anything is printed: the one value that every report format reads.

import type { Finding, Tally } from '../judge.ts';
import type { Program } from '../program.ts';
import type { Line } from '../run.ts';

/** kept < unsupported < untested < undecided < broken: the worst wins. */
export type Verdict = 'kept' | 'unsupported' | 'untested' | 'undecided' | 'broken';

/** One finding with the shortest program that shows it. */
export interface Counterexample {
  readonly finding: Finding;
  /** clause | kind of objection | shape of the program. */
  readonly signature: string;
  readonly suite: string;
  readonly program: Program;
  /** The minimized program's trace, reset and granted included; header and footer are the writer's. */
  readonly lines: readonly Line[];
  readonly stimuli: number;
  /** Stimuli of the program it was found with. */
  readonly of: number;
  /** Choices of the program it was found with. */
  readonly ofChoices?: number;
  readonly shrinks: number;
  /** Minimizing was stopped by its bound: a shorter program may show it too. */
  readonly partly: boolean;
  /** False: a second run of the same program did not show it again. */
  readonly repeated: boolean;
  /** How many programs showed this clause and kind. */
  seen: number;
}

/** What one clause came to. */
export interface ClauseResult {
  readonly id: string;
  readonly verdict: Verdict;
  readonly tally: Tally;
  /** Why it is not kept: the capability that lacks, the reason for unknown. */
  readonly because?: string;
  /** Every counterexample's deviation is known. */
  readonly deviates?: true;
}

export interface CheckResult {
  readonly target: { readonly name: string; readonly version: string; readonly offers: readonly string[] };
  readonly seed: number;
  readonly programs: number;
  readonly stimuli: number;
  readonly clauses: readonly ClauseResult[];
  readonly counterexamples: readonly Counterexample[];
  /** Signatures of counterexamples that the deviations file explains. */
  readonly expected: readonly { readonly clause: string; readonly signature: string; readonly because: string; readonly trace: string }[];
  /** Deviations whose trace shows nothing any more, or that have expired. */
  readonly unexpectedlyKept: readonly { readonly signature: string; readonly why: string }[];
  /** Deviations that do not show each time (`race`), and did not now: no failure. */
  readonly notShown: readonly { readonly signature: string; readonly why: string }[];
  /** Machines and suites that the target would not build, with its reason: so many of the suite's, and what was asked for in these alone. */
  readonly refused: readonly {
    readonly suite: string;
    readonly why: string;
    readonly machines: number;
    readonly of: number;
    readonly asked?: string;
  }[];
  /** Why the run ended before its time: the adapter broke the protocol, or the target hung again and again. What was judged until then stands; the verdict
   *  is undecided at best. */
  readonly cutShort?: { readonly why: string; readonly stderr: string };
  /** Worst over the clauses, deviations taken as expected; advice counts only when strict. */
  readonly verdict: Verdict;
  readonly exit: 0 | 1 | 2;
}
