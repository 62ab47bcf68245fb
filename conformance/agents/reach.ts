// Which programs without paging write to nothing but lines that are compared after each case of a group: what their first instruction writes, the stack,
// tables and tasks. All others are compared whole, alone: of two that write to the same other place, the second may put back what the first has changed,
// and nobody would see it.

import { createRequire } from 'node:module';
import type * as Iced from 'iced-x86';
import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import { tss } from '../instructions/layout.ts';
import { low } from '../numbers.ts';
import { endOfFar, INT3 } from './far-target.ts';
import { hotLines, lineSize } from './hot.ts';
import { compared } from './map.ts';

const general = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
interface Named {
  readonly name: (typeof general)[number];
  readonly mask: number;
}
interface Decoding {
  readonly x: typeof Iced;
  readonly info: Iced.InstructionInfoFactory;
  readonly named: ReadonlyMap<number, Named>;
  readonly segments: ReadonlyMap<number, 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs'>;
  /** Those that go on with another stack or by other tables, or that a register says where they write. */
  readonly far: ReadonlySet<number>;
}
let loaded: Decoding | undefined;
const decoding = (): Decoding => {
  if (loaded !== undefined) return loaded;
  const x = createRequire(import.meta.url)('iced-x86') as typeof Iced;
  const { Register: R, Mnemonic: M } = x;
  const named = new Map<number, Named>();
  for (const [i, name] of general.entries()) {
    named.set(R.AX + i, { name, mask: 0xffff });
    named.set(R.EAX + i, { name, mask: 0xffffffff });
  }
  const segments = new Map((['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const).map((name, i) => [R.ES + i, name]));
  const far = new Set<number>([M.Enter, M.Leave, M.Lss, M.Lgdt, M.Lidt, M.Lmsw, M.Bts, M.Btr, M.Btc]);
  return (loaded = { x, info: new x.InstructionInfoFactory(), named, segments, far });
};

const hot: ReadonlySet<number> = new Set(hotLines);
/** Whether all of [at, at + size) is hot, or nothing that is compared. */
const isHot = (at: number, size: number): boolean => {
  if (at + size > 2 ** 32) return false;
  for (let line = at - (at % lineSize); line < Math.min(at + size, compared); line += lineSize) if (!hot.has(line)) return false;
  return true;
};
/** Below the top of the stack an event's frame is put, a fault's in a fault, or the registers of PUSHA. */
const frames = 48;
const longest = 15;

/** What is popped is above the top. */
const popped = 16;
const isHotStack = (top: number): boolean => top >= frames && isHot(top - frames, frames + popped);

const [PE, PG] = [1n, 1n << 31n];
/** Bits of CR4 that all processors have here: with another QEMU takes a #VMEXIT, which writes to memory of its own. */
const plainCr4 = 0x7ffn;
/** Whether a MOV to a control register leaves addresses and descriptors what they are. */
const keepsMemory = (number: number, state: CpuState, source: Named['name'] | undefined): boolean => {
  if (source === undefined || number === 8) return false;
  const value = state[source] & 0xffff_ffffn;
  if (number === 0) return ((value ^ state.cr0) & (PE | PG)) === 0n;
  return number === 4 ? (value & ~plainCr4) === 0n : true;
};
interface Place {
  readonly linear: number;
  readonly offset: number;
  readonly mask: number;
}
const placeOf = (m: Iced.UsedMemory, state: CpuState): Place | undefined => {
  const { named, segments } = decoding();
  const [base, index] = [named.get(m.base), named.get(m.index)];
  const mask = (base ?? index)?.mask ?? 0xffffffff;
  const sum =
    low(m.displacement) + (base === undefined ? 0 : low(state[base.name])) + (index === undefined ? 0 : low(state[index.name]) * m.scale);
  // In real-address mode an offset past the limit is an exception, as it is nowhere else.
  const offset = mask === 0xffff ? sum & 0xffff : sum % 2 ** 32;
  const segment = segments.get(m.segment);
  return segment === undefined ? undefined : { linear: (Number(state[segment].base) + offset) % 2 ** 32, offset, mask };
};
/** Whether the far pointer that is read leads to INT3 or a fault, and leaves its mark on hot descriptors alone. */
const endsFar = (
  mode: CpuMachine['mode'],
  state: CpuState,
  memory: Uint8Array,
  x: typeof Iced,
  memories: readonly Iced.UsedMemory[],
): boolean => {
  const pointer = memories.find(({ memorySize: size }) => size === x.MemorySize.SegPtr16 || size === x.MemorySize.SegPtr32);
  const place = pointer === undefined ? undefined : placeOf(pointer, state);
  if (pointer === undefined || place === undefined || (place.mask === 0xffff && place.offset > 0xfff8)) return false;
  const end = endOfFar(mode, state, memory, place.linear, pointer.memorySize === x.MemorySize.SegPtr16 ? 2 : 4);
  return end !== undefined && (end < 0 || isHot(end, 8));
};
/** `at`: the address of the first instruction; `memory` as it is when the program starts. */
const stays = ({ mode }: CpuMachine, state: CpuState, memory: Uint8Array, at: number): boolean => {
  const { x, info, named, far } = decoding();
  const outer = mode !== 'real' && (state.cs.selector & 3) !== 0;
  const big = mode !== 'real' && (state.ss.access & 0x4000) !== 0;
  const top = Number(state.ss.base) + (big ? low(state.rsp) : low(state.rsp) & 0xffff);
  const stackHot = isHotStack(top);
  if (!outer && !stackHot) return false;
  const decoder = new x.Decoder(mode !== 'real' && (state.cs.access & 0x4000) !== 0 ? 32 : 16, memory.subarray(at, at + longest), 0);
  const i = decoder.decode();
  const used = info.info(i);
  const memories = used.usedMemory();
  try {
    const { Register: R, OpKind: K, OpAccess: A } = x;
    if (i.code === x.Code.INVALID) return true;
    // Instructions behind the first write too, and nothing is known of where.
    if (memory[at + i.length] !== INT3) return false;
    if ((i.isCallFarIndirect || i.isJmpFarIndirect) && !endsFar(mode, state, memory, x, memories)) return false;
    if (far.has(i.mnemonic) || (i.mnemonic === x.Mnemonic.Syscall && !stackHot)) return false;
    // RET n and RETF n
    if (!outer && i.stackPointerIncrement > frames) return false;
    for (let op = 0; op < Math.min(i.opCount, 2); op++) {
      if (i.opKind(op) !== K.Register || (op === 0 ? used.op0Access : used.op1Access) < A.Write) continue;
      const register = i.opRegister(op);
      if (register >= R.CR0 && register <= R.CR15 && !keepsMemory(register - R.CR0, state, named.get(i.op1Register)?.name)) return false;
      // An event at an outer level takes its stack from the TSS.
      if (!outer && (register === R.SP || register === R.ESP || register === R.SS)) return false;
    }
    for (const m of memories) {
      if (m.access < A.Write) continue;
      const place = placeOf(m, state);
      const size = x.MemorySizeExt.size(m.memorySize) || x.MemorySizeExt.size(i.memorySize);
      if (place === undefined || size === 0) return false;
      const { linear, offset, mask } = place;
      const repeated = i.isStringInstruction && (i.hasRepPrefix || i.hasRepnePrefix);
      const count = repeated ? (mask === 0xffff ? low(state.rcx) & 0xffff : low(state.rcx)) : 1;
      if (count * size > lineSize) return false;
      if (count === 0) continue;
      const down = repeated && (state.rflags & 0x400n) !== 0n;
      // An operand may wrap at the end of its segment.
      if (mask === 0xffff && offset + count * size > 0x10000) return false;
      const from = down ? linear - (count - 1) * size : linear;
      if (from < 0 || !isHot(from, count * size)) return false;
    }
    return true;
  } finally {
    for (const m of memories) m.free();
    used.free();
    i.free();
    decoder.free();
  }
};
/** Stacks of CPL 0 to 2 in the TSS, each with its selector. SDM volume 3, Task-State Segment (TSS). */
const tssStacks = [4, 12, 20].map((offset) => tss + offset);
const word = (memory: Uint8Array, at: number): number =>
  ((memory[at] ?? 0) | ((memory[at + 1] ?? 0) << 8) | ((memory[at + 2] ?? 0) << 16) | ((memory[at + 3] ?? 0) << 24)) >>> 0;
/** Whether the program writes to hot lines alone, or where nobody compares. `memory`: with the patches. */
export const writesHotOnly = (cpu: CpuMachine, state: CpuState, memory: Uint8Array): boolean => {
  const at = Number(state.cs.base) + (cpu.mode === 'real' ? low(state.rip) & 0xffff : low(state.rip));
  if (at + longest > memory.length) return false;
  if (cpu.mode !== 'real' && !(tssStacks.every((stack) => isHotStack(word(memory, stack))) && isHotStack(low(state.sysenterEsp))))
    return false;
  return stays(cpu, state, memory, at);
};
