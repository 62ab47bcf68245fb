// Several clauses ask the same of one moment: computed once, remembered until the ghost meets another event.
// The memory hangs on the ghost, never on the event alone: the same event may be judged again elsewhere.

import type { Moment } from '../clause.ts';
import type { Event } from '../vocabulary.ts';

export const once = <G extends object, E extends Event, T>(compute: (m: Moment<G, E>) => T): ((m: Moment<G, E>) => T) => {
  const last = new WeakMap<G, { readonly event: E; readonly at: number; readonly value: T }>();
  return (m) => {
    const known = last.get(m.before);
    if (known !== undefined && known.event === m.event && known.at === m.at) return known.value;
    const value = compute(m);
    last.set(m.before, { event: m.event, at: m.at, value });
    return value;
  };
};
