// The words that recipes of cases are written in: the fields that they fix, and the forms that they are about.
// What a recipe does not fix is drawn as in any case.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { drawn, type Form, forms } from '../../spec/instructions/index.ts';
import { caseFrom, type Fields } from './case-arbitrary.ts';
import type { Case, Tweak, TweakKind } from './choice.ts';
import { loadable, oddSelectors, places } from './edges.ts';
import type { SelectorName } from './layout.ts';

export type Recipe = { readonly [K in Exclude<keyof Case, 'op' | 'form'>]?: Arbitrary<Case[K]> | Case[K] };

/** Levels, from the outermost. */
export const USER = 0;
export const KERNEL = 3;
export const within = (...values: readonly number[]): Arbitrary<number> => fc.constantFrom(...values);
export const below = (count: number): Arbitrary<number> => fc.nat({ max: count - 1 });
export const tweak = (kind: TweakKind, a: Arbitrary<number> | number, b: Arbitrary<number> | number = 0): Arbitrary<Tweak> =>
  fc.record(
    { kind: fc.constant(kind), a: typeof a === 'number' ? fc.constant(a) : a, b: typeof b === 'number' ? fc.constant(b) : b },
    { noNullPrototype: true },
  );
export const edits = (...list: readonly Arbitrary<Tweak>[]): Arbitrary<readonly Tweak[]> => fc.tuple(...list);
export const indexOf = (name: SelectorName): number => loadable.indexOf(name);
/** As `selector`, where 0 is the plain one. */
export const named = (...names: readonly SelectorName[]): Arbitrary<number> => within(...names.map((n) => 1 + indexOf(n)));
export const anySelector: Arbitrary<number> = below(1 + loadable.length + oddSelectors.length);
export const at = (...kinds: readonly string[]): Arbitrary<number> => within(...kinds.map((k) => places.findIndex((p) => p.kind === k)));
export const topics = (...list: readonly Form['topic'][]): readonly Form[] => forms.slice(0, drawn).filter((f) => list.includes(f.topic));
export const called = (...list: readonly string[]): readonly Form[] => forms.filter((f) => list.includes(f.mnemonic));
export const onMemory: readonly Form[] = forms.filter(
  (f) => f.mod !== 'register' && f.operands.some((o) => (o.at === 'E' || o.at === 'M') && o.width !== 'n') && f.topic !== 'far',
);
export const loads: readonly Form[] = forms.filter(
  (f) => f.topic === 'segment' && (f.operands[0]?.at === 'S' || /^(POP|L)/.test(f.mnemonic)),
);
export const toControl: readonly Form[] = forms.filter((f) => f.topic === 'control' && f.operands[0]?.at === 'C');
export const fromControl: readonly Form[] = forms.filter((f) => f.topic === 'control' && f.operands[1]?.at === 'C');
/** MOV to SS and POP SS. */
export const toStack: readonly Form[] = called('MOV', 'POPSS').filter((f) => f.topic === 'segment' && f.operands[0]?.at !== 'E');
export const toDebug: readonly Form[] = topics('debug');
/** No edit and no fault in the way. */
export const undisturbed: Recipe = { prefix: 0, place: within(0, 0, 0, 1, 3), tweaks: fc.constant<readonly Tweak[]>([]) };
export const far: readonly Form[] = called('CALLF', 'JMPF');
export const gates: Arbitrary<number> = named('callGate3', 'callGate0', 'callGate16');

/** The forms that it is about, the fields that make the case, and its weight; default 2. */
export type Entry = readonly [from: readonly Form[], recipe: Recipe, weight?: number];

const numbers = (list: readonly Form[]): Arbitrary<number> => fc.constantFrom(...list.map((f) => forms.indexOf(f)));
/** Recipes as arbitraries over the fields of a case: what they do not fix is left to chance. */
export const over = (
  entries: readonly Entry[],
  fields: Fields,
): readonly { readonly weight: number; readonly arbitrary: Arbitrary<Case> }[] =>
  entries.map(([from, recipe, weight = 2]) => {
    const fixed = Object.fromEntries(
      Object.entries(recipe).map(([name, v]) => [name, typeof v === 'object' ? v : fc.constant(v)]),
    ) as Partial<Fields>;
    return { weight, arbitrary: caseFrom({ ...fields, ...fixed, form: numbers(from) }) };
  });
