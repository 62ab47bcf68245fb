// Fast system calls: the registers they take the new context from, and the fixed segments they load without descriptors.
// Intel SDM volume 2: SYSCALL, SYSRET, SYSENTER, SYSEXIT; volume 3, Performing Fast Calls to System Procedures.

import { efer, flag } from '../bits.ts';
import type { Segment } from '../vocabulary.ts';
import { canonical, cpl, flagsOf, gp, has, ia32e, leave, low, ofSystem, protectedMode, ud, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

/** Flat segments: base 0, limit 4 GBytes, accessed. */
const code = (selector: number, level: number, long: boolean): Segment => ({
  selector,
  base: 0n,
  limit: 0xffffffff,
  access: 0x809b | (level << 5) | (long ? 0x2000 : 0x4000),
});
const data = (selector: number, level: number): Segment => ({ selector, base: 0n, limit: 0xffffffff, access: 0xc093 | (level << 5) });
/** SS of SYSCALL and SYSRET: whether the RPL in IA32_STAR becomes the level's differs by vendor and model. */
const stackOf = (w: Work, selector: number, level: number): void => {
  w.s.ss = data((selector & 0xfffc) | level, level);
  if ((selector & 3) !== level) leave(w, 'ss.rpl', 3n);
};
const following = (w: Work): bigint => w.s.rip + BigInt(w.i.length);
const land = (w: Work, rip: bigint): void => {
  w.s.rip = rip;
  w.moved = true;
};
const enabled = (w: Work): void => {
  ofSystem(w, 'the system-call registers');
  if (!has(w, 'syscall')) ud('ud.feature');
  if (w.i.code !== 64 && w.cpu.vendor !== 'intel') undecided('SYSCALL and SYSRET outside 64-bit mode');
  if (w.i.code !== 64 || (low(w.s.efer) & efer.SCE) === 0) ud('call.enabled');
};
const SYSCALL: Meaning = (w) => {
  enabled(w);
  const { s } = w;
  s.rcx = following(w);
  s.r11 = BigInt(flagsOf(s));
  leave(w, 'r11', BigInt(flag.RF));
  w.flagsWritten |= low(s.sfmask);
  s.rflags = BigInt((flagsOf(s) & ~low(s.sfmask) & ~flag.RF) | 2) & 0xffffffffn;
  const base = Number((s.star >> 32n) & 0xffffn);
  s.cs = code(base & 0xfffc, 0, true);
  stackOf(w, base + 8, 0);
  land(w, s.lstar);
};
const SYSRET: Meaning = (w) => {
  enabled(w);
  const { s } = w;
  const base = Number((s.star >> 48n) & 0xffffn);
  const wide = w.i.operandSize === 8;
  if (wide && !canonical(s, s.rcx)) {
    if (w.cpu.vendor !== 'intel') undecided('SYSRET to an address that is not canonical');
    gp('call.canonical');
  }
  w.flagsWritten |= 0x3c7fd7;
  s.rflags = BigInt((low(s.r11) & 0x3c7fd7) | 2);
  leave(w, 'rflags', BigInt(flag.RF));
  s.cs = code(((wide ? base + 16 : base) & 0xffff) | 3, 3, wide);
  stackOf(w, base + 8, 3);
  // Elsewhere than on Intel's only the selector changes. AMD APM volume 3, SYSRET.
  if (w.cpu.vendor !== 'intel') for (const part of ['base', 'limit', 'access']) leave(w, `ss.${part}`);
  land(w, wide ? s.rcx : s.rcx & 0xffffffffn);
};
const SYSENTER: Meaning = (w) => {
  ofSystem(w, 'the system-call registers');
  const { s } = w;
  if (!has(w, 'sep')) ud('ud.feature');
  if (w.cpu.vendor !== 'intel' && ia32e(s)) undecided('SYSENTER in IA-32e mode');
  if (!protectedMode(s) || (low(s.sysenterCs) & 0xfffc) === 0) gp('call.sysenter');
  const long = ia32e(s);
  const base = low(s.sysenterCs) & 0xfffc;
  w.flagsWritten |= flag.VM | flag.IF;
  s.rflags = BigInt(flagsOf(s) & ~(flag.VM | flag.IF | flag.RF));
  s.cs = code(base, 0, long);
  s.ss = data((base + 8) & 0xffff, 0);
  s.rsp = long ? s.sysenterEsp : s.sysenterEsp & 0xffffffffn;
  land(w, long ? s.sysenterEip : s.sysenterEip & 0xffffffffn);
};
const SYSEXIT: Meaning = (w) => {
  ofSystem(w, 'the system-call registers');
  const { s } = w;
  if (!has(w, 'sep')) ud('ud.feature');
  if (w.cpu.vendor !== 'intel' && ia32e(s)) undecided('SYSEXIT in IA-32e mode');
  if (!protectedMode(s) || cpl(s) !== 0 || (low(s.sysenterCs) & 0xfffc) === 0) gp('call.sysenter');
  const wide = w.i.operandSize === 8;
  if (wide && (!canonical(s, s.rcx) || !canonical(s, s.rdx))) gp('call.canonical');
  const base = (low(s.sysenterCs) & 0xffff) + (wide ? 32 : 16);
  s.cs = code((base & 0xffff) | 3, 3, wide);
  s.ss = data(((base + 8) & 0xffff) | 3, 3);
  s.rsp = wide ? s.rcx : s.rcx & 0xffffffffn;
  land(w, wide ? s.rdx : s.rdx & 0xffffffffn);
};
export const call: Meanings = { SYSCALL, SYSRET, SYSENTER, SYSEXIT };
