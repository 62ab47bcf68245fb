// Of several instructions in a row nothing is said past the point where what came before is not one thing, and known; and everything up to there.
// The answers are written from the manual.

import { expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { delivers } from './spec-answers.ts';
import { type Answered, type Setting, tell } from './spec-history.ts';
import { AF, type Change, d, ends, kernel, type Patches, PF, user, ZF } from './spec-row.ts';

type Told = ReturnType<typeof tell>;
const course = ({
  kept,
  broken,
  findings,
}: Told): { readonly kept: boolean; readonly broken: boolean; readonly others: readonly string[] } => ({
  kept: kept.some((id) => id.startsWith('instructions.course.')),
  broken: broken.some((id) => id.startsWith('instructions.course.')),
  others: findings.map((f) => f.clause).filter((id) => !id.startsWith('instructions.course.')),
});
const told = (
  code: string,
  answer: (b: CpuState, g: Setting) => Answered,
  { setting = user, change = {}, patches = [] }: { readonly setting?: Setting; readonly change?: Change; readonly patches?: Patches } = {},
): ReturnType<typeof course> => course(tell(setting, code, change, (b) => answer(b, setting), patches));
const little32 = (n: number): string => Buffer.from(Uint32Array.of(n).buffer).toString('hex');
const silent = { kept: false, broken: false, others: [] };
const holds = { kept: true, broken: false, others: [] };

test('a flag that is left open is judged no more, until an instruction writes it', () => {
  // AND EAX, EBX leaves AF open; NOP. 11H and 14100H have no bit in common.
  for (const af of [0n, AF]) expect(told('21d890', ends(3, { after: { rax: 0n }, flags: 0x202n | ZF | PF | af }))).toEqual(holds);
  // ADD EBX, ECX writes it.
  expect(told('21d801cb', ends(4, { after: { rax: 0n, rbx: BigInt(d + 2) }, flags: 0x202n | AF }))).toMatchObject({ broken: true });
});
test('an instruction that reads a flag that is left open ends what can be said', () => {
  // MUL ECX leaves SF open; JS over nothing.
  expect(told('f7e17800', ends(4, { after: { rax: 1n } }))).toEqual(silent);
  // PUSHF stores what AND left open.
  expect(told('21d89c', ends(3, { after: { rax: 7n } }))).toEqual(silent);
  // CF is defined: JC.
  expect(told('f7e17200', ends(4, { after: { rax: 0x22n, rdx: 0n } }))).toEqual(holds);
});
test('a register that is left open ends what can be said', () => {
  // BSF EAX, EDX where EDX is 0; NOP.
  expect(told('0fbcc290', ends(4, { after: { rax: 0x1234n } }), { change: { rdx: 0n } })).toEqual(silent);
});
test('code that the program has stored over is not foretold', () => {
  // MOV BYTE [next], 90H over the F4H behind it, RIP-relative.
  expect(told('c605000000009ff4', ends(8))).toEqual(silent);
});
test('nor is the end, where the program has stored what ends it', () => {
  // MOV BYTE [next2], CCH; NOP; NOP: a processor may have fetched what stood there.
  for (const length of [8, 10]) expect(told('c60501000000cc909090', ends(length))).toEqual(silent);
});
test('a store to a page-table byte is a store, whatever flags were set there before', () => {
  const fresh = at.pages.fresh;
  const entry = at.pageTable + 8 * (fresh >> 12);
  // MOV AL, [fresh] sets the accessed flag; MOV BYTE [entry], 0; MOV CL, [fresh]: cached or not.
  const code = `8a0425${little32(fresh)}c60425${little32(entry)}008a0c25${little32(fresh)}`;
  const change = { setting: kernel };
  expect(told(code, ends(22, { after: { rax: 0xccn, rcx: 0xccn }, writes: [[entry, 0n, 1]] }), change)).toMatchObject({ broken: false });
});
test('flags that nobody writes stay', () => {
  // MOV EAX, EBX; MOV ECX, EAX.
  const moved = { rax: BigInt(d), rcx: BigInt(d) };
  expect(told('89d889c1', ends(4, { after: moved }))).toEqual(holds);
  expect(told('89d889c1', ends(4, { after: moved, flags: 0x203n }))).toMatchObject({ broken: true });
});
test('a change of the translation of addresses ends what can be said', () => {
  // MOV RAX, CR3; NOP.
  expect(told('0f20d890', ends(4, { after: { rax: BigInt(at.pml4) } }), { setting: kernel })).toEqual(holds);
  // MOV CR0, RAX with TS set; NOP.
  expect(told('0f22c090', ends(4), { setting: kernel, change: (s) => ({ rax: s.cr0 | 8n }) })).toEqual(silent);
});
test('a fault of a later instruction finds what the earlier ones left', () => {
  // MOV [RBX], EAX; INC ECX; HLT at CPL 3.
  const fault =
    (rcx: bigint, rip: bigint) =>
    (b: CpuState, g: Setting): Answered =>
      delivers(g, b, { vector: 13, error: 0, rip: b.rip + rip, rflags: b.rflags | 0x10000n | PF, after: { rcx }, writes: [[d, 0x11n, 4]] });
  expect(told('8903ffc1f4', fault(3n, 4n))).toEqual(holds);
  expect(told('8903ffc1f4', fault(2n, 4n))).toMatchObject({ broken: true });
  expect(told('8903ffc1f4', fault(3n, 2n))).toMatchObject({ broken: true });
});
test('a loop is followed, and one without an end is not', () => {
  // L: DEC ECX; JNZ L, from 2.
  expect(told('ffc975fc', ends(4, { after: { rcx: 0n }, flags: 0x202n | ZF | PF }))).toEqual(holds);
  expect(told('ffc975fc', ends(4, { after: { rcx: 1n }, flags: 0x202n }))).toMatchObject({ broken: true });
  // JMP to itself.
  expect(told('ebfe', (b) => ({ by: 'limit', state: b, writes: [] }))).toMatchObject({ broken: false });
});
