// What a crew played, turn by turn: blocks are given out ahead as the schedule foresees them, and taken in its order,
// so that the result does not show how many threads there were. What did not come as foreseen is given out anew.

import type { Target } from '../spec/units.ts';
import { type Crew, type Job, type Result, revived } from './crew.ts';
import type { SentPart } from './crew-worker.ts';
import type { Tally } from './judge.ts';
import type { Schedule, Turn } from './schedule.ts';
import { type Part, type Source, together } from './source.ts';

interface Given {
  readonly target: Target;
  readonly seed: number;
  readonly schedule: Schedule;
  /** What is not done is not wanted any more. */
  readonly over: () => boolean;
}
/** What was ordered together, and how much of it was not taken. */
interface Order {
  readonly job: Job;
  untaken: number;
}
interface Ahead {
  readonly turn: Turn;
  readonly order: Order;
  readonly result: Promise<Result>;
}
/** Orders for each thread that are at work or wait to be taken: a slow block, or minimizing, must not leave the others without work. */
const aheadMost = 8;
/** Looks whether the run is over, while a block is waited for; so long it may take to end the program that it is at. */
const lookMs = 50;
const graceMs = 3_000;

const keyOf = ({ site, machine, block, most }: Turn): string => `${site.suite.id} ${site.suite.machines.indexOf(machine)} ${block} ${most}`;

export const crewSource = (crew: Crew, { target, seed, schedule, over }: Given): Source => {
  const tallies = new Map<string, Tally>();
  const ahead = new Map<string, Ahead>();
  let orders = 0;
  const forget = (key: string): void => {
    const known = ahead.get(key);
    if (known === undefined) return;
    ahead.delete(key);
    if (--known.order.untaken > 0) return;
    known.order.job.takeBack();
    orders--;
  };
  const order = (first: Turn): void => {
    const turns = together(target, schedule, first).filter((t) => !ahead.has(keyOf(t)));
    const { suite, offers } = first.site;
    const blocks = turns.map(({ block, most }) => ({ block, most }));
    const job = crew.order({ seed, suite: suite.id, machine: suite.machines.indexOf(first.machine), offers, blocks });
    const ordered: Order = { job, untaken: turns.length };
    orders++;
    for (const [i, turn] of turns.entries()) ahead.set(keyOf(turn), { turn, order: ordered, result: job.results[i] as Promise<Result> });
  };
  const foresee = (turn: Turn): void => {
    if (!ahead.has(keyOf(turn))) {
      // It did not come as foreseen; neither will what was to follow.
      for (const [key, { turn: later }] of ahead) if (later.site.suite === turn.site.suite) forget(key);
      order(turn);
    }
    for (const later of schedule.following()) {
      if (orders >= aheadMost * crew.jobs) break;
      if (!ahead.has(keyOf(later))) order(later);
    }
  };
  /** Undefined: the run is over, and the program that it is at takes too long. */
  const watched = (result: Promise<Result>): Promise<Result | undefined> =>
    new Promise((resolve, reject) => {
      let grace = graceMs;
      const timer = setInterval(() => {
        if (!over()) return;
        crew.stop();
        if ((grace -= lookMs) < 0) resolve(undefined);
      }, lookMs);
      result.then(resolve, reject).finally(() => clearInterval(timer));
    });
  const add = (more: readonly Tally[]): void => {
    for (const { id, applied, kept, broken, unknown, why } of more) {
      const sum = tallies.get(id) ?? { id, applied: 0, kept: 0, broken: 0, unknown: 0 };
      tallies.set(id, sum);
      sum.applied += applied;
      sum.kept += kept;
      sum.broken += broken;
      sum.unknown += unknown;
      if (why !== undefined) sum.why ??= why;
    }
  };
  const partOf = ({ site, machine }: Turn, { tallies: more, shown, ...part }: SentPart): Part => {
    add(more);
    if (shown === undefined) return part;
    const { choices, played, lines } = shown;
    const program = { suite: site.suite.id, machine, choices };
    return { ...part, shown: { program, played: { ...played, lines: [{ reset: machine }, ...lines] } } };
  };
  return {
    tallies,
    async *play(turn) {
      const key = keyOf(turn);
      let result: Result | undefined = 'undone';
      while (result === 'undone') {
        if (over()) return;
        foresee(turn);
        result = await watched((ahead.get(key) as Ahead).result);
        forget(key);
      }
      for (const part of result?.parts ?? []) yield partOf(turn, part);
      if (result?.error !== undefined) throw revived(result.error);
    },
  };
};
