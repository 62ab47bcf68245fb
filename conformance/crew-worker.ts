// One of a crew: a thread with a connection and a judge of its own that plays the blocks it is given, in order, and tells what they came to.
// Lines of a trace are sent only of programs with findings; what clauses were seen doing is sent part by part, so that the parts can be added in order.

import { parentPort, workerData } from 'node:worker_threads';
import type { Capability, MachineConfig } from '../spec/units.ts';
import { areas, suites } from './areas.ts';
import { connect } from './connect.ts';
import { createJudge, type Judge, type Tally } from './judge.ts';
import type { Choice } from './program.ts';
import type { Line, Played } from './run.ts';
import { playBlock } from './run-block.ts';
import { type Drawn, drawn, featuresOf, offersOf } from './source.ts';

export interface WorkerData {
  /** Of the target. */
  readonly name: string;
  /** One word: 0 while what is not begun is wanted. */
  readonly over: ArrayBufferLike;
}
export interface Orders {
  readonly seed: number;
  readonly suite: string;
  /** Its number among the suite's. */
  readonly machine: number;
  readonly offers: readonly Capability[];
  readonly blocks: readonly { readonly block: number; readonly most: number }[];
}
/** An error without its class. */
export interface SentError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Readonly<Record<string, string>>;
}
export interface SentPart {
  readonly programs: number;
  readonly stimuli: number;
  readonly offers: readonly Capability[];
  readonly features: bigint | undefined;
  readonly tallies: readonly Tally[];
  /** `lines` without the first, which is the machine. */
  readonly shown?: { readonly choices: readonly Choice[]; readonly played: Omit<Played, 'lines'>; readonly lines: readonly Line[] };
  readonly refused?: string;
}
export interface Outcome {
  readonly parts: readonly SentPart[];
  readonly error?: SentError;
}
/** `undone`: the block was not played: the start that it was to share with the one before it came to nothing, or the run is over. */
export type Told =
  | { readonly hello: string }
  | { readonly failed: SentError }
  | { readonly block: number; readonly outcome: Outcome | 'undone' }
  | { readonly closed: SentError | undefined };

/** What clauses were seen doing since it was asked last. */
const taken = ({ tallies }: Judge): readonly Tally[] => {
  const changed: Tally[] = [];
  for (const tally of tallies.values()) {
    if (tally.applied === 0) continue;
    changed.push({ ...tally });
    tally.applied = tally.kept = tally.broken = tally.unknown = 0;
    // Not deleted: records of one shape are read faster.
    if (tally.why !== undefined) (tally as { why: string | undefined }).why = undefined;
  }
  return changed;
};
const sent = (error: unknown): SentError => {
  if (!(error instanceof Error)) return { message: String(error), stack: undefined, fields: {} };
  const fields = Object.entries(error).filter((field): field is [string, string] => typeof field[1] === 'string');
  return { message: error.message, stack: error.stack, fields: Object.fromEntries(fields) };
};

const { name, over } = workerData as WorkerData;
const word = new Int32Array(over);
const suiteOf = (id: string): (typeof suites)[number] => suites.find((s) => s.id === id) as (typeof suites)[number];
const tell = (told: Told): void => parentPort?.postMessage(told);
const judge = createJudge(areas);

const serve = async (): Promise<void> => {
  const target = await connect(name);
  const outcomeOf = async (suite: (typeof suites)[number], { programs, block }: Drawn, most: number): Promise<Outcome> => {
    const parts: SentPart[] = [];
    const nothing = () => ({ programs: 0, stimuli: 0, offers: new Set<Capability>(), features: undefined as bigint | undefined });
    let count = nothing();
    const part = (more: Pick<SentPart, 'shown' | 'refused'>): void => {
      parts.push({ ...count, offers: [...count.offers], tallies: taken(judge), ...more });
      count = nothing();
    };
    try {
      for await (const { program, played } of playBlock(target, suite, programs.slice(0, most), judge, block)) {
        if (played.refused !== undefined) {
          part({ refused: played.refused });
          break;
        }
        count.programs++;
        count.stimuli += played.stimuli;
        for (const c of offersOf(played)) count.offers.add(c);
        const features = featuresOf(played);
        if (features !== undefined) count.features = (count.features ?? 0n) | features;
        const { lines, ...rest } = played;
        if (played.findings.length > 0) part({ shown: { choices: program.choices, played: rest, lines: lines.slice(1) } });
        if (Atomics.load(word, 0) !== 0) break;
      }
    } catch (error) {
      part({});
      return { parts, error: sent(error) };
    }
    part({});
    return { parts };
  };
  interface Prepared {
    readonly all: readonly Drawn[];
    readonly failed?: { readonly error: unknown };
  }
  const prepare = async ({ seed, suite: id, machine: number, offers, blocks }: Orders): Promise<Prepared> => {
    if (Atomics.load(word, 0) !== 0) return { all: [] };
    const suite = suiteOf(id);
    const machine = suite.machines[number] as MachineConfig;
    try {
      const turns = blocks.map(({ block }) => ({ site: { suite, offers }, machine, block }));
      return { all: await drawn(target, seed, turns) };
    } catch (error) {
      return { all: [], failed: { error } };
    }
  };
  const play = async ({ suite, blocks }: Orders, { all, failed }: Prepared): Promise<void> => {
    for (const [i, { block, most }] of blocks.entries()) {
      const one = Atomics.load(word, 0) === 0 ? all[i] : undefined;
      if (one !== undefined) tell({ block, outcome: await outcomeOf(suiteOf(suite), one, most) });
      else if (failed !== undefined && i === 0) tell({ block, outcome: { parts: [], error: sent(failed.error) } });
      else tell({ block, outcome: 'undone' });
      // What is under way may want to go on.
      if (target.overlaps === true) await new Promise((resume) => setImmediate(resume));
    }
  };
  let playing: Promise<void> = Promise.resolve();
  /** The target is asked nothing more by the orders so far, however long they are played. */
  let free: Promise<void> = Promise.resolve();
  parentPort?.on('message', async (orders: Orders | 'close') => {
    if (orders !== 'close') {
      const before = playing;
      const prepared = (target.overlaps === true ? free : before).then(() => prepare(orders));
      playing = before.then(async () => play(orders, await prepared));
      // Several blocks have run once they are prepared; a single one runs when it is played.
      free = orders.blocks.length > 1 ? prepared.then(() => undefined) : playing;
      return;
    }
    // A target that overlaps ends what is under way, which nobody waits for.
    if (target.overlaps !== true) await playing;
    const closed = await (async () => target.close())().then(() => undefined, sent);
    await playing;
    tell({ closed });
  });
  tell({ hello: JSON.stringify(target.hello) });
};
serve().catch((error: unknown) => tell({ failed: sent(error) }));
