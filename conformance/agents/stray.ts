// Which programs without paging go on where no memory is, surely and without a fault of the transfer: a translator takes such memory one instruction at
// a time, a hundred milliseconds until the watchdog, and nothing is said of what code stands there. All others run, and which of them need little time.

import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import { low } from '../numbers.ts';
import { destination, machineEnd, operand, type Reading, word } from './leave.ts';
import type { Patch } from './loan.ts';
import { before, compared, ramSize, results } from './map.ts';
import type { First } from './refuse.ts';

const prefixBytes: ReadonlySet<number> = new Set([0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]);
/** Where the opcode of the instruction at `start` is. */
const opcodeAt = (mode: CpuMachine['mode'], start: number, memory: Uint8Array): number => {
  let at = start;
  while (at < start + 14 && (prefixBytes.has(memory[at] ?? 0) || (mode === 'long64' && ((memory[at] ?? 0) & 0xf0) === 0x40))) at++;
  return at;
};
const LOCK = 0xf0;
const flag = { CF: 0x01, PF: 0x04, ZF: 0x40, SF: 0x80, TF: 0x100, OF: 0x800, AC: 0x40000 } as const;
const registers = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
/** Bytes that a transfer takes from the stack or puts there, at most: IRETD three words, an interrupt as many. */
const frame = 12;

/** SDM volume 2, appendix EFLAGS Condition Codes. */
const holds = (code: number, flags: number): boolean => {
  const set = (bit: number): boolean => (flags & bit) !== 0;
  const less = set(flag.SF) !== set(flag.OF);
  const met = [
    set(flag.OF),
    set(flag.CF),
    set(flag.ZF),
    set(flag.CF) || set(flag.ZF),
    set(flag.SF),
    set(flag.PF),
    less,
    set(flag.ZF) || less,
  ];
  return met[code >> 1] !== ((code & 1) === 1);
};
/** Whether far transfers of real-address mode do as asked: code, operand and stack are within their segments. */
const farAway = (r: Reading, code: number): boolean => {
  const { state, memory } = r;
  const way = destination(r);
  if (way === undefined || way.offset > 0xffff || way.offset + way.segment * 16 < machineEnd) return false;
  const top = low(state.rsp) & 0xffff;
  if (top < frame || top > 0x10000 - frame) return false;
  // What an interrupt needs of its table is not looked at here.
  if (memory[code] === 0xcd) return false;
  if (memory[code] !== 0xff) return true;
  const at = operand(r, code + 1);
  return at + 8 < compared && ((at - Number(state.ds.base)) & 0xffff) < 0xfff8;
};
/** Where a near transfer of flat 32-bit code leads, or undefined: it is none, or may fault. */
const nearTarget = ({ prefixes, state, memory }: Reading, code: number): number | undefined => {
  const [op, second] = [memory[code] ?? 0, memory[code + 1] ?? 0];
  const relative = (length: number): number => (code + length + word(memory, code + length - 4, 4)) % 2 ** 32;
  const top = low(state.rsp);
  const flat = (state.ss.access & 0x4000) !== 0 && (state.ss.access & 4) === 0 && state.ss.base === 0n && state.ss.limit === 0xffffffff;
  const stack = flat && top % 4 === 0 && top >= frame && top + frame <= compared;
  if (op === 0xe9) return relative(5);
  if (op === 0xe8) return stack ? relative(5) : undefined;
  if (op === 0x0f && (second & 0xf0) === 0x80) return holds(second & 15, low(state.rflags)) ? relative(6) : undefined;
  if (op === 0xc3 || op === 0xc2) return stack ? word(memory, top, 4) : undefined;
  const field = (second >> 3) & 7;
  if (op !== 0xff || second < 0xc0 || (field !== 4 && (field !== 2 || !stack)) || prefixes.length > 0) return undefined;
  return low(state[registers[second & 7] as 'rax']);
};
export const strays = (first: First, mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array): boolean => {
  const start = Number(state.cs.base) + (mode === 'real' ? low(state.rip) & 0xffff : low(state.rip));
  const code = opcodeAt(mode, start, memory);
  const prefixes = [...memory.subarray(start, code)];
  // A trap comes before the next instruction is fetched; an instruction too long, or with LOCK, is a fault.
  if ((low(state.rflags) & (flag.TF | flag.AC)) !== 0 || prefixes.length > 6 || prefixes.includes(LOCK)) return false;
  const reading = { first, prefixes, state, memory };
  if (mode === 'real') return (low(state.rip) & 0xffff) < 0xfff0 - prefixes.length && farAway(reading, code);
  if (mode !== 'prot32' || prefixes.includes(0x66) || state.cs.base !== 0n || state.cs.limit !== 0xffffffff) return false;
  const target = nearTarget(reading, code);
  return target !== undefined && target >= machineEnd && target < 2 ** 32 - 16;
};

/** Opcodes of one byte: far and near CALL, JMP and returns, software interrupts, HLT. */
const transfers: ReadonlySet<number> = new Set([0x9a, 0xe8, 0xe9, 0xea, 0xc2, 0xc3, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xf1, 0xf4]);
/** CALL and JMP of opcode FF. */
const isIndirect = (modrm: number): boolean => ((modrm >> 3) & 7) >= 2 && ((modrm >> 3) & 7) <= 5;
/** Behind the agent's copies of memory nothing stands up to its results; what runs there until the watchdog takes less than this. */
const copiesEnd = before + compared;
const emptyEnough = 0x20000;
/** Where a PC has its display and its expansion ROMs, as far below the BIOS as what runs there until the watchdog takes. Here there are none. */
const [displayAt, biosNear] = [0xa0000, 0xd0000] as const;
/** Whether 66H before a transfer, which may lead past the limit where code has 16 bits and is taken there by some, leads to no end: relative ones, and far
 *  ones to where no memory is, or nothing in a great deal of it. Others may find an end that is told. */
const endless = (mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array, start: number, at: number): boolean => {
  const op = memory[at] ?? 0;
  if (op === 0xe8 || op === 0xe9) return true;
  if (mode !== 'real' || at - start > 6 || op === 0x9a || op === 0xcd || op === 0x0f) return false;
  const way = destination({ first: { at, repeated: false, rex: 0 }, prefixes: [...memory.subarray(start, at)], state, memory });
  if (way === undefined) return false;
  const to = (way.offset + way.segment * 16) % 2 ** 32;
  return to >= ramSize || (to >= copiesEnd && to < results - emptyEnough) || (to >= displayAt && to < biosNear);
};
/** Whether the program begins with a transfer of control, HLT or MWAIT, of which some never end, and repeats no instruction by a prefix. What runs on for
 *  longer after other instructions may find its way to an end. */
export const isBrief = (
  mode: CpuMachine['mode'],
  state: CpuState,
  start: number,
  memory: Uint8Array,
  patches: readonly Patch[],
): boolean => {
  const at = opcodeAt(mode, start, memory);
  const [op, second, third] = [memory[at] ?? 0, memory[at + 1] ?? 0, memory[at + 2] ?? 0];
  const way =
    op === 0x0f
      ? (second & 0xf0) === 0x80 || (second === 0x01 && third === 0xc9)
      : transfers.has(op) || (op === 0xff && isIndirect(second));
  if (!way || (memory.subarray(start, at).includes(0x66) && !endless(mode, state, memory, start, at))) return false;
  // In what any of its writes puts down: a repeated instruction is one that is followed, however often it repeats.
  return (
    patches.some((p) => p.at <= start && start < p.at + p.bytes.length) &&
    !patches.some((p) => p.bytes.includes(0xf2) || p.bytes.includes(0xf3))
  );
};
