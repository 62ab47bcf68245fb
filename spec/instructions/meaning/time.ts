// Time stamps, counters and identification: who may, and which registers they write. The values are the machine's own.
// Intel SDM volume 2: RDTSC, RDTSCP, RDPMC, RDPID, CPUID; volume 3, Control Registers (TSD, PCE).

import { cr4 } from '../bits.ts';
import { knownOf } from '../identification.ts';
import { cpl, gp, leave, low, ofSystem, protectedMode, setRegister, undecided, type Work } from '../work.ts';
import type { Meanings } from './meaning.ts';

const anyLow = (w: Work, names: readonly ('rax' | 'rbx' | 'rcx' | 'rdx')[]): void => {
  for (const name of names) {
    w.s[name] = 0n;
    leave(w, name, 0xffffffffn);
  }
};
const permitted = (w: Work): void => {
  if (cpl(w.s) === 0 || !protectedMode(w.s)) return;
  ofSystem(w, 'CR4.TSD');
  if ((low(w.s.cr4) & cr4.TSD) !== 0) gp('time.tsd');
};
export const time: Meanings = {
  RDTSC: (w) => {
    permitted(w);
    anyLow(w, ['rax', 'rdx']);
  },
  RDTSCP: (w) => {
    permitted(w);
    anyLow(w, ['rax', 'rdx']);
    w.s.rcx = w.s.tscAux & 0xffffffffn;
    if (!w.system) leave(w, 'rcx', 0xffffffffn);
  },
  RDPID: (w) => {
    ofSystem(w, 'IA32_TSC_AUX');
    setRegister(w, w.i.rm, w.i.code === 64 ? 8 : 4, w.s.tscAux);
  },
  RDPMC: (w) => {
    if (cpl(w.s) !== 0 && protectedMode(w.s)) {
      ofSystem(w, 'CR4.PCE');
      if ((low(w.s.cr4) & cr4.PCE) === 0) gp('time.pce');
    }
    undecided('which performance counters exist');
  },
  CPUID: (w) => {
    const known = knownOf(w);
    for (const name of ['rax', 'rbx', 'rcx', 'rdx'] as const) {
      const here = known.filter((k) => k.name === name);
      const mask = here.reduce((bits, k) => bits | k.mask, 0) >>> 0;
      w.s[name] = BigInt(here.reduce((bits, k) => bits | k.value, 0) >>> 0);
      leave(w, name, 0xffffffffn & ~BigInt(mask));
    }
  },
};
