// Compares the machine's memory with its copy, as much at a time as the processor can: 64 bytes with AVX-512, words many to a jump in translators,
// repeated CMPSQ elsewhere. A page that held the fill byte alone before the case is compared with that: half of the reading.

import type { Assembler } from './assembler.ts';
import { lineSize, others, stacks } from './hot.ts';
import { before, vars, ways } from './map.ts';
import { emitAnyDifference, emitDifference, unlessVectors, vector, zmm } from './vectors.ts';

const block = 512;
const page = 4096;

const imm32 = (a: Assembler, r: number, value: number): void => {
  if (r > 7) a.put(0x41);
  a.put(0xb8 | (r & 7));
  a.u32(value);
};
const advance = (a: Assembler, by: number, ...registers: readonly (6 | 7)[]): void => {
  for (const r of registers) {
    a.put(0x48, 0x81, 0xc0 | r);
    a.u32(by); // add r, imm32
  }
};
/** lea rdi, [rsi+before] */
const toCopy = (a: Assembler): void => {
  a.put(0x48, 0x8d, 0xbe);
  a.u32(before);
};
const call = (a: Assembler, to: string): void => {
  a.put(0xe8);
  a.rel32(to);
};
/** jump if below (carry), equal, not equal */
const jump = (a: Assembler, condition: 'c' | 'e' | 'ne', to: string): void => {
  a.put(0x0f, { c: 0x82, e: 0x84, ne: 0x85 }[condition]);
  a.rel32(to);
};

/** R8D blocks from RSI on: with the copy, or with the fill byte as long as no difference is met. Both advance RSI. */
const emitBlocks = (a: Assembler, name: 'copyBlocks' | 'fillBlocks'): void => {
  a.label(name);
  if (name === 'copyBlocks') toCopy(a);
  for (let at = 0; at < block; at += 64) {
    if (name === 'fillBlocks') emitDifference(a, at === 0, zmm.fill, { base: 6, at });
    else {
      vector(a, 'load', zmm.word, 0, { base: 6, at });
      emitDifference(a, at === 0, zmm.word, { base: 7, at });
    }
  }
  emitAnyDifference(a);
  jump(a, 'ne', `${name}Differ`);
  advance(a, block, 6);
  a.label(`${name}Next`);
  a.put(0x41, 0xff, 0xc8); // dec r8d
  jump(a, 'ne', name);
  a.put(0xc3);
  a.label(`${name}Differ`);
  for (let at = 0; at < block; at += lineSize) {
    call(a, 'line');
    advance(a, lineSize, 6);
  }
  a.put(0xe9);
  a.rel32(`${name}Next`);
};
/** CF: page R12D of the machine may hold something else than the fill byte before the case. */
const emitIsFurnished = (a: Assembler): void => a.memory([0x0f, 0xa3], 12, vars.furnished, { wide: true }); // bt [furnished], r12

const addressPage = (a: Assembler): void => a.put(0x44, 0x89, 0xe6, 0xc1, 0xe6, 0x0c); // mov esi, r12d; shl esi, 12

const span = 256;
/** Words loaded one by one, many to a jump: translators and processors run this several times as fast as a repeated CMPSQ; interpreters do not. */
const emitSpans = (a: Assembler, name: 'copySpan' | 'fillSpan'): void => {
  a.label(name);
  a.put(0x31, 0xc0); // xor eax, eax
  for (let at = 0; at < span; at += 8) {
    a.put(0x48, 0x8b, 0x96); // mov rdx, [rsi+at]
    a.u32(at);
    if (name === 'fillSpan')
      a.put(0x4c, 0x31, 0xca); // xor rdx, r9
    else {
      a.put(0x48, 0x33, 0x97); // xor rdx, [rdi+at]
      a.u32(at);
    }
    a.put(0x48, 0x09, 0xd0); // or rax, rdx
  }
  a.put(0x48, 0x85, 0xc0); // test rax, rax
  jump(a, 'ne', `${name}Differ`);
  advance(a, span, 6, 7);
  a.label(`${name}Next`);
  a.put(0x41, 0xff, 0xc8); // dec r8d
  jump(a, 'ne', name);
  a.put(0xc3);
  a.label(`${name}Differ`);
  imm32(a, 1, span >> 3);
  call(a, 'compare'); // advances RSI and RDI
  a.put(0xe9);
  a.rel32(`${name}Next`);
};
/** Page R12D, of which something probably differs. */
const emitPage = (a: Assembler): void => {
  a.label('comparePage');
  addressPage(a);
  unlessVectors(a, 'pageWithout');
  imm32(a, 8, page / block);
  emitIsFurnished(a);
  jump(a, 'c', 'copyBlocks');
  a.put(0xe9);
  a.rel32('fillBlocks');
  a.label('pageWithout');
  a.memory([0x80], 7, vars.way, { imm: [ways.unrolled] });
  jump(a, 'ne', 'pageRepeated');
  imm32(a, 8, page / span);
  toCopy(a);
  emitIsFurnished(a);
  jump(a, 'c', 'copySpan');
  a.memory([0x8b], 9, vars.fillWord, { wide: true });
  a.put(0xe9);
  a.rel32('fillSpan');
  a.label('pageRepeated');
  a.put(0x41, 0x89, 0xf0, 0x44, 0x8d, 0x8e); // mov r8d, esi; lea r9d, [rsi+page]
  a.u32(page);
  a.put(0xe9);
  a.rel32('scan');
};
/** The pages of R13, of which most are as they were: with vectors a whole page is looked at first. */
const emitPages = (a: Assembler): void => {
  a.label('sweep');
  a.put(0x4d, 0x0f, 0xbc, 0xe5, 0x0f, 0x84); // bsf r12, r13; jz
  a.rel32('swept');
  a.put(0x4d, 0x0f, 0xb3, 0xe5); // btr r13, r12
  unlessVectors(a, 'sweepDetail');
  addressPage(a);
  emitIsFurnished(a);
  jump(a, 'c', 'sweepCopy');
  for (let at = 0; at < page; at += 64) emitDifference(a, at === 0, zmm.fill, { base: 6, at });
  a.label('sweepSame');
  emitAnyDifference(a);
  jump(a, 'e', 'sweep');
  a.label('sweepDetail');
  call(a, 'comparePage');
  a.put(0xe9);
  a.rel32('sweep');
  a.label('sweepCopy');
  toCopy(a);
  for (let at = 0; at < page; at += 64) {
    vector(a, 'load', zmm.word, 0, { base: 6, at });
    emitDifference(a, at === 0, zmm.word, { base: 7, at });
  }
  a.put(0xe9);
  a.rel32('sweepSame');
  a.label('swept');
  a.put(0xc3);
};
/** Lines from RSI on: one, by vectors, and one by words. Neither advances RSI. */
const emitLine = (a: Assembler): void => {
  a.label('line');
  vector(a, 'load', zmm.word, 0, { base: 6, at: 0 });
  vector(a, 'xor', zmm.word, zmm.word, { base: 6, at: before });
  vector(a, 'testWords', 1, zmm.word, zmm.word);
  a.put(0xc5, 0xf8, 0x93, 0xc1, 0x85, 0xc0, 0x74); // kmovw eax, k1; test eax, eax; jz
  a.rel8('lineSame');
  a.label('lineWord');
  a.put(0x0f, 0xbc, 0xc8, 0x0f, 0xb3, 0xc8); // bsf ecx, eax; btr eax, ecx
  a.put(0x48, 0x8d, 0x1c, 0xce, 0x49, 0x89, 0x1e); // lea rbx, [rsi+rcx*8]; mov [r14], rbx
  a.put(0x48, 0x8b, 0x13, 0x49, 0x89, 0x56, 0x08, 0x49, 0x83, 0xc6, 0x10); // mov rdx, [rbx]; mov [r14+8], rdx; add r14, 16
  a.put(0x48, 0x8b, 0x93);
  a.u32(before); // mov rdx, [rbx+before]
  a.put(0x48, 0x89, 0x13); // mov [rbx], rdx
  a.put(0x85, 0xc0, 0x75); // test eax, eax; jnz
  a.rel8('lineWord');
  a.label('lineSame');
  a.put(0xc3);
  a.label('lineWords');
  toCopy(a);
  imm32(a, 1, lineSize >> 3);
  a.memory([0x80], 7, vars.way, { imm: [ways.unrolled] });
  jump(a, 'ne', 'compare');
  a.put(0x31, 0xc0); // xor eax, eax
  for (let at = 0; at < lineSize; at += 8) a.put(0x48, 0x8b, 0x56, at, 0x48, 0x33, 0x57, at, 0x48, 0x09, 0xd0); // mov rdx, [rsi+at]; xor rdx, [rdi+at]; or rax, rdx
  a.put(0x48, 0x85, 0xc0); // test rax, rax
  jump(a, 'ne', 'compare');
  a.put(0xc3);
};
/** Called: lines that probably differ, and lines of which some may. */
export const emitLines = (a: Assembler, name: string, most: readonly number[], some: readonly number[]): void => {
  const each = (lines: readonly number[], routine: string): void => {
    for (const at of lines) {
      imm32(a, 6, at);
      call(a, routine);
    }
  };
  a.label(name);
  unlessVectors(a, `${name}Words`);
  each(most, 'line');
  if (some.length > 0) {
    a.put(0x31, 0xf6, 0xbf); // xor esi, esi; mov edi, before
    a.u32(before);
    for (const [i, at] of some.entries()) {
      vector(a, 'load', zmm.word, 0, { base: 6, at });
      emitDifference(a, i === 0, zmm.word, { base: 7, at });
    }
    emitAnyDifference(a);
    jump(a, 'e', `${name}Same`);
    each(some, 'line');
    a.label(`${name}Same`);
  }
  a.put(0xc3);
  a.label(`${name}Words`);
  each([...most, ...some], 'lineWords');
  a.put(0xc3);
};
/** 64-bit code, called; R14 as in `scan`. Clobbers RAX, RCX, RDX, RBX, RSI, RDI, R8, R9; `sweep` R12 and R13. */
export const emitSweep = (a: Assembler): void => {
  emitBlocks(a, 'copyBlocks');
  emitBlocks(a, 'fillBlocks');
  emitSpans(a, 'copySpan');
  emitSpans(a, 'fillSpan');
  emitPage(a);
  emitPages(a);
  emitLine(a);
  for (const { name, most, some } of [...stacks, ...others]) emitLines(a, name, most, some);
};
