// The clauses by id, for reports that print what a verdict is about.

import type { Clause } from '../../spec/clause.ts';
import { areas } from '../areas.ts';

export const rules: ReadonlyMap<string, Clause<never>> = new Map(areas.flatMap((a) => a.clauses.map((c) => [c.id, c])));
/** Whether a broken clause fails a run: advice does not. */
export const counted = (id: string): boolean => rules.get(id)?.level === 'must';
