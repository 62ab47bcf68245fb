// The area instructions: what a processor owes for one instruction in any mode, its faults, its results, and nothing else.
// Intel SDM, combined volumes 325384-085.

import type { Area } from '../clause.ts';
import { among, clauses } from './clauses/index.ts';
import { type InstructionsGhost, initial } from './ghost.ts';
import { observe, observed } from './observe.ts';
import { tell } from './tell.ts';

export { classOf, exists, isHole, kindOf, robinIrvine, type Setting } from './classification.ts';
export { drawn, type Form, forms, type Operand } from './forms/index.ts';
export type { InstructionsGhost } from './ghost.ts';
export const instructions: Area<InstructionsGhost> = {
  id: 'instructions',
  needs: ['cpu'],
  initial,
  observe,
  on: observed,
  clauses,
  among,
  duties: [],
  tell,
};
