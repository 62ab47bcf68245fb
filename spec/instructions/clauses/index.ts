// All clauses of the area, by topic.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { fetchClauses } from './fetch.ts';
import { frameClauses } from './frame.ts';
import { pageClauses } from './page.ts';
import { privilegeClauses } from './privilege.ts';
import { restClauses } from './rest.ts';
import { resultClauses } from './results.ts';
import { ruleClauses } from './rules.ts';

export const clauses: readonly Clause<InstructionsGhost>[] = [
  ...privilegeClauses,
  ...fetchClauses,
  ...pageClauses,
  ...ruleClauses,
  ...resultClauses,
  ...frameClauses,
  ...restClauses,
];
