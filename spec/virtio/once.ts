// Several clauses ask the same of one moment: computed once, remembered until the ghost meets another event.
// The ghost is compared too, never the event alone: the same event may be judged again elsewhere.

import type { Moment } from '../clause.ts';
import type { Event } from '../vocabulary.ts';

export const once = <G extends object, E extends Event, T>(compute: (m: Moment<G, E>) => T): ((m: Moment<G, E>) => T) => {
  let last: { readonly before: G; readonly event: E; readonly at: number; readonly value: T } | undefined;
  return (m) => {
    if (last !== undefined && last.before === m.before && last.event === m.event && last.at === m.at) return last.value;
    const value = compute(m);
    last = { before: m.before, event: m.event, at: m.at, value };
    return value;
  };
};
