// Decides what a table of instructions says of each mnemonic: how its operation is made, and whether a block of code goes on after it.

import type { Insn } from './insn.ts';
import type { Run } from './operands.ts';

export type Build = (insn: Insn) => Run;
export interface Entry {
  readonly build: Build;
  /** Leaves the instruction pointer where execution goes on. */
  readonly jumps?: true;
  /** May change what the following instructions are or who looks at them: the last of its block. */
  readonly ends?: true;
}
export type Entries = Readonly<Record<string, Entry>>;

export const plain = (builds: Readonly<Record<string, Build>>): Entries =>
  Object.fromEntries(Object.entries(builds).map(([name, build]) => [name, { build }]));
export const ending = (builds: Readonly<Record<string, Build>>): Entries =>
  Object.fromEntries(Object.entries(builds).map(([name, build]) => [name, { build, ends: true as const }]));
export const jumping = (builds: Readonly<Record<string, Build>>): Entries =>
  Object.fromEntries(Object.entries(builds).map(([name, build]) => [name, { build, jumps: true as const, ends: true as const }]));
