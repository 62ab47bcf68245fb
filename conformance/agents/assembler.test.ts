// The assembler's forms mean what they should: an independent decoder reads them back.

import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { describe, expect, test } from 'vitest';
import { type Assembler, assembler, type Bits } from './assembler.ts';
import { emitLand } from './land.ts';
import { agentCode } from './map.ts';
import { emitAnyDifference, emitDifference, emitMask, emitVectorsOff, vector, zmm } from './vectors.ts';

const decoded = (bits: Bits, emit: (a: Assembler) => void, origin = 0x30000): readonly string[] => {
  const a = assembler(origin, 0x30000);
  a.bits(bits);
  emit(a);
  const decoder = new Decoder(bits, a.finish(), DecoderOptions.None);
  decoder.ip = BigInt(bits === 16 ? origin - 0x30000 : origin);
  const formatter = new Formatter(FormatterSyntax.Nasm);
  const out: string[] = [];
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    out.push(formatter.format(instruction));
    instruction.free();
  }
  decoder.free();
  formatter.free();
  return out;
};

describe('the assembler', () => {
  test('reaches an absolute address in every mode', () => {
    expect(decoded(64, (a) => a.memory([0x8b], 9, 0x38440, { wide: true }))).toEqual(['mov r9,[rel 38440h]']);
    expect(decoded(64, (a) => a.memory([0xc7], 0, 0x38440, { imm: [1, 0, 0, 0] }))).toEqual(['mov dword [rel 38440h],1']);
    expect(decoded(32, (a) => a.memory([0x89], 2, 0x38440))).toEqual(['mov [38440h],edx']);
    expect(decoded(16, (a) => a.memory([0x89], 2, 0x38440, { wide: true }))).toEqual(['mov [8440h],edx']);
  });
  test('puts labels where they are', () => {
    const back = decoded(64, (a) => {
      a.label('top');
      a.put(0x90, 0xeb);
      a.rel8('top');
      a.put(0xe9);
      a.rel32('top');
    });
    expect(back).toEqual(['nop', 'jmp short 0000000000030000h', 'jmp 0000000000030000h']);
  });
  test('refuses what cannot be: labels missing, doubled or too far, addresses out of 16-bit reach', () => {
    expect(() => decoded(64, (a) => a.rel32('nowhere'))).toThrow('no label nowhere');
    expect(() => decoded(64, (a) => [a.label('x'), a.label('x')])).toThrow('stands twice');
    expect(() =>
      decoded(64, (a) => {
        a.rel8('far');
        a.put(...new Uint8Array(200));
        a.label('far');
      }),
    ).toThrow('out of reach');
    expect(() => decoded(16, (a) => a.memory([0x89], 0, 0x50000))).toThrow('16-bit reach');
  });
  test('the landing in 64-bit mode saves every register before it uses it', () => {
    const lines = decoded(
      64,
      (a) => {
        emitLand(a);
        a.label('landed');
      },
      agentCode,
    );
    expect(lines.slice(0, 4)).toEqual(['mov [rel 38460h],ax', 'mov [rel 38208h],rcx', 'mov [rel 38210h],rdx', 'mov [rel 38218h],rbx']);
  });
  test('the vector forms mean what they are called', () => {
    const lines = decoded(64, (a) => {
      vector(a, 'load', zmm.word, 0, { base: 6, at: 0x40 });
      vector(a, 'store', zmm.word, 0, { base: 7, at: 0x6000 });
      vector(a, 'loadBytes', zmm.word, 0, { base: 6, at: 0 }, { k: 1, zeroing: true });
      vector(a, 'storeBytes', zmm.word, 0, { base: 7, at: 0x240000 }, { k: 1 });
      vector(a, 'andNot', zmm.word, zmm.dirty, { base: 6, at: 0 });
      vector(a, 'and', zmm.word, zmm.dirty, { base: 6, at: 0 });
      vector(a, 'or', zmm.word, zmm.word, { base: 6, at: -64 });
      vector(a, 'testWords', 1, zmm.dirty, { base: 6, at: 0 });
      vector(a, 'testDoublewords', 1, zmm.dirty, { base: 6, at: 0 });
      vector(a, 'spread', zmm.fill, 0, 0);
      emitDifference(a, true, zmm.fill, { base: 6, at: 0 });
      emitDifference(a, false, zmm.fill, { base: 6, at: 0x40 });
      emitAnyDifference(a);
      emitMask(a);
    });
    expect(lines).toEqual([
      'vmovdqu64 zmm17,[rsi+40h]',
      'vmovdqu64 [rdi+6000h],zmm17',
      'vmovdqu8 zmm17{k1}{z},[rsi]',
      'vmovdqu8 [rdi+240000h]{k1},zmm17',
      'vpandnq zmm17,zmm19,[rsi]',
      'vpandq zmm17,zmm19,[rsi]',
      'vporq zmm17,zmm17,[rsi-40h]',
      'vptestmq k1,zmm19,[rsi]',
      'vptestmd k1,zmm19,[rsi]',
      'vpbroadcastq zmm18,rax',
      'vpxorq zmm16,zmm18,[rsi]',
      'vpxorq zmm17,zmm18,[rsi+40h]',
      'vporq zmm16,zmm16,zmm17',
      'vptestmq k1,zmm16,zmm16',
      'kortestw k1,k1',
      'mov rax,0FFFFFFFFFFFFFFFFh',
      'bzhi rax,rax,rcx',
      'kmovq k1,rax',
    ]);
  });
  test('a program finds the SIMD state and XCR0 as after reset', () => {
    const lines = decoded(64, emitVectorsOff);
    expect(lines.slice(2)).toEqual([
      ...[16, 17, 18, 19].map((n) => `vpxorq zmm${n},zmm${n},zmm${n}`),
      'kxorw k1,k1,k1',
      'xor ecx,ecx',
      'xor edx,edx',
      'mov eax,1',
      'xsetbv',
      'mov eax,220h',
      'mov cr4,rax',
    ]);
  });
});
