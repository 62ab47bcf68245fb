// What a permitted ending changes of the state before: a clause is asked only where another answer would have broken it.
// Nothing here judges.

import type { Instruction } from './decode.ts';
import type { Changes, Ending } from './ghost.ts';
import type { CpuState } from './vocabulary.ts';
import { bigOf } from './bits.ts';
import { low } from './work.ts';

// Said field by field: a loop over names costs ten times as much, and every case asks.
const sameRegisters = (a: CpuState, b: CpuState): boolean =>
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
const sameSegments = (a: CpuState, b: CpuState): boolean =>
  a.es === b.es && a.cs === b.cs && a.ss === b.ss && a.ds === b.ds && a.fs === b.fs && a.gs === b.gs;
const sameSystem = (a: CpuState, b: CpuState): boolean =>
  a.cr0 === b.cr0 &&
  a.cr2 === b.cr2 &&
  a.cr3 === b.cr3 &&
  a.cr4 === b.cr4 &&
  a.cr8 === b.cr8 &&
  a.efer === b.efer &&
  a.dr0 === b.dr0 &&
  a.dr1 === b.dr1 &&
  a.dr2 === b.dr2 &&
  a.dr3 === b.dr3 &&
  a.dr7 === b.dr7 &&
  a.gdtr === b.gdtr &&
  a.idtr === b.idtr &&
  a.ldtr === b.ldtr &&
  a.tr === b.tr &&
  a.star === b.star &&
  a.lstar === b.lstar &&
  a.cstar === b.cstar &&
  a.sfmask === b.sfmask &&
  a.kernelGsBase === b.kernelGsBase &&
  a.sysenterCs === b.sysenterCs &&
  a.sysenterEsp === b.sysenterEsp &&
  a.sysenterEip === b.sysenterEip &&
  a.tscAux === b.tscAux;

export const changesOf = (e: Ending, before: CpuState, i: Instruction | undefined): Changes => {
  const after = e.completed;
  // Nearly every fault leaves all as it was, and is told so by the state itself.
  const asItWas = after === before;
  let stores = false;
  let descriptors = false;
  for (const at of e.stores.keys()) {
    const mark = e.marks.get(at);
    if (mark === undefined) stores = true;
    else if (mark === 'descriptor') descriptors = true;
  }
  return {
    registers: !asItWas && !sameRegisters(after, before),
    flags: (e.flagsWritten & ~low(e.open.get('rflags') ?? 0n)) !== 0,
    stores,
    target: !e.fault && after.rip !== before.rip + bigOf(i?.length ?? 0),
    segments: !asItWas && !sameSegments(after, before),
    descriptors,
    system: !asItWas && !sameSystem(after, before),
    ports: e.ports.length > 0,
  };
};
