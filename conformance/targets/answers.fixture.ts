// What tests ask of programs that a target ran at once: all that was answered, as a list.

import type { Answer, WholeAnswers } from '../../spec/units.ts';

export const allOf = (answers: WholeAnswers, programs: { readonly length: number }): readonly (readonly Answer[])[] =>
  Array.from({ length: programs.length }, (_, i) => answers.at(i) ?? []);
