// All clauses of the area, by topic.

import type { Clause } from '../../clause.ts';
import type { Event } from '../../vocabulary.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { ofRule, ofTopic } from './clause.ts';
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

type List = readonly Clause<InstructionsGhost>[];
const lists = new Map<string | undefined, Map<string | undefined, List>>();
/** Clauses that can apply to how the case ended: those of the rule and of the topic at hand, and those that are of neither. Asking all hundred and more
 *  costs as much as foretelling the case. */
export const among = (g: InstructionsGhost, event: Event): readonly Clause<InstructionsGhost>[] | undefined => {
  if ((event as { readonly saw?: string }).saw !== 'cpu.outcome') return undefined;
  const rule = g.expected.endings[0]?.rule;
  const topic = g.expected.instruction?.form.topic;
  let byTopic = lists.get(rule);
  if (byTopic === undefined) lists.set(rule, (byTopic = new Map()));
  let list = byTopic.get(topic);
  if (list === undefined) {
    list = clauses.filter((c) => (ofRule.get(c) ?? rule) === rule && (ofTopic.get(c) ?? topic) === topic);
    byTopic.set(topic, list);
  }
  return list;
};
