// The forms of the bit-manipulation instructions that a VEX prefix encodes, for general registers alone.
// Intel SDM volume 2, appendix A, Opcode Map, and the pages of ANDN, BEXTR, BLSI, BLSMSK, BLSR, BZHI, MULX, PDEP, PEXT, RORX, SARX/SHLX/SHRX.

import { type Form, parse } from './form.ts';

export const vexForms: readonly Form[] = [
  ...parse(
    'bit',
    `
    V38 F2    NP ANDN Gy,By,Ey protected ?bmi1
    V38 F7    NP BEXTR Gy,Ey,By protected ?bmi1
    V38 F3 /1 NP BLSR By,Ey protected ?bmi1
    V38 F3 /2 NP BLSMSK By,Ey protected ?bmi1
    V38 F3 /3 NP BLSI By,Ey protected ?bmi1
    V38 F5    NP BZHI Gy,Ey,By protected ?bmi2
    V38 F5    F2 PDEP Gy,By,Ey protected ?bmi2
    V38 F5    F3 PEXT Gy,By,Ey protected ?bmi2
    V38 F7    F3 SARX Gy,Ey,By protected ?bmi2
    V38 F7    66 SHLX Gy,Ey,By protected ?bmi2
    V38 F7    F2 SHRX Gy,Ey,By protected ?bmi2
    V3A F0    F2 RORX Gy,Ey,Ib protected ?bmi2`,
  ),
  ...parse('multiply', 'V38 F6 F2 MULX Gy,By,Ey protected ?bmi2'),
];
