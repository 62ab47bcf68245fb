// In which order a check takes its blocks: suites in turn, and of each suite the machines in turn, but for those that were refused.
// It tells what will come too, so that blocks can be played before their turn.

import type { Capability, MachineConfig } from '../spec/units.ts';
import type { Suite } from './program.ts';
import { blockOf } from './sample.ts';

/** Where a suite stands. A machine that keeps refusing is not asked again. */
export interface Site {
  readonly suite: Suite;
  readonly machines: MachineConfig[];
  /** What all targets offer that are given the same programs. */
  readonly offers: readonly Capability[];
  readonly built: Set<MachineConfig>;
  block: number;
  played: number;
}
/** A block whose turn it is. */
export interface Turn {
  readonly site: Site;
  readonly machine: MachineConfig;
  readonly block: number;
  /** Programs of it that are wanted: what it has beyond that would be run and not judged. */
  readonly most: number;
}
export interface Budget {
  /** Programs a suite; absent: the suite's own number. */
  readonly runs: number | undefined;
  /** The clock ends it, and no number. */
  readonly timed: boolean;
  readonly shard: { readonly index: number; readonly of: number };
}
export interface Schedule {
  /** The clock ends the run. */
  readonly timed: boolean;
  readonly spent: (site: Site) => boolean;
  /** Undefined: there is none left. Whoever plays it counts in `played` what was played. */
  readonly next: () => Turn | undefined;
  /** The turns after it, were each played whole and no machine refused. */
  readonly following: () => Generator<Turn, void>;
}

export const schedule = (sites: readonly Site[], { runs, timed, shard }: Budget): Schedule => {
  const wanted = (site: Site): number => (timed ? Number.POSITIVE_INFINITY : (runs ?? site.suite.runs));
  const left = (site: Site): number => wanted(site) - site.played;
  /** Few programs are shared out among all machines: whole blocks would go to the first ones alone. */
  const share = (site: Site): number => Math.min(blockOf(site.suite), Math.ceil(wanted(site) / site.machines.length));
  const spent = (site: Site): boolean => site.machines.length === 0 || left(site) <= 0;
  const inTurn = (of: readonly Site[], from: number): { readonly next: () => Turn | undefined; readonly at: () => number } => {
    let at = from;
    const next = (): Turn | undefined => {
      for (let idle = 0; idle < of.length; ) {
        const site = of[at] as Site;
        at = (at + 1) % of.length;
        if (spent(site)) {
          idle++;
          continue;
        }
        idle = 0;
        const machine = site.machines[site.block % site.machines.length] as MachineConfig;
        const block = site.block++;
        const most = Math.min(left(site), share(site));
        if (block % shard.of === shard.index - 1) return { site, machine, block, most };
        site.played += share(site);
      }
      return undefined;
    };
    return { next, at: () => at };
  };
  const now = inTurn(sites, 0);
  return {
    timed,
    spent,
    next: now.next,
    *following() {
      const copies = sites.map((site) => ({ ...site, machines: [...site.machines] }));
      const later = inTurn(copies, now.at());
      for (let turn = later.next(); turn !== undefined; turn = later.next()) {
        turn.site.played += turn.most;
        yield turn;
      }
    },
  };
};
