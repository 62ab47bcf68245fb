// Finds what a guest under trap-and-emulate can tell, by playing every form in many dresses on both; for each mnemonic the plainest guest that tells.

import fc from 'fast-check';
import { type Form, forms } from '../../spec/instructions/index.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { type Case, caseOf } from './choice.ts';
import { byteAt, stimuliOf } from './desk.ts';
import { loadable } from './edges.ts';
import { differences, type Pair, pairOf } from './monitor-pairs.ts';
import { instructionsSuite, laid } from './suite.ts';

export interface Hole {
  readonly form: string;
  readonly cpl: number;
  readonly bytes: Uint8Array;
  readonly differences: readonly string[];
}
/** Draws a form this many times. */
const DRAWS = 24;
/** Forms that look at descriptors get every selector, at either level; the others what chance gives. */
const dressed = (form: Form, sampled: readonly Case[]): readonly Case[] => {
  if (form.topic !== 'segment' && form.topic !== 'probe' && form.topic !== 'far') return sampled;
  const [plain] = sampled;
  if (plain === undefined) return [];
  const legal: Case = { ...plain, place: 0, value: 0, value2: 0, imm: 1, memory: true };
  const selectors = [0, ...loadable.map((_, i) => i + 1)];
  return selectors.flatMap((selector) => [0, 3].flatMap((rpl) => [1, 3].map((reg): Case => ({ ...legal, selector, rpl, reg, rm: 0 }))));
};

const told = (pair: Pair, c: Case): readonly string[] => differences(pair, stimuliOf(laid(pair.config, pair.granted, c), 1));
/** Greedily the simplest case of the same form that still tells. */
const simplest = (pair: Pair, c: Case): Case => {
  let best = c;
  for (let progress = true; progress; ) {
    const simpler = instructionsSuite.simpler(best).find((s) => s.form === c.form && told(pair, s).length > 0);
    progress = simpler !== undefined;
    best = simpler ?? best;
  }
  return best;
};
const holeOf = (pair: Pair, c: Case): Hole => {
  const d = laid(pair.config, pair.granted, c);
  const start = Number(d.s.cs.base + d.s.rip);
  const bytes: number[] = [];
  for (let i = 0; i < 15 && !(byteAt(d, start + i) === 0xcc && byteAt(d, start + i + 1) === 0xcc); i++) bytes.push(byteAt(d, start + i));
  return { form: forms[c.form]?.id ?? '?', cpl: d.cpl, bytes: Uint8Array.from(bytes), differences: told(pair, c) };
};
/** By mnemonic. One instruction is played, alone. */
export const holesOf = (config: MachineConfig, umip: boolean): ReadonlyMap<string, Hole> => {
  const pair = pairOf(config, 'trap-and-emulate', umip);
  const dresses = fc.sample(caseOf, { numRuns: DRAWS, seed: 1 });
  const found = new Map<string, Hole>();
  for (const [form, f] of forms.entries()) {
    const { mnemonic } = f;
    if (found.has(mnemonic)) continue;
    const sampled = dressed(f, dresses);
    // Kernel, then user: levels count from the outermost.
    for (const [i, dress] of [...sampled, ...sampled].entries()) {
      const c: Case = { ...dress, form, level: i < sampled.length ? 3 : 0, tweaks: [], prefix: 0 };
      if (told(pair, c).length === 0) continue;
      found.set(mnemonic, holeOf(pair, simplest(pair, c)));
      break;
    }
  }
  return found;
};
