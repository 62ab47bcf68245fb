// Which real-address programs take control where the agent cannot get it back: into its own memory, which nothing keeps them out of there, or to an
// interrupt vector table without its watchdog's entry. Whatever came of them would be the agent's doing, so they are `unsupported`.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import { low } from '../numbers.ts';
import { compared, ownPml4 } from './map.ts';
import type { First } from './refuse.ts';

/** SDM volume 2, table 16-Bit Addressing Forms. */
const forms16: readonly (readonly (keyof CpuState & ('rbx' | 'rbp' | 'rsi' | 'rdi'))[])[] = [
  ['rbx', 'rsi'],
  ['rbx', 'rdi'],
  ['rbp', 'rsi'],
  ['rbp', 'rdi'],
  ['rsi'],
  ['rdi'],
  ['rbp'],
  ['rbx'],
];
const registers = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const overrides: Readonly<Record<number, 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs'>> = {
  0x26: 'es',
  0x2e: 'cs',
  0x36: 'ss',
  0x3e: 'ds',
  0x64: 'fs',
  0x65: 'gs',
};
export const machineEnd = 0x40000;
const ivtNeeded = 4 * 15 - 1;

export interface Reading {
  readonly first: First;
  readonly prefixes: readonly number[];
  readonly state: CpuState;
  readonly memory: Uint8Array;
}
export const word = (memory: Uint8Array, at: number, size: number): number => {
  let value = 0;
  for (let i = size - 1; i >= 0; i--) value = value * 256 + (memory[at + i] ?? 0xff);
  return value;
};
/** Address of the memory operand whose ModRM stands at `at`, in code of 16 bits. */
export const operand = ({ prefixes, state, memory }: Reading, at: number): number => {
  const modrm = memory[at] ?? 0;
  const [mod, rm] = [modrm >> 6, modrm & 7];
  const wide = prefixes.includes(0x67);
  let next = at + 1;
  let offset = 0;
  let stack = false;
  let direct = false;
  if (wide) {
    let base = rm;
    if (rm === 4) {
      const sib = memory[next++] ?? 0;
      base = sib & 7;
      const index = (sib >> 3) & 7;
      if (index !== 4) offset += low(state[registers[index] as 'rax']) * 2 ** (sib >> 6);
    }
    direct = mod === 0 && base === 5;
    if (!direct) offset += low(state[registers[base] as 'rax']);
    stack = !direct && (base === 4 || base === 5);
  } else {
    direct = mod === 0 && rm === 6;
    if (!direct) for (const name of forms16[rm] ?? []) offset += low(state[name]) & 0xffff;
    stack = !direct && (rm === 2 || rm === 3 || rm === 6);
  }
  if (direct || mod === 2) offset += word(memory, next, wide ? 4 : 2);
  else if (mod === 1) offset += ((memory[next] ?? 0) << 24) >> 24;
  const override = prefixes.map((p) => overrides[p]).findLast((name) => name !== undefined);
  return Number(state[override ?? (stack ? 'ss' : 'ds')].base) + (wide ? offset % 2 ** 32 : offset & 0xffff);
};
/** Where a far transfer of real-address mode leads; undefined for what is none. */
export const destination = (r: Reading): { readonly offset: number; readonly segment: number } | undefined => {
  const { first, prefixes, state, memory } = r;
  const code = first.at;
  const [op, second] = [memory[code] ?? 0, memory[code + 1] ?? 0];
  const wide = prefixes.includes(0x66) ? 4 : 2;
  const through = (at: number, width: number) => ({ offset: word(memory, at, width), segment: word(memory, at + width, 2) });
  if (op === 0xea || op === 0x9a) return through(code + 1, wide);
  if (op === 0xca || op === 0xcb || op === 0xcf) return through(Number(state.ss.base) + (low(state.rsp) & 0xffff), wide);
  if (op === 0xcd) return through(low(state.idtr.base) + 4 * second, 2);
  const field = (second >> 3) & 7;
  return op === 0xff && second < 0xc0 && (field === 3 || field === 5) ? through(operand(r, code + 1), wide) : undefined;
};
/** Whether it loads an IDTR by which the watchdog's NMI finds no entry of the machine's. */
const losesTable = (r: Reading): boolean => {
  const { first, prefixes, memory } = r;
  const [escape, op, modrm] = [memory[first.at], memory[first.at + 1], memory[first.at + 2] ?? 0];
  if (escape !== 0x0f || op !== 0x01 || (modrm & 0x38) !== 0x18 || modrm >= 0xc0) return false;
  const at = operand(r, first.at + 2);
  const base = word(memory, at + 2, prefixes.includes(0x66) ? 4 : 3);
  return word(memory, at, 2) < ivtNeeded || base + ivtNeeded >= compared;
};
/** Why the program is not the agent's to run, or undefined. */
export const lost = (first: First, state: CpuState, memory: Uint8Array): string | undefined => {
  const start = Number(state.cs.base) + (low(state.rip) & 0xffff);
  const reading = { first, prefixes: [...memory.subarray(start, first.at)], state, memory };
  const way = destination(reading);
  const to = way === undefined ? 0 : way.offset + way.segment * 16;
  // An offset within the limit just reaches its paging structures: executed, they are whatever its work has made of them. The last bytes of its ROM
  // lead there too.
  const above = way !== undefined && way.offset <= 0xffff && to >= ownPml4 - 16;
  if ((to + 15 > compared && to < machineEnd) || above) return 'a program that goes on in the agent’s own memory';
  return losesTable(reading) ? 'a program that takes the watchdog’s entry away' : undefined;
};
