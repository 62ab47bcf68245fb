// Where an instruction's operands lie, and what stands there before it executes: the registers that the state gives, memory as furnished and written.
// Intel SDM volume 2, Addressing-Mode Encoding of ModR/M and SIB Bytes.

import type * as Iced from 'iced-x86';
import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import type { MemoryWrite } from '../../../spec/vocabulary.ts';

const general = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
type General = (typeof general)[number];
interface Named {
  readonly name: General;
  readonly bits: 16 | 32 | 64;
}
const named = ({ Register: R }: typeof Iced, register: number): Named | undefined => {
  for (const [first, bits] of [[R.AX, 16] as const, [R.EAX, 32] as const, [R.RAX, 64] as const]) {
    const name = register >= first ? general[register - first] : undefined;
    if (name !== undefined && register < first + general.length) return { name, bits };
  }
  return undefined;
};
/** The state's register of the 16-, 32- or 64-bit one that is named; undefined for others. */
export const registerOf = (x: typeof Iced, register: number): General | undefined => named(x, register)?.name;

/** A linear address, from the state before the instruction. Segments are flat, but for the bases of FS and GS. */
export type Where = (state: CpuState) => bigint;
/** Of the memory operand. Its code starts at address 0 for the decoder. */
export const operandAt = (x: typeof Iced, i: Iced.Instruction): Where => {
  const { Register: R } = x;
  const [base, index] = [named(x, i.memoryBase), named(x, i.memoryIndex)];
  const [scale, segment, displacement] = [BigInt(i.memoryIndexScale), i.memorySegment, i.memoryDisplacement];
  const relative = i.isIpRelMemoryOperand;
  const bits = base?.bits ?? index?.bits ?? (i.memoryBase === R.EIP ? 32 : relative ? 64 : 8 * i.memoryDisplSize);
  return (state) => {
    const sum =
      displacement +
      (relative ? state.rip : 0n) +
      (base === undefined ? 0n : state[base.name]) +
      (index === undefined ? 0n : scale * state[index.name]);
    const offset = BigInt.asUintN(bits, sum);
    return segment === R.FS ? offset + state.fs.base : segment === R.GS ? offset + state.gs.base : offset;
  };
};
/** Of a word so many bytes above the top of the stack. */
export const stackAt =
  (bitness: 32 | 64, above: number): Where =>
  ({ rsp }) =>
    BigInt.asUintN(bitness, rsp + BigInt(above));

/** Memory before a run. `again`: another run of the program may have changed it. */
export interface Before {
  readonly memory: Buffer;
  readonly writes: readonly MemoryWrite[];
  readonly again: boolean;
}
/** The word of 16 bits there, or undefined where that is not known. */
export const wordAt = ({ memory, writes, again }: Before, linear: bigint): number | undefined => {
  if (again || linear < 0n || linear + 2n > BigInt(memory.length)) return undefined;
  const byte = (where: number): number => {
    for (let i = writes.length - 1; i >= 0; i--) {
      const { at, bytes } = writes[i] as MemoryWrite;
      const found = bytes[where - Number(at)];
      if (found !== undefined) return found;
    }
    return memory[where] as number;
  };
  return byte(Number(linear)) | (byte(Number(linear) + 1) << 8);
};
