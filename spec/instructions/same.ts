// Whether a state seen, as far as it was seen, is a state foretold, field by field: said in full, because a loop over names costs ten times as much and
// most cases agree.
// Nothing here judges: where it says no, compare.ts looks at each field.

import type { Draft } from './copy.ts';
import type { SeenSegment, SeenState, Segment } from './vocabulary.ts';

export const generalAsForetold = (a: Draft, b: SeenState): boolean =>
  (b.rax === undefined || a.rax === b.rax) &&
  (b.rcx === undefined || a.rcx === b.rcx) &&
  (b.rdx === undefined || a.rdx === b.rdx) &&
  (b.rbx === undefined || a.rbx === b.rbx) &&
  (b.rsp === undefined || a.rsp === b.rsp) &&
  (b.rbp === undefined || a.rbp === b.rbp) &&
  (b.rsi === undefined || a.rsi === b.rsi) &&
  (b.rdi === undefined || a.rdi === b.rdi) &&
  (b.r8 === undefined || a.r8 === b.r8) &&
  (b.r9 === undefined || a.r9 === b.r9) &&
  (b.r10 === undefined || a.r10 === b.r10) &&
  (b.r11 === undefined || a.r11 === b.r11) &&
  (b.r12 === undefined || a.r12 === b.r12) &&
  (b.r13 === undefined || a.r13 === b.r13) &&
  (b.r14 === undefined || a.r14 === b.r14) &&
  (b.r15 === undefined || a.r15 === b.r15);
/** Whether a segment register is as foretold in every part that was seen, and one of which that settles all: present, or unusable. */
export const asForetold = (a: Segment, b: SeenSegment | undefined): boolean =>
  b === undefined ||
  (a.selector === b.selector &&
    (b.access === undefined || (a.access === b.access && (a.access & 0x10080) !== 0)) &&
    (b.limit === undefined || a.limit === b.limit) &&
    (b.base === undefined || a.base === b.base));
export const segmentsAsForetold = (a: Draft, b: SeenState): boolean =>
  asForetold(a.es, b.es) &&
  asForetold(a.cs, b.cs) &&
  asForetold(a.ss, b.ss) &&
  asForetold(a.ds, b.ds) &&
  asForetold(a.fs, b.fs) &&
  asForetold(a.gs, b.gs);
/** Whether every system register is as foretold. */
export const systemAsForetold = (a: Draft, b: SeenState): boolean =>
  (b.cr0 === undefined || a.cr0 === b.cr0) &&
  (b.cr3 === undefined || a.cr3 === b.cr3) &&
  (b.cr4 === undefined || a.cr4 === b.cr4) &&
  (b.cr8 === undefined || a.cr8 === b.cr8) &&
  (b.efer === undefined || a.efer === b.efer) &&
  (b.dr0 === undefined || a.dr0 === b.dr0) &&
  (b.dr1 === undefined || a.dr1 === b.dr1) &&
  (b.dr2 === undefined || a.dr2 === b.dr2) &&
  (b.dr3 === undefined || a.dr3 === b.dr3) &&
  (b.dr7 === undefined || a.dr7 === b.dr7) &&
  (b.star === undefined || a.star === b.star) &&
  (b.lstar === undefined || a.lstar === b.lstar) &&
  (b.cstar === undefined || a.cstar === b.cstar) &&
  (b.sfmask === undefined || a.sfmask === b.sfmask) &&
  (b.kernelGsBase === undefined || a.kernelGsBase === b.kernelGsBase) &&
  (b.sysenterCs === undefined || a.sysenterCs === b.sysenterCs) &&
  (b.sysenterEsp === undefined || a.sysenterEsp === b.sysenterEsp) &&
  (b.sysenterEip === undefined || a.sysenterEip === b.sysenterEip) &&
  (b.tscAux === undefined || a.tscAux === b.tscAux);
