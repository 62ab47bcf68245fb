// All forms the spec covers, and which form an opcode selects. Anything else is an unknown instruction, about which nothing is said.
// Intel SDM volume 2, appendix A, Opcode Map.

import { type Form, type Map, parse } from './form.ts';
import { integerForms } from './integer.ts';
import { systemForms } from './system.ts';
import { vexForms } from './vex.ts';

export type { Form, Operand, Topic } from './form.ts';
const first: readonly Form[] = [...integerForms, ...systemForms, ...vexForms];
/** How many of the forms are drawn by chance and by topic: those that came later are drawn by name, so that the programs before them stay as they are. */
export const drawn: number = first.length;
/** Undefined, and yet no #UD (SDM volume 3, Interrupt 6); what it does is not said. */
const lateForms = parse('alu', 'D6 SALC');
/** The forms that are judged: what a generator of cases may encode. */
export const forms: readonly Form[] = [...first, ...lateForms];

const tables: readonly Form[][][] = [[], [], [], [], []];
for (const form of forms)
  for (let k = 0; k < (form.plus ? 8 : 1); k++) {
    const table = tables[form.map] as Form[][];
    const list = table[form.opcode + k];
    if (list === undefined) table[form.opcode + k] = [form];
    else list.push(form);
  }
const none: readonly Form[] = [];
/** Forms that share an opcode, in the order of the tables. */
export const candidates = (map: Map, opcode: number): readonly Form[] => tables[map]?.[opcode] ?? none;
