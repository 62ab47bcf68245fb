// A processor state as the block of 64-bit words that the agent loads, and what a case carries of it: the words that differ from the machine's usual
// state, which the agent has. Cases are then a quarter as long, and a start takes as many more.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { startState } from '../instructions/state.ts';
import { caseWord, stateAt, stateIn, stateSize } from './map.ts';

const selectorNames = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const satisfies readonly (keyof typeof stateAt &
  keyof CpuState)[];
const placed: readonly string[] = [...selectorNames, 'gdtrLimit', 'gdtrBase', 'idtrLimit', 'idtrBase', 'fsBase', 'gsBase'];
type WordName = Exclude<keyof typeof stateAt & keyof CpuState, (typeof selectorNames)[number]>;
/** What stands as it is, one word each. */
const words = (Object.entries(stateAt) as [WordName, number][]).filter(([name]) => !placed.includes(name));
const encodeState = (view: DataView, state: CpuState): void => {
  for (const [name, at] of words) view.setBigUint64(at, state[name], true);
  for (const name of selectorNames) view.setUint16(stateAt[name], state[name].selector, true);
  view.setUint16(stateAt.gdtrLimit, state.gdtr.limit, true);
  view.setBigUint64(stateAt.gdtrBase, state.gdtr.base, true);
  view.setUint16(stateAt.idtrLimit, state.idtr.limit, true);
  view.setBigUint64(stateAt.idtrBase, state.idtr.base, true);
  view.setBigUint64(stateAt.fsBase, state.fs.base, true);
  view.setBigUint64(stateAt.gsBase, state.gs.base, true);
};

const usual = new WeakMap<MachineConfig, DataView>();
/** The state that programs of the machine begin with where they say nothing else. */
export const usualState = (machine: MachineConfig): DataView => {
  let view = usual.get(machine);
  if (view === undefined) {
    view = new DataView(new ArrayBuffer(stateSize));
    encodeState(view, startState(machine, 0));
    usual.set(machine, view);
  }
  return view;
};

const scratch = new DataView(new ArrayBuffer(stateSize));
/** Puts the words that differ to `at` in `to`. Returns where they end. */
export const encodeDifferences = (machine: MachineConfig, state: CpuState, to: DataView, at: number): number => {
  const base = usualState(machine);
  encodeState(scratch, state);
  let next = at;
  for (let i = 0; i < stateSize; i += 8) {
    const [low, high] = [scratch.getUint32(i, true), scratch.getUint32(i + 4, true)];
    if (low === base.getUint32(i, true) && high === base.getUint32(i + 4, true)) continue;
    to.setUint16(next, (stateIn + i) >> 3, true);
    to.setUint32(next + 2, low, true);
    to.setUint32(next + 6, high, true);
    next += caseWord;
  }
  return next;
};
