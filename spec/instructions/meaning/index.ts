// What each form does, as rules over whole values: tables by topic and mnemonic.
// Intel SDM volume 2, the instruction pages.

import type { Form, Topic } from '../forms/index.ts';
import { undecided } from '../work.ts';
import { alu } from './alu.ts';
import { bit } from './bit.ts';
import { branch } from './branch.ts';
import { cache } from './cache.ts';
import { call } from './call.ts';
import { control } from './control.ts';
import { chains, counts, swaps, wideMultiply } from './count.ts';
import { debug } from './debug.ts';
import { far } from './far.ts';
import { flags } from './flag.ts';
import { interrupt } from './interrupt.ts';
import { io } from './io.ts';
import { IRET } from './iret.ts';
import type { Meaning, Meanings } from './meaning.ts';
import { move } from './move.ts';
import { msr } from './msr.ts';
import { multiply } from './multiply.ts';
import { probe } from './probe.ts';
import { segment } from './segment.ts';
import { shift } from './shift.ts';
import { stack } from './stack.ts';
import { string } from './string.ts';
import { table } from './table.ts';
import { time } from './time.ts';

const meanings: Readonly<Record<Topic, Meanings>> = {
  move: { ...move, ...swaps },
  alu: { ...alu, ...chains },
  shift,
  multiply: { ...multiply, ...wideMultiply },
  bit: { ...bit, ...counts },
  string,
  stack,
  branch,
  far: { ...far, IRET },
  interrupt,
  flag: flags,
  segment,
  table,
  probe,
  io,
  control,
  debug,
  msr,
  time,
  call,
  cache,
  undefined: {},
};
const byForm = new Map<Form, Meaning>();
/** Found once a form: by topic and name it is slow to look up. */
export const meaningOf = (form: Form): Meaning => {
  let known = byForm.get(form);
  if (known === undefined) {
    known = meanings[form.topic][form.mnemonic] ?? (() => undecided(`what ${form.id} does`));
    byForm.set(form, known);
  }
  return known;
};
/** Forms without a meaning of their own: opcodes that are undefined. A test holds this to be all of them. */
export const hasMeaning = (form: Form): boolean => form.topic === 'undefined' || meanings[form.topic][form.mnemonic] !== undefined;
