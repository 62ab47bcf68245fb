// A program is an array of plain records of choices; a suite says which choices an area has and how a player lowers them.

import type { Arbitrary } from 'fast-check';
import type { Answer, Capability, Granted, MachineConfig } from '../spec/units.ts';
import type { Stimulus } from '../spec/vocabulary.ts';

/** A record of choices, never of addresses: plain JSON, so that it can stand in a trace. `op` names it. */
export interface Choice {
  readonly op: string;
}
export interface Program<C extends Choice = Choice> {
  /** Suite id. */
  readonly suite: string;
  readonly machine: MachineConfig;
  readonly choices: readonly C[];
}
/** Stimuli that need no answer in between, and the choice they were lowered from (absent: set-up or wind-up that the player adds). */
export interface Step<C extends Choice = Choice> {
  readonly plan?: C;
  readonly do: readonly Stimulus[];
}
/** Lowers choices one by one against what it sees: a choice that fits nothing is a no-op, so every subsequence is a legal program. */
export type Player<C extends Choice = Choice> = Generator<Step<C>, void, readonly Answer[]>;

export interface Suite<C extends Choice = Choice> {
  /** Area id of the programs: `--area` selects by dotted prefix. */
  readonly id: string;
  /** Without these the suite is unsupported on a target. */
  readonly needs: readonly Capability[];
  /** Machines to try, small; a target that refuses one is asked for the next. */
  readonly machines: readonly MachineConfig[];
  readonly choices: Arbitrary<readonly C[]>;
  /** What that block of programs, for that machine, is drawn from, where not all are drawn from `choices`. `offers`: of the target, where it is known. */
  readonly choicesOf?: (block: number, machine: MachineConfig, offers?: readonly Capability[]) => Arbitrary<readonly C[]>;
  readonly play: (choices: readonly C[], granted: Granted, machine: MachineConfig) => Player<C>;
  /** The choice with addresses and values abstracted to classes, for signatures: 'request in unaligned indirect'. */
  readonly shape: (choice: C, machine: MachineConfig) => string;
  /** Further words for a signature that no single choice has. */
  readonly words?: (choices: readonly C[], machine: MachineConfig) => readonly string[];
  /** Simpler variants of one choice, best first, for minimizing: same op, smaller values. */
  readonly simpler: (choice: C) => readonly C[];
  /** The player never looks at an answer, so that targets with `runAll` can be given many programs at once. */
  readonly oblivious?: true;
  /** As many programs as one of this suite takes the room of, where a target is given `atOnce` of them; default 1. */
  readonly weight?: number;
  /** Programs that share a machine and a draw; default 32. */
  readonly block?: number;
  /** Default number of programs for `check`. */
  readonly runs: number;
}
