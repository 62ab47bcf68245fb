// Decides how INT n goes in virtual-8086 mode: through the IDT, to the program's own vector table, or to #GP.
// SDM volume 3, Handling Software Interrupts in Virtual-8086 Mode, Table "Software Interrupt Handling Methods".

import { system16 } from './access.ts';
import { CR4_VME, IF, IOPL, NT, TF, VIF } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { through8086 } from './events.ts';
import { gp } from './fault.ts';
import { readFlags } from './flags.ts';
import type { Insn } from './insn.ts';
import { settle } from './mode.ts';
import { system8 } from './system-byte.ts';

/** Whether it has been done here; else it goes through the IDT. */
export const softwareInterrupt = (c: Cpu, vector: number, insn: Insn): boolean => {
  if (!c.v86) return false;
  const iopl3 = (c.flags & IOPL) === IOPL;
  const redirected = (c.cr4 & CR4_VME) !== 0 && !inBitmap(c, vector);
  if (!redirected) {
    if (!iopl3) gp();
    return false;
  }
  const { lo, nextLo } = insn;
  c.ipLo = nextLo;
  try {
    // With IOPL below 3 the program sees VIF as IF, and IOPL as 3.
    const flags = readFlags(c);
    const shown = iopl3 ? flags : (flags & ~IF) | IOPL | ((flags & VIF) !== 0 ? IF : 0);
    through8086(c, 4 * vector, shown);
  } catch (thrown) {
    c.ipLo = lo;
    throw thrown;
  }
  c.flags &= ~(TF | NT | (iopl3 ? IF : VIF));
  settle(c);
  return true;
};
/** Whether the software interrupt redirection bitmap, the 32 bytes below the I/O bitmap, has the vector's bit set. */
const inBitmap = (c: Cpu, vector: number): boolean => {
  const { tr } = c;
  if (tr.limit < 103) return gp() === undefined;
  const at = system16(c, (tr.lo + 102) | 0, tr.hi) - 32 + (vector >>> 3);
  if (at < 0 || at > tr.limit) gp();
  return (system8(c, (tr.lo + at) | 0, tr.hi) & (1 << (vector & 7))) !== 0;
};
