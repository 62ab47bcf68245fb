// The desk on which a case is laid out: the state so far, the bytes of memory so far. Reads see the furniture under the edits.

import { copyOf } from '../../spec/instructions/copy.ts';
import type { CpuMachine, CpuState, GrantedCpu, Segment } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, Granted, MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { descriptorOf, loaded, loaded8086, unusable } from './descriptors.ts';
import * as at from './layout.ts';

export type Draft = { -readonly [K in keyof CpuState]: CpuState[K] };
export interface Desk {
  readonly machine: MachineConfig;
  readonly cpu: GrantedCpu;
  readonly mode: CpuMachine['mode'];
  readonly long: boolean;
  /** 8086 segmentation. */
  readonly old: boolean;
  readonly cpl: number;
  readonly s: Draft;
  readonly edits: { readonly at: number; readonly bytes: Uint8Array }[];
  /** An external interrupt that waits while the program runs. */
  interrupt?: { readonly vector: number; readonly after: number };
}
export const deskOf = (machine: MachineConfig, granted: Granted, state: CpuState, cpl: number): Desk => {
  const { mode } = machine.cpu as CpuMachine;
  return {
    machine,
    cpu: granted.cpu as GrantedCpu,
    mode,
    long: mode === 'long64' || mode === 'compat',
    old: mode === 'real' || mode === 'v86',
    cpl,
    s: copyOf(state),
    edits: [],
  };
};
export const codeWidth = (d: Desk): 16 | 32 | 64 => (d.mode === 'long64' ? 64 : d.mode === 'compat' || d.mode === 'prot32' ? 32 : 16);
/** Registers are 32 bits wide outside 64-bit mode. */
export const fit = (d: Desk, value: bigint): bigint => value & (d.mode === 'long64' ? 0xffffffffffffffffn : 0xffffffffn);

/** Puts a value in a general register by its number, cut to what fits. Spelled out: a field whose name is worked out is slow to write. */
export const setRegister = (d: Desk, register: number, value: bigint): void => {
  const fitting = fit(d, value);
  switch (register) {
    case 0:
      d.s.rax = fitting;
      return;
    case 1:
      d.s.rcx = fitting;
      return;
    case 2:
      d.s.rdx = fitting;
      return;
    case 3:
      d.s.rbx = fitting;
      return;
    case 4:
      d.s.rsp = fitting;
      return;
    case 5:
      d.s.rbp = fitting;
      return;
    case 6:
      d.s.rsi = fitting;
      return;
    case 7:
      d.s.rdi = fitting;
      return;
    case 8:
      d.s.r8 = fitting;
      return;
    case 9:
      d.s.r9 = fitting;
      return;
    case 10:
      d.s.r10 = fitting;
      return;
    case 11:
      d.s.r11 = fitting;
      return;
    case 12:
      d.s.r12 = fitting;
      return;
    case 13:
      d.s.r13 = fitting;
      return;
    case 14:
      d.s.r14 = fitting;
      return;
    default:
      d.s.r15 = fitting;
  }
};

/** One byte of memory as laid out so far. */
export const byteAt = (d: Desk, where: number): number => {
  for (let i = d.edits.length - 1; i >= 0; i--) {
    const e = d.edits[i] as Desk['edits'][number];
    if (where >= e.at && where < e.at + e.bytes.length) return e.bytes[where - e.at] as number;
  }
  for (const piece of d.machine.image ?? []) {
    const start = where - Number(piece.at);
    if (start >= 0 && start < piece.bytes.length) return piece.bytes[start] as number;
  }
  return at.fill;
};
/** Stores bytes, as long as they lie in memory that is the program's. */
export const put = (d: Desk, where: number | bigint, bytes: Uint8Array): void => {
  const start = Number(where);
  if (Number.isSafeInteger(start) && start >= 0 && start + bytes.length <= at.agent) d.edits.push({ at: start, bytes });
};
export const putWord = (d: Desk, where: number | bigint, value: bigint, size: number): void => {
  const bytes = new Uint8Array(size);
  let rest = value;
  for (let i = 0; i < size; i += 4) {
    let low = Number(BigInt.asUintN(32, rest));
    for (let k = i; k < i + 4 && k < size; k++) {
      bytes[k] = low & 0xff;
      low >>>= 8;
    }
    if (i + 4 < size) rest >>= 32n;
  }
  put(d, where, bytes);
};

/** What loading `selector` gives in this mode, from the tables as laid out so far. */
export const segmentFor = (d: Desk, selector: number): Segment => {
  if (d.old) return loaded8086(selector, d.mode === 'v86');
  if ((selector & 0xfffc) === 0) return unusable(selector);
  const table = ((selector & 4) === 0 ? at.gdt : at.ldt) + (selector & 0xfff8);
  return loaded(selector, descriptorOf(Uint8Array.from({ length: 8 }, (_, i) => byteAt(d, table + i))));
};
/** Whether a data-segment register can hold the selector: code or data, present, accessed. Anything else could not have been loaded. */
export const holdable = (s: Segment): boolean => (s.access & 0x10000) !== 0 || ((s.access & 0x91) === 0x91 && (s.access & 0xa) !== 8);

/** Stimuli that bring the case about. */
export const stimuliOf = (d: Desk, limit: number): readonly Stimulus[] => {
  const stimuli: Stimulus[] = [];
  for (const { at: where, bytes } of d.edits) stimuli.push({ do: 'memory.write', at: BigInt(where) as Gpa, bytes });
  const { s: state, interrupt } = d;
  stimuli.push(interrupt === undefined ? { do: 'cpu.run', state, limit } : { do: 'cpu.run', state, limit, interrupt });
  return stimuli;
};
