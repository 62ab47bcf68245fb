// One case as the rules see it: the state and memory before, what has been foretold of the state and memory after, and what may be left open.
// A judge's scratch pad: it holds whole values and sets of permitted bits, nothing is executed step by step.

import type { Memory } from '../clause.ts';
import type { Granted } from '../units.ts';
import type { Watch } from './breakpoints.ts';
import { cr0, efer, flag, low, ones, type Size, bigOf } from './bits.ts';
import { copyOf, type Draft } from './copy.ts';
import { general, setGeneral } from './general.ts';
import type { Instruction } from './decode.ts';
import type { CpuFeature, CpuState, GrantedCpu, Segment } from './vocabulary.ts';

export type { Draft } from './copy.ts';
export interface Fault {
  readonly vector: number;
  /** Absent: none is pushed. 'any': the target cannot know or the manual leaves it open. */
  readonly error?: number | 'any' | undefined;
  readonly cr2?: bigint | undefined;
  /** Clause that demands it, below 'instructions.'. */
  readonly rule: string;
  /** A trap: the saved RIP is that of the next instruction. */
  readonly trap?: true;
  /** #DB as a fault: bits of DR6. RF of the image stays for an instruction breakpoint, and is open elsewhere. */
  readonly debug?: number;
}
/** Thrown where the instruction cannot complete: exactly one of these faults is permitted. */
export interface Raised {
  readonly faults: readonly Fault[];
}
/** Thrown where nothing can be said. */
export interface Undecided {
  readonly undecided: string;
  readonly loud?: true;
}
/** An event that is what the instruction does: INT n, INT3, INTO, INT1. */
export interface Arriving {
  readonly vector: number;
  readonly software: boolean;
  /** INT1, no software interrupt: what its delivery runs into is a fault of the instruction all the same. */
  readonly instruction?: true;
}
/** What the instructions before this one in the same run have done beside the state. */
export interface Carried {
  readonly stores: ReadonlyMap<number, number>;
  readonly lowest: number;
  readonly highest: number;
  readonly marks: Work['marks'];
  readonly around: Work['around'];
  readonly ports: Work['ports'];
}
export interface Work {
  readonly before: CpuState;
  s: Draft;
  readonly memory: Memory;
  readonly granted: Granted;
  readonly cpu: GrantedCpu;
  /** The guest has descriptor, control and page tables of its own. */
  readonly system: boolean;
  /** The tables, pages and control registers that code of ring 3 meets are the guest's, or as the guest's. */
  readonly ring3: boolean;
  i: Instruction;
  /** Foretold bytes of guest memory, by physical address. */
  stores: ReadonlyMap<number, number>;
  /** The lowest and the highest address ever foretold: most reads lie outside. */
  lowest: number;
  highest: number;
  /** Why a byte is foretold, where it is not the instruction's own store. */
  marks: ReadonlyMap<number, 'accessed' | 'descriptor' | 'frame' | 'task'>;
  /** Bytes beside those, as they were: an entry may be written back whole. */
  around: ReadonlyMap<number, number>;
  /** Bits of those bytes that are not judged. */
  loose: ReadonlyMap<number, number>;
  /** Bits of the state that are not judged; segments by the name of a part: 'cs.limit'. */
  open: ReadonlyMap<string, bigint>;
  ports: { port: number; width: 1 | 2 | 4; direction: 'in' | 'out'; value: number }[];
  /** Other faults that may be reported in place of what happens; and whether completion is permitted beside them. */
  also: Fault[];
  /** State as it was before the instruction except for what a repeated string instruction had done when it faulted. */
  progress: boolean;
  /** While an iteration runs: each byte that it foretells, and what was foretold of it before, or -1. */
  journal: number[] | undefined;
  /** Bytes that an iteration may have set before it faulted. */
  tried: ReadonlyMap<number, number>;
  /** Flags that the instruction writes, defined or not. */
  flagsWritten: number;
  /** The instruction has set RIP itself. */
  moved: boolean;
  /** It stops after an iteration that is not its last. */
  between: boolean;
  /** A repeated string instruction. */
  repeats: boolean;
  /** RIP of the instruction that an event now belongs to, where that is no longer the first. */
  after: bigint | undefined;
  halted: boolean;
  event: Arriving | undefined;
  /** Faults that a new task's segments cause, any of which may be reported in it. */
  troubles: readonly Fault[];
  /** How many tasks an event has gone to through a task gate. */
  gates: number;
  /** The new task's TSS has the debug trap flag set, and #DB has not come yet. */
  taskTrap: boolean;
  /** Translations that were walked: a key and what it led to, one after the other. Few are made, and looked through. */
  readonly walks: number[];
  /** Breakpoints that are enabled. */
  watch: Watch | undefined;
  /** Of the first instruction of a run there is nothing. */
  carried: Carried | undefined;
}

export { low };
// What is thrown is made by functions that return: one that only ever throws is never compiled, however often it is called.
const undecidable = (why: string): Undecided => ({ undecided: why });
const raised = (faults: readonly Fault[]): Raised => ({ faults });
const faultOf = (vector: number, error: number | 'any' | undefined, rule: string): readonly Fault[] => [
  { vector, error, cr2: undefined, rule },
];
export const undecided = (why: string): never => {
  throw undecidable(why);
};
/** Undecided for want of what was seen. */
export const unseen = (why: string): never => {
  const thrown: Undecided = { undecided: why, loud: true };
  throw thrown;
};
export const raiseAll = (faults: readonly Fault[]): never => {
  throw raised(faults);
};
export const raise = (...faults: readonly Fault[]): never => {
  throw raised(faults);
};
export const gp = (rule: string, error: number | 'any' = 0): never => {
  throw raised(faultOf(13, error, rule));
};
export const ud = (rule: string): never => {
  throw raised(faultOf(6, undefined, rule));
};
export const ss = (rule: string, error = 0): never => {
  throw raised(faultOf(12, error, rule));
};
export const np = (rule: string, error: number): never => {
  throw raised(faultOf(11, error, rule));
};
/** Whether what was thrown are faults. Read, not asked for with `in`, which is slow. */
export const isRaised = (thrown: unknown): thrown is Raised =>
  typeof thrown === 'object' && thrown !== null && (thrown as Partial<Raised>).faults !== undefined;

/** What depends on tables or registers of the guest's own cannot be known where they are the host's. */
export const ofSystem = (w: Work, what: string): void => {
  if (!w.ring3) undecided(`${what} is the host's own`);
};

/** The same of one register that is asked for over and over and seldom changes: the last answer is kept. */
const lowOf = (): ((value: bigint) => number) => {
  let last = 0n;
  let answer = 0;
  return (value) => {
    if (value !== last) {
      last = value;
      answer = low(value);
    }
    return answer;
  };
};
const lowRflags = lowOf();
const lowCr0 = lowOf();
const lowCr4 = lowOf();
const lowEfer = lowOf();
export const flagsOf = (s: CpuState): number => lowRflags(s.rflags);
export const cr0Of = (s: CpuState): number => lowCr0(s.cr0);
export const cr4Of = (s: CpuState): number => lowCr4(s.cr4);
export const eferOf = (s: CpuState): number => lowEfer(s.efer);
export const protectedMode = (s: CpuState): boolean => (cr0Of(s) & cr0.PE) !== 0;
export const v86 = (s: CpuState): boolean => (flagsOf(s) & flag.VM) !== 0;
export const ia32e = (s: CpuState): boolean => (eferOf(s) & efer.LMA) !== 0;
export const in64 = (s: CpuState): boolean => ia32e(s) && (s.cs.access & 0x2000) !== 0;
/** Real-address and virtual-8086 mode form segments from selectors. */
export const like8086 = (s: CpuState): boolean => !protectedMode(s) || v86(s);
/** SDM volume 3, Privilege Levels: 0 in real-address mode, 3 in virtual-8086 mode; else the level of SS, which CS agrees with. */
export const cpl = (s: CpuState): number => (!protectedMode(s) ? 0 : v86(s) ? 3 : (s.ss.access >> 5) & 3);
export const iopl = (s: CpuState): number => (flagsOf(s) >> 12) & 3;
export const codeSize = (s: CpuState): 16 | 32 | 64 => (in64(s) ? 64 : (s.cs.access & 0x4000) !== 0 ? 32 : 16);
export const stackSize = (s: CpuState): 2 | 4 | 8 => (in64(s) ? 8 : (s.ss.access & 0x4000) !== 0 ? 4 : 2);
export const has = (w: Work, feature: CpuFeature): boolean => w.cpu.has.includes(feature);

/** What every case starts with in each of its maps: most cases never write to most of them. */
const empty: ReadonlyMap<never, never> = new Map<never, never>();
/** The map to write to in place of one that is still the empty one. */
export const own = <K, V>(map: ReadonlyMap<K, V>): Map<K, V> => (map === empty ? new Map<K, V>() : (map as Map<K, V>));
export const begin = (before: CpuState, memory: Memory, granted: Granted, cpu: GrantedCpu): Work => ({
  before,
  s: copyOf(before),
  memory,
  granted,
  cpu,
  system: granted.offers.includes('cpu.system'),
  ring3: granted.offers.includes('cpu.system') || granted.offers.includes('cpu.ring3'),
  i: undefined as unknown as Instruction,
  stores: empty,
  lowest: Number.POSITIVE_INFINITY,
  highest: -1,
  marks: empty,
  around: empty,
  loose: empty,
  open: empty,
  ports: [],
  also: [],
  progress: false,
  journal: undefined,
  tried: empty,
  flagsWritten: 0,
  moved: false,
  between: false,
  repeats: false,
  after: undefined,
  halted: false,
  event: undefined,
  troubles: [],
  gates: 0,
  taskTrap: false,
  walks: [],
  watch: undefined,
  carried: undefined,
});
/** The same instruction from its beginning: nothing of it is foretold, but what those before it did. */
export const anew = (w: Work): Work => startedAfter(begin(w.before, w.memory, w.granted, w.cpu), w.carried);
export const startedAfter = (w: Work, carried: Carried | undefined): Work => {
  if (carried === undefined) return w;
  w.carried = carried;
  if (carried.stores.size > 0) w.stores = new Map(carried.stores);
  if (carried.marks.size > 0) w.marks = new Map(carried.marks);
  if (carried.around.size > 0) w.around = new Map(carried.around);
  w.lowest = carried.lowest;
  w.highest = carried.highest;
  w.ports = [...carried.ports];
  return w;
};
/** Leaves bits of a register, or of a part of a segment, unjudged. */
export const leave = (w: Work, what: string, bits: bigint = ones(8)): void => {
  const open = own(w.open);
  open.set(what, (open.get(what) ?? 0n) | bits);
  w.open = open;
};

/** Register number `n` at a size; without REX, 4 to 7 of size 1 are AH, CH, DH, BH. */
export const register = (w: Work, n: number, size: Size): bigint => {
  if (size === 1 && n >= 4 && n < 8 && w.i.rex === 0) return (general(w.s, n - 4) >> 8n) & 0xffn;
  return general(w.s, n) & ones(size);
};
/** 8 and 16 bits keep the rest of the register, 32 bits clear the high half. SDM volume 1, General-Purpose Registers in 64-Bit Mode. */
export const setRegister = (w: Work, n: number, size: Size, value: bigint): void => {
  const { s } = w;
  if (size === 1 && n >= 4 && n < 8 && w.i.rex === 0) setGeneral(s, n - 4, (general(s, n - 4) & ~0xff00n) | ((value & 0xffn) << 8n));
  else setGeneral(s, n, size >= 4 ? value & ones(size) : (general(s, n) & ~ones(size)) | (value & ones(size)));
};
/** Sets status flags: `value` where `known`, unjudged where `undefinedBits`. */
export const setFlags = (w: Work, written: number, value: number, undefinedBits = 0): void => {
  w.flagsWritten |= written | undefinedBits;
  w.s.rflags = bigOf(((flagsOf(w.s) & ~written) | (value & written)) >>> 0);
  if (undefinedBits !== 0) leave(w, 'rflags', BigInt(undefinedBits));
};
/** By number, in the order of `segments`; said in full, because a name that changes from call to call is slow to look up. */
export const segmentAt = ({ s }: Work, n: number): Segment => {
  switch (n) {
    case 0:
      return s.es;
    case 1:
      return s.cs;
    case 2:
      return s.ss;
    case 3:
      return s.ds;
    case 4:
      return s.fs;
    default:
      return s.gs;
  }
};
const lowHalf = 1n << 47n;
/** In 64-bit mode 48 or 57 bits are implemented. SDM volume 1, Canonical Addressing. */
export const canonical = (s: CpuState, linear: bigint): boolean => {
  if (linear >= 0n && linear < lowHalf) return true;
  const width = (cr4Of(s) & 0x1000) !== 0 ? 57 : 48;
  return BigInt.asUintN(64, BigInt.asIntN(width, linear)) === BigInt.asUintN(64, linear);
};
/** The same of a base that is kept: processors with 57 bits may check all of them whatever CR4.LA57 says. SDM volume 1, Canonical Addressing. */
export const canonicalBase = (w: Work, base: bigint): boolean => {
  if (canonical(w.s, base)) return true;
  if (has(w, 'la57') && BigInt.asUintN(64, BigInt.asIntN(57, base)) === base) undecided('a base that is canonical with 57 bits alone');
  return false;
};
