// What several commands read from the command line: whole numbers, areas, clauses. A mistake is named with its fix.

import { areas, suites, suitesFor, within } from '../conformance/areas.ts';
import type { Suite } from '../conformance/program.ts';
import { usage } from './usage.ts';

/** A whole number of at least `least`. */
export const whole = (text: string, name: string, least = 0): number => {
  const n = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(n) || n < least)
    throw usage(`${name} ${text}: must be a whole number of at least ${least}`);
  return n;
};
const some = (all: readonly string[]): string => `${all.slice(0, 12).join(', ')}${all.length > 12 ? ', …' : ''}`;

/** Prefixes that name no area are a mistake. */
export const areasNamed = (prefixes: readonly string[] | undefined): readonly string[] => {
  const all = [...new Set([...areas, ...suites].flatMap(({ id }) => [id.split('.')[0] ?? id, id]))];
  for (const p of prefixes ?? []) if (!all.some((id) => within(id, [p]))) throw usage(`no area is called ${p}; there are ${some(all)}`);
  return prefixes ?? [];
};
/** Those that share most of the dotted words with it, from the front; none where not even the first is shared. */
const nearest = (id: string, all: readonly string[]): readonly string[] => {
  const words = id.split('.');
  for (let n = words.length - 1; n > 0; n--) {
    const like = all.filter((a) => a.startsWith(`${words.slice(0, n).join('.')}.`));
    if (like.length > 0) return like;
  }
  return [];
};
export const clausesNamed = (ids: readonly string[] | undefined): readonly string[] => {
  const all = areas.flatMap((a) => a.clauses.map((c) => c.id));
  for (const id of ids ?? []) {
    if (all.includes(id)) continue;
    const below = all.filter((a) => a.startsWith(`${id}.`));
    const near = nearest(id, all);
    throw usage(
      `no clause is called ${id}; ` +
        (below.length > 0
          ? `there are ${some(below)}: name one, or all of an area by --area`
          : `vmmc clauses prints all ${all.length}${near.length === 0 ? '' : `; there are ${some(near)}`}`),
    );
  }
  return ids ?? [];
};
/** The areas of these clauses, of which programs are made where no area is named; `machine` is of all. */
export const areasOf = (clauses: readonly string[]): readonly string[] => {
  const own = areas.filter((a) => a.clauses.some((c) => clauses.includes(c.id))).map((a) => a.id);
  return own.includes('machine') ? [] : own;
};
/** The suites that make programs for the areas; a mistake where there is none. */
export const suitesNamed = (prefixes: readonly string[] | undefined): readonly Suite[] => {
  const suites = suitesFor(areasNamed(prefixes));
  if (suites.length === 0) throw usage(`no suite makes programs for ${(prefixes ?? []).join(', ')}`);
  return suites;
};
