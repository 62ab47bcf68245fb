// What every machine owes whatever a guest does: it stays alive. Our own rule, the first of the `always` clauses.

import { type Area, clauseOf } from './clause.ts';
import { project } from './sources.ts';

export type MachineGhost = Record<string, never>;

const alive = clauseOf<MachineGhost>()({
  id: 'machine.alive',
  cite: project('What no guest may do to its machine', 'SAFE-CONTAIN'),
  level: 'must',
  binds: 'machine',
  says: 'no guest program makes the implementation die, hang or stop answering',
  on: ['settled', 'cpu.stopped', 'broke'],
  harm: 'dies',
  always: true,
  when: () => true,
  holds: ({ event }) =>
    event.saw !== 'broke' || {
      expected: 'an answer',
      saw: event.why,
      kind: /\bhang|\bdeadline|\banswer/i.test(event.why) ? 'hung' : 'died',
    },
});

export const machine: Area<MachineGhost> = {
  id: 'machine',
  initial: () => ({}),
  observe: () => [],
  on: [],
  clauses: [alive],
  duties: [],
};
