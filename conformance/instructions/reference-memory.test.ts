// Paging, strings, self-modifying code, ports and debug conditions on the reference processor, worked out by hand.
// SDM volume 3, Paging (Access Rights; Page-Fault Exceptions; Accessed and Dirty Flags); Debug Registers; volume 1, I/O Permission Bit Map.

import { describe, expect, test } from 'vitest';
import type { CpuFeature, CpuMode, CpuState, PagingMode } from '../../spec/instructions/vocabulary.ts';
import { entryAt } from './furniture.ts';
import * as at from './layout.ts';
import { play } from './reference-play.ts';

const { pages } = at;
const LOAD = '8b03';
const STORE = '8903';
interface Walk {
  readonly name: string;
  readonly cpl: number;
  readonly code: string;
  readonly page: number;
  readonly cr4?: bigint;
  readonly rflags?: bigint;
  readonly wp?: false;
  /** Error code of the page fault; absent: none. */
  readonly error?: number;
}
const SMAP = 1n << 21n;
const AC = 0x4_0002n;
const walks: readonly Walk[] = [
  { name: 'a user load of a user page', cpl: 3, code: LOAD, page: pages.userReadOnly },
  { name: 'a user store to a read-only page', cpl: 3, code: STORE, page: pages.userReadOnly, error: 7 },
  { name: 'a user load of a supervisor page', cpl: 3, code: LOAD, page: pages.supervisor, error: 5 },
  { name: 'a user store to a supervisor page', cpl: 3, code: STORE, page: pages.supervisor, error: 7 },
  { name: 'a user load of an absent page', cpl: 3, code: LOAD, page: pages.absent, error: 4 },
  { name: 'a supervisor store to an absent page', cpl: 0, code: STORE, page: pages.absent, error: 2 },
  { name: 'a supervisor store to a read-only page under WP', cpl: 0, code: STORE, page: pages.userReadOnly, error: 3 },
  { name: 'a supervisor store to a read-only page without WP', cpl: 0, code: STORE, page: pages.userReadOnly, wp: false },
  { name: 'a supervisor load of a user page', cpl: 0, code: LOAD, page: pages.spare },
  { name: 'a supervisor load of a user page under SMAP', cpl: 0, code: LOAD, page: pages.spare, cr4: SMAP, error: 1 },
  { name: 'the same with AC', cpl: 0, code: LOAD, page: pages.spare, cr4: SMAP, rflags: AC },
  { name: 'a user load of a user page under SMAP', cpl: 3, code: LOAD, page: pages.spare, cr4: SMAP },
];
const modes: readonly (readonly [CpuMode, PagingMode])[] = [
  ['prot32', '32-bit'],
  ['prot32', 'pae'],
  ['long64', '4-level'],
  ['long64', '5-level'],
];
describe.each(modes)('%s, %s paging', (mode, paging) => {
  test.each(walks)('$name', ({ cpl, code, page, cr4 = 0n, rflags, wp, error }) => {
    const features: CpuFeature[] = cr4 === SMAP ? ['smap'] : [];
    const p = play({
      mode,
      paging,
      features,
      cpl,
      code,
      state: (s: CpuState) => ({
        rbx: BigInt(page + 0x123),
        // The code itself is on a user page; SMEP stays off.
        cr4: (s.cr4 | cr4) & ~(1n << 20n),
        cr0: wp === false ? s.cr0 & ~(1n << 16n) : s.cr0,
        ...(rflags !== undefined && { rflags }),
      }),
    });
    if (error === undefined) expect(p.vector).toBe(3);
    else expect([p.vector, p.error, p.state.cr2, p.frame.rip]).toEqual([14, error, BigInt(page + 0x123), 0x10000n]);
  });
  test('a load sets accessed, a store dirty too', () => {
    const entry = entryAt(pages.fresh, paging);
    const bytes = paging === '32-bit' ? 4 : 8;
    const run = (code: string): bigint => play({ mode, paging, code, state: { rbx: BigInt(pages.fresh) } }).read(entry, bytes) & 0x60n;
    expect([run('90'), run(LOAD), run(STORE), run(`${LOAD}${STORE}`)]).toEqual([0n, 0x20n, 0x60n, 0x60n]);
  });
  test('a store across a page that faults stores nothing', () => {
    const p = play({ mode, paging, cpl: 3, code: STORE, state: { rbx: BigInt(pages.absent - 2), rax: 0n } });
    expect([p.vector, p.error, p.state.cr2]).toEqual([14, pages.supervisor === pages.absent - 0x1000 ? 7 : 6, BigInt(pages.absent - 2)]);
    expect(p.read(pages.absent - 2, 2)).toBe(0xccccn);
  });
});
describe('paging, apart', () => {
  test('a fetch from a no-execute page', () => {
    const nx = (s: CpuState): Partial<CpuState> => ({ rax: BigInt(pages.noExecute), efer: s.efer | 0x800n });
    const p = play({ mode: 'long64', features: ['nx'], cpl: 3, code: 'ffe0', state: nx });
    expect([p.vector, p.error, p.frame.rip]).toEqual([14, 0x15, BigInt(pages.noExecute)]);
  });
  test('a supervisor fetch from a user page under SMEP', () => {
    const p = play({ mode: 'long64', features: ['smep'], code: '90', state: (s) => ({ cr4: s.cr4 | (1n << 20n) }) });
    expect([p.vector, p.error, p.state.cr2]).toEqual([14, 0x11, 0x10000n]);
  });
  test('a reserved bit in an entry', () => {
    const p = play({ mode: 'long64', code: LOAD, state: { rbx: 0x1c000n }, memory: { [entryAt(0x1c000, '4-level') + 6]: '08' } });
    expect([p.vector, p.error]).toEqual([14, 9]);
  });
  test('an instruction whose second byte is on an absent page faults there', () => {
    const p = play({
      mode: 'long64',
      cpl: 3,
      code: 'ffe0',
      state: { rax: BigInt(pages.absent - 1) },
      memory: { [pages.absent - 1]: '48', [entryAt(pages.supervisor, '4-level')]: '67' },
    });
    expect([p.vector, p.error, p.state.cr2, p.frame.rip]).toEqual([14, 4, BigInt(pages.absent), BigInt(pages.absent - 1)]);
  });
  test('an entry that was changed is seen after INVLPG', () => {
    // Load through the page, clear its entry, INVLPG, load again.
    const entry = entryAt(0x1c000, '4-level');
    const p = play({ mode: 'long64', code: '8b03 c70600000000 0f013b 8b03', state: { rbx: 0x1c000n, rsi: BigInt(entry) } });
    expect([p.vector, p.frame.rip]).toEqual([14, 0x1000bn]);
  });
});

describe('strings (volume 2, REP; MOVS STOS CMPS SCAS)', () => {
  test('REP MOVSB forward, overlapping, repeats its first byte', () => {
    const p = play({ mode: 'long64', code: 'f3a4', memory: { 0x14200: '5a01020304' }, state: { rsi: 0x14200n, rdi: 0x14201n, rcx: 4n } });
    expect([p.read(0x14200, 5), p.state.rcx, p.state.rsi, p.state.rdi]).toEqual([0x5a5a5a5a5an, 0n, 0x14204n, 0x14205n]);
  });
  test('backward with DF', () => {
    const p = play({ mode: 'long64', code: 'f3ab', state: { rdi: 0x14208n, rcx: 2n, rax: 0x11n, rflags: 0x402n } });
    expect([p.read(0x14204, 8), p.state.rdi]).toEqual([0x11_0000_0011n, 0x14200n]);
  });
  test('a fault in the middle leaves the registers of what is done', () => {
    const p = play({ mode: 'long64', cpl: 3, code: 'f3aa', state: { rdi: BigInt(pages.userReadOnly - 3), rcx: 10n } });
    expect([p.vector, p.error, p.state.rcx, p.state.rdi, p.frame.rip]).toEqual([14, 7, 7n, BigInt(pages.userReadOnly), 0x10000n]);
  });
  test('REPE CMPSB ends at the first difference', () => {
    const p = play({ mode: 'long64', code: 'f3a6', memory: { 0x14200: '010203', 0x14400: '010303' }, state: { rcx: 3n } });
    expect([p.state.rcx, p.state.rsi, p.frame.flags & 0x41]).toEqual([1n, 0x14202n, 1]);
  });
  test('REPNE SCASB finds', () => {
    const p = play({ mode: 'long64', code: 'f2ae', memory: { 0x14400: '0102030405' }, state: { rcx: 9n, rax: 3n } });
    expect([p.state.rcx, p.state.rdi]).toEqual([6n, 0x14403n]);
  });
  test('a count of 0 touches nothing', () => {
    expect(play({ mode: 'long64', code: 'f3a4', state: { rcx: 0n, rsi: 1n << 47n } }).vector).toBe(3);
  });
  test('16-bit addresses wrap', () => {
    const p = play({ mode: 'real', code: 'ac', state: { rsi: 0xffffn } });
    expect([p.state.rsi & 0xffffn, p.vector]).toEqual([0n, 3]);
  });
});

describe('self-modifying code (volume 3, Handling Self- and Cross-Modifying Code)', () => {
  test('a store to the next instruction is what runs next', () => {
    // MOV WORD [rip+0], UD2 over the two NOPs that follow.
    const p = play({ mode: 'long64', code: '66c70500000000 0f0b 9090', state: {} });
    expect([p.vector, p.frame.rip]).toEqual([6, 0x10009n]);
  });
  test('a loop that rewrites its own immediate', () => {
    // MOV AL, imm8; INC byte [imm8]; CMP AL, 3; JNZ.
    const p = play({ mode: 'long64', code: 'b000 fe05f9ffffff 3c03 75f4', limit: 100 });
    expect([p.vector, p.state.rax & 0xffn]).toEqual([3, 3n]);
  });
});

describe('ports (volume 1, I/O Privilege Level; I/O Permission Bit Map)', () => {
  test.each([
    ['an open port at CPL 3', 'e460', 3, undefined],
    ['a closed port at CPL 3', 'e470', 3, 0],
    ['a word over the edge of open ports', '66e56f', 3, 0],
    ['beyond the bitmap', 'ec', 3, 0],
    ['any port at CPL 0', 'e470', 0, undefined],
    ['a closed port, as often as it takes', 'f36e', 3, 0],
  ] as const)('%s', (_name, code, cpl, error) => {
    const p = play({ mode: 'long64', cpl, code, state: { rdx: 0x7fffn } });
    expect([p.vector, p.error]).toEqual(error === undefined ? [3, undefined] : [13, error]);
    expect(p.seen.filter((o) => o.saw === 'cpu.port')).toHaveLength(error === undefined ? 1 : 0);
  });
  test('REP OUTSB of nothing asks for the permission too, as real processors do, and tells no port', () => {
    const none = (rdx: bigint) => play({ mode: 'long64', cpl: 3, code: 'f36e', state: { rdx, rcx: 0n } });
    expect([none(0x70n).vector, none(0x70n).error, none(0x60n).vector]).toEqual([13, 0, 3]);
    expect(none(0x60n).seen.filter((o) => o.saw === 'cpu.port')).toEqual([]);
  });
  test('OUT tells port, width and value', () => {
    const p = play({ mode: 'long64', code: 'ef', state: { rdx: 0x3f8n, rax: 0x1_8765_4321n } });
    expect(p.seen.find((o) => o.saw === 'cpu.port')).toEqual({
      saw: 'cpu.port',
      port: 0x3f8,
      width: 4,
      direction: 'out',
      value: 0x8765_4321,
    });
  });
  test('IN gives all ones', () => {
    expect(play({ mode: 'long64', code: '66e560', state: { rax: 0n } }).state.rax).toBe(0xffffn);
  });
  test('REP INSB stores each', () => {
    expect(play({ mode: 'long64', code: 'f36c', state: { rdx: 0x60n, rcx: 2n } }).read(0x14400, 3)).toBe(0xccffffn);
  });
});

describe('debug conditions (volume 3, Debug Exceptions)', () => {
  test('TF traps after one instruction', () => {
    const p = play({ mode: 'long64', code: '4090 90', state: { rflags: 0x102n } });
    expect([p.vector, p.frame.rip, p.state.dr6 & 0x4000n, p.frame.flags & 0x100]).toEqual([1, 0x10002n, 0x4000n, 0x100]);
  });
  test('TF traps between iterations, with RF in the frame', () => {
    const p = play({ mode: 'long64', code: 'f3aa', state: { rflags: 0x102n, rcx: 3n } });
    expect([p.vector, p.frame.rip, p.state.rcx, p.frame.flags & 0x1_0000]).toEqual([1, 0x10000n, 2n, 0x1_0000]);
  });
  test('MOV SS holds the trap off for one instruction', () => {
    const p = play({ mode: 'prot32', code: '8ed0 40 40', state: { rax: 0x18n, rflags: 0x102n } });
    expect([p.vector, p.frame.rip]).toEqual([1, 0x10003n]);
  });
  test('an instruction breakpoint faults before, unless RF', () => {
    const p = play({ mode: 'long64', code: '90 90', state: { dr0: 0x10001n, dr7: 0x401n } });
    expect([p.vector, p.frame.rip, p.state.dr6 & 15n, p.frame.flags & 0x1_0000]).toEqual([1, 0x10001n, 1n, 0]);
    expect(play({ mode: 'long64', code: '90', state: { dr0: 0x10000n, dr7: 0x401n, rflags: 0x1_0002n } }).vector).toBe(3);
  });
  test('a data breakpoint traps after the store', () => {
    const p = play({ mode: 'long64', code: '8903 90', state: { dr1: 0x14100n, dr7: 0x00d0_0404n } });
    expect([p.vector, p.frame.rip, p.state.dr6 & 15n]).toEqual([1, 0x10002n, 2n]);
  });
  test('a write breakpoint does not see a load', () => {
    expect(play({ mode: 'long64', code: '8b03', state: { dr1: 0x14100n, dr7: 0x00d0_0404n } }).vector).toBe(3);
  });
  test('an alignment check at CPL 3 with AM and AC', () => {
    const p = play({
      mode: 'long64',
      cpl: 3,
      code: '8b03',
      state: (s) => ({ rbx: 0x14101n, rflags: s.rflags | 0x4_0000n, cr0: s.cr0 | 0x4_0000n }),
    });
    expect([p.vector, p.error]).toEqual([17, 0]);
  });
  test('one instruction under a limit of 1, and on from there', () => {
    expect(play({ mode: 'long64', code: '90 90', limit: 1 })).toMatchObject({ by: 'limit', state: { rip: 0x10001n } });
  });
  test('HLT at CPL 0 is a halt', () => {
    expect(play({ mode: 'long64', code: 'f4' })).toMatchObject({ by: 'halt', state: { rip: 0x10001n } });
  });
});
