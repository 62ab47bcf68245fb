// The assembler's forms mean what they should: an independent decoder reads them back.

import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { describe, expect, test } from 'vitest';
import { type Assembler, assembler, type Bits } from './assembler.ts';
import { emitLand } from './land.ts';
import { agentCode, compared } from './map.ts';
import { emitSweep } from './sweep.ts';

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
  test('the sweep compares 512 bytes a turn and leaves the SIMD state as after reset', () => {
    const lines = decoded(64, (a) => {
      emitSweep(a);
      a.label('compare');
      a.label('scan');
    });
    const turn = lines.slice(lines.indexOf('mov r8d,180h') + 1, lines.indexOf('ret'));
    expect(0x180 * 512).toBe(compared);
    for (let i = 0; i < 8; i++) {
      const at = ['', '+40h', '+80h', '+0C0h', '+100h', '+140h', '+180h', '+1C0h'][i];
      expect(turn.slice(1 + 3 * i, 4 + 3 * i)).toEqual([
        `vmovdqu64 zmm1,[rsi${at}]`,
        `vpxorq zmm1,zmm1,[rdi${at}]`,
        'vporq zmm0,zmm0,zmm1',
      ]);
    }
    expect(turn.slice(25, 27)).toEqual(['vptestmq k1,zmm0,zmm0', 'kortestw k1,k1']);
    expect(turn.slice(-9)).toEqual([
      'vpxorq zmm0,zmm0,zmm0',
      'vpxorq zmm1,zmm1,zmm1',
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
