// What the area remembers of a machine: the case that runs, what was foretold of it, and what was seen so far.
// Nothing here judges.

import type { Granted } from '../units.ts';
import type { Instruction } from './decode.ts';
import type { CpuState, GrantedCpu, SeenState } from './vocabulary.ts';
import type { Draft, Work } from './work.ts';

/** One permitted way for the case to end. */
export interface Ending {
  /** Clause below 'instructions.' that demands it. */
  readonly rule: string;
  readonly by: 'event' | 'end' | 'shutdown' | 'halt' | 'limit';
  readonly vector: number | undefined;
  readonly error: number | 'any' | undefined;
  /** RIP that the frame saves. */
  readonly rip: bigint | undefined;
  /** Number of the stop that is reached. */
  readonly stop: number | undefined;
  /** The event is a fault of the instruction under judgement, not what ends the program after it. */
  readonly fault: boolean;
  /** State where the run stops. */
  readonly s: Draft;
  /** State before delivery. */
  readonly completed: Draft;
  readonly stores: ReadonlyMap<number, number>;
  readonly loose: ReadonlyMap<number, number>;
  readonly marks: Work['marks'];
  readonly around: Work['around'];
  /** Bytes that a faulting instruction may have written before it faulted. */
  readonly perhaps: ReadonlyMap<number, number>;
  readonly open: ReadonlyMap<string, bigint>;
  readonly flagsWritten: number;
  readonly ports: Work['ports'];
  readonly frame: Frame | undefined;
  /** A task gate has been gone through, whatever was delivered after it. */
  readonly switched: boolean;
}
/** Where delivery put the frame: its words by name, and their size. */
export interface Frame {
  readonly size: 2 | 4 | 8;
  readonly words: readonly Word[];
  /** A task gate: the words of the program stand in its TSS. */
  readonly task?: true;
}
/** Physical address of a word of the frame, what it holds, and the bits of it that are not judged. */
export interface Word {
  readonly name: FrameWord;
  readonly at: number;
  readonly value: bigint;
  readonly loose: bigint;
}
/** A frame has ten words at most: they are looked through. */
export const wordOf = (frame: Frame | undefined, name: FrameWord): Word | undefined => {
  if (frame !== undefined) for (const one of frame.words) if (one.name === name) return one;
  return undefined;
};
export type FrameWord = 'error' | 'rip' | 'cs' | 'rflags' | 'rsp' | 'ss' | 'es' | 'ds' | 'fs' | 'gs';
/** Several instructions in a row: what they were, and the permitted ways for the run to end after the last of them. */
export interface Course {
  readonly instructions: readonly Instruction[];
  readonly endings: readonly Ending[];
}
export interface Expectation {
  readonly instruction: Instruction | undefined;
  readonly endings: readonly Ending[];
  /** Why nothing can be said of how it ends; `loud` where that is a gap of ours or of what was seen, not the nature of the case. */
  readonly unknown: string | undefined;
  readonly loud: boolean;
  /** The instruction must complete. */
  readonly completes: boolean;
  /** Where the run goes on behind its first instruction and it is known how; nothing is then said of that one alone. */
  readonly course: Course | undefined;
}
/** What a difference is about: a register that the instruction writes, or leaves; the flags; the frame; … */
export type Kind =
  | 'result'
  | 'kept'
  | 'flags'
  | 'flags.kept'
  | 'flags.silent'
  | 'rip'
  | 'segment'
  | 'segment.kept'
  | 'hidden'
  | 'system'
  | 'system.kept'
  | 'cr2'
  | 'dr6'
  | 'handler'
  | 'frame.error'
  | 'frame.rip'
  | 'frame.flags'
  | 'frame.selector'
  | 'frame.stack'
  | 'store'
  | 'stray'
  | 'accessed'
  | 'descriptor'
  | 'task'
  | 'port';
/** What the permitted ending changes: where a clause about it has something to say. */
export interface Changes {
  readonly registers: boolean;
  readonly flags: boolean;
  readonly stores: boolean;
  readonly target: boolean;
  readonly segments: boolean;
  readonly descriptors: boolean;
  readonly system: boolean;
  readonly ports: boolean;
}
export const noChanges: Changes = {
  registers: false,
  flags: false,
  stores: false,
  target: false,
  segments: false,
  descriptors: false,
  system: false,
  ports: false,
};
export interface Difference {
  readonly kind: Kind;
  readonly what: string;
  /** Fixed words for it, where `what` would not tell. */
  readonly as?: string;
  /** Of flags: those that differ. */
  readonly bits?: number;
  readonly expected: string;
  readonly saw: string;
}
/** As it was told: most is never looked at. */
export interface Written {
  readonly at: bigint;
  readonly bytes: Uint8Array;
}
export interface InstructionsGhost {
  readonly cpu: GrantedCpu;
  readonly system: boolean;
  /** What code of ring 3 meets is the machine's. */
  readonly ring3: boolean;
  state: CpuState | undefined;
  expected: Expectation;
  written: Written[];
  ports: Work['ports'];
  exception: { readonly vector: number; readonly error?: number; readonly cr2?: bigint } | undefined;
  /** The permitted ending that was seen, and where what was seen differs from it. */
  met: Ending | undefined;
  differences: readonly Difference[];
  /** The same of several instructions in a row. */
  courseMet: Ending | undefined;
  courseDifferences: readonly Difference[];
  changes: Changes;
  /** The run starts at CPL 3. */
  userStart: boolean;
  /** Where the last run stopped, if all of it was seen. */
  last: SeenState | undefined;
}
/** Every expectation has all its parts, in one order: each clause reads them, and records of many shapes are slow to read. */
export const expectationOf = (
  instruction: Instruction | undefined,
  endings: readonly Ending[],
  completes: boolean,
  unknown?: string,
  loud: boolean = false,
  course?: Course,
): Expectation => ({ instruction, endings, unknown, loud, completes, course });
export const nothing: Expectation = expectationOf(undefined, [], false, 'no case runs');
/** Records of one shape, whatever made what was granted: every byte that is foretold asks for a part of it. */
let told: GrantedCpu | undefined;
let known: GrantedCpu | undefined;
const cpuOf = (granted: GrantedCpu): GrantedCpu => {
  if (known === undefined || told !== granted) {
    const { mode, paging, features, stops, monitor = 'none', has, physicalBits, vendor } = granted;
    told = granted;
    known = { mode, paging, features, stops, monitor, has, physicalBits, vendor };
  }
  return known;
};
export const initial = (granted: Granted): InstructionsGhost => ({
  cpu: cpuOf(granted.cpu as GrantedCpu),
  system: granted.offers.includes('cpu.system'),
  ring3: granted.offers.includes('cpu.system') || granted.offers.includes('cpu.ring3'),
  state: undefined,
  expected: nothing,
  written: [],
  ports: [],
  exception: undefined,
  met: undefined,
  differences: [],
  courseMet: undefined,
  courseDifferences: [],
  changes: noChanges,
  userStart: false,
  last: undefined,
});
