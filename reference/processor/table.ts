// Decides which table has an instruction. What no table has is an invalid opcode, unless CPUID says that the processor has it.

import { arithmetic } from './arithmetic.ts';
import { branches } from './branch.ts';
import type { Entries, Entry } from './entry.ts';
import { iced } from './iced.ts';
import type { Insn } from './insn.ts';
import { moves } from './move.ts';
import { simple } from './simple.ts';

const all: Entries = { ...moves, ...arithmetic, ...branches, ...simple };

export const entryOf = (insn: Insn): Entry | undefined => all[insn.name];
/** Extensions that CPUID announces, though not all of their instructions are done. */
const ANNOUNCED = ['FPU', 'FPU287', 'FPU387', 'SSE', 'SSE2', 'FXSR', 'CMOV'] as const;
let announced: ReadonlySet<number> | undefined;
export const isSupported = (features: Int32Array): boolean => {
  announced ??= new Set(ANNOUNCED.map((name) => (iced().CpuidFeature as unknown as Readonly<Record<string, number>>)[name] ?? -1));
  return [...features].every((f) => announced!.has(f) || f <= 9);
};
export const known = (): readonly string[] => Object.keys(all);
