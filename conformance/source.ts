// Where what was played comes from: from this thread, turn by turn, or from a crew of others that play ahead.
// Either way it comes in the order of the schedule, and judged once.

import type { Capability, Target } from '../spec/units.ts';
import type { Observation, Stimulus } from '../spec/vocabulary.ts';
import type { Judge, Tally } from './judge.ts';
import type { Program } from './program.ts';
import type { Played } from './run.ts';
import { type Block, playBlock, runBlocks, takesBlocks } from './run-block.ts';
import { blockOf, programsOf } from './sample.ts';
import type { Schedule, Turn } from './schedule.ts';

/** Judged programs of one turn, in order: up to one with findings, or to the end. */
export interface Part {
  readonly programs: number;
  readonly stimuli: number;
  /** What their machines were granted. */
  readonly offers: readonly Capability[];
  /** All feature bits that a device was seen to offer; undefined: none was looked at. */
  readonly features: bigint | undefined;
  /** The last of them, where it led to findings. */
  readonly shown?: { readonly program: Program; readonly played: Played };
  /** The machine was refused after them, and why. */
  readonly refused?: string;
}
export interface Source {
  /** Of all parts that were taken. */
  readonly tallies: ReadonlyMap<string, Tally>;
  readonly play: (turn: Turn) => AsyncIterable<Part>;
}

/** The turn, and where a start of the target is worth more programs than one block has, those that follow on its machine. */
export const together = (target: Target, { timed, following }: Schedule, turn: Turn): readonly Turn[] => {
  const { suite } = turn.site;
  const turns = [turn];
  // By the clock, nothing is run that may not be wanted.
  if (timed || target.atOnce === undefined || !takesBlocks(target, suite)) return turns;
  const most = Math.ceil(target.atOnce / (blockOf(suite) * (suite.weight ?? 1)));
  for (const later of following()) {
    if (turns.length >= most) break;
    if (later.site.suite === suite && later.machine === turn.machine && later.block > turn.block) turns.push(later);
  }
  return turns;
};
export const offersOf = ({ lines }: Played): readonly Capability[] => {
  for (const line of lines) if ('granted' in line) return line.granted.offers;
  return [];
};
export const featuresOf = ({ lines }: Played): bigint | undefined => {
  let bits: bigint | undefined;
  for (const line of lines) {
    const { event } = line as { readonly event?: Stimulus | Observation };
    if (event !== undefined && 'saw' in event && event.saw === 'virtio.features') bits = (bits ?? 0n) | event.offered;
  }
  return bits;
};
/** A turn's programs, and what they did, where they ran already. */
export interface Drawn {
  readonly programs: readonly Program[];
  readonly block?: NonNullable<Parameters<typeof playBlock>[4]>;
}
type Asked = Pick<Turn, 'machine' | 'block'> & { readonly site: Pick<Turn['site'], 'suite' | 'offers'> };
/** Draws turns of one machine, and runs them where they are several; fewer come back where the machine is refused or breaks. */
export const drawn = async (target: Target, seed: number, turns: readonly Asked[]): Promise<readonly Drawn[]> => {
  const all = turns.map(({ site, machine, block }) => programsOf(site.suite, machine, seed, block, site.offers));
  const [first] = turns;
  if (first === undefined || all.length === 1) return all.map((programs) => ({ programs }));
  const ran = await runBlocks(target, first.site.suite, first.machine, all);
  if (Array.isArray(ran)) return (ran as readonly Block[]).map((block) => ({ programs: block.programs, block }));
  return [{ programs: all[0] ?? [], block: ran as Exclude<typeof ran, readonly Block[]> }];
};

interface Own {
  readonly target: Target;
  readonly judge: Judge;
  readonly seed: number;
  readonly schedule: Schedule;
  readonly onProgram?: (program: Program, played: Played) => void;
}
/** Plays each turn when it comes. */
export const ownThread = ({ target, judge, seed, schedule, onProgram }: Own): Source => {
  /** What blocks did that are not judged yet. */
  const ahead = new Map<string, { readonly turn: Turn; readonly drawn: Drawn }>();
  const keyOf = ({ site, block }: Turn): string => `${site.suite.id} ${block}`;
  const prepared = async (turn: Turn): Promise<Drawn> => {
    const key = keyOf(turn);
    const found = ahead.get(key);
    ahead.delete(key);
    if (found?.turn.machine === turn.machine) return found.drawn;
    const turns = together(target, schedule, turn);
    const [first, ...later] = await drawn(target, seed, turns);
    for (const [i, one] of later.entries()) {
      const of = turns[i + 1] as Turn;
      ahead.set(keyOf(of), { turn: of, drawn: one });
    }
    return first as Drawn;
  };
  return {
    tallies: judge.tallies,
    async *play(turn) {
      const { programs, block } = await prepared(turn);
      for await (const { program, played } of playBlock(target, turn.site.suite, programs.slice(0, turn.most), judge, block)) {
        onProgram?.(program, played);
        if (played.refused !== undefined)
          return yield { programs: 0, stimuli: 0, offers: [], features: undefined, refused: played.refused };
        const shown = played.findings.length > 0 ? { shown: { program, played } } : {};
        yield { programs: 1, stimuli: played.stimuli, offers: offersOf(played), features: featuresOf(played), ...shown };
      }
    },
  };
};
