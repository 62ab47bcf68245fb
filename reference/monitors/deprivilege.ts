// Decides how the guest's state is put on the real processor at CPL 3 and taken back: rings 0 to 2 compressed onto 3, flags and control registers real.
// SDM volume 3, Privilege Levels; System Flags. What the guest can then see of the real ones without a trap is what trap-and-emulate cannot hide.

import {
  CR0_AM,
  CR0_EM,
  CR0_ET,
  CR0_MP,
  CR0_NE,
  CR0_PE,
  CR0_PG,
  CR0_TS,
  CR0_WP,
  CR4_FSGSBASE,
  CR4_OSFXSR,
  CR4_OSXMMEXCPT,
  CR4_OSXSAVE,
  CR4_PAE,
  CR4_TSD,
  CR4_UMIP,
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  IF,
  IOPL,
  RF,
  VIF,
  VIP,
  VM,
} from '../processor/bits.ts';
import { CS, type Cpu, FS, GS, type Seg, SS } from '../processor/cpu.ts';
import { settle } from '../processor/mode.ts';
import { compressed, guestLevel } from './descriptors.ts';
import { classOf, OWN_LINEAR, zap } from './shadow.ts';
import { GDT_PAGE, IDT_PAGE, LDT_PAGE, TSS_PAGE, type World } from './world.ts';

const PAGE = 4096;
/** Flags that stay the monitor's: interrupts on, IOPL 0. */
const KEPT = IF | IOPL | VM | VIF | VIP | RF;
const CR0_GUEST = CR0_MP | CR0_EM | CR0_TS;
const CR4_GUEST = CR4_FSGSBASE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_UMIP;
/** Selectors of the monitor's own LDT and TSS, at the end of its GDT. */
const LDT_SELECTOR = 0xfe0;
const TSS_SELECTOR = 0xff0;

const copy = (to: Seg, from: Seg): void => {
  to.selector = from.selector;
  to.lo = from.lo;
  to.hi = from.hi;
  to.limit = from.limit;
  to.access = from.access;
  to.rights = from.rights;
  to.lower = from.lower;
  to.upper = from.upper;
};
const own = (c: Cpu, s: Seg, page: number, selector: number, limit: number, access: number): void => {
  s.selector = selector;
  s.lo = OWN_LINEAR + page * PAGE;
  s.hi = c.lma ? -1 : 0;
  s.limit = limit;
  s.access = access;
};

/** Whether the guest can run on the real processor now; else the emulator runs it, an instruction at a time. */
export const hostable = (v: Cpu): boolean =>
  v.attention === 0 && v.protect && !v.halted && !v.shutdown && v.shadow === 0 && v.watches.length === 0 && v.debug === 0;

export const deprivilege = (w: World): void => {
  const { c, v } = w;
  const lma = v.lma;
  c.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG | (v.cr0 & CR0_GUEST) | (v.cpl === 3 ? v.cr0 & CR0_AM : 0);
  c.cr4 = CR4_PAE | CR4_TSD | (v.cr4 & CR4_GUEST) | (w.umip ? CR4_UMIP : 0);
  c.efer = EFER_NXE | (lma ? EFER_LME | EFER_LMA : 0);
  c.flags = (v.flags & ~(KEPT & ~VM)) | IF;
  arithmetic(c, v);
  c.cpl = 3;
  for (let i = 0; i < 6; i++) {
    const s = c.seg[i]!;
    copy(s, v.seg[i]!);
    if (v.cpl === 3) continue;
    s.access = compressed(s.access);
    if (i === CS || i === SS) s.selector |= 3;
  }
  c.lma = lma;
  const context = (lma ? 4 : 0) | classOf(v);
  if (w.context !== context) {
    w.context = context;
    zap(w);
  }
  own(c, c.ldtr, LDT_PAGE, LDT_SELECTOR, PAGE - 1, 0x82);
  own(c, c.tr, TSS_PAGE, TSS_SELECTOR, 0x67, 0x8b);
  c.idtLo = OWN_LINEAR + IDT_PAGE * PAGE;
  c.gdtLo = OWN_LINEAR + GDT_PAGE * PAGE;
  c.idtHi = c.gdtHi = lma ? -1 : 0;
  c.idtLimit = c.gdtLimit = PAGE - 1;
  c.ipLo = v.ipLo;
  c.ipHi = v.ipHi;
  c.mxcsr = v.mxcsr;
  c.xcr0 = v.xcr0;
  c.tscAux = v.tscAux;
  c.iterations = v.iterations;
  c.done = v.done;
  c.shadow = 0;
  c.debug = 0;
  c.attention = 0;
  settle(c);
};
const arithmetic = (to: Cpu, from: Cpu): void => {
  to.z = from.z;
  to.s = from.s;
  to.p = from.p;
  to.c = from.c;
  to.a = from.a;
};

/** Takes back what runs natively change: flags, instruction pointer, what the last instruction left. */
export const absorb = (w: World): void => {
  const { c, v } = w;
  v.flags = (v.flags & KEPT) | (c.flags & ~KEPT);
  arithmetic(v, c);
  v.ipLo = c.ipLo;
  v.ipHi = c.ipHi;
  v.mxcsr = c.mxcsr;
  v.iterations = c.iterations;
  v.done = c.done;
  // WRFSBASE and WRGSBASE are innocuous.
  for (const i of [FS, GS]) [v.seg[i]!.lo, v.seg[i]!.hi] = [c.seg[i]!.lo, c.seg[i]!.hi];
  v.shadow = c.shadow;
  if (c.attention !== 0) v.attention = 1;
  settle(v);
};
/** And segment registers that the guest loaded without a trap: hidden parts come from compressed descriptors, the levels from before. */
export const absorbSegments = (w: World): void => {
  const { c, v } = w;
  for (let i = 0; i < 6; i++) {
    const [now, before] = [c.seg[i]!, v.seg[i]!];
    const given = v.cpl === 3 ? before.access : compressed(before.access);
    const selector = v.cpl < 3 && (i === CS || i === SS) ? before.selector | 3 : before.selector;
    const same = now.selector === selector && now.limit === before.limit && now.access === given;
    if (same && now.lo === before.lo && now.hi === before.hi) continue;
    const access = same ? before.access : now.access;
    copy(before, now);
    before.access = access;
    if (same) before.selector = now.selector === selector ? before.selector : now.selector;
    if (v.cpl === 3 || same || v.v86) continue;
    const level = i === CS || i === SS ? v.cpl : guestLevel(w, now.selector);
    before.access = (now.access & ~0x60) | (level << 5);
    if (i === CS || i === SS) before.selector = (now.selector & 0xfffc) | v.cpl;
  }
  settle(v);
};
