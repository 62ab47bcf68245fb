// Cases that chance alone hardly ever brings about: for each, the forms it is about and the fields that make it, the rest by chance as everywhere.

import type { Arbitrary } from 'fast-check';
import type { Case } from './choice.ts';
import type { Fields } from './case-arbitrary.ts';
import { over } from './recipe.ts';
import { executionRecipes } from './recipes-execution.ts';
import { lateRecipes } from './recipes-late.ts';
import { laterRecipes } from './recipes-later.ts';
import { switchRecipes } from './recipes-switches.ts';
import { systemRecipes } from './recipes-system.ts';
import { taskRecipes } from './recipes-tasks.ts';
import { transferRecipes } from './recipes-transfers.ts';

type Weighted = readonly { readonly weight: number; readonly arbitrary: Arbitrary<Case> }[];
/** Drawn beside cases by chance alone. */
export const focused = (fields: Fields): Weighted => over([...executionRecipes, ...transferRecipes], fields);
/** Drawn by themselves, in late blocks. */
export const focusedLate = (fields: Fields): Weighted => over(lateRecipes, fields);
/** Drawn by themselves after those, so that they stay as they are. */
export const focusedLater = (fields: Fields): Weighted => over([...laterRecipes, ...systemRecipes], fields);
/** Drawn by themselves after those. */
export const focusedLast = (fields: Fields): Weighted => over(taskRecipes, fields);
/** Drawn by themselves after those. */
export const focusedSwitches = (fields: Fields): Weighted => over(switchRecipes, fields);
