// Short guests for monitors: 5 to 50 pieces of code, innocuous and sensitive, self-modifying, across pages and up to the code segment's limit.
// A guest is choices; its bytes depend on the mode, the privilege level and where each piece lies. Bytes as Intel SDM volume 2 encodes them.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import type { CpuMachine, CpuState } from '../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import * as at from './layout.ts';
import { startState } from './state.ts';

interface Place {
  readonly long: boolean;
  /** Linear address of the piece. */
  readonly at: number;
  readonly cs: number;
}
type Piece = string | ((p: Place) => string);
const word32 = (n: number): string => Buffer.from(Uint32Array.of(n).buffer).toString('hex');
/** A byte store to `ahead` bytes past its own end: RIP-relative in 64-bit mode, else absolute. */
const storeAhead =
  (ahead: number, value: string, then: string): Piece =>
  (p) =>
    `c605${word32(p.long ? ahead : p.at + 7 + ahead)}${value}${then}`;

const innocuous: readonly Piece[] = [
  '01c8', // add eax, ecx
  '8b03', // mov eax, [rbx]
  '890b', // mov [rbx], ecx
  '4801c8', // add rax, rcx; in 32-bit mode dec eax, add
  '5058', // push, pop
  'b9030000008d0c09', // mov ecx, 3; lea ecx, [rcx+rcx]
  'b903000000f3a4', // mov ecx, 3; rep movsb
  '7402eb00', // jz over the jump; jmp to the next
  'b90300000001c8e2fc', // mov ecx, 3; L: add eax, ecx; loop L
  'e802000000eb01c3', // call the RET, which comes back to a jump over it
  'f9', // stc
  'fd90fc', // std, nop, cld
  '0fa2', // cpuid
  '8b042500d00100890c2500d00100', // load from a page whose dirty flag is clear, then store there
  // Self-modifying: the immediate of the next instruction, then an instruction that was a NOP.
  storeAhead(1, '5a', 'b000'),
  storeAhead(0, 'f9', '90'),
  // A store into code further on, past a branch that has ended the block.
  storeAhead(3, '5b', 'eb00b000'),
];
const sensitive: readonly Piece[] = [
  '9c58', // pushf, pop
  '9c8104240100000090909d', // pushf; add dword [rsp], 1; popf
  '6a029d', // push 2; popf: interrupts off, where that is allowed
  '0f0103', // sgdt [rbx]
  '0f010b', // sidt [rbx]
  '0f00c0', // sldt eax
  '0f00c8', // str eax
  '0f01e0', // smsw eax
  'b8180000000f02d0', // mov eax, 18H; lar edx, eax
  'b8180000000f03d0', // mov eax, 18H; lsl edx, eax
  'b8180000000f00e0', // mov eax, 18H; verr ax
  '8cc8', // mov eax, cs
  '8cd0', // mov eax, ss
  '8cd88ed8', // mov eax, ds; mov ds, eax
  '0fa00fa1', // push fs, pop fs
  (p) => `6a${p.cs.toString(16).padStart(2, '0')}${p.long ? '488d05030000005048cb' : 'e80000000058 83c00650cb'.replace(' ', '')}`, // far return to the next
  // Becomes sensitive while it runs: NOP to PUSHF.
  storeAhead(0, '9c', '9058'),
  // And the other way: PUSHF to NOP.
  storeAhead(0, '90', '9c'),
];
/** Privileged, bound to IOPL, or (the last) a load and a store to a user page that is read-only: they end a guest in ring 3. */
const privileged: readonly Piece[] = [
  'fa',
  'fb',
  '0f20c0',
  '0f20d8',
  '0f22d8',
  '0f06',
  '0f31',
  'e460',
  'e660',
  '0f013b',
  'f4',
  'cd80',
  'cc',
];
const pieces: readonly Piece[] = [...innocuous, ...sensitive, ...privileged];

export interface Guest {
  readonly pieces: readonly number[];
  /** Bytes from the end of the code's first page at which it starts: 0 starts at the page's start. */
  readonly short: number;
  readonly cpl: 0 | 3;
  /** Bytes by which the code segment's limit lies before the end, or -1: flat. */
  readonly cut: number;
}
/** Privileged pieces are rare, so that guests get somewhere. */
const piece: Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.nat({ max: innocuous.length - 1 }) },
  { weight: 4, arbitrary: fc.integer({ min: innocuous.length, max: innocuous.length + sensitive.length - 1 }) },
  { weight: 1, arbitrary: fc.integer({ min: innocuous.length + sensitive.length, max: pieces.length - 1 }) },
);
export const guestOf: Arbitrary<Guest> = fc.record(
  {
    pieces: fc.array(piece, { minLength: 5, maxLength: 50, size: 'max' }),
    short: fc.oneof(fc.constant(0), fc.nat({ max: 60 })),
    cpl: fc.constantFrom(0 as const, 3 as const),
    cut: fc.oneof({ weight: 3, arbitrary: fc.constant(-1) }, { weight: 1, arbitrary: fc.nat({ max: 12 }) }),
  },
  { noNullPrototype: true },
);

export const codeOf = (g: Guest, machine: MachineConfig): { readonly at: number; readonly bytes: Uint8Array } => {
  const long = (machine.cpu as CpuMachine).mode === 'long64';
  const start = g.short === 0 ? at.code : at.code + 0x1000 - g.short;
  const s = at.selectors;
  const cs = g.cpl === 3 ? (long ? s.userCode64 : s.userCode32) | 3 : long ? s.kernelCode64 : s.kernelCode32;
  const bytes: number[] = [];
  for (const n of g.pieces) {
    const p = pieces[n % pieces.length] as Piece;
    bytes.push(...Buffer.from(typeof p === 'string' ? p : p({ long, at: start + bytes.length, cs }), 'hex'));
  }
  return { at: start, bytes: Uint8Array.from(bytes) };
};
/** The guest as stimuli. It ends in INT3, which stands everywhere behind it. */
export const guestStimuli = (g: Guest, machine: MachineConfig): readonly Stimulus[] => {
  const { at: start, bytes } = codeOf(g, machine);
  const fresh = startState(machine, g.cpl);
  const limit = g.cut < 0 ? fresh.cs.limit : start + bytes.length - 1 - g.cut;
  const state: CpuState = { ...fresh, rip: BigInt(start), cs: { ...fresh.cs, limit } };
  return [
    { do: 'memory.write', at: BigInt(start) as Gpa, bytes },
    { do: 'cpu.run', state, limit: 1000 },
  ];
};
