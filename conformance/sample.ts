// Which programs a seed means: blocks of programs, each block on one machine, so that slow machines are built seldom.
// The same suite, seed and index give the same program in any shard, and on any target that offers what the choice of programs depends on.

import fc from 'fast-check';
import type { Capability, MachineConfig } from '../spec/units.ts';
import type { Choice, Program, Suite } from './program.ts';

/** Programs that share a machine and a draw. */
export const blockOf = (suite: Suite): number => suite.block ?? 32;

/** Block number `block` of the suite under this seed, on a machine. Ids and numbers are mixed so that neighbours have nothing in common.
 *  `offers`: capabilities of the target, where programs are for one. */
export const programsOf = (
  suite: Suite,
  machine: MachineConfig,
  seed: number,
  block: number,
  offers?: readonly Capability[],
): readonly Program[] => {
  const from = suite.choicesOf?.(block, machine, offers) ?? suite.choices;
  const draws: readonly (readonly Choice[])[] = fc.sample(from, { seed: mix(seed, block, suite.id), numRuns: blockOf(suite) });
  return draws.map((choices) => ({ suite: suite.id, machine, choices }));
};

/** FNV-1a over the three, folded to 31 bits: http://www.isthe.com/chongo/tech/comp/fnv/ (public domain). */
const mix = (seed: number, block: number, id: string): number => {
  let h = 0x811c9dc5;
  for (const c of `${id}/${seed}/${block}`) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
  return h >>> 1;
};
