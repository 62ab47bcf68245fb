// Decides whether a mutant is noticed: plays the programs that reach it until a clause objects or the machine dies.
// What ends the program by an exception of ours is noticed too, but told apart: a target's nonsense must never do that.

import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { type Played, play } from '../run.ts';
import { targetOver } from '../targets/ref/ref.ts';
import { decodeObservation, encode } from '../wire/events.ts';
import { isWireError } from '../wire/validate.ts';
import { evaluate, mutantSwitch } from './instrument.ts';
import { type Plan, programsFrom } from './programs.ts';

/** A clause that objected; or how else it was noticed. */
export type Notice =
  | { readonly clause: string }
  /** The machine died or could not be built. */
  | { readonly died: string }
  /** The suite itself stopped. */
  | { readonly threw: string }
  /** It answers what an adapter may not, or calls unsupported what it offers: `vmmc adapter` and `check` say so. */
  | { readonly protocol: string }
  /** Every machine of a suite was refused: `check --area` of the suite exits with 2. */
  | { readonly nothingRan: string };
export interface Trial {
  readonly id: string;
  /** Undefined: it survived. */
  readonly notice?: Notice;
  readonly programs: number;
}
/** Evaluations of one mutated place in one program: a hundred times what the reference itself needs. */
const evaluations = 2_000_000;
/** Of so many programs one has every observation checked for its form, as lines of an adapter are. */
const checkedOf = 8;

/** What a reader of the wire would refuse in these lines. */
const offence = (played: Played, number: number, unsupported: ReadonlySet<string>): string | undefined => {
  for (const line of played.lines) {
    if (!('event' in line) || 'do' in line.event) continue;
    if (!('saw' in line.event)) return 'an observation without a name';
    if (line.event.saw === 'unsupported') {
      if (!unsupported.has(line.event.what)) return `unsupported: ${line.event.what}`;
    } else if (number % checkedOf === 0) {
      try {
        decodeObservation(encode(line.event));
      } catch (error) {
        if (!isWireError(error)) throw error;
        return error.message;
      }
    }
  }
  return undefined;
};

export interface Bench {
  try(id: string, numbers: readonly number[]): Promise<Trial>;
}
export const createBench = (
  code: string,
  suites: readonly Suite[],
  { places, unsupported }: Pick<Plan, 'places' | 'unsupported'>,
): Bench => {
  const lacking = new Set(unsupported);
  const programAt = programsFrom(suites);
  // Anew for each: what the reference works out once, and keeps by instruction or form, must be this mutant's own and nobody's after it.
  const build = (id: string): ReturnType<typeof evaluate> => {
    mutantSwitch.activeMutant = id;
    mutantSwitch.left = evaluations;
    return evaluate(code);
  };
  return {
    async try(id, numbers) {
      let programs = 0;
      const refusals = new Map<number, string>();
      const ran = new Set<number>();
      try {
        const reference = build(id);
        const targets = suites.map(() => targetOver(reference, 'ref'));
        const judge = createJudge(areas);
        for (const number of numbers) {
          const place = places[number] as (typeof places)[number];
          mutantSwitch.left = evaluations;
          programs++;
          const played = await play(
            targets[place.suite] as (typeof targets)[number],
            suites[place.suite] as Suite,
            programAt(place),
            judge,
          );
          const [finding] = played.findings;
          if (finding !== undefined) return { id, notice: { clause: finding.clause }, programs };
          if (played.broke !== undefined) return { id, notice: { died: played.broke }, programs };
          const wrong = offence(played, programs - 1, lacking);
          if (wrong !== undefined) return { id, notice: { protocol: wrong }, programs };
          if (played.refused === undefined) ran.add(place.suite);
          else refusals.set(place.suite, played.refused);
        }
      } catch (error) {
        const threw = error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join(' ') : String(error);
        return { id, notice: { threw }, programs };
      }
      const nothingRan = [...refusals].find(([suite]) => !ran.has(suite))?.[1];
      return nothingRan === undefined ? { id, programs } : { id, notice: { nothingRan }, programs };
    },
  };
};
