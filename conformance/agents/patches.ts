// A case's own bytes: put into memory and into what it is compared with, and after the case put back as they were in both.

import type { Assembler } from './assembler.ts';
import { before, pristine, vars } from './map.ts';
import { emitMask, unlessVectors, vector, zmm } from './vectors.ts';

const masked = { k: 1 } as const;
/** mov edi, [rsi]; mov ecx, [rsi+4]; add rsi, 8 */
const emitHead = (a: Assembler): void => a.put(0x8b, 0x3e, 0x8b, 0x4e, 0x04, 0x48, 0x83, 0xc6, 0x08);
/** RSI behind the padded bytes, ECX of them. */
const emitSkip = (a: Assembler): void => a.put(0x48, 0x8d, 0x74, 0x0e, 0x07, 0x48, 0x83, 0xe6, 0xf8); // lea rsi, [rsi+rcx+7]; and rsi, -8
/** EDX times: `few` for up to 64 bytes where there are vectors, `many` otherwise. Both keep RSI and RCX. */
const emitEach = (a: Assembler, name: string, few: () => void, many: () => void): void => {
  a.memory([0x8b], 2, vars.thisCase + 4); // edx = patches
  a.label(`${name}Next`);
  a.put(0x85, 0xd2, 0x0f, 0x84); // test edx, edx; jz
  a.rel32(`${name}Done`);
  emitHead(a);
  unlessVectors(a, `${name}Many`);
  a.put(0x83, 0xf9, 0x40, 0x0f, 0x87); // cmp ecx, 64; ja
  a.rel32(`${name}Many`);
  emitMask(a);
  few();
  a.put(0xe9);
  a.rel32(`${name}Skip`);
  a.label(`${name}Many`);
  many();
  a.label(`${name}Skip`);
  emitSkip(a);
  a.put(0xff, 0xca, 0xe9); // dec edx; jmp
  a.rel32(`${name}Next`);
  a.label(`${name}Done`);
};
const keep = (a: Assembler): void => a.put(0x41, 0x89, 0xc8, 0x49, 0x89, 0xf1, 0x41, 0x89, 0xfa); // r8d = ecx; r9 = rsi; r10d = edi
const count = (a: Assembler): void => a.put(0x44, 0x89, 0xc1); // ecx = r8d
/** lea r64, [r10+at] */
const place = (a: Assembler, r: 6 | 7, at: number): void => {
  a.put(0x49, 0x8d, 0x82 | (r << 3));
  a.u32(at);
};
const move = (a: Assembler): void => a.put(0xf3, 0xa4); // rep movsb
const back = (a: Assembler): void => {
  a.put(0x4c, 0x89, 0xce); // mov rsi, r9
  count(a);
};

/** RSI at the patches; ends behind them. Clobbers RAX, RCX, RDX, RDI, R8 to R10, K1. */
export const emitPatch = (a: Assembler): void =>
  emitEach(
    a,
    'patch',
    () => {
      vector(a, 'loadBytes', zmm.word, 0, { base: 6, at: 0 }, { ...masked, zeroing: true });
      vector(a, 'storeBytes', zmm.word, 0, { base: 7, at: 0 }, masked);
      vector(a, 'storeBytes', zmm.word, 0, { base: 7, at: before }, masked);
    },
    () => {
      keep(a);
      move(a);
      back(a);
      place(a, 7, before);
      move(a);
      back(a);
    },
  );
/** Called after the case ran. */
export const emitUndo = (a: Assembler): void => {
  a.label('undo');
  a.memory([0x8b], 6, vars.patchesAt, { wide: true });
  emitEach(
    a,
    'undo',
    () => {
      vector(a, 'loadBytes', zmm.word, 0, { base: 7, at: pristine }, { ...masked, zeroing: true });
      vector(a, 'storeBytes', zmm.word, 0, { base: 7, at: 0 }, masked);
      vector(a, 'storeBytes', zmm.word, 0, { base: 7, at: before }, masked);
    },
    () => {
      keep(a);
      place(a, 6, pristine);
      move(a);
      place(a, 6, pristine);
      place(a, 7, before);
      count(a);
      move(a);
      back(a);
    },
  );
  a.put(0xc3);
};
