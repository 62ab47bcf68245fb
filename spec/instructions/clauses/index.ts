// All clauses of the area, by topic.

import type { Clause } from '../../clause.ts';
import type { Event } from '../../vocabulary.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { ofRule, ofTopic } from './clause.ts';
import { courseClauses } from './course.ts';
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
  ...courseClauses,
];

type List = readonly Clause<InstructionsGhost>[];
const courses = new Set(courseClauses);
const ofCourses: List = clauses.filter((c) => !ofRule.has(c) && !ofTopic.has(c));
const lists = new Map<string | undefined, Map<string | undefined, List>>();
/** Clauses that can apply to how the case ended: those of the rule and of the topic at hand, and those that are of neither. Asking all hundred and more
 *  costs as much as foretelling the case. */
export const among = (g: InstructionsGhost, event: Event): readonly Clause<InstructionsGhost>[] | undefined => {
  if ((event as { readonly saw?: string }).saw !== 'cpu.outcome') return undefined;
  if (g.expected.course !== undefined) return ofCourses;
  const rule = g.expected.endings[0]?.rule;
  const topic = g.expected.instruction?.form.topic;
  let byTopic = lists.get(rule);
  if (byTopic === undefined) lists.set(rule, (byTopic = new Map()));
  let list = byTopic.get(topic);
  if (list === undefined) {
    list = clauses.filter((c) => !courses.has(c) && (ofRule.get(c) ?? rule) === rule && (ofTopic.get(c) ?? topic) === topic);
    byTopic.set(topic, list);
  }
  return list;
};
