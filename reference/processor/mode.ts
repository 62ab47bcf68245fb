// Decides what follows from a change of mode, privilege or segment: size of code and stack, rights of segments, who accesses.
// SDM volume 3, Modes of Operation; Segment Descriptors (type, limit, expand-down, D/B and L flags).

import { AC, ACCESS_DB, ACCESS_L, ACCESS_S, CR0_AM, CR0_PE, CR0_PG, EFER_LMA, EFER_LME, RF, TF, UNUSABLE, VM } from './bits.ts';
import { CS, type Cpu, READABLE, type Seg, SS, WRITABLE } from './cpu.ts';
import { privilege } from './paging.ts';

/** What is derived from a segment's access rights and limit. */
export const derive = (s: Seg): void => {
  const code = (s.access & 8) !== 0;
  const usable = (s.access & UNUSABLE) === 0 && (s.access & ACCESS_S) !== 0;
  s.rights = !usable ? 0 : code ? ((s.access & 2) === 0 ? 0 : READABLE) : READABLE | ((s.access & 2) === 0 ? 0 : WRITABLE);
  const down = !code && (s.access & 4) !== 0;
  s.lower = down ? s.limit + 1 : 0;
  s.upper = down ? ((s.access & ACCESS_DB) === 0 ? 0xffff : 0xffff_ffff) : s.limit;
};

/** After a change of CS, SS, CPL, CR0, EFER or RFLAGS. */
export const settle = (c: Cpu): void => {
  c.protect = (c.cr0 & CR0_PE) !== 0;
  c.v86 = c.protect && (c.flags & VM) !== 0;
  c.lma = (c.efer & EFER_LMA) !== 0;
  const cs = c.seg[CS];
  c.code = c.lma && (cs.access & ACCESS_L) !== 0 && !c.v86 ? 64 : (cs.access & ACCESS_DB) !== 0 && !c.v86 ? 32 : 16;
  c.stack32 = (c.seg[SS].access & ACCESS_DB) !== 0;
  privilege(c, c.cpl === 3 && (c.cr0 & CR0_AM) !== 0 && (c.flags & AC) !== 0);
  if ((c.flags & (TF | RF)) !== 0) c.attention = 1;
};
/** After a change between protected and real-address or virtual-8086 mode: where there are no descriptors, only limits are checked. */
export const settleSegments = (c: Cpu): void => {
  const free = (c.cr0 & CR0_PE) === 0 || (c.flags & VM) !== 0;
  for (const s of c.seg) {
    derive(s);
    if (free) s.rights = READABLE | WRITABLE;
  }
};
/** Sets IA32_EFER.LMA as CR0.PG and IA32_EFER.LME say. */
export const settleLongMode = (c: Cpu): void => {
  if ((c.cr0 & CR0_PG) !== 0 && (c.efer & EFER_LME) !== 0) c.efer |= EFER_LMA;
  else c.efer &= ~EFER_LMA;
};
/** Real-address or virtual-8086 mode: selectors are paragraph numbers. */
export const unprotected = (c: Cpu): boolean => !c.protect || c.v86;

/** Loads a segment register as real-address and virtual-8086 mode do. SDM volume 3, Virtual-8086 Mode: limit and rights are fixed only there. */
export const loadParagraph = (c: Cpu, index: number, selector: number): void => {
  const s = c.seg[index]!;
  s.selector = selector & 0xffff;
  s.lo = s.selector << 4;
  s.hi = 0;
  if (c.v86) {
    s.limit = 0xffff;
    s.access = 0xf3;
  } else if (index === CS) s.access = (s.access & (ACCESS_DB | ACCESS_L)) | 0x93;
  else s.access &= ~UNUSABLE;
  derive(s);
  s.rights = READABLE | WRITABLE;
};
export const setSeg = (s: Seg, selector: number, lo: number, hi: number, limit: number, access: number): void => {
  s.selector = selector;
  s.lo = lo;
  s.hi = hi;
  s.limit = limit;
  s.access = access;
  derive(s);
};
