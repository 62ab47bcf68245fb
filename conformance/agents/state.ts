// A processor state as the block of 64-bit words that the agent loads, and what a case carries of it: the words that differ from the machine's usual
// state, which the agent has. Cases are then a quarter as long, and a start takes as many more.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { startState } from '../instructions/state.ts';
import { caseWord, stateAt, stateIn, stateSize } from './map.ts';

/** Field by field: by lists of names it costs as much as all else that is encoded of a case. */
const encodeState = (view: DataView, s: CpuState): void => {
  view.setBigUint64(stateAt.rax, s.rax, true);
  view.setBigUint64(stateAt.rcx, s.rcx, true);
  view.setBigUint64(stateAt.rdx, s.rdx, true);
  view.setBigUint64(stateAt.rbx, s.rbx, true);
  view.setBigUint64(stateAt.rsp, s.rsp, true);
  view.setBigUint64(stateAt.rbp, s.rbp, true);
  view.setBigUint64(stateAt.rsi, s.rsi, true);
  view.setBigUint64(stateAt.rdi, s.rdi, true);
  view.setBigUint64(stateAt.r8, s.r8, true);
  view.setBigUint64(stateAt.r9, s.r9, true);
  view.setBigUint64(stateAt.r10, s.r10, true);
  view.setBigUint64(stateAt.r11, s.r11, true);
  view.setBigUint64(stateAt.r12, s.r12, true);
  view.setBigUint64(stateAt.r13, s.r13, true);
  view.setBigUint64(stateAt.r14, s.r14, true);
  view.setBigUint64(stateAt.r15, s.r15, true);
  view.setBigUint64(stateAt.rip, s.rip, true);
  view.setBigUint64(stateAt.rflags, s.rflags, true);
  view.setUint16(stateAt.es, s.es.selector, true);
  view.setUint16(stateAt.cs, s.cs.selector, true);
  view.setUint16(stateAt.ss, s.ss.selector, true);
  view.setUint16(stateAt.ds, s.ds.selector, true);
  view.setUint16(stateAt.fs, s.fs.selector, true);
  view.setUint16(stateAt.gs, s.gs.selector, true);
  view.setUint16(stateAt.ldtr, s.ldtr.selector, true);
  view.setUint16(stateAt.tr, s.tr.selector, true);
  view.setUint16(stateAt.gdtrLimit, s.gdtr.limit, true);
  view.setBigUint64(stateAt.gdtrBase, s.gdtr.base, true);
  view.setUint16(stateAt.idtrLimit, s.idtr.limit, true);
  view.setBigUint64(stateAt.idtrBase, s.idtr.base, true);
  view.setBigUint64(stateAt.cr0, s.cr0, true);
  view.setBigUint64(stateAt.cr2, s.cr2, true);
  view.setBigUint64(stateAt.cr3, s.cr3, true);
  view.setBigUint64(stateAt.cr4, s.cr4, true);
  view.setBigUint64(stateAt.efer, s.efer, true);
  view.setBigUint64(stateAt.dr6, s.dr6, true);
  view.setBigUint64(stateAt.dr7, s.dr7, true);
  view.setBigUint64(stateAt.cr8, s.cr8, true);
  view.setBigUint64(stateAt.fsBase, s.fs.base, true);
  view.setBigUint64(stateAt.gsBase, s.gs.base, true);
  view.setBigUint64(stateAt.kernelGsBase, s.kernelGsBase, true);
  view.setBigUint64(stateAt.star, s.star, true);
  view.setBigUint64(stateAt.lstar, s.lstar, true);
  view.setBigUint64(stateAt.cstar, s.cstar, true);
  view.setBigUint64(stateAt.sfmask, s.sfmask, true);
  view.setBigUint64(stateAt.sysenterCs, s.sysenterCs, true);
  view.setBigUint64(stateAt.sysenterEsp, s.sysenterEsp, true);
  view.setBigUint64(stateAt.sysenterEip, s.sysenterEip, true);
  view.setBigUint64(stateAt.tscAux, s.tscAux, true);
};

const usual = new WeakMap<MachineConfig, Int32Array>();
const usualHalves = (machine: MachineConfig): Int32Array => {
  let known = usual.get(machine);
  if (known === undefined) {
    known = new Int32Array(stateSize >> 2);
    encodeState(new DataView(known.buffer), startState(machine, 0));
    usual.set(machine, known);
  }
  return known;
};
/** The state that programs of the machine begin with where they say nothing else. */
export const usualState = (machine: MachineConfig): Uint8Array => new Uint8Array(usualHalves(machine).buffer);

const scratch = new DataView(new ArrayBuffer(stateSize));
const halves = new Int32Array(scratch.buffer);
/** Puts the words that differ to `at` in `to`. Returns where they end. */
export const encodeDifferences = (machine: MachineConfig, state: CpuState, to: DataView, at: number): number => {
  const base = usualHalves(machine);
  encodeState(scratch, state);
  let next = at;
  for (let i = 0; i < halves.length; i += 2) {
    if (halves[i] === base[i] && halves[i + 1] === base[i + 1]) continue;
    to.setUint16(next, (stateIn + 4 * i) >> 3, true);
    to.setUint32(next + 2, scratch.getUint32(4 * i, true), true);
    to.setUint32(next + 6, scratch.getUint32(4 * i + 4, true), true);
    next += caseWord;
  }
  return next;
};
