// What each mnemonic does, as rules over whole values: one table, filled by topic.
// Intel SDM volume 2, the instruction pages.

import type { Form } from '../forms/index.ts';
import { undecided, type Work } from '../work.ts';

export type Meaning = (w: Work) => void;
export type Meanings = Readonly<Record<string, Meaning>>;
const meanings: Meanings = {};
const unsaid: Meaning = (w) => undecided(`what ${w.i.form.id} does`);
export const meaningOf = (form: Form): Meaning => meanings[form.mnemonic] ?? unsaid;
