// One program for the agent: stimuli to bytes and results back to observations. What an agent inside the guest cannot load or see is said here:
// it loads selectors, so hidden parts must be what the guest's own tables give; it uses the debug registers to land.

import type { CpuMachine, CpuState, Segment, SeenState } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import { pageEntries } from './image.ts';
import { firstOf, fromTable, reads, refusalOf } from './refuse.ts';
import {
  agentCode,
  agentCodeEnd,
  caseAt,
  caseHeader,
  compared,
  ends,
  everywhere,
  pageTable,
  kinds,
  resultHeader,
  stateAt,
  stateSize,
  withMsrs,
} from './map.ts';

/** A case that can be given to an agent. */
export interface AgentCase {
  readonly bytes: Uint8Array;
  readonly state: CpuState;
  /** The machine's memory when the case starts: the pristine bytes with the patches over them. */
  readonly pristine: Uint8Array;
  readonly patches: readonly Patch[];
}
interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}
/** Copies of a machine's memory, as it is before and after a case. They are lent from case to case, and given back as pristine: a copy for each case
 *  would cost more than all else that is done for it here. */
interface Loan {
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}
const loans = new WeakMap<Uint8Array, Loan>();
const loanOf = (pristine: Uint8Array): Loan => {
  let loan = loans.get(pristine);
  if (loan === undefined) loans.set(pristine, (loan = { before: pristine.slice(), after: pristine.slice() }));
  return loan;
};
const giveBack = (memory: Uint8Array, pristine: Uint8Array, patches: readonly Patch[]): void => {
  for (const { at, bytes } of patches) memory.set(pristine.subarray(at, at + bytes.length), at);
};
type Encoded = AgentCase | { readonly unsupported: string };

const isLong = (mode: CpuMachine['mode']): boolean => mode === 'long64' || mode === 'compat';

const msrInstruction = (code: Uint8Array): boolean => {
  for (let i = 0; i + 1 < code.length; i++)
    if (code[i] === 0x0f && [0x05, 0x07, 0x30, 0x32, 0x34, 0x35, 0x01, 0xae].includes(code[i + 1] ?? 0)) return true;
  return false;
};

const put64 = (view: DataView, at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);
const kindOf = (mode: CpuMachine['mode'], state: CpuState): number => {
  if (isLong(mode)) return kinds.ia32e;
  if (mode === 'real') return kinds.real;
  return mode === 'v86' || (state.cs.selector & 3) !== 0 ? kinds.outer : kinds.inner;
};
const places = Object.entries(stateAt);
const encodeState = (view: DataView, from: number, state: CpuState): void => {
  for (const [name, at] of places) {
    const value = (state as unknown as Readonly<Record<string, unknown>>)[name];
    if (typeof value === 'bigint') put64(view, from + at, value);
    else if (typeof value === 'object') view.setUint16(from + at, (value as Segment).selector, true);
  }
  view.setUint16(from + stateAt.gdtrLimit, state.gdtr.limit, true);
  put64(view, from + stateAt.gdtrBase, state.gdtr.base);
  view.setUint16(from + stateAt.idtrLimit, state.idtr.limit, true);
  put64(view, from + stateAt.idtrBase, state.idtr.base);
  put64(view, from + stateAt.fsBase, state.fs.base);
  put64(view, from + stateAt.gsBase, state.gs.base);
};

/** Whether a patch changes what stands above the page table: pages can then be reached by other ways. */
const upper = (p: Patch): boolean => p.at < 0xa000 && p.at + p.bytes.length > 0x6000;
/** Whether an entry of the page table leads elsewhere: a page is then written by way of another's entry. */
const remapped = (machine: MachineConfig, pristine: Uint8Array, memory: Uint8Array): boolean => {
  const { width, entries } = pageEntries(machine);
  for (let at = pageTable; at < pageTable + width * entries; at++) if (at % width !== 0 && pristine[at] !== memory[at]) return true;
  return false;
};
/** `pristine`: the machine's memory below the agent, stops included. */
export const encodeCase = (machine: MachineConfig, pristine: Uint8Array, stimuli: readonly Stimulus[]): Encoded => {
  const patches: Patch[] = [];
  const { before } = loanOf(pristine);
  try {
    return encoded(machine, pristine, before, patches, stimuli);
  } finally {
    giveBack(before, pristine, patches);
  }
};
const encoded = (
  machine: MachineConfig,
  pristine: Uint8Array,
  memory: Uint8Array,
  patches: Patch[],
  stimuli: readonly Stimulus[],
): Encoded => {
  const cpu = machine.cpu as CpuMachine;
  let state: CpuState | undefined;
  for (const stimulus of stimuli) {
    if (state !== undefined) return { unsupported: 'anything after the run' };
    if (stimulus.do === 'memory.write') {
      const at = Number(stimulus.at);
      if (at + stimulus.bytes.length > compared) return { unsupported: 'memory that is the agent’s' };
      patches.push({ at, bytes: stimulus.bytes });
      memory.set(stimulus.bytes, at);
    } else if (stimulus.do === 'cpu.run' && stimulus.state !== undefined && stimulus.interrupt === undefined) state = stimulus.state;
    else return { unsupported: `${stimulus.do} of this kind` };
  }
  if (state === undefined) return { unsupported: 'a program without a run' };
  const refused = refusalOf(cpu, state, memory);
  if (refused !== undefined) return { unsupported: refused };
  const size = caseHeader + stateSize + patches.reduce((sum, p) => sum + 8 + ((p.bytes.length + 7) & ~7), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const start = Number(state.cs.base + state.rip);
  const otherBases = cpu.mode === 'long64' && (!fromTable(state.fs, state, memory) || !fromTable(state.gs, state, memory));
  view.setUint32(caseAt.size, size, true);
  view.setUint32(caseAt.kind, kindOf(cpu.mode, state), true);
  view.setUint32(caseAt.patches, patches.length, true);
  view.setUint32(
    caseAt.flags,
    (otherBases || msrInstruction(memory.subarray(start, start + 64)) ? withMsrs : 0) |
      (patches.some(upper) || remapped(machine, pristine, memory) ? everywhere : 0),
    true,
  );
  encodeState(view, caseHeader, state);
  let at = caseHeader + stateSize;
  for (const p of patches) {
    view.setUint32(at, p.at, true);
    view.setUint32(at + 4, p.bytes.length, true);
    bytes.set(p.bytes, at + 8);
    at += 8 + ((p.bytes.length + 7) & ~7);
  }
  return { bytes, state, pristine, patches };
};

const general = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const high = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
const decodeState = (view: DataView, from: number, mode: CpuMachine['mode'], msrs: boolean): SeenState => {
  const long = isLong(mode);
  const word = (name: keyof typeof stateAt): bigint =>
    long ? view.getBigUint64(from + stateAt[name], true) : BigInt(view.getUint32(from + stateAt[name], true));
  const selector = (name: keyof typeof stateAt): { readonly selector: number } => ({
    selector: view.getUint16(from + stateAt[name], true),
  });
  const table = (limit: 'gdtrLimit' | 'idtrLimit', base: 'gdtrBase' | 'idtrBase'): { readonly base: bigint; readonly limit: number } => ({
    base: word(base),
    limit: view.getUint16(from + stateAt[limit], true),
  });
  const some = <K extends string>(names: readonly K[]): Record<K, bigint> =>
    Object.fromEntries(names.map((n) => [n, word(n as unknown as keyof typeof stateAt)])) as Record<K, bigint>;
  return {
    ...some(general),
    ...(long ? some(high) : {}),
    rflags: word('rflags'),
    // The landing itself is a far jump in real-address mode.
    ...(mode === 'real' ? {} : { cs: selector('cs') }),
    ss: selector('ss'),
    ds: selector('ds'),
    es: selector('es'),
    fs: selector('fs'),
    gs: selector('gs'),
    ...(mode === 'real' ? {} : { ldtr: selector('ldtr'), tr: selector('tr') }),
    gdtr: table('gdtrLimit', 'gdtrBase'),
    idtr: table('idtrLimit', 'idtrBase'),
    ...some(['cr0', 'cr2', 'cr3', 'cr4'] as const),
    ...(long ? some(['cr8'] as const) : {}),
    efer: view.getBigUint64(from + stateAt.efer, true),
    ...some(['dr6', 'dr7'] as const),
    ...(long && msrs
      ? some(['star', 'lstar', 'cstar', 'sfmask', 'kernelGsBase', 'sysenterCs', 'sysenterEsp', 'sysenterEip'] as const)
      : {}),
  };
};

/** Bytes that changed, each run of neighbours one write. */
const changes = (view: DataView, from: number, to: number, memory: Uint8Array): { readonly at: Gpa; readonly bytes: Uint8Array }[] => {
  const bytes = new Map<number, number>();
  for (let at = from; at + 16 <= to; at += 16) {
    const where = view.getUint32(at, true);
    for (let i = 0; i < 8; i++) {
      const now = view.getUint8(at + 8 + i);
      if (memory[where + i] !== now) bytes.set(where + i, now);
    }
  }
  const runs: { at: number; bytes: number[] }[] = [];
  for (const [at, byte] of [...bytes].sort(([a], [b]) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last.at + last.bytes.length === at) last.bytes.push(byte);
    else runs.push({ at, bytes: [byte] });
  }
  return runs.map((r) => ({ at: BigInt(r.at) as Gpa, bytes: Uint8Array.from(r.bytes) }));
};
const errorCodes: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
/** Events that come before a port is read. */
const faults: ReadonlySet<number> = new Set([6, 10, 11, 12, 13, 14]);
const HLT = 0xf4;
/** The linear address that the event's frame names, or -1 where the frame is not in memory. */
const savedRip = (mode: CpuMachine['mode'], given: CpuState, stop: number, state: SeenState, after: Uint8Array): number => {
  const view = new DataView(after.buffer, after.byteOffset, after.byteLength);
  const base = mode === 'real' ? (state.ss?.selector ?? 0) << 4 : 0;
  const width = mode === 'real' ? 2 : isLong(mode) ? 8 : 4;
  const top = base + Number(state.rsp ?? 0n) + (mode !== 'real' && errorCodes.has(stop) ? width : 0);
  if (top < 0 || top + 2 * width > after.length) return top >= agentCode ? agentCode : -1;
  const rip = width === 2 ? view.getUint16(top, true) : view.getUint32(top, true);
  const cs = view.getUint16(top + width, true);
  const v86 = mode === 'v86' && (view.getUint32(Math.min(top + 8, after.length - 4), true) & 0x20000) !== 0;
  if (mode === 'real' || v86) return (cs << 4) + rip;
  return cs === given.cs.selector ? Number(given.cs.base) + rip : rip;
};
/** Whether the event interrupted the agent itself: the state could not be loaded. */
const inAgent = (linear: number): boolean => linear >= agentCode && linear < agentCodeEnd;

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
  { before, after }: Loan,
  written: Patch[],
  bytes: Uint8Array,
  at: number,
): { readonly answer: Answer; readonly next: number } => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(at, true);
  const raw = view.getUint16(at + 4, true);
  const ended = raw >> 8;
  const stop = ended === ends.last ? 256 : raw & 0xff;
  const { mode } = machine.cpu as CpuMachine;
  const msrs = (new DataView(given.bytes.buffer, given.bytes.byteOffset).getUint32(caseAt.flags, true) & withMsrs) !== 0;
  const { stops } = machine.cpu as CpuMachine;
  const rip = stops.at + BigInt(stops.stride * stop);
  const state: SeenState = { ...decodeState(view, at + resultHeader, mode, msrs), rip };
  const writes = changes(view, at + resultHeader + stateSize, at + size, before);
  for (const w of writes) {
    written.push({ at: Number(w.at), bytes: w.bytes });
    after.set(w.bytes, Number(w.at));
  }
  if (ended === ends.late) {
    const halted = before[savedRip(mode, given.state, stop, state, after) - 1] === HLT;
    return { answer: { saw: [{ saw: 'cpu.stopped', by: halted ? 'halt' : 'limit', state: {} }] }, next: at + size };
  }
  if (ended === ends.shutdown) {
    const shutdown: Observation = { saw: 'cpu.stopped', by: 'shutdown', state: {} };
    return { answer: { saw: writes.length > 0 ? [{ saw: 'memory.changed', writes }, shutdown] : [shutdown] }, next: at + size };
  }
  if (stop < 256 && inAgent(savedRip(mode, given.state, stop, state, after)))
    return { answer: { unsupported: 'a state that the agent cannot load' }, next: at + size };
  // Stops land by the debug registers, which code at an outer level cannot touch.
  const saved = savedRip(mode, given.state, stop, state, after);
  if (stop === 13 && saved >= Number(stops.at) && saved < Number(stops.at) + stops.stride * stops.count)
    return { answer: { unsupported: 'a stop that is reached at an outer level' }, next: at + size };
  if (!faults.has(stop) && reads(firstOf(mode, given.state, before)))
    return { answer: { unsupported: 'what a device answers to a port read' }, next: at + size };
  const saw: Observation[] = [];
  if (writes.length > 0) saw.push({ saw: 'memory.changed', writes });
  saw.push({ saw: 'cpu.stopped', by: 'stop', stop, state });
  return { answer: { saw }, next: at + size };
};
