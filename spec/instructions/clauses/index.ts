// All clauses of the area, by topic.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { privilegeClauses } from './privilege.ts';

export const clauses: readonly Clause<InstructionsGhost>[] = [...privilegeClauses];
