// One program for the agent as bytes. What an agent inside the guest cannot load or see is said here: it loads selectors, so hidden parts must be
// what the guest's own tables give; it uses the debug registers to land.

import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { numberOf } from '../numbers.ts';
import { furnishedPages } from './image.ts';
import { giveBack, loanOf, type Patch, putBytes } from './loan.ts';
import { leadsPast, lookOf } from './look.ts';
import { alone, brief, caseAt, caseHeader, caseWord, compared, everywhere, kinds, stateSize, vars, withMsrs } from './map.ts';
import { writesHotOnly } from './reach.ts';
import { firstOf, fromTable, isLong, longest, refusalOf } from './refuse.ts';
import { encodeDifferences } from './state.ts';
import { isBrief } from './stray.ts';

/** A case that can be given to an agent. */
export interface AgentCase {
  readonly bytes: Uint8Array;
  readonly state: CpuState;
  /** The machine's memory when the case starts: the pristine bytes with the patches over them. */
  readonly pristine: Uint8Array;
  readonly patches: readonly Patch[];
  /** Model-specific registers beside EFER are loaded and read. */
  readonly msrs: boolean;
}
type Encoded = AgentCase | { readonly unsupported: string };

const withMsr: ReadonlySet<number> = new Set([0x05, 0x07, 0x30, 0x32, 0x34, 0x35, 0x01, 0xae, 0xc7]);
const msrInstruction = (memory: Uint8Array, from: number, size: number): boolean => {
  const last = Math.min(from + size, memory.length) - 1;
  for (let i = from; i < last; i++) if (memory[i] === 0x0f && withMsr.has(memory[i + 1] ?? 0)) return true;
  return false;
};

const kindOf = (mode: CpuMachine['mode'], state: CpuState): number => {
  if (isLong(mode)) return kinds.ia32e;
  if (mode === 'real') return kinds.real;
  return mode === 'v86' || (state.cs.selector & 3) !== 0 ? kinds.outer : kinds.inner;
};
/** Bits for pages 31:0 and 47:32. */
interface Pages {
  readonly low: number;
  readonly high: number;
}
const furnished = new WeakMap<Uint8Array, Pages>();
const furnishedBefore = (machine: MachineConfig, pristine: Uint8Array): Pages => {
  let pages = furnished.get(pristine);
  if (pages === undefined) {
    const all = furnishedPages(machine, pristine);
    furnished.set(pristine, (pages = { low: Number(all & 0xffff_ffffn) | 0, high: Number(all >> 32n) | 0 }));
  }
  return pages;
};
/** Writes at `at` the pages that hold something else than the fill byte, with those that are patched. */
const putPages = (view: DataView, at: number, pages: Pages, patches: readonly Patch[]): void => {
  let { low, high } = pages;
  for (const p of patches)
    for (let page = p.at >> 12; page <= (p.at + p.bytes.length - 1) >> 12; page++)
      if (page < 32) low |= 1 << page;
      else high |= 1 << (page - 32);
  view.setInt32(at, low, true);
  view.setInt32(at + 4, high, true);
};

/** Cases stand side by side in chunks: an array of its own for each would cost more than to fill it. */
const chunkSize = 1 << 20;
let current: { readonly chunk: Uint8Array; readonly view: DataView } | undefined;
let used = 0;
/** Zeroes for `size` bytes. */
const lend = (size: number): { readonly chunk: Uint8Array; readonly view: DataView; readonly from: number } => {
  if (current === undefined || used + size > current.chunk.length) {
    const chunk = new Uint8Array(Math.max(chunkSize, size));
    current = { chunk, view: new DataView(chunk.buffer) };
    used = 0;
  }
  return { ...current, from: used };
};

const watchOf = (
  machine: MachineConfig,
  state: CpuState,
  memory: Uint8Array,
  view: DataView,
  patches: readonly Patch[],
): ReturnType<typeof lookOf> => {
  const cpu = machine.cpu as CpuMachine;
  if (cpu.paging === 'none') return { flags: writesHotOnly(cpu, state, memory) ? everywhere : everywhere | alone, also: 0n };
  // With page tables only the pages that the program has written to are compared: whole, because a program may put back what another has changed.
  const look = lookOf(machine, view, patches);
  return { ...look, flags: look.flags | alone };
};
/** Of each word of memory, the last case that it was put into. */
const placed = new Float64Array(compared >> 3);
let number = 0;

/** `pristine`: the machine's memory below the agent, stops included. */
export const encodeCase = (machine: MachineConfig, pristine: Uint8Array, stimuli: readonly Stimulus[]): Encoded => {
  const patches: Patch[] = [];
  const { before, beforeView } = loanOf(pristine);
  try {
    return encoded(machine, pristine, before, beforeView, patches, stimuli);
  } finally {
    giveBack(before, pristine, patches);
  }
};
const encoded = (
  machine: MachineConfig,
  pristine: Uint8Array,
  memory: Uint8Array,
  beforeView: DataView,
  patches: Patch[],
  stimuli: readonly Stimulus[],
): Encoded => {
  const cpu = machine.cpu as CpuMachine;
  let state: CpuState | undefined;
  for (const stimulus of stimuli) {
    if (state !== undefined) return { unsupported: 'anything after the run' };
    if (stimulus.do === 'memory.write') {
      const at = numberOf(stimulus.at);
      if (at + stimulus.bytes.length > compared) return { unsupported: 'memory that is the agent’s' };
      patches.push({ at, bytes: stimulus.bytes });
      putBytes(memory, at, stimulus.bytes);
    } else if (stimulus.do === 'cpu.run' && stimulus.state !== undefined && stimulus.interrupt === undefined) state = stimulus.state;
    else return { unsupported: `${stimulus.do} of this kind` };
  }
  if (state === undefined) return { unsupported: 'a program without a run' };
  const refused = refusalOf(cpu, state, memory);
  if (refused !== undefined) return { unsupported: refused };
  if (leadsPast(machine, beforeView, patches)) return { unsupported: 'a paging entry that leads past the memory of the machine' };
  let most = (stateSize >> 3) + 1;
  for (const p of patches) most += 1 + ((p.bytes.length + 7) >> 3);
  const room = caseHeader + caseWord * most;
  const { chunk, view, from } = lend(room);
  const start = numberOf(state.cs.base) + numberOf(state.rip);
  const otherBases = cpu.mode === 'long64' && (!fromTable(state.fs, state, memory) || !fromTable(state.gs, state, memory));
  const msrs = otherBases || msrInstruction(memory, start, 64) || msrInstruction(memory, firstOf(cpu.mode, state, memory).at, longest);
  view.setUint8(from + caseAt.kind, kindOf(cpu.mode, state));
  const look = watchOf(machine, state, memory, beforeView, patches);
  view.setUint8(from + caseAt.flags, (msrs ? withMsrs : 0) | look.flags);
  putPages(view, from + caseAt.furnished, furnishedBefore(machine, pristine), patches);
  let memoryAt = encodeDifferences(machine, state, view, from + caseHeader);
  if (look.also !== 0n) {
    view.setUint16(memoryAt, vars.also >> 3, true);
    view.setBigUint64(memoryAt + 2, look.also, true);
    memoryAt += caseWord;
  }
  view.setUint8(from + caseAt.stateWords, (memoryAt - from - caseHeader) / caseWord);
  let at = memoryAt;
  number++;
  for (const p of patches)
    for (let word = p.at >> 3; word <= (p.at + p.bytes.length - 1) >> 3; word++) {
      if (placed[word] === number) continue;
      placed[word] = number;
      view.setUint16(at, word, true);
      view.setUint32(at + 2, beforeView.getUint32(8 * word, true), true);
      view.setUint32(at + 6, beforeView.getUint32(8 * word + 4, true), true);
      at += caseWord;
    }
  view.setUint16(from + caseAt.words, (at - memoryAt) / caseWord, true);
  if (isBrief(cpu.mode, state, start, memory, patches)) chunk[from + caseAt.flags]! |= brief;
  used = at;
  return { bytes: chunk.subarray(from, at), state, pristine, patches, msrs };
};
