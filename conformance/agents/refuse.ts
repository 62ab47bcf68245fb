// Which programs an agent inside the guest cannot load, outlive or observe, each with the reason: `unsupported`, never an accusation.
// It loads selectors, so hidden parts must be what the guest's own tables give; it lands by the debug registers; it shares the machine's memory.

import type { CpuMachine, CpuState, Segment } from '../../spec/instructions/vocabulary.ts';
import { low, numberOf } from '../numbers.ts';
import { lost } from './leave.ts';
import { agentStack, compared, pageTable } from './map.ts';
import { strays } from './stray.ts';

const is8086 = (mode: CpuMachine['mode']): boolean => mode === 'real' || mode === 'v86';
export const isLong = (mode: CpuMachine['mode']): boolean => mode === 'long64' || mode === 'compat';

/** Whether loading the selector from the table in `memory` gives this hidden part. */
export const fromTable = (s: Segment, state: CpuState, memory: Uint8Array): boolean => {
  if ((s.selector & 0xfffc) === 0) return (s.access & 0x10000) !== 0;
  const table = (s.selector & 4) === 0 ? state.gdtr.base : state.ldtr.base;
  const at = numberOf(table) + (s.selector & 0xfff8);
  const upper = memory[at + 6] ?? 0;
  if (((memory[at + 5] ?? 0) | ((upper & 0xf0) << 8)) !== s.access) return false;
  const raw = (memory[at] ?? 0) | ((memory[at + 1] ?? 0) << 8) | ((upper & 0xf) << 16);
  if (((upper & 0x80) === 0 ? raw : ((raw << 12) | 0xfff) >>> 0) !== s.limit) return false;
  const base = ((memory[at + 2] ?? 0) | ((memory[at + 3] ?? 0) << 8) | ((memory[at + 4] ?? 0) << 16) | ((memory[at + 7] ?? 0) << 24)) >>> 0;
  return base === numberOf(s.base);
};
/** What LTR would give the task register; its granularity is bytes. */
const taskLimit = (state: CpuState, memory: Uint8Array): number => {
  const at = numberOf(state.gdtr.base) + (state.tr.selector & 0xfff8);
  return (memory[at] ?? 0) | ((memory[at + 1] ?? 0) << 8) | (((memory[at + 6] ?? 0) & 0xf) << 16);
};

/** The first instruction, behind its prefixes. */
export interface First {
  /** Where its opcode stands in memory. */
  readonly at: number;
  readonly repeated: boolean;
  readonly rex: number;
}
/** SDM volume 2, Instruction Format: bytes of an instruction at most. */
export const longest = 15;
const isPrefix: readonly boolean[] = Array.from({ length: 256 }, (_, byte) =>
  [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].includes(byte),
);
/** SDM volume 2, Instruction Prefixes; REX Prefixes. */
export const firstOf = (mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array): First => {
  let at = numberOf(state.cs.base) + numberOf(state.rip);
  // Past memory programs lie where the last entry of the page table leads.
  if (at >= memory.length && pageTable + 0x1000 <= memory.length) {
    const last = new DataView(memory.buffer, memory.byteOffset, memory.byteLength).getUint32(pageTable + 0xff8, true);
    at = (last & 0xfffff000) + (at % 0x1000);
  }
  let repeated = false;
  let rex = 0;
  for (let i = 0; i < longest; i++, at++) {
    const byte = memory[at] ?? 0;
    if (mode === 'long64' && (byte & 0xf0) === 0x40) rex = byte;
    else if (isPrefix[byte] === true) {
      repeated ||= byte === 0xf2 || byte === 0xf3;
      rex = 0;
    } else break;
  }
  return { at, repeated, rex };
};
const registers = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const high = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** INS and IN: what they read is a device's. OUT goes nowhere that is seen. */
export const reads = ({ at }: First, memory: Uint8Array): boolean => {
  const op = memory[at] ?? 0;
  return op === 0x6c || op === 0x6d || (op & 0xf6) === 0xe4;
};
export const isString = ({ at }: First, memory: Uint8Array): boolean => {
  const op = memory[at] ?? 0;
  return (op >= 0xa4 && op <= 0xaf && op !== 0xa8 && op !== 0xa9) || (op >= 0x6c && op <= 0x6f);
};

/** A MOV to CR0 that leaves protected mode or paging: control would come back in another mode than the stops are made for. */
const leavesMode = (first: First, mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array): boolean => {
  const [escape, op, modrm = 0] = [memory[first.at], memory[first.at + 1], memory[first.at + 2]];
  if (mode === 'real' || mode === 'v86' || (state.cs.selector & 3) !== 0) return false;
  if (escape !== 0x0f || op !== 0x22 || (modrm & 0x38) !== 0 || (first.rex & 4) !== 0) return false;
  const value = state[((first.rex & 1) === 0 ? registers : high)[modrm & 7] as 'rax'];
  const [pe, pg] = [1n, 1n << 31n];
  // Paging without protection is #GP.
  return (value & pe) === 0n ? (value & pg) === 0n : (state.cr0 & pg) !== 0n && (value & pg) === 0n;
};

const segmentRefusal = (
  name: 'cs' | 'ss' | 'ds' | 'es' | 'fs' | 'gs',
  s: Segment,
  mode: CpuMachine['mode'],
  state: CpuState,
  memory: Uint8Array,
): string | undefined => {
  if (is8086(mode))
    return numberOf(s.base) === s.selector << 4 && s.limit === 0xffff
      ? undefined
      : `a hidden part of ${name} that its selector does not give`;
  if ((s.access & 0x10011) === 0x10) return `a segment in ${name} whose loading would set its accessed flag`;
  // A return to an outer level makes every null selector 0.
  if (s.selector < 4 && s.selector > 0 && (state.cs.selector & 3) !== 0) return `a null selector in ${name} with a privilege level`;
  const base64 = mode === 'long64' && (name === 'fs' || name === 'gs');
  return base64 || fromTable(s, state, memory) ? undefined : `a hidden part of ${name} that its selector does not give`;
};
/** SDM volume 1, IN and OUT; `watched`: a watchdog ends what does not end. */
export const refusalOf = (machine: CpuMachine, state: CpuState, memory: Uint8Array): string | undefined => {
  const { mode } = machine;
  if (machine.paging === '5-level') return '5-level paging in an agent that runs with 4 levels';
  if (state.shadow !== 'none') return 'a program that starts in an interrupt shadow';
  if ((low(state.dr7) & 0x20ff) !== 0 || state.dr0 !== 0n || state.dr1 !== 0n || state.dr2 !== 0n || state.dr3 !== 0n)
    return 'breakpoints: the agent needs the debug registers';
  if ((low(state.rflags) & 0x180000) !== 0 && mode !== 'v86') return 'VIF or VIP, which a return to an outer level need not load';
  if (state.tr.selector !== 0x40 && mode !== 'real') return 'a task register other than the furnished one';
  if (mode !== 'real' && state.tr.limit !== taskLimit(state, memory)) return 'a task register whose limit its descriptor does not give';
  if (mode !== 'real' && (state.tr.access & 8) === 0) return 'a TSS of 16 bits';
  if (state.ldtr.selector !== 0x50 && mode !== 'real') return 'an LDT other than the furnished one';
  if (mode !== 'real' && (numberOf(state.gdtr.base) !== 0x1000 || state.gdtr.limit < 0x1f)) return 'a GDT without the first descriptors';
  const inner = mode !== 'real' && mode !== 'v86' && !isLong(mode) && (state.cs.selector & 3) === 0;
  if ((inner || mode === 'real') && (low(state.rflags) & 0x10100) !== 0) return 'TF or RF at CPL 0 of a legacy mode';
  const why =
    segmentRefusal('cs', state.cs, mode, state, memory) ??
    segmentRefusal('ss', state.ss, mode, state, memory) ??
    segmentRefusal('ds', state.ds, mode, state, memory) ??
    segmentRefusal('es', state.es, mode, state, memory) ??
    segmentRefusal('fs', state.fs, mode, state, memory) ??
    segmentRefusal('gs', state.gs, mode, state, memory);
  if (why !== undefined) return why;
  // The watchdog's NMI and double faults need their gates; without them all ends in shutdown, whatever it was.
  const gate = mode === 'real' ? 4 : isLong(mode) ? 16 : 8;
  if (state.idtr.limit < 14 * gate + gate - 1) return 'an IDT that does not reach the page-fault gate';
  // IRETQ to it loads SP alone: above it stays what is the agent's.
  if (mode === 'compat' && (state.ss.access & 0x4000) === 0 && BigInt(agentStack) >> 16n !== state.rsp >> 16n)
    return 'a 16-bit stack whose upper half of ESP a return does not load';
  const first = firstOf(mode, state, memory);
  if (leavesMode(first, mode, state, memory)) return 'a program that leaves the mode its stops are made for';
  const away = mode === 'real' ? lost(first, state, memory) : undefined;
  if (away !== undefined) return away;
  const unpaged = low(state.cr0) >>> 31 === 0;
  if (unpaged && mode !== 'real' && first.repeated && isString(first, memory) && state.rcx > 0x4000n)
    return 'a repeated string over memory that is the agent’s';
  if (unpaged && mode !== 'real' && (state.rsp & 0xffff_ffffn) - 0x80n > BigInt(compared) - 0x100n) return 'a stack that is not in memory';
  if (unpaged && strays(first, mode, state, memory)) return 'a program that goes on where no memory is';
  return undefined;
};
