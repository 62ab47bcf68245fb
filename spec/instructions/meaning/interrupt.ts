// INT n, INT3, INTO and INT1: the event that they are, and what virtual-8086 mode asks before.
// Intel SDM volume 2, INT n/INTO/INT3/INT1—Call to Interrupt Procedure.

import { flag } from '../bits.ts';
import { flagsOf, undecided, type Work } from '../work.ts';
import { redirected } from '../virtual-interrupts.ts';
import type { Meanings } from './meaning.ts';

const software = (w: Work, vector: number): void => {
  w.event = { vector, software: true };
};
export const interrupt: Meanings = {
  INT: (w) => {
    // A host opens few of its gates to ring 3; INT3 and INTO it must.
    if (!w.system) undecided("the IDT is the host's own");
    const vector = Number(w.i.immediate & 0xffn);
    if (!redirected(w, vector)) software(w, vector);
  },
  INT3: (w) => software(w, 3),
  INTO: (w) => {
    if ((flagsOf(w.s) & flag.OF) !== 0) software(w, 4);
  },
  INT1: (w) => {
    w.event = { vector: 1, software: false, instruction: true };
  },
};
