// What the agent left in memory as observations: registers as the mode shows them, bytes that changed, and the ends that are no answer of the
// program's: the agent's own state could not be loaded, a device was read.

import type { CpuMachine, CpuState, SeenState } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation } from '../../spec/vocabulary.ts';
import { bigOf, low, numberOf } from '../numbers.ts';
import type { AgentCase } from './case.ts';
import { giveBack, type Loan, loanOf, type Patch, putBytes } from './loan.ts';
import { agentCode, agentCodeEnd, ends, ownStackSelector, resultHeader, stateAt, stateSize, touched } from './map.ts';
import { firstOf, isLong, reads } from './refuse.ts';

const word64 = (view: DataView, at: number): bigint => view.getBigUint64(at, true);
const word32 = (view: DataView, at: number): bigint => bigOf(view.getUint32(at, true));
const selector = (view: DataView, at: number): { readonly selector: number } => ({ selector: view.getUint16(at, true) });
// Each as one literal: records that grow, or are made of lists of names, cost more than all else that is done for a case.
const longState = (view: DataView, from: number, msrs: boolean, rip: bigint): SeenState => {
  const state: { -readonly [K in keyof SeenState]: SeenState[K] } = {
    rax: word64(view, from + stateAt.rax),
    rcx: word64(view, from + stateAt.rcx),
    rdx: word64(view, from + stateAt.rdx),
    rbx: word64(view, from + stateAt.rbx),
    rsp: word64(view, from + stateAt.rsp),
    rbp: word64(view, from + stateAt.rbp),
    rsi: word64(view, from + stateAt.rsi),
    rdi: word64(view, from + stateAt.rdi),
    r8: word64(view, from + stateAt.r8),
    r9: word64(view, from + stateAt.r9),
    r10: word64(view, from + stateAt.r10),
    r11: word64(view, from + stateAt.r11),
    r12: word64(view, from + stateAt.r12),
    r13: word64(view, from + stateAt.r13),
    r14: word64(view, from + stateAt.r14),
    r15: word64(view, from + stateAt.r15),
    rflags: word64(view, from + stateAt.rflags),
    cs: selector(view, from + stateAt.cs),
    ss: selector(view, from + stateAt.ss),
    ds: selector(view, from + stateAt.ds),
    es: selector(view, from + stateAt.es),
    fs: selector(view, from + stateAt.fs),
    gs: selector(view, from + stateAt.gs),
    ldtr: selector(view, from + stateAt.ldtr),
    tr: selector(view, from + stateAt.tr),
    gdtr: { base: word64(view, from + stateAt.gdtrBase), limit: view.getUint16(from + stateAt.gdtrLimit, true) },
    idtr: { base: word64(view, from + stateAt.idtrBase), limit: view.getUint16(from + stateAt.idtrLimit, true) },
    cr0: word64(view, from + stateAt.cr0),
    cr2: word64(view, from + stateAt.cr2),
    cr3: word64(view, from + stateAt.cr3),
    cr4: word64(view, from + stateAt.cr4),
    cr8: word64(view, from + stateAt.cr8),
    efer: word64(view, from + stateAt.efer),
    dr6: word64(view, from + stateAt.dr6),
    dr7: word64(view, from + stateAt.dr7),
  };
  if (msrs) {
    state.star = word64(view, from + stateAt.star);
    state.lstar = word64(view, from + stateAt.lstar);
    state.cstar = word64(view, from + stateAt.cstar);
    state.sfmask = word64(view, from + stateAt.sfmask);
    state.kernelGsBase = word64(view, from + stateAt.kernelGsBase);
    state.sysenterCs = word64(view, from + stateAt.sysenterCs);
    state.sysenterEsp = word64(view, from + stateAt.sysenterEsp);
    state.sysenterEip = word64(view, from + stateAt.sysenterEip);
  }
  state.rip = rip;
  return state;
};
const legacyState = (view: DataView, from: number, rip: bigint): SeenState => ({
  rax: word32(view, from + stateAt.rax),
  rcx: word32(view, from + stateAt.rcx),
  rdx: word32(view, from + stateAt.rdx),
  rbx: word32(view, from + stateAt.rbx),
  rsp: word32(view, from + stateAt.rsp),
  rbp: word32(view, from + stateAt.rbp),
  rsi: word32(view, from + stateAt.rsi),
  rdi: word32(view, from + stateAt.rdi),
  rflags: word32(view, from + stateAt.rflags),
  cs: selector(view, from + stateAt.cs),
  ss: selector(view, from + stateAt.ss),
  ds: selector(view, from + stateAt.ds),
  es: selector(view, from + stateAt.es),
  fs: selector(view, from + stateAt.fs),
  gs: selector(view, from + stateAt.gs),
  ldtr: selector(view, from + stateAt.ldtr),
  tr: selector(view, from + stateAt.tr),
  gdtr: { base: word32(view, from + stateAt.gdtrBase), limit: view.getUint16(from + stateAt.gdtrLimit, true) },
  idtr: { base: word32(view, from + stateAt.idtrBase), limit: view.getUint16(from + stateAt.idtrLimit, true) },
  cr0: word32(view, from + stateAt.cr0),
  cr2: word32(view, from + stateAt.cr2),
  cr3: word32(view, from + stateAt.cr3),
  cr4: word32(view, from + stateAt.cr4),
  efer: word64(view, from + stateAt.efer),
  dr6: word32(view, from + stateAt.dr6),
  dr7: word32(view, from + stateAt.dr7),
  rip,
});
/** Without CS: the landing itself is a far jump in real-address mode. */
const realState = (view: DataView, from: number, rip: bigint): SeenState => ({
  rax: word32(view, from + stateAt.rax),
  rcx: word32(view, from + stateAt.rcx),
  rdx: word32(view, from + stateAt.rdx),
  rbx: word32(view, from + stateAt.rbx),
  rsp: word32(view, from + stateAt.rsp),
  rbp: word32(view, from + stateAt.rbp),
  rsi: word32(view, from + stateAt.rsi),
  rdi: word32(view, from + stateAt.rdi),
  rflags: word32(view, from + stateAt.rflags),
  ss: selector(view, from + stateAt.ss),
  ds: selector(view, from + stateAt.ds),
  es: selector(view, from + stateAt.es),
  fs: selector(view, from + stateAt.fs),
  gs: selector(view, from + stateAt.gs),
  gdtr: { base: word32(view, from + stateAt.gdtrBase), limit: view.getUint16(from + stateAt.gdtrLimit, true) },
  idtr: { base: word32(view, from + stateAt.idtrBase), limit: view.getUint16(from + stateAt.idtrLimit, true) },
  cr0: word32(view, from + stateAt.cr0),
  cr2: word32(view, from + stateAt.cr2),
  cr3: word32(view, from + stateAt.cr3),
  cr4: word32(view, from + stateAt.cr4),
  efer: word64(view, from + stateAt.efer),
  dr6: word32(view, from + stateAt.dr6),
  dr7: word32(view, from + stateAt.dr7),
  rip,
});
const decodeState = (view: DataView, from: number, mode: CpuMachine['mode'], msrs: boolean, rip: bigint): SeenState =>
  isLong(mode) ? longState(view, from, msrs, rip) : mode === 'real' ? realState(view, from, rip) : legacyState(view, from, rip);

/** A run of neighbours that changed. */
interface Run {
  readonly at: Gpa;
  readonly bytes: Uint8Array;
}
const runOf = (memory: Uint8Array, start: number, end: number): Run => {
  const bytes = new Uint8Array(end - start);
  for (let i = start; i < end; i++) bytes[i - start] = memory[i] as number;
  return { at: bigOf(start) as Gpa, bytes };
};
const places: number[] = [];
/** Bytes that changed, each run of neighbours one write; put into `after` too. Words come page by page and then from the page tables. */
const changes = (view: DataView, from: number, to: number, before: Uint8Array, after: Uint8Array): Run[] => {
  places.length = 0;
  let ascending = true;
  let last = -1;
  for (let at = from; at + 16 <= to; at += 16) {
    const where = view.getUint32(at, true);
    ascending &&= where > last;
    last = where;
    places.push(where);
    for (let i = 0; i < 8; i++) {
      const now = view.getUint8(at + 8 + i);
      if (before[where + i] !== now) after[where + i] = now;
    }
  }
  if (!ascending) places.sort((a, b) => a - b);
  const runs: Run[] = [];
  let [start, end] = [0, 0];
  for (const where of places)
    for (let at = Math.max(where, end); at < where + 8; at++) {
      if (after[at] === before[at]) continue;
      if (at !== end) {
        if (end > start) runs.push(runOf(after, start, end));
        start = at;
      }
      end = at + 1;
    }
  if (end > start) runs.push(runOf(after, start, end));
  return runs;
};
const errorCodes: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
/** Events that come before a port is read. */
const faults: ReadonlySet<number> = new Set([6, 10, 11, 12, 13, 14]);
const HLT = 0xf4;
/** A stop that no gate leads to is reached by what starts there, such as a new task: no frame stands on its stack. */
const gated = (stop: number): boolean => stop < 48 || stop === 0x80;
/** The linear address that the event's frame names, or -1 where the frame is not in memory. */
const savedRip = (mode: CpuMachine['mode'], given: CpuState, stop: number, state: SeenState, view: DataView): number => {
  const inner = !isLong(mode) && mode !== 'v86' && state.ss?.selector === given.ss.selector;
  const base = mode === 'real' ? (state.ss?.selector ?? 0) << 4 : inner ? numberOf(given.ss.base) : 0;
  const width = mode === 'real' ? 2 : isLong(mode) ? 8 : 4;
  if (mode !== 'real' && state.ss?.selector === ownStackSelector) return agentCode;
  if (!gated(stop)) return -1;
  const top = base + numberOf(state.rsp ?? 0n) + (mode !== 'real' && errorCodes.has(stop) ? width : 0);
  if (top < 0 || top + 2 * width > view.byteLength) return top >= agentCode ? agentCode : -1;
  const rip = width === 2 ? view.getUint16(top, true) : view.getUint32(top, true);
  const cs = view.getUint16(top + width, true);
  const v86 = mode === 'v86' && (view.getUint32(Math.min(top + 8, view.byteLength - 4), true) & 0x20000) !== 0;
  if (mode === 'real' || v86) return (cs << 4) + rip;
  return cs === given.cs.selector ? numberOf(given.cs.base) + rip : rip;
};
/** Whether the event interrupted the agent itself: the state could not be loaded. */
const inAgent = (linear: number): boolean => linear >= agentCode && linear < agentCodeEnd;

/** Were the agent not where a #VMEXIT leads, the instruction would be taken again and again. */
const exited = 'the machine hangs: a #VMEXIT, and no guest was entered';
const [tssStack, tssStackEnd] = [0x3004, 0x300c];
/** Whether the program moves the stack of CPL 0 by the TSS, and a far CALL or a gate may lead to a stop at CPL 1 or 2: the way from there to the agent is
 *  a fault that needs that stack. */
const strands = ({ state, patches }: AgentCase, before: Uint8Array): boolean => {
  if ((state.cs.selector & 3) <= 1 || !patches.some((p) => p.at < tssStackEnd && p.at + p.bytes.length > tssStack)) return false;
  const { at } = firstOf('prot32', state, before);
  const far = before[at] === 0x9a || (before[at] === 0xff && (((before[at + 1] ?? 0) >> 3) & 7) === 3);
  return far || patches.some((p) => p.at >= 0x2000 && p.at < tssStack - 4);
};

/** Results stand side by side: one view for all of them. */
const views = new WeakMap<Uint8Array, DataView>();
const viewOf = (bytes: Uint8Array): DataView => {
  let view = views.get(bytes);
  if (view === undefined) views.set(bytes, (view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
  return view;
};

/** Where the result behind the one at `at` starts. */
export const nextResult = (bytes: Uint8Array, at: number): number => at + viewOf(bytes).getUint32(at, true);
/** The result that starts at `at` in `bytes`. */
export const decodeResult = (machine: MachineConfig, given: AgentCase, bytes: Uint8Array, at: number): Answer => {
  const { pristine, patches } = given;
  const loan = loanOf(pristine);
  const written: Patch[] = [];
  for (const p of patches) {
    putBytes(loan.before, p.at, p.bytes);
    putBytes(loan.after, p.at, p.bytes);
  }
  try {
    return decoded(machine, given, loan, written, bytes, at);
  } finally {
    giveBack(loan.before, pristine, patches);
    giveBack(loan.after, pristine, patches);
    giveBack(loan.after, pristine, written);
  }
};
/** Whether the first instruction is HLT where it is permitted. */
const halts = (mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array): boolean =>
  mode !== 'v86' && (mode === 'real' || (state.cs.selector & 3) === 0) && memory[firstOf(mode, state, memory).at] === HLT;
const outer = 'a stop that is reached at an outer level';
const inStops = ({ cpu }: MachineConfig, linear: number): boolean => {
  const { at, stride, count } = (cpu as CpuMachine).stops;
  return linear >= numberOf(at) && linear < numberOf(at) + stride * count;
};
const decoded = (
  machine: MachineConfig,
  given: AgentCase,
  { before, after, afterView }: Loan,
  written: Patch[],
  bytes: Uint8Array,
  at: number,
): Answer => {
  const view = viewOf(bytes);
  const size = view.getUint32(at, true);
  const raw = view.getUint16(at + 4, true);
  if ((raw & (touched << 8)) !== 0)
    return { unsupported: 'a program that looks at the page table, where the agent keeps flags of its own' };
  const ended = raw >> 8;
  const stop = ended === ends.last ? 256 : raw & 0xff;
  const { mode } = machine.cpu as CpuMachine;
  const { stops } = machine.cpu as CpuMachine;
  const rip = stops.at + BigInt(stops.stride * stop);
  const state = decodeState(view, at + resultHeader, mode, given.msrs, rip);
  const writes = changes(view, at + resultHeader + stateSize, at + size, before, after);
  for (const w of writes) written.push({ at: numberOf(w.at), bytes: w.bytes });
  if (ended === ends.late) {
    const at = savedRip(mode, given.state, stop, state, afterView);
    // There #GP of the stop leads to that stop once more, for ever.
    if (inStops(machine, at)) return { unsupported: outer };
    const halted = before[at - 1] === HLT;
    return { saw: [{ saw: 'cpu.stopped', by: halted ? 'halt' : 'limit', state: {} }] };
  }
  if (ended === ends.exited) return { broke: exited };
  if (ended === ends.shutdown) {
    // HLT of CPL 0 waits: what ended it was the watchdog's interrupt, which found no stack.
    if (halts(mode, given.state, before)) return { unsupported: 'a HLT that the watchdog ends where its interrupt cannot be delivered' };
    if (strands(given, before))
      return { unsupported: 'a stop that may be reached at an outer level, without a stack for the way to the agent' };
    const shutdown: Observation = { saw: 'cpu.stopped', by: 'shutdown', state: {} };
    return { saw: writes.length > 0 ? [{ saw: 'memory.changed', writes }, shutdown] : [shutdown] };
  }
  const saved = savedRip(mode, given.state, stop, state, afterView);
  if (stop < 256 && inAgent(saved)) return { unsupported: 'a state that the agent cannot load' };
  // Stops land by the debug registers, which code at an outer level cannot touch: it is #GP, or #DF once the stack of that is used up.
  if ((stop === 13 || stop === 8) && inStops(machine, saved)) return { unsupported: outer };
  // A fault elsewhere is one of what follows.
  const elsewhere = saved >= 0 && saved !== (low(given.state.cs.base) + low(given.state.rip)) >>> 0;
  if ((!faults.has(stop) || elsewhere) && reads(firstOf(mode, given.state, before), before))
    return { unsupported: 'what a device answers to a port read' };
  const saw: Observation[] = [];
  if (writes.length > 0) saw.push({ saw: 'memory.changed', writes });
  saw.push({ saw: 'cpu.stopped', by: 'stop', stop, state });
  return { saw };
};
