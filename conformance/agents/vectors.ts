// AVX-512 in the agent's 64-bit code: what an interpreter does for 64 bytes costs it little more than what it does for 8. Only ZMM16 to ZMM19 and K1
// are used, which no other encoding reaches, and XCR0 is as after reset while a program runs.
// SDM volume 1, Detection of AVX-512 Foundation Instructions; volume 2, EVEX encoding, XSETBV.

import type { Assembler } from './assembler.ts';
import { vars, ways } from './map.ts';

const plainCr4 = 0x220;
const OSXSAVE = 0x40000;
/** XCR0: x87, SSE, AVX, opmask and both upper parts of ZMM; and what it is after reset. */
const allState = 0xe7;
const resetState = 1;

/** Registers' uses: what differs, a word of it, the fill byte, the dirty flag of each entry. */
export const zmm: { readonly differs: number; readonly word: number; readonly fill: number; readonly dirty: number } = {
  differs: 16,
  word: 17,
  fill: 18,
  dirty: 19,
};
/** Operand: a ZMM register, or base register and displacement in bytes. */
type Operand = number | { readonly base: number; readonly at: number };
interface Form {
  /** 1: 0F, 2: 0F38. */
  readonly map: 1 | 2;
  /** 0: none, 1: 66, 2: F3, 3: F2. */
  readonly pp: 0 | 1 | 2 | 3;
  readonly w: 0 | 1;
  readonly op: number;
}
type Name = 'load' | 'store' | 'loadBytes' | 'storeBytes' | 'xor' | 'and' | 'andNot' | 'or' | 'testWords' | 'testDoublewords' | 'spread';
const forms: Readonly<Record<Name, Form>> = {
  load: { map: 1, pp: 2, w: 1, op: 0x6f }, // vmovdqu64
  store: { map: 1, pp: 2, w: 1, op: 0x7f },
  loadBytes: { map: 1, pp: 3, w: 0, op: 0x6f }, // vmovdqu8
  storeBytes: { map: 1, pp: 3, w: 0, op: 0x7f },
  xor: { map: 1, pp: 1, w: 1, op: 0xef }, // vpxorq
  and: { map: 1, pp: 1, w: 1, op: 0xdb },
  andNot: { map: 1, pp: 1, w: 1, op: 0xdf },
  or: { map: 1, pp: 1, w: 1, op: 0xeb },
  testWords: { map: 2, pp: 1, w: 1, op: 0x27 }, // vptestmq
  testDoublewords: { map: 2, pp: 1, w: 0, op: 0x27 },
  spread: { map: 2, pp: 1, w: 1, op: 0x7c }, // vpbroadcastq from a general register
};

/** `reg` and `v` as in SDM volume 2; a mask register `k` leaves what it does not name, or with a load zeroes it. */
export const vector = (
  a: Assembler,
  name: Name,
  reg: number,
  v: number,
  operand: Operand,
  { k = 0, zeroing = false }: { readonly k?: number; readonly zeroing?: boolean } = {},
): void => {
  const form = forms[name];
  const bit = (value: number, n: number): number => ((value >> n) & 1) ^ 1;
  const rm = typeof operand === 'number' ? operand : operand.base;
  const x = typeof operand === 'number' ? bit(operand, 4) : 1;
  a.put(
    0x62,
    (bit(reg, 3) << 7) | (x << 6) | (bit(rm, 3) << 5) | (bit(reg, 4) << 4) | form.map,
    (form.w << 7) | ((~v & 15) << 3) | 4 | form.pp,
    (zeroing ? 0x80 : 0) | 0x40 | (bit(v, 4) << 3) | k,
    form.op,
  );
  const fields = ((reg & 7) << 3) | (rm & 7);
  if (typeof operand === 'number') a.put(0xc0 | fields);
  else if (operand.at % 64 === 0 && Math.abs(operand.at) < 64 * 128) a.put(0x40 | fields, operand.at >> 6);
  else {
    a.put(0x80 | fields);
    a.u32(operand.at);
  }
};

const imm32 = (a: Assembler, r: number, value: number): void => {
  a.put(0xb8 | r);
  a.u32(value);
};
const cpuid = (a: Assembler, leaf: number): void => {
  imm32(a, 0, leaf);
  a.put(0x31, 0xc9, 0x0f, 0xa2); // xor ecx, ecx; cpuid
};
/** Of leaf 7, EBX: AVX512BW, AVX512DQ, AVX512F, BMI2. */
const needed = (1 << 30) | (1 << 17) | (1 << 16) | (1 << 8);
/** 64-bit code, once a start: finds the way to compare, by what CPUID says. */
export const emitFindWay = (a: Assembler): void => {
  const otherwise = (to: string, ...test: readonly number[]): void => {
    a.put(...test);
    a.rel32(to);
  };
  a.memory([0xc6], 0, vars.way, { imm: [ways.repeated] });
  cpuid(a, 0);
  otherwise('noVectors', 0x83, 0xf8, 0x0d, 0x0f, 0x82); // cmp eax, 0DH; jb
  cpuid(a, 1);
  otherwise('noVectors', 0x0f, 0xba, 0xe1, 26, 0x0f, 0x83); // bt ecx, XSAVE; jnc
  cpuid(a, 7);
  for (const group of [4, 7]) {
    a.put(0x81, 0xc3 | (group << 3)); // and ebx, needed; cmp ebx, needed
    a.u32(needed);
  }
  otherwise('noVectors', 0x0f, 0x85); // jne
  cpuid(a, 0x0d);
  otherwise('noVectors', 0x24, allState, 0x3c, allState, 0x0f, 0x85); // and al, imm; cmp al, imm; jne
  a.memory([0xc6], 0, vars.way, { imm: [ways.vectors] });
  a.put(0xe9);
  a.rel32('wayFound');
  a.label('noVectors');
  cpuid(a, 1);
  otherwise('wayFound', 0x85, 0xc9, 0x0f, 0x89); // test ecx, ecx; jns: under a hypervisor, as a translator says it is
  a.memory([0xc6], 0, vars.way, { imm: [ways.unrolled] });
  a.label('wayFound');
};
/** Jumps to `to` where there are none. */
export const unlessVectors = (a: Assembler, to: string): void => {
  a.memory([0x80], 7, vars.way, { imm: [ways.vectors] });
  a.put(0x0f, 0x85);
  a.rel32(to);
};
const xcr0 = (a: Assembler, value: number): void => {
  a.put(0x31, 0xc9, 0x31, 0xd2); // xor ecx, ecx; xor edx, edx
  imm32(a, 0, value);
  a.put(0x0f, 0x01, 0xd1); // xsetbv
};
/** From the landing to the launch of the next. Clobbers RAX, RCX, RDX. */
export const emitVectorsOn = (a: Assembler, name: 'start' | 'landed'): void => {
  unlessVectors(a, `${name}Vectors`);
  imm32(a, 0, plainCr4 | OSXSAVE);
  a.put(0x0f, 0x22, 0xe0); // mov cr4, rax
  xcr0(a, allState);
  for (const [register, from] of [
    [zmm.fill, vars.fillWord],
    [zmm.dirty, vars.dirtyFlags],
  ] as const) {
    a.memory([0x8b], 0, from, { wide: true });
    vector(a, 'spread', register, 0, 0);
  }
  a.label(`${name}Vectors`);
};
export const emitVectorsOff = (a: Assembler): void => {
  unlessVectors(a, 'vectorsOff');
  for (const register of Object.values(zmm)) vector(a, 'xor', register, register, register);
  a.put(0xc5, 0xf4, 0x47, 0xc9); // kxorw k1, k1, k1
  xcr0(a, resetState);
  imm32(a, 0, plainCr4);
  a.put(0x0f, 0x22, 0xe0);
  a.label('vectorsOff');
};
/** Adds to `zmm.differs`, of which this is the `first`, where 64 bytes differ from those of a register. Two instructions: the one that would do is slow
 *  in Bochs, bit by bit. */
export const emitDifference = (
  a: Assembler,
  first: boolean,
  register: number,
  other: { readonly base: number; readonly at: number },
): void => {
  vector(a, 'xor', first ? zmm.differs : zmm.word, register, other);
  if (!first) vector(a, 'or', zmm.differs, zmm.differs, zmm.word);
};
/** ZF: none of the differences that `zmm.differs` gathered. Clobbers K1. */
export const emitAnyDifference = (a: Assembler): void => {
  vector(a, 'testWords', 1, zmm.differs, zmm.differs);
  a.put(0xc5, 0xf8, 0x98, 0xc9); // kortestw k1, k1
};
/** Copies `size` bytes and up to 63 more from RSI to RDI. */
export const emitCopy = (a: Assembler, size: number): void => {
  for (let at = 0; at < size; at += 64) {
    vector(a, 'load', zmm.word, 0, { base: 6, at });
    vector(a, 'store', zmm.word, 0, { base: 7, at });
  }
};
/** K1: the first ECX bytes, all where there are more. Clobbers RAX. */
export const emitMask = (a: Assembler): void => {
  a.put(0x48, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff); // mov rax, -1
  a.put(0xc4, 0xe2, 0xf0, 0xf5, 0xc0); // bzhi rax, rax, rcx
  a.put(0xc4, 0xe1, 0xfb, 0x92, 0xc8); // kmovq k1, rax
};
