// Shares an area's mutants between two processes, and ends a process whose mutant hangs.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { faultError } from '../faults/bundle.ts';
import { mutatedAreas } from './areas.ts';
import { instrument, type Mutant, withoutCoverage } from './instrument.ts';
import { planFor } from './programs.ts';
import type { Trial } from './trial.ts';
import type { Order } from './worker.ts';

export interface Outcome {
  readonly mutant: Mutant;
  /** A clause, or `died`, `hung`, `nothing ran`, `protocol: …`, `threw …`; null: it survived. */
  readonly noticedBy: string | null;
  /** Programs that reach it; 0: none does, and it counts as a survivor. */
  readonly reachedBy: number;
  readonly programs: number;
}
const workers = 2;
/** For one mutant, in milliseconds: many times what all programs take. */
const deadline = 180_000;

const start = (order: Order): ChildProcess => {
  const worker = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  worker.send(order);
  return worker;
};
/** Undefined: the process died or had to be ended. */
const asked = (worker: ChildProcess, order: Order): Promise<Trial | undefined> =>
  new Promise((resolve) => {
    const settle = (trial: Trial | undefined): void => {
      clearTimeout(timer);
      worker.off('message', settle);
      worker.off('exit', died);
      resolve(trial);
    };
    const died = (): void => settle(undefined);
    const timer = setTimeout(() => worker.kill('SIGKILL'), deadline);
    worker.on('message', settle);
    worker.on('exit', died);
    worker.send(order);
  });

const named = (trial: Trial | undefined): string | null => {
  if (trial === undefined) return 'hung';
  const { notice } = trial;
  if (notice === undefined) return null;
  if ('clause' in notice) return notice.clause;
  if ('died' in notice) return 'died';
  if ('protocol' in notice) return `protocol: ${notice.protocol}`;
  return 'threw' in notice ? `threw ${notice.threw}` : 'nothing ran';
};

/** At most so many, from the whole of the list. */
const spread = (numbers: readonly number[], most: number): readonly number[] =>
  numbers.length <= most ? numbers : Array.from({ length: most }, (_, i) => numbers[Math.floor((i * numbers.length) / most)] as number);

/** Outcomes in the order of the mutants that `choose` keeps; each is given at most `most(mutant)` of the programs that reach it. */
export const tryMutants = async (
  name: string,
  choose: (mutants: readonly Mutant[]) => readonly Mutant[],
  most: (mutant: Mutant) => number,
  onOutcome: (done: number, of: number, outcome: Outcome) => void,
): Promise<readonly Outcome[]> => {
  const area = mutatedAreas[name];
  if (area === undefined) throw faultError(`no area is called ${name}; there are ${Object.keys(mutatedAreas).join(', ')}`);
  const instrumented = await instrument(area);
  const plan = await planFor(area, instrumented);
  const chosen = choose(instrumented.mutants);
  const beginning: Order = { area: name, code: withoutCoverage(instrumented.code), places: plan.places, unsupported: plan.unsupported };
  const outcomes = new Map<string, Outcome>();
  const note = (outcome: Outcome): void => {
    outcomes.set(outcome.mutant.id, outcome);
    onOutcome(outcomes.size, chosen.length, outcome);
  };
  const queue: Mutant[] = [];
  for (const mutant of chosen) {
    if (plan.reaching.has(mutant.id)) queue.push(mutant);
    else note({ mutant, noticedBy: null, reachedBy: 0, programs: 0 });
  }
  const work = async (): Promise<void> => {
    let worker = start(beginning);
    try {
      for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
        const numbers = spread(plan.reaching.get(mutant.id) ?? [], most(mutant));
        const trial = await asked(worker, { id: mutant.id, numbers });
        if (trial === undefined) worker = start(beginning);
        note({ mutant, noticedBy: named(trial), reachedBy: numbers.length, programs: trial?.programs ?? 0 });
      }
    } finally {
      if (worker.connected) worker.disconnect();
      worker.kill();
      queue.length = 0;
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return chosen.flatMap((m) => outcomes.get(m.id) ?? []);
};
