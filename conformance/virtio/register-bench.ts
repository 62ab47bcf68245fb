// What the tests of the register specs judge with: one area, a device whose every answer is written down, and ids without the area's name.
// The buses below have their accesses on top of it.

import type { Area } from '../../spec/clause.ts';
import type { Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { createJudge } from '../judge.ts';

export interface RegisterBench {
  readonly see: (...events: readonly Event[]) => void;
  /** A settle that ends with evidence. */
  readonly rest: () => void;
  /** What the clauses objected to, in order. */
  readonly findings: string[];
  readonly kept: (id: string) => number;
  readonly applied: (id: string) => number;
  readonly breaches: () => readonly string[];
}
export const registerBench = (area: Area<never>, granted: Granted): RegisterBench => {
  const judge = createJudge([area]);
  judge.reset(granted);
  const short = (id: string): string => id.slice(area.id.length + 1);
  const tally = (id: string) => judge.tallies.get(`${area.id}.${id}`);
  const findings: string[] = [];
  const see = (...events: readonly Event[]): void => {
    for (const event of events) for (const f of judge.see(event)) findings.push(short(f.clause));
  };
  return {
    see,
    rest: () => see({ do: 'settle' }, { saw: 'settled', by: 'sync' }),
    findings,
    kept: (id) => tally(id)?.kept ?? 0,
    applied: (id) => tally(id)?.applied ?? 0,
    breaches: () => judge.breaches.map((x) => short(x.duty)),
  };
};
