// Compares the machine's memory with its copy, as much at a time as the processor can: 64 bytes with AVX-512, words many to a jump in translators,
// repeated CMPSQ elsewhere. A page that held the fill byte alone before the case is compared with that: half of the reading.

import type { Assembler } from './assembler.ts';
import { before, compared, vars, ways } from './map.ts';
import { emitAnyDifference, emitDifference, unlessVectors, vector, zmm } from './vectors.ts';

const block = 512;
const page = 4096;
const pages: number = compared / page;

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
  if (name === 'fillBlocks') toCopy(a);
  imm32(a, 1, block >> 3);
  call(a, 'compare'); // advances RSI
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
/** All pages, of which most are as they were: with vectors the fill byte is looked for in a whole page first. */
const emitAllPages = (a: Assembler): void => {
  a.label('sweep');
  a.put(0x45, 0x31, 0xe4); // xor r12d, r12d
  a.label('sweepPage');
  emitIsFurnished(a);
  jump(a, 'c', 'sweepDetail');
  unlessVectors(a, 'sweepDetail');
  addressPage(a);
  for (let at = 0; at < page; at += 64) emitDifference(a, at === 0, zmm.fill, { base: 6, at });
  emitAnyDifference(a);
  jump(a, 'e', 'sweepNext');
  a.label('sweepDetail');
  call(a, 'comparePage');
  a.label('sweepNext');
  a.put(0x41, 0xff, 0xc4, 0x41, 0x83, 0xfc, pages); // inc r12d; cmp r12d, pages
  jump(a, 'ne', 'sweepPage');
  a.put(0xc3);
};
/** 64-bit code, called; R14 as in `scan`. Clobbers RAX, RCX, RDX, RBX, RSI, RDI, R8, R9, and `sweep` R12. */
export const emitSweep = (a: Assembler): void => {
  emitBlocks(a, 'copyBlocks');
  emitBlocks(a, 'fillBlocks');
  emitSpans(a, 'copySpan');
  emitSpans(a, 'fillSpan');
  emitPage(a);
  emitAllPages(a);
};
