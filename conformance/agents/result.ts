// What the agent left in memory as observations: registers as the mode shows them, bytes that changed, and the ends that are no answer of the
// program's: the agent's own state could not be loaded, a device was read.

import type { CpuMachine, CpuState, SeenState } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation } from '../../spec/vocabulary.ts';
import type { AgentCase } from './case.ts';
import { giveBack, type Loan, loanOf, type Patch } from './loan.ts';
import { agentCode, agentCodeEnd, ends, ownStackSelector, resultHeader, stateAt, stateSize } from './map.ts';
import { firstOf, isLong, reads } from './refuse.ts';

const decodeState = (view: DataView, from: number, mode: CpuMachine['mode'], msrs: boolean, rip: bigint): SeenState => {
  const long = isLong(mode);
  const word = long
    ? (name: keyof typeof stateAt): bigint => view.getBigUint64(from + stateAt[name], true)
    : (name: keyof typeof stateAt): bigint => BigInt(view.getUint32(from + stateAt[name], true));
  const selector = (name: keyof typeof stateAt): { readonly selector: number } => ({
    selector: view.getUint16(from + stateAt[name], true),
  });
  // Property by property: objects made of lists of names cost more than all else that is done for a case.
  const state: { -readonly [K in keyof SeenState]: SeenState[K] } = {
    rax: word('rax'),
    rcx: word('rcx'),
    rdx: word('rdx'),
    rbx: word('rbx'),
    rsp: word('rsp'),
    rbp: word('rbp'),
    rsi: word('rsi'),
    rdi: word('rdi'),
  };
  if (long) {
    state.r8 = word('r8');
    state.r9 = word('r9');
    state.r10 = word('r10');
    state.r11 = word('r11');
    state.r12 = word('r12');
    state.r13 = word('r13');
    state.r14 = word('r14');
    state.r15 = word('r15');
  }
  state.rflags = word('rflags');
  // The landing itself is a far jump in real-address mode.
  if (mode !== 'real') state.cs = selector('cs');
  state.ss = selector('ss');
  state.ds = selector('ds');
  state.es = selector('es');
  state.fs = selector('fs');
  state.gs = selector('gs');
  if (mode !== 'real') {
    state.ldtr = selector('ldtr');
    state.tr = selector('tr');
  }
  state.gdtr = { base: word('gdtrBase'), limit: view.getUint16(from + stateAt.gdtrLimit, true) };
  state.idtr = { base: word('idtrBase'), limit: view.getUint16(from + stateAt.idtrLimit, true) };
  state.cr0 = word('cr0');
  state.cr2 = word('cr2');
  state.cr3 = word('cr3');
  state.cr4 = word('cr4');
  if (long) state.cr8 = word('cr8');
  state.efer = view.getBigUint64(from + stateAt.efer, true);
  state.dr6 = word('dr6');
  state.dr7 = word('dr7');
  if (long && msrs) {
    state.star = word('star');
    state.lstar = word('lstar');
    state.cstar = word('cstar');
    state.sfmask = word('sfmask');
    state.kernelGsBase = word('kernelGsBase');
    state.sysenterCs = word('sysenterCs');
    state.sysenterEsp = word('sysenterEsp');
    state.sysenterEip = word('sysenterEip');
  }
  state.rip = rip;
  return state;
};

/** Bytes that changed, each run of neighbours one write; put into `after` too. Words come page by page and then from the page tables. */
const changes = (
  view: DataView,
  from: number,
  to: number,
  before: Uint8Array,
  after: Uint8Array,
): { readonly at: Gpa; readonly bytes: Uint8Array }[] => {
  const places: number[] = [];
  let ascending = true;
  for (let at = from; at + 16 <= to; at += 16) {
    const where = view.getUint32(at, true);
    ascending &&= where > (places.at(-1) ?? -1);
    places.push(where);
    for (let i = 0; i < 8; i++) {
      const now = view.getUint8(at + 8 + i);
      if (before[where + i] !== now) after[where + i] = now;
    }
  }
  if (!ascending) places.sort((a, b) => a - b);
  const runs: { readonly at: Gpa; readonly bytes: Uint8Array }[] = [];
  let [start, end] = [0, 0];
  const close = (): void => {
    if (end > start) runs.push({ at: BigInt(start) as Gpa, bytes: after.slice(start, end) });
  };
  for (const where of places)
    for (let at = Math.max(where, end); at < where + 8; at++) {
      if (after[at] === before[at]) continue;
      if (at !== end) {
        close();
        start = at;
      }
      end = at + 1;
    }
  close();
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
  const base = mode === 'real' ? (state.ss?.selector ?? 0) << 4 : inner ? Number(given.ss.base) : 0;
  const width = mode === 'real' ? 2 : isLong(mode) ? 8 : 4;
  if (mode !== 'real' && state.ss?.selector === ownStackSelector) return agentCode;
  if (!gated(stop)) return -1;
  const top = base + Number(state.rsp ?? 0n) + (mode !== 'real' && errorCodes.has(stop) ? width : 0);
  if (top < 0 || top + 2 * width > view.byteLength) return top >= agentCode ? agentCode : -1;
  const rip = width === 2 ? view.getUint16(top, true) : view.getUint32(top, true);
  const cs = view.getUint16(top + width, true);
  const v86 = mode === 'v86' && (view.getUint32(Math.min(top + 8, view.byteLength - 4), true) & 0x20000) !== 0;
  if (mode === 'real' || v86) return (cs << 4) + rip;
  return cs === given.cs.selector ? Number(given.cs.base) + rip : rip;
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
  const { bytes } = firstOf('prot32', state, before);
  const far = bytes[0] === 0x9a || (bytes[0] === 0xff && (((bytes[1] ?? 0) >> 3) & 7) === 3);
  return far || patches.some((p) => p.at >= 0x2000 && p.at < tssStack - 4);
};

/** Results stand side by side: one view for all of them. */
const views = new WeakMap<Uint8Array, DataView>();
const viewOf = (bytes: Uint8Array): DataView => {
  let view = views.get(bytes);
  if (view === undefined) views.set(bytes, (view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)));
  return view;
};

/** The result that starts at `at` in `bytes`, and where the next one does. */
export const decodeResult = (
  machine: MachineConfig,
  given: AgentCase,
  bytes: Uint8Array,
  at: number,
): { readonly answer: Answer; readonly next: number } => {
  const { pristine, patches } = given;
  const loan = loanOf(pristine);
  const written: Patch[] = [];
  for (const p of patches) for (const memory of [loan.before, loan.after]) memory.set(p.bytes, p.at);
  try {
    return decoded(machine, given, loan, written, bytes, at);
  } finally {
    giveBack(loan.before, pristine, patches);
    giveBack(loan.after, pristine, [...patches, ...written]);
  }
};
const decoded = (
  machine: MachineConfig,
  given: AgentCase,
  { before, after, afterView }: Loan,
  written: Patch[],
  bytes: Uint8Array,
  at: number,
): { readonly answer: Answer; readonly next: number } => {
  const view = viewOf(bytes);
  const size = view.getUint32(at, true);
  const raw = view.getUint16(at + 4, true);
  const ended = raw >> 8;
  const stop = ended === ends.last ? 256 : raw & 0xff;
  const { mode } = machine.cpu as CpuMachine;
  const { stops } = machine.cpu as CpuMachine;
  const rip = stops.at + BigInt(stops.stride * stop);
  const state = decodeState(view, at + resultHeader, mode, given.msrs, rip);
  const writes = changes(view, at + resultHeader + stateSize, at + size, before, after);
  for (const w of writes) written.push({ at: Number(w.at), bytes: w.bytes });
  if (ended === ends.late) {
    const halted = before[savedRip(mode, given.state, stop, state, afterView) - 1] === HLT;
    return { answer: { saw: [{ saw: 'cpu.stopped', by: halted ? 'halt' : 'limit', state: {} }] }, next: at + size };
  }
  if (ended === ends.exited) return { answer: { broke: exited }, next: at + size };
  if (ended === ends.shutdown) {
    if (strands(given, before))
      return {
        answer: { unsupported: 'a stop that may be reached at an outer level, without a stack for the way to the agent' },
        next: at + size,
      };
    const shutdown: Observation = { saw: 'cpu.stopped', by: 'shutdown', state: {} };
    return { answer: { saw: writes.length > 0 ? [{ saw: 'memory.changed', writes }, shutdown] : [shutdown] }, next: at + size };
  }
  const saved = savedRip(mode, given.state, stop, state, afterView);
  if (stop < 256 && inAgent(saved)) return { answer: { unsupported: 'a state that the agent cannot load' }, next: at + size };
  // Stops land by the debug registers, which code at an outer level cannot touch.
  if (stop === 13 && saved >= Number(stops.at) && saved < Number(stops.at) + stops.stride * stops.count)
    return { answer: { unsupported: 'a stop that is reached at an outer level' }, next: at + size };
  // A fault elsewhere is one of what follows.
  const elsewhere = saved >= 0 && saved !== Number((given.state.cs.base + given.state.rip) & 0xffff_ffffn);
  if ((!faults.has(stop) || elsewhere) && reads(firstOf(mode, given.state, before)))
    return { answer: { unsupported: 'what a device answers to a port read' }, next: at + size };
  const saw: Observation[] = [];
  if (writes.length > 0) saw.push({ saw: 'memory.changed', writes });
  saw.push({ saw: 'cpu.stopped', by: 'stop', stop, state });
  return { answer: { saw }, next: at + size };
};
