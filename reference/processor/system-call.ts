// Decides the fast system calls: SYSCALL and SYSRET, SYSENTER and SYSEXIT. No descriptor is read: the segments are as the manual fixes them.
// SDM volume 2, SYSCALL SYSRET SYSENTER SYSEXIT (Operation).

import { EFER_SCE, IF, RF, TF, VM } from './bits.ts';
import { canonical } from './branch.ts';
import { CS, type Cpu, SS } from './cpu.ts';
import { type Build, type Entries, jumping } from './entry.ts';
import { gp, ud } from './fault.ts';
import { readFlags, writeFlags } from './flags.ts';
import { high, low } from './halves.ts';
import { setSeg, settle, settleSegments } from './mode.ts';

/** Flat segments: type 11 or 3, S, P, G; L or D/B. */
const CODE64 = 0xa09b;
const CODE32 = 0xc09b;
const DATA = 0xc093;
const enter = (c: Cpu, code: number, data: number, access: number, cpl: number): void => {
  const fromV86 = c.v86;
  c.cpl = cpl;
  if (fromV86) c.flags &= ~VM;
  setSeg(c.seg[CS], (code & 0xfffc) | cpl, 0, 0, 0xffff_ffff, access | (cpl << 5));
  setSeg(c.seg[SS], (data & 0xfffc) | cpl, 0, 0, 0xffff_ffff, DATA | (cpl << 5));
  settle(c);
  if (fromV86) settleSegments(c);
};

const syscall: Build = (insn) => (c) => {
  if (c.code !== 64 || (c.efer & EFER_SCE) === 0) ud();
  c.r[2] = insn.nextLo;
  c.r[3] = insn.nextHi;
  const flags = readFlags(c);
  c.r[22] = flags;
  c.r[23] = 0;
  const selector = Number((c.star >> 32n) & 0xffffn);
  writeFlags(c, flags & ~low(c.sfmask) & ~RF);
  enter(c, selector, selector + 8, CODE64, 0);
  c.ipLo = low(c.lstar);
  c.ipHi = high(c.lstar);
  // A trap flag that the mask has cleared does not trap.
  c.untraced = (c.flags & TF) === 0;
};
const sysret: Build = (insn) => {
  const wide = insn.name === 'Sysretq';
  return (c) => {
    if (c.code !== 64 || (c.efer & EFER_SCE) === 0) ud();
    if (c.cpl !== 0) gp();
    const [lo, hi] = [c.r[2]!, wide ? c.r[3]! : 0];
    if (wide && !canonical(c, hi)) gp();
    writeFlags(c, c.r[22]! & 0x3c_7fd7);
    const selector = Number((c.star >> 48n) & 0xffffn);
    enter(c, selector + (wide ? 16 : 0), selector + 8, wide ? CODE64 : CODE32, 3);
    c.ipLo = lo;
    c.ipHi = hi;
    c.attention = 1;
  };
};
const sysenter: Build = () => (c) => {
  const selector = low(c.sysenterCs) & 0xffff;
  if (!c.protect || (selector & 0xfffc) === 0) gp();
  c.flags &= ~(VM | IF | RF);
  const { lma } = c;
  enter(c, selector, selector + 8, lma ? CODE64 : CODE32, 0);
  c.r[8] = low(c.sysenterEsp);
  c.r[9] = lma ? high(c.sysenterEsp) : 0;
  c.ipLo = low(c.sysenterEip);
  c.ipHi = lma ? high(c.sysenterEip) : 0;
};
const sysexit: Build = (insn) => {
  const wide = insn.name === 'Sysexitq';
  return (c) => {
    const selector = low(c.sysenterCs) & 0xffff;
    if (!c.protect || (selector & 0xfffc) === 0 || c.cpl !== 0) gp();
    if (wide && (!canonical(c, c.r[3]!) || !canonical(c, c.r[5]!))) gp();
    const [sp, spHi, ip, ipHi] = [c.r[2]!, c.r[3]!, c.r[4]!, c.r[5]!];
    const code = selector + (wide ? 32 : 16);
    enter(c, code, code + 8, wide ? CODE64 : CODE32, 3);
    c.r[8] = sp;
    c.r[9] = wide ? spHi : 0;
    c.ipLo = ip;
    c.ipHi = wide ? ipHi : 0;
  };
};
export const systemCalls: Entries = jumping({
  Syscall: syscall,
  Sysret: sysret,
  Sysretq: sysret,
  Sysenter: sysenter,
  Sysexit: sysexit,
  Sysexitq: sysexit,
});
