// Decides the instructions without operands to speak of: flag operations, no-operations, software interrupts, HLT.
// SDM volume 2, CLC STC CMC CLD STD NOP INT n INT3 INT1 INTO UD0 UD1 UD2 HLT.

import { read8 } from './access.ts';
import { BP, DB, DF, OF_TRAP } from './bits.ts';
import { type Build, type Entries, jumping, plain } from './entry.ts';
import { deliver } from './events.ts';
import { gp, ud } from './fault.ts';
import { carry, setCarry } from './flags.ts';
import type { Insn } from './insn.ts';
import { loadAddress, type Run } from './operands.ts';
import { softwareInterrupt } from './software-interrupt.ts';

const nothing: Run = () => {};
/** Goes through the IDT with the next instruction as return address; where that faults, this one is the return address. */
const trap = (insn: Insn, vector: number, source: 'software' | 'exception'): Run => {
  const { lo, hi, nextLo, nextHi } = insn;
  return (c) => {
    c.ipLo = nextLo;
    c.ipHi = nextHi;
    try {
      deliver(c, vector, -1, source, false);
      c.untraced = true;
    } catch (thrown) {
      if (!c.moved) {
        c.ipLo = lo;
        c.ipHi = hi;
      }
      throw thrown;
    }
  };
};
const int = (insn: Insn): Run => {
  const o = insn.ops[0]!;
  const vector = o.kind === 'immediate' ? o.lo & 0xff : 0;
  const through = trap(insn, vector, 'software');
  return (c) => {
    if (!softwareInterrupt(c, vector, insn)) through(c);
  };
};
const into = (insn: Insn): Run => {
  const through = trap(insn, OF_TRAP, 'software');
  return (c) => {
    if ((c.c ^ (c.c << 1)) < 0) through(c);
    else {
      c.ipLo = insn.nextLo;
      c.ipHi = insn.nextHi;
    }
  };
};
/** Checked as a load of a byte is; there is no cache to flush. */
const touch: Build = (insn) => {
  const at = loadAddress(insn, { kind: 'memory', size: 8 });
  return (c) => void read8(c, at(c));
};
const hlt: Run = (c) => {
  if (c.cpl !== 0) gp();
  c.halted = true;
  c.attention = 1;
};
export const simple: Entries = {
  ...plain({
    Nop: () => nothing,
    Reservednop: () => nothing,
    Pause: () => nothing,
    Endbr32: () => nothing,
    Endbr64: () => nothing,
    Lfence: () => nothing,
    Mfence: () => nothing,
    Sfence: () => nothing,
    Clflush: touch,
    Prefetchnta: () => nothing,
    Prefetcht0: () => nothing,
    Prefetcht1: () => nothing,
    Prefetcht2: () => nothing,
    Prefetchw: () => nothing,
    Clc: () => (c) => setCarry(c, 0),
    Stc: () => (c) => setCarry(c, 1),
    Cmc: () => (c) => setCarry(c, 1 - carry(c)),
    Cld: () => (c) => {
      c.flags &= ~DF;
    },
    Std: () => (c) => {
      c.flags |= DF;
    },
    Ud0: () => ud,
    Ud1: () => ud,
    Ud2: () => ud,
  }),
  Hlt: { build: () => hlt, ends: true },
  ...jumping({
    Int: int,
    Int3: (insn) => trap(insn, BP, 'software'),
    Int1: (insn) => trap(insn, DB, 'exception'),
    Into: into,
  }),
};
