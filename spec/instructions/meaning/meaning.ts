// The type of what a mnemonic does: it foretells state and memory, or throws the faults that are permitted.
// Intel SDM volume 2, the instruction pages.

import type { Work } from '../work.ts';

export type Meaning = (w: Work) => void;
export type Meanings = Readonly<Record<string, Meaning>>;
