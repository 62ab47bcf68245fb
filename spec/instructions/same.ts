// Whether a state seen is a state foretold, field by field: said in full, because a loop over names costs ten times as much and most cases agree.
// Nothing here judges: where it says no, compare.ts looks at each field.

import type { Draft } from './copy.ts';
import type { SeenSegment, SeenState, Segment } from './vocabulary.ts';

export const generalAsForetold = (a: Draft, b: SeenState): boolean =>
  a.rax === b.rax &&
  a.rcx === b.rcx &&
  a.rdx === b.rdx &&
  a.rbx === b.rbx &&
  a.rsp === b.rsp &&
  a.rbp === b.rbp &&
  a.rsi === b.rsi &&
  a.rdi === b.rdi &&
  a.r8 === b.r8 &&
  a.r9 === b.r9 &&
  a.r10 === b.r10 &&
  a.r11 === b.r11 &&
  a.r12 === b.r12 &&
  a.r13 === b.r13 &&
  a.r14 === b.r14 &&
  a.r15 === b.r15;
/** Whether a segment register is as foretold in every part, and one of which that settles all: present, or unusable. */
export const asForetold = (a: Segment, b: SeenSegment | undefined): boolean =>
  b !== undefined &&
  a.selector === b.selector &&
  a.access === b.access &&
  (a.access & 0x10080) !== 0 &&
  a.limit === b.limit &&
  a.base === b.base;
export const segmentsAsForetold = (a: Draft, b: SeenState): boolean =>
  asForetold(a.es, b.es) &&
  asForetold(a.cs, b.cs) &&
  asForetold(a.ss, b.ss) &&
  asForetold(a.ds, b.ds) &&
  asForetold(a.fs, b.fs) &&
  asForetold(a.gs, b.gs);
/** Whether every system register is as foretold. */
export const systemAsForetold = (a: Draft, b: SeenState): boolean =>
  a.cr0 === b.cr0 &&
  a.cr3 === b.cr3 &&
  a.cr4 === b.cr4 &&
  a.cr8 === b.cr8 &&
  a.efer === b.efer &&
  a.dr0 === b.dr0 &&
  a.dr1 === b.dr1 &&
  a.dr2 === b.dr2 &&
  a.dr3 === b.dr3 &&
  a.dr7 === b.dr7 &&
  a.star === b.star &&
  a.lstar === b.lstar &&
  a.cstar === b.cstar &&
  a.sfmask === b.sfmask &&
  a.kernelGsBase === b.kernelGsBase &&
  a.sysenterCs === b.sysenterCs &&
  a.sysenterEsp === b.sysenterEsp &&
  a.sysenterEip === b.sysenterEip &&
  a.tscAux === b.tscAux;
