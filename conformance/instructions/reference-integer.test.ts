// The reference processor's integer instructions: results and defined flags, worked out by hand from SDM volume 2, the section of each instruction.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import { play } from './reference-play.ts';

const CF = 1n;
const PF = 4n;
const AF = 0x10n;
const ZF = 0x40n;
const SF = 0x80n;
const OF = 0x800n;
const ALL = CF | PF | AF | ZF | SF | OF;
type Row = readonly [
  name: string,
  code: string,
  before: Partial<CpuState>,
  after: Partial<CpuState>,
  flags?: bigint,
  /** Flags that are defined, default all. */
  defined?: bigint,
];
const rows: readonly Row[] = [
  ['ADD carries out of bit 63', '4801d8', { rax: 0xffff_ffff_ffff_ffffn, rbx: 1n }, { rax: 0n }, CF | PF | AF | ZF],
  ['ADD overflows at bit 31 and clears the high half', '01d8', { rax: 0xf_7fff_ffffn, rbx: 1n }, { rax: 0x8000_0000n }, PF | AF | SF | OF],
  ['ADD carries between halves', '4801d8', { rax: 0xffff_ffffn, rbx: 1n }, { rax: 0x1_0000_0000n }, PF | AF],
  ['ADD of 8 bits leaves the rest', '00d8', { rax: 0x1234_56ffn, rbx: 1n }, { rax: 0x1234_5600n }, CF | PF | AF | ZF],
  ['ADD of 16 bits leaves the rest', '6601d8', { rax: 0x7_0000_7fffn, rbx: 1n }, { rax: 0x7_0000_8000n }, PF | AF | SF | OF],
  ['ADD to AH', '00dc', { rax: 0xff00n, rbx: 2n }, { rax: 0x0100n }, CF | AF],
  ['ADC adds the carry', '4811d8', { rax: 1n, rbx: 1n, rflags: 3n }, { rax: 3n }, PF],
  ['ADC of all ones with carry', '4811d8', { rax: 5n, rbx: 0xffff_ffff_ffff_ffffn, rflags: 3n }, { rax: 5n }, CF | PF | AF],
  ['SUB borrows', '4829d8', { rax: 0n, rbx: 1n }, { rax: 0xffff_ffff_ffff_ffffn }, CF | PF | AF | SF],
  ['SUB across halves', '4829d8', { rax: 0x1_0000_0000n, rbx: 1n }, { rax: 0xffff_ffffn }, PF | AF],
  ['SUB overflows', '29d8', { rax: 0x8000_0000n, rbx: 1n }, { rax: 0x7fff_ffffn }, PF | AF | OF],
  ['SBB subtracts the borrow', '19d8', { rax: 5n, rbx: 4n, rflags: 3n }, { rax: 0n }, PF | ZF],
  ['CMP keeps its operand', '4839d8', { rax: 3n, rbx: 3n }, { rax: 3n }, PF | ZF],
  ['AND clears CF and OF', '21d8', { rax: 0xf0f0n, rbx: 0xff00n, rflags: 0x803n }, { rax: 0xf000n }, PF, ALL & ~AF],
  ['XOR with itself', '31c0', { rax: 0xffff_ffff_ffff_ffffn }, { rax: 0n }, PF | ZF, ALL & ~AF],
  ['TEST of the sign', '4885c0', { rax: 0x8000_0000_0000_0000n }, { rax: 0x8000_0000_0000_0000n }, PF | SF, ALL & ~AF],
  ['INC keeps CF', '48ffc0', { rax: 0x7fff_ffff_ffff_ffffn, rflags: 3n }, { rax: 0x8000_0000_0000_0000n }, CF | PF | AF | SF | OF],
  ['DEC keeps CF', 'ffc8', { rax: 1n, rflags: 3n }, { rax: 0n }, CF | PF | ZF],
  ['NEG of 0 clears CF', '48f7d8', { rax: 0n }, { rax: 0n }, PF | ZF],
  ['NEG of the least', 'f7d8', { rax: 0x8000_0000n }, { rax: 0x8000_0000n }, CF | PF | SF | OF],
  ['NOT changes no flag', '48f7d0', { rax: 0n, rflags: 2n | ALL }, { rax: 0xffff_ffff_ffff_ffffn }, ALL],
  ['SHL by 1 out of bit 63', '48d1e0', { rax: 0xc000_0000_0000_0001n }, { rax: 0x8000_0000_0000_0002n }, CF | SF, ALL & ~AF],
  ['SHL by 32', '48c1e020', { rax: 0x1_8000_0001n }, { rax: 0x8000_0001_0000_0000n }, CF | PF | SF, ALL & ~AF & ~OF],
  ['SHL by 33', '48c1e021', { rax: 0xc000_0001n }, { rax: 0x8000_0002_0000_0000n }, CF | PF | SF, ALL & ~AF & ~OF],
  ['SHL of a 32-bit register by 0 changes no flag', 'c1e020', { rax: 0x5_0000_0001n, rflags: 2n | ALL }, { rax: 1n }, ALL],
  ['SHR by 1: OF is the old sign', 'd1e8', { rax: 0x8000_0001n }, { rax: 0x4000_0000n }, CF | PF | OF, ALL & ~AF],
  ['SHR by 36', '48c1e824', { rax: 0x1ff8_0000_0000n }, { rax: 0x1ffn }, CF | PF, ALL & ~AF & ~OF],
  ['SAR keeps the sign', '48c1f83f', { rax: 0x8000_0000_0000_0000n }, { rax: 0xffff_ffff_ffff_ffffn }, PF | SF, ALL & ~AF & ~OF],
  ['SAR of 16 bits by 20', '66c1f814', { rax: 0x8000n }, { rax: 0xffffn }, PF | SF, ALL & ~AF & ~OF & ~CF],
  ['ROL of 8 bits by 8 moves nothing but sets CF', 'c0c008', { rax: 0x81n, rflags: 2n | ZF }, { rax: 0x81n }, CF | ZF, ALL & ~OF],
  ['ROL by 1', 'd1c0', { rax: 0x8000_0000n }, { rax: 1n }, CF | OF],
  ['ROR by 1', '48d1c8', { rax: 1n }, { rax: 0x8000_0000_0000_0000n }, CF | OF],
  ['RCL through the carry', '48d1d0', { rax: 0x8000_0000_0000_0000n, rflags: 2n }, { rax: 0n }, CF | OF],
  ['RCR through the carry', 'd1d8', { rax: 2n, rflags: 3n }, { rax: 0x8000_0001n }, OF],
  ['RCL of 8 bits by 9 is nothing', 'c0d009', { rax: 0x5an, rflags: 3n }, { rax: 0x5an }, CF, CF],
  ['SHLD brings in the top of the source', '48 0fa4d8 04', { rax: 0x1n, rbx: 0xa000_0000_0000_0000n }, { rax: 0x1an }, 0n, ALL & ~AF & ~OF],
  ['SHRD brings in the bottom of the source', '0facd8 08', { rax: 0x1ffn, rbx: 0x5an }, { rax: 0x5a00_0001n }, CF, ALL & ~AF & ~OF],
  ['MUL of 64 bits', '48f7e3', { rax: 0xffff_ffff_ffff_ffffn, rbx: 2n }, { rax: 0xffff_ffff_ffff_fffen, rdx: 1n }, CF | OF, CF | OF],
  ['MUL of 32 bits clears high halves', 'f7e3', { rax: 0x9_ffff_ffffn, rbx: 3n }, { rax: 0xffff_fffdn, rdx: 2n }, CF | OF, CF | OF],
  ['MUL of 8 bits into AX', 'f6e3', { rax: 0x10n, rbx: 0x0fn }, { rax: 0xf0n }, 0n, CF | OF],
  ['IMUL of 8 bits', 'f6eb', { rax: 0xffn, rbx: 2n }, { rax: 0xfffen }, 0n, CF | OF],
  ['IMUL of two operands', '480fafc3', { rax: 0x1_0000_0000n, rbx: 0x1_0000_0000n }, { rax: 0n }, CF | OF, CF | OF],
  ['IMUL by an immediate', '6bc3fd', { rbx: 5n }, { rax: 0xffff_fff1n }, 0n, CF | OF],
  ['IMUL overflows at 32 bits', '0fafc3', { rax: 0x1_0000n, rbx: 0x8000n }, { rax: 0x8000_0000n }, CF | OF, CF | OF],
  ['DIV of 64 bits', '48f7f3', { rdx: 1n, rax: 1n, rbx: 2n }, { rax: 0x8000_0000_0000_0000n, rdx: 1n }],
  ['IDIV rounds to zero', 'f7fb', { rdx: 0xffff_ffffn, rax: 0xffff_fff9n, rbx: 2n }, { rax: 0xffff_fffdn, rdx: 0xffff_ffffn }],
  ['BT of a register', '480fa3d8', { rax: 0x8000_0000_0000_0000n, rbx: 0x7fn }, {}, CF, CF | ZF],
  ['BTS', '0fabd8', { rax: 0n, rbx: 33n }, { rax: 2n }, 0n, CF | ZF],
  ['BTR', '0fbaf003', { rax: 0xffn }, { rax: 0xf7n }, CF, CF],
  ['BTC', '0fbaf800', { rax: 0xfen }, { rax: 0xffn }, 0n, CF],
  ['BSF', '480fbcc3', { rbx: 0x1_0000_0000n }, { rax: 32n }, 0n, ZF],
  ['BSR', '480fbdc3', { rbx: 0x1_0000_0001n }, { rax: 32n }, 0n, ZF],
  ['BSF of 0', '0fbcc3', { rbx: 0n }, {}, ZF, ZF],
  ['POPCNT', 'f3480fb8c3', { rbx: 0xf000_0000_0000_000fn, rflags: 2n | ALL }, { rax: 8n }, 0n],
  ['LZCNT of 0', 'f30fbdc3', { rbx: 0n }, { rax: 32n }, CF, CF | ZF],
  ['TZCNT', 'f3480fbcc3', { rbx: 1n }, { rax: 0n }, ZF, CF | ZF],
  ['MOVZX', '0fb7c3', { rax: 0xffff_ffff_ffff_ffffn, rbx: 0x1_8001n }, { rax: 0x8001n }],
  ['MOVSX', '480fbec3', { rbx: 0x80n }, { rax: 0xffff_ffff_ffff_ff80n }],
  ['MOVSXD', '4863c3', { rbx: 0x8000_0000n }, { rax: 0xffff_ffff_8000_0000n }],
  ['MOV of a 64-bit immediate', '48b8 8877665544332211', {}, { rax: 0x1122_3344_5566_7788n }],
  ['MOV of a sign-extended immediate', '48c7c0 ffffffff', {}, { rax: 0xffff_ffff_ffff_ffffn }],
  ['CMOV that does not move clears the high half', '0f44c3', { rax: 0x1_0000_0005n, rbx: 7n, rflags: 2n }, { rax: 5n }],
  ['SETcc', '0f9fc0', { rax: 0xff00n, rflags: 2n }, { rax: 0xff01n }],
  ['LEA of base, index, scale and displacement', '488d448b f0', { rbx: 0xffff_fff0n, rcx: 8n }, { rax: 0x1_0000_0000n }],
  ['LEA with a 32-bit address', '67488d0403', { rbx: 0x1_ffff_ffffn, rax: 2n }, { rax: 1n }],
  ['BSWAP', '480fc8', { rax: 0x0102_0304_0506_0708n }, { rax: 0x0807_0605_0403_0201n }],
  ['XCHG', '4893', { rax: 1n, rbx: 2n }, { rax: 2n, rbx: 1n }],
  ['XADD of a register with itself', '480fc1c0', { rax: 3n }, { rax: 6n }, PF],
  ['CMPXCHG equal', '480fb1cb', { rax: 7n, rbx: 7n, rcx: 9n }, { rbx: 9n, rax: 7n }, PF | ZF],
  ['CMPXCHG unequal', '480fb1cb', { rax: 7n, rbx: 8n, rcx: 9n }, { rbx: 8n, rax: 8n }, CF | PF | AF | SF],
  ['CDQE', '4898', { rax: 0x8000_0000n }, { rax: 0xffff_ffff_8000_0000n }],
  ['CQO', '4899', { rax: 0x8000_0000_0000_0000n }, { rdx: 0xffff_ffff_ffff_ffffn }],
  ['LAHF', '9f', { rax: 0n, rflags: 0x2n | CF | SF }, { rax: 0x8300n }],
  ['SAHF keeps OF', '9e', { rax: 0xd500n, rflags: 2n | OF }, {}, ALL],
  ['ANDN', 'c4e278f2c3', { rax: 0x0fn, rbx: 0xffn }, { rax: 0xffn & ~0x0fn }, 0n, CF | ZF | SF | OF],
  ['BLSR', 'c4e2f8f3cb', { rbx: 0x18n }, { rax: 0x10n }, 0n, CF | ZF | SF | OF],
  ['PEXT', 'c4e2e2f5c1', { rbx: 0xabcdn, rcx: 0xf0f0n }, { rax: 0xacn }],
  ['PDEP', 'c4e2e3f5c1', { rbx: 0xacn, rcx: 0xf0f0n }, { rax: 0xa0c0n }],
  ['MULX', 'c4e2f3f6c3', { rdx: 0xffff_ffff_ffff_ffffn, rbx: 2n }, { rax: 1n, rcx: 0xffff_ffff_ffff_fffen }],
  ['RORX', 'c4e3fbf0c301', { rbx: 1n }, { rax: 0x8000_0000_0000_0000n }],
  ['LOOP counts RCX down', 'e200', { rcx: 0n }, { rcx: 0xffff_ffff_ffff_ffffn }],
];

describe('64-bit integer instructions', () => {
  test.each(rows.map((row) => ({ name: row[0], row })))('$name', ({ row: [, code, before, after, flags, defined = ALL] }) => {
    const p = play({ mode: 'long64', code, state: before });
    // INT3 follows, as a trap: the saved RIP is one past it.
    expect(p.vector).toBe(3);
    expect(p.frame.rip).toBe(0x10001n + BigInt(code.replaceAll(' ', '').length / 2));
    for (const [register, value] of Object.entries(after))
      expect(`${register} ${p.state[register as 'rax'].toString(16)}`).toBe(`${register} ${value.toString(16)}`);
    if (flags !== undefined) expect((BigInt(p.frame.flags) & defined).toString(16)).toBe(flags.toString(16));
  });
  test.each([
    ['DIV by 0', '48f7f3', { rbx: 0n }],
    ['DIV too big', 'f7f3', { rdx: 2n, rax: 0n, rbx: 2n }],
    ['IDIV of the least by -1', '48f7fb', { rdx: 0xffff_ffff_ffff_ffffn, rax: 0x8000_0000_0000_0000n, rbx: 0xffff_ffff_ffff_ffffn }],
    ['IDIV of 8 bits too big', 'f6fb', { rax: 0x0100n, rbx: 2n }],
  ] as const)('%s is #DE and changes nothing', (_name, code, state) => {
    const p = play({ mode: 'long64', code, state });
    expect([p.vector, p.frame.rip]).toEqual([0, 0x10000n]);
    expect(p.state).toMatchObject(state);
  });
});

describe('memory operands', () => {
  test('ADD [rbx], eax is one store of the sum', () => {
    const p = play({ mode: 'long64', code: '0103', memory: { 0x14100: '05000000' }, state: { rax: 3n } });
    expect(p.read(0x14100, 4)).toBe(8n);
  });
  test('a RIP-relative load counts from the next instruction', () => {
    const p = play({ mode: 'long64', code: '8b0500000000 78563412', limit: 1 });
    expect([p.by, p.state.rax]).toEqual(['limit', 0x1234_5678n]);
  });
  test('BTS with a register index reaches below its operand (volume 2, BTS; volume 1, Bit String)', () => {
    const p = play({ mode: 'long64', code: '480fab03', memory: { 0x140f8: '0000000000000000' }, state: { rax: 0xffff_ffff_ffff_ffffn } });
    expect(p.read(0x140f8, 8)).toBe(0x8000_0000_0000_0000n);
  });
  test('a load that crosses pages is whole', () => {
    const p = play({ mode: 'long64', code: '488b03', memory: { 0x14ffc: '0102030405060708' }, state: { rbx: 0x14ffcn } });
    expect(p.state.rax).toBe(0x0807_0605_0403_0201n);
  });
  test('CMPXCHG16B wants alignment, and stores RCX:RBX', () => {
    const mem = { 0x14100: '01000000000000000200000000000000' };
    const regs = { rax: 1n, rdx: 2n, rbx: 3n, rcx: 4n, rdi: 0x14100n };
    const p = play({ mode: 'long64', code: 'f0480fc70f', memory: mem, state: regs });
    expect([p.read(0x14100, 8), p.read(0x14108, 8)]).toEqual([3n, 4n]);
    expect(play({ mode: 'long64', code: '480fc70f', memory: mem, state: { ...regs, rdi: 0x14101n } })).toMatchObject({
      vector: 13,
      error: 0,
    });
  });
  test('XLAT', () => {
    expect(play({ mode: 'long64', code: 'd7', memory: { 0x14105: '7a' }, state: { rax: 5n } }).state.rax).toBe(0x7an);
  });
});

describe('decimal adjustment (volume 2, DAA DAS AAA AAS AAM AAD)', () => {
  test.each([
    ['DAA', '27', 0x79n + 0x35n, 0x14n, 0n],
    ['DAA with AF', '27', 0x12n, 0x18n, AF],
    ['DAS', '2f', 0x2en, 0x28n, 0n],
    ['AAA', '37', 0x000bn, 0x0101n, 0n],
    ['AAS', '3f', 0x010fn, 0x0009n, 0n],
    ['AAM', 'd40a', 0x0039n, 0x0507n, 0n],
    ['AAD', 'd50a', 0x0507n, 0x0039n, 0n],
  ])('%s', (_name, code, rax, after, flags) => {
    expect(play({ mode: 'prot32', code, state: { rax, rflags: 2n | flags } }).state.rax).toBe(after);
  });
});
