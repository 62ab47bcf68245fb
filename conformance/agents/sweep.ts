// Compares all that is compared, 512 bytes a turn where the processor has AVX-512: an interpreter then takes a third of the time. The processor's SIMD
// state is as after reset before and afterwards. SDM volume 1, Detection of AVX-512 Foundation Instructions; volume 2, XSETBV.

import type { Assembler } from './assembler.ts';
import { before, compared } from './map.ts';

const block = 512;
const plainCr4 = 0x220;
const OSXSAVE = 0x40000;
/** XCR0: x87, SSE, AVX, opmask and both upper parts of ZMM; and what it is after reset. */
const allState = 0xe7;
const resetState = 1;

const imm32 = (a: Assembler, r: number, value: number): void => {
  a.put(0xb8 | r);
  a.u32(value);
};
const cr4 = (a: Assembler, value: number): void => {
  imm32(a, 0, value);
  a.put(0x0f, 0x22, 0xe0); // mov cr4, rax
};
const xcr0 = (a: Assembler, value: number): void => {
  a.put(0x31, 0xc9, 0x31, 0xd2); // xor ecx, ecx; xor edx, edx
  imm32(a, 0, value);
  a.put(0x0f, 0x01, 0xd1); // xsetbv
};
const cpuid = (a: Assembler, leaf: number): void => {
  imm32(a, 0, leaf);
  a.put(0x31, 0xc9, 0x0f, 0xa2); // xor ecx, ecx; cpuid
};
const span = 256;
/** Words loaded one by one, many to a jump: translators and processors run this several times as fast as a repeated CMPSQ; interpreters do not. */
const emitUnrolled = (a: Assembler): void => {
  a.label('unrolled');
  a.put(0x31, 0xf6); // xor esi, esi
  imm32(a, 7, before);
  a.put(0x41);
  imm32(a, 0, compared / span); // mov r8d, spans
  a.label('spanNext');
  a.put(0x31, 0xc0); // xor eax, eax
  for (let at = 0; at < span; at += 8) {
    a.put(0x48, 0x8b, 0x96); // mov rdx, [rsi+at]
    a.u32(at);
    a.put(0x48, 0x33, 0x97); // xor rdx, [rdi+at]
    a.u32(at);
    a.put(0x48, 0x09, 0xd0); // or rax, rdx
  }
  a.put(0x48, 0x85, 0xc0, 0x74); // test rax, rax; jz
  a.rel8('spanSame');
  imm32(a, 1, span >> 3);
  a.put(0xe8);
  a.rel32('compare'); // advances RSI and RDI
  a.put(0xeb);
  a.rel8('spanDone');
  a.label('spanSame');
  for (const r of [0xc6, 0xc7]) {
    a.put(0x48, 0x81, r);
    a.u32(span); // add rsi, span; add rdi, span
  }
  a.label('spanDone');
  a.put(0x41, 0xff, 0xc8, 0x0f, 0x85); // dec r8d; jnz
  a.rel32('spanNext');
  a.put(0xc3);
};
/** 64-bit code, called; R14 as in `scan`. Clobbers RAX, RCX, RDX, RBX, RSI, RDI, R8, R9. */
export const emitSweep = (a: Assembler): void => {
  const narrowUnless = (...test: readonly number[]): void => {
    a.put(...test);
    a.rel32('narrow');
  };
  a.label('sweep');
  cpuid(a, 0);
  narrowUnless(0x83, 0xf8, 0x0d, 0x0f, 0x82); // cmp eax, 0DH; jb
  cpuid(a, 1);
  narrowUnless(0x0f, 0xba, 0xe1, 26, 0x0f, 0x83); // bt ecx, XSAVE; jnc
  cpuid(a, 7);
  narrowUnless(0x0f, 0xba, 0xe3, 16, 0x0f, 0x83); // bt ebx, AVX512F; jnc
  cpuid(a, 0x0d);
  narrowUnless(0x24, allState, 0x3c, allState, 0x0f, 0x85); // and al, imm; cmp al, imm; jne
  cr4(a, plainCr4 | OSXSAVE);
  xcr0(a, allState);
  a.put(0x31, 0xf6); // xor esi, esi
  imm32(a, 7, before);
  a.put(0x41);
  imm32(a, 0, compared / block); // mov r8d, blocks
  a.label('sweepBlock');
  const [zero0, zero1] = [
    [0x62, 0xf1, 0xfd, 0x48, 0xef, 0xc0],
    [0x62, 0xf1, 0xf5, 0x48, 0xef, 0xc9],
  ] as const;
  a.put(...zero0); // vpxorq zmm0, zmm0, zmm0
  for (let i = 0; i < block / 64; i++) {
    a.put(0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x4e, i); // vmovdqu64 zmm1, [rsi+64i]
    a.put(0x62, 0xf1, 0xf5, 0x48, 0xef, 0x4f, i); // vpxorq zmm1, zmm1, [rdi+64i]
    a.put(0x62, 0xf1, 0xfd, 0x48, 0xeb, 0xc1); // vporq zmm0, zmm0, zmm1
  }
  a.put(0x62, 0xf2, 0xfd, 0x48, 0x27, 0xc8); // vptestmq k1, zmm0, zmm0
  a.put(0xc5, 0xf8, 0x98, 0xc9, 0x74); // kortestw k1, k1; jz
  a.rel8('sameBlock');
  imm32(a, 1, block >> 3);
  a.put(0xe8);
  a.rel32('compare'); // advances RSI and RDI
  a.put(0xeb);
  a.rel8('nextBlock');
  a.label('sameBlock');
  for (const r of [0xc6, 0xc7]) {
    a.put(0x48, 0x81, r);
    a.u32(block); // add rsi, block; add rdi, block
  }
  a.label('nextBlock');
  a.put(0x41, 0xff, 0xc8, 0x0f, 0x85); // dec r8d; jnz
  a.rel32('sweepBlock');
  a.put(...zero0, ...zero1, 0xc5, 0xf4, 0x47, 0xc9); // kxorw k1, k1, k1
  xcr0(a, resetState);
  cr4(a, plainCr4);
  a.put(0xc3);
  a.label('narrow');
  cpuid(a, 1);
  a.put(0x85, 0xc9, 0x0f, 0x88); // test ecx, ecx; js: under a hypervisor, as a translator says it is
  a.rel32('unrolled');
  a.put(0x45, 0x31, 0xc0, 0x41); // xor r8d, r8d; mov r9d, compared
  imm32(a, 1, compared);
  a.put(0xe9);
  a.rel32('scan');
  emitUnrolled(a);
};
