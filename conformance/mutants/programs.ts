// Decides which programs must notice a mutant: those that `check` plays by default, in its order, and of these the ones that reach it.
// They are played once on the reference as it is, to see which mutants each reaches; a finding then is an error of ours.

import { areas, suitesFor } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Program, Suite } from '../program.ts';
import { play } from '../run.ts';
import { blockOf, programsOf } from '../sample.ts';
import { targetOver } from '../targets/ref/ref.ts';
import { faultError } from '../faults/bundle.ts';
import type { MutatedArea } from './areas.ts';
import { evaluate, type Instrumented, mutantSwitch } from './instrument.ts';

const seed = 1;

/** Where a program stands: suite, machine and block give it again. */
export interface Place {
  readonly suite: number;
  readonly machine: number;
  readonly block: number;
  readonly index: number;
}
export interface Plan {
  /** In the order to play them: a block of each suite in turn. */
  readonly places: readonly Place[];
  /** Numbers of places, by mutant id; absent: no program reaches it. */
  readonly reaching: ReadonlyMap<string, readonly number[]>;
  /** Mutants that are evaluated when the reference is imported, or once for its tables: they are there from the beginning, or never. */
  readonly early: ReadonlySet<string>;
  /** What the reference itself answers as unsupported. */
  readonly unsupported: readonly string[];
}
export const suitesOf = (area: MutatedArea): readonly Suite[] => suitesFor([area.suites]);

/** The programs of a block, drawn once: neighbours are asked for together. */
export const programsFrom = (suites: readonly Suite[]): ((place: Place) => Program) => {
  const drawn = new Map<string, readonly Program[]>();
  return (place) => {
    const suite = suites[place.suite];
    const machine = suite?.machines[place.machine];
    if (suite === undefined || machine === undefined) throw faultError('a program of no suite');
    const key = `${place.suite}/${place.machine}/${place.block}`;
    const block = drawn.get(key) ?? programsOf(suite, machine, seed, place.block);
    drawn.set(key, block);
    return block[place.index] as Program;
  };
};

/** Each suite's blocks as `check` plays them: machines in turn, a refused one left out and the blocks begun again. */
const blocksOf = (suite: Suite, number: number, refused: ReadonlySet<number>): readonly (readonly Place[])[] => {
  const machines = suite.machines.flatMap((_, i) => (refused.has(i) ? [] : [i]));
  const blocks: Place[][] = [];
  for (let left = suite.runs, block = 0; left > 0 && machines.length > 0; block++) {
    const size = Math.min(left, blockOf(suite));
    blocks.push(
      Array.from({ length: size }, (_, index) => ({ suite: number, machine: machines[block % machines.length] as number, block, index })),
    );
    left -= size;
  }
  return blocks;
};

export const planFor = async (area: MutatedArea, { code }: Instrumented): Promise<Plan> => {
  mutantSwitch.activeMutant = undefined;
  mutantSwitch.reached = new Set();
  const reference = evaluate(code);
  const early = mutantSwitch.reached;
  const target = targetOver(reference, 'ref');
  const suites = suitesOf(area);
  const bySuite = suites.map((suite, i) => {
    const refused = new Set(suite.machines.flatMap((machine, m) => ('granted' in target.reset(machine) ? [] : [m])));
    return blocksOf(suite, i, refused);
  });
  const places: Place[] = [];
  for (let round = 0; bySuite.some((blocks) => round < blocks.length); round++)
    for (const blocks of bySuite) places.push(...(blocks[round] ?? []));
  const judge = createJudge(areas);
  const programAt = programsFrom(suites);
  const reaching = new Map<string, number[]>();
  const unsupported = new Set<string>();
  const reachedBy = async (place: Place): Promise<ReadonlySet<string>> => {
    const reached = new Set<string>();
    mutantSwitch.reached = reached;
    const { findings, refused, broke, lines } = await play(target, suites[place.suite] as Suite, programAt(place), judge);
    for (const l of lines) if ('event' in l && 'saw' in l.event && l.event.saw === 'unsupported') unsupported.add(l.event.what);
    if (findings.length > 0 || refused !== undefined || broke !== undefined)
      throw faultError(`the reference itself does not pass: ${findings[0]?.clause ?? refused ?? broke}`);
    return reached;
  };
  // What the first program reaches, but not when it is played again, is worked out once for all.
  const [first] = places;
  if (first !== undefined) {
    const once = await reachedBy(first);
    const again = await reachedBy(first);
    for (const id of once) if (!again.has(id)) early.add(id);
  }
  for (const [number, place] of places.entries())
    for (const id of await reachedBy(place)) {
      const numbers = reaching.get(id);
      if (numbers === undefined) reaching.set(id, [number]);
      else numbers.push(number);
    }
  mutantSwitch.reached = undefined;
  const all = places.map((_, i) => i);
  for (const id of early) reaching.set(id, all);
  return { places, reaching, early, unsupported: [...unsupported] };
};
