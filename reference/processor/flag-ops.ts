// Decides who may change which flags: CLI, STI, PUSHF and POPF under IOPL, virtual-8086 mode extensions and protected-mode virtual interrupts.
// SDM volume 2, CLI STI PUSHF POPF CLAC STAC; volume 3, Virtual-8086 Mode (VME), Protected-Mode Virtual Interrupts.

import { AC, CR4_PVI, CR4_VME, ID, IF, IOPL, RF, TF, VIF, VIP, VM, NT, DF, ARITHMETIC } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { type Build, type Entries, ending } from './entry.ts';
import { gp, ud } from './fault.ts';
import { readFlags, writeFlags } from './flags.ts';
import { settle } from './mode.ts';
import { peek, drop, push, wordSize } from './stack.ts';

const SHADOW_STI = 1;
const iopl = (c: Cpu): number => (c.flags & IOPL) >>> 12;
/** 'if': IF itself; 'vif': the virtual flag; else #GP(0). */
const which = (c: Cpu): 'if' | 'vif' => {
  if (!c.protect || iopl(c) >= c.cpl) return 'if';
  if (c.v86 ? (c.cr4 & CR4_VME) !== 0 : c.cpl === 3 && (c.cr4 & CR4_PVI) !== 0) return 'vif';
  return gp();
};
const cli = (c: Cpu): void => {
  c.flags &= which(c) === 'if' ? ~IF : ~VIF;
};
const sti = (c: Cpu): void => {
  if (which(c) === 'vif') {
    if ((c.flags & VIP) !== 0) gp();
    c.flags |= VIF;
    return;
  }
  // Only where interrupts were off is the next instruction shielded.
  if ((c.flags & IF) === 0) c.shadow = SHADOW_STI;
  c.flags |= IF;
  c.attention = 1;
};
const pushf: Build = (insn) => {
  const size = wordSize(insn.form, insn.bits);
  return (c) => {
    let flags = readFlags(c) & ~(VM | RF);
    if (c.v86 && iopl(c) < 3) {
      if ((c.cr4 & CR4_VME) === 0 || size !== 16) gp();
      flags = (flags & ~IF) | IOPL | ((flags & VIF) !== 0 ? IF : 0);
    }
    push(c, flags, 0, size);
  };
};
const popf: Build = (insn) => {
  const size = wordSize(insn.form, insn.bits);
  const bytes = size >> 3;
  return (c) => {
    const virtual = c.v86 && iopl(c) < 3;
    if (virtual && ((c.cr4 & CR4_VME) === 0 || size !== 16)) gp();
    const popped = peek(c, 0, size);
    let may = ARITHMETIC | TF | DF | NT | (size === 16 ? 0 : AC | ID);
    let value = popped;
    if (virtual) {
      if ((popped & TF) !== 0 || ((popped & IF) !== 0 && (c.flags & VIP) !== 0)) gp();
      value = (popped & ~VIF) | ((popped & IF) !== 0 ? VIF : 0);
      may |= VIF;
    } else {
      if (!c.protect || c.cpl === 0) may |= IOPL;
      if (!c.protect || c.cpl <= iopl(c)) may |= IF;
    }
    drop(c, bytes);
    writeFlags(c, (readFlags(c) & ~may) | (value & may));
    settle(c);
    c.attention = 1;
  };
};
/** CPUID announces SMAP, so CLAC and STAC exist whatever CR4 says; above CPL 0 they do not. */
const accessFlag =
  (set: boolean): Build =>
  () =>
  (c) => {
    if (c.cpl !== 0) ud();
    if (set) c.flags |= AC;
    else c.flags &= ~AC;
    settle(c);
  };

export const flagOperations: Entries = ending({
  Cli: () => cli,
  Sti: () => sti,
  Pushf: pushf,
  Pushfd: pushf,
  Pushfq: pushf,
  Popf: popf,
  Popfd: popf,
  Popfq: popf,
  Clac: accessFlag(false),
  Stac: accessFlag(true),
});
