// Debug registers: DR4 and DR5, reserved halves, fixed bits. Intel SDM volume 3, Debug Registers; volume 2, MOV—Move to/from Debug Registers.

import { faultsOf } from '../access.ts';
import { cr4 } from '../bits.ts';
import { BD, GD } from '../breakpoints.ts';
import { gp, leave, low, raise, register, setRegister, ud, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

const numberOf = (w: Work): number => {
  const n = w.i.reg;
  if (n >= 8) ud('ud.register');
  if (n !== 4 && n !== 5) return n;
  if ((low(w.s.cr4) & cr4.DE) !== 0) ud('debug.de');
  return n + 2;
};
const names = ['dr0', 'dr1', 'dr2', 'dr3', '', '', 'dr6', 'dr7'] as const;
const MOV: Meaning = (w) => {
  // Which comes first where the register does not exist either is not said.
  if ((low(w.s.dr7) & GD) !== 0) raise({ vector: 1, rule: 'debug.detect', debug: BD }, ...faultsOf(() => numberOf(w)));
  const n = numberOf(w);
  const name = names[n] as 'dr0';
  const size = w.i.code === 64 ? 8 : 4;
  if (w.i.form.operands[0]?.at !== 'D') {
    setRegister(w, w.i.rm, size, w.s[name]);
    return;
  }
  const image = register(w, w.i.rm, size);
  if (n >= 6 && image >> 32n !== 0n) gp('debug.reserved');
  if (n === 7 && (image & 0xffn) !== 0n) undecided('breakpoints that the program enables');
  // Fixed bits: DR6 31:16 (less RTM), 11:4 ones, 12 zero; DR7 10 one, 15:14 and 12 zero.
  if (n === 6) {
    w.s.dr6 = (image & 0xe00fn) | 0xffff0ff0n;
    leave(w, 'dr6', 0x10800n);
  } else if (n === 7) {
    w.s.dr7 = (image & 0xffff23ffn) | 0x400n;
    leave(w, 'dr7', 0x800n);
  } else w.s[name] = image;
};
export const debug: Meanings = { MOV };
