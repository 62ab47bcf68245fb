// Decides whether a fault is noticed: plays the suites of its clause's area on the faulty reference until the clause objects.
// Programs are those of `check`: same seed, same blocks, machines in turn; budgets are counts, never time.

import { areas, suitesFor, within } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { play } from '../run.ts';
import { programsOf } from '../sample.ts';
import { targetOver } from '../targets/ref/ref.ts';
import { load } from './bundle.ts';
import { deaths, homes } from './homes.ts';
import type { Fault } from './fault.ts';

export interface Row {
  readonly id: string;
  readonly origin: string;
  readonly area: string;
  /** The clause that was broken first, its own where that was broken at all; null: the fault survived. */
  readonly killedBy: string | null;
  readonly byOwnClause: boolean;
  /** Played until then. */
  readonly programs: number;
}
/** Programs for each suite, at least; `check` plays more of some. */
export const budget = 4000;
const seed = 1;

/** Where what the fault edits belongs, by the tables beside the catalogue: its home, the area of its clause, or where its death shows. */
export const areaOf = (fault: Fault): string => {
  const stands = ([file]: readonly [string, string]): boolean => fault.file.startsWith(file);
  const home = homes.find(stands)?.[1];
  if (home !== undefined) return home;
  const area = areas.find((a) =>
    (a as { readonly clauses: readonly { readonly id: string }[] }).clauses.some((c) => c.id === fault.killedBy),
  );
  return area === undefined || area.id === 'machine' ? (deaths.find(stands)?.[1] ?? 'machine') : area.id;
};

export const row = async (fault: Fault): Promise<Row> => {
  const reference = await load(fault);
  let programs = 0;
  let foreign: string | null = null;
  const ended = (killedBy: string | null): Row => ({
    id: fault.id,
    origin: fault.origin,
    area: areaOf(fault),
    killedBy,
    byOwnClause: killedBy === fault.killedBy,
    programs,
  });
  // The suite that the clause is of comes first, by the longer name.
  const near = ({ id }: Suite): number => (within(fault.killedBy, [id]) ? id.length : 0);
  for (const suite of suitesFor([areaOf(fault)]).toSorted((a, b) => near(b) - near(a))) {
    const target = targetOver(reference, `fault:${fault.id}`);
    const machines = [...suite.machines];
    const judge = createJudge(areas);
    const most = Math.max(budget, suite.runs);
    for (let block = 0, played = 0; played < most && machines.length > 0; block++) {
      const machine = machines[block % machines.length];
      if (machine === undefined) break;
      for (const program of programsOf(suite, machine, seed, block)) {
        const { findings, refused, broke } = await play(target, suite, program, judge);
        if (refused !== undefined) {
          machines.splice(machines.indexOf(machine), 1);
          break;
        }
        played++;
        programs++;
        if (findings.some((f) => f.clause === fault.killedBy)) return ended(fault.killedBy);
        foreign ??= findings[0]?.clause ?? (broke === undefined || findings.length > 0 ? null : 'machine.alive');
      }
    }
  }
  return ended(foreign);
};
