// Whether a far transfer without paging surely ends at once: in INT3 or a stop where it leads, or in a fault of its own. SDM volume 2, CALL and JMP; volume 3,
// Segment Descriptors: S is bit 4 of the type byte, code bit 3.

import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import { numberOf } from '../numbers.ts';
import { compared } from './map.ts';

/** What stands behind the only instruction of a program, and nearly everywhere. */
export const INT3 = 0xcc;
const [S, CODE] = [0x10, 0x08];
/** MOV DR3, rAX; MOV AL, imm8: how stops begin. */
const stub = [0x0f, 0x23, 0xd8, 0xb0] as const;
const dword = (memory: Uint8Array, at: number): number =>
  ((memory[at] ?? 0) | ((memory[at + 1] ?? 0) << 8) | ((memory[at + 2] ?? 0) << 16) | ((memory[at + 3] ?? 0) << 24)) >>> 0;

/** `at`: where the pointer stands; `width`: bytes of its offset. Returns the descriptor's address where its accessed flag may be set, -1 where none is, and
 *  undefined where it is not known what comes. */
export const endOfFar = (mode: CpuMachine['mode'], state: CpuState, memory: Uint8Array, at: number, width: 2 | 4): number | undefined => {
  if (at + width + 2 > compared) return undefined;
  const offset = width === 2 ? dword(memory, at) & 0xffff : dword(memory, at);
  const selector = dword(memory, at + width) & 0xffff;
  const ends = (linear: number): boolean =>
    linear < compared && (memory[linear] === INT3 || stub.every((byte, i) => memory[linear + i] === byte));
  // Past the limit it is a fault, and in some emulators is not.
  if (mode === 'real') return ends(offset + selector * 16) ? -1 : undefined;
  if (selector < 4) return -1;
  const { base, limit } = (selector & 4) === 0 ? state.gdtr : state.ldtr;
  const index = selector & 0xfff8;
  if (index + 7 > limit) return -1;
  const entry = numberOf(base) + index;
  if (entry + 8 > compared) return undefined;
  const high = dword(memory, entry + 4);
  const type = (high >>> 8) & 0xff;
  if ((type & S) === 0) return undefined;
  if ((type & CODE) === 0) return -1;
  const segment = (dword(memory, entry) >>> 16) + (high & 0xff) * 0x10000 + (high >>> 24) * 0x1000000;
  return ends((segment + offset) % 2 ** 32) ? entry : undefined;
};
