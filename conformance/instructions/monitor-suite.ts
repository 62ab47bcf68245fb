// The same single instructions in guests of monitors, judged by the same clauses: a guest must not be able to tell. Popek and Goldberg 1974, section 2.
// Trap-and-emulate is not here: by deprivileging alone it cannot keep them on this architecture (`vmmc classify` says where).

import type { Monitor } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import type { Suite } from '../program.ts';
import { type Case, oneCase, oneLateCase } from './choice.ts';
import { monitored } from './monitor-pairs.ts';
import { instructionsSuite, machines } from './suite.ts';

const techniques: readonly Monitor[] = ['binary-translation', 'paravirtual'];
/** Modes of operation once each. */
const guests: readonly MachineConfig[] = machines.filter((m, i) => machines.findIndex((n) => n.cpu?.mode === m.cpu?.mode) === i);

const pairs = guests.flatMap((g) => techniques.map((t) => monitored(g, t)));
/** Blocks before the late recipes, of which there is one for each machine. */
const plainBlocks = 12;
const blockSize = 512;

export const monitorSuite: Suite<Case> = {
  ...instructionsSuite,
  id: 'instructions.monitor',
  machines: pairs,
  choicesOf: (block) => (block % (plainBlocks + pairs.length) < plainBlocks ? oneCase : oneLateCase),
  block: blockSize,
  runs: (plainBlocks + pairs.length) * blockSize,
};
