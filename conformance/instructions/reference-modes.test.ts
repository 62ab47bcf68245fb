// Modes and flags on the reference processor: the way into protected mode, virtual-8086 extensions, IOPL, questions about selectors.
// SDM volume 3, Mode Switching; Virtual-8086 Mode (VME, software interrupts); Protected-Mode Virtual Interrupts; volume 2, POPF LAR LSL VERR VERW.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { play } from './reference-play.ts';

const VM = 1n << 17n;
const VIF = 1n << 19n;
const VIP = 1n << 20n;
const VME = (s: CpuState): Partial<CpuState> => ({ cr4: s.cr4 | 1n });
/** Top of the 16-bit stack, one word pushed. */
const pushed16 = at.base16 + at.stackTop16 - 2;

test('from real-address to 32-bit protected mode: LGDT, CR0.PE, far JMP', () => {
  const p = play({
    mode: 'real',
    code: '0f01160041 0f20c0 0c01 0f22c0 66ea 40000100 0800',
    memory: { 0x14100: '5f01 00100000', 0x10040: 'f4' },
  });
  expect([p.by, p.state.rip, p.state.cs]).toMatchObject(['halt', 0x10041n, { selector: 8, limit: 0xffff_ffff, access: 0xc09b }]);
});
test('into IA-32e mode and 64-bit code: PAE, CR3, LME, PG, far JMP', () => {
  // A machine with 4-level tables, entered with paging off in 32-bit code.
  const p = play({
    mode: 'compat',
    code: '0f22e0 89d0 0f22d8 b9800000c0 b800010000 31d2 0f30 0f20c0 0d00000080 0f22c0 ea 60000100 1000',
    state: (s) => ({ cr0: 0x11n, cr4: 0n, efer: 0n, rax: 0x20n, rdx: s.cr3, cr3: 0n }),
    memory: { 0x10060: '4831c0 f4' },
  });
  expect([p.by, p.state.rip, p.state.efer, p.state.cs.selector]).toEqual(['halt', 0x10064n, 0x500n, 0x10]);
});

describe('flags by privilege (volume 2, POPF PUSHF CLI STI)', () => {
  test.each([
    ['POPFD at CPL 3 changes neither IF nor IOPL', 3, '6800300000 9d', 0x202],
    ['POPFD at CPL 0 changes IOPL', 0, '6800300000 9d', 0x3002],
    ['POPFD does not set VM, VIF or VIP', 0, '6800001a00 9d', 2],
    ['POPFD sets AC and ID', 3, '6800022400 9d', 0x24_0202],
  ] as const)('%s', (_name, cpl, code, flags) => {
    expect(play({ mode: 'prot32', cpl, code }).frame.flags).toBe(flags);
  });
  test('STI at CPL 3 under PVI sets VIF', () => {
    const p = play({ mode: 'prot32', features: ['vme'], cpl: 3, code: 'fb', state: (s) => ({ cr4: s.cr4 | 2n, rflags: 2n }) });
    expect([p.vector, BigInt(p.frame.flags)]).toEqual([3, 2n | VIF]);
  });
});

describe('virtual-8086 mode extensions', () => {
  test('CLI clears VIF alone', () => {
    const p = play({ mode: 'v86', features: ['vme'], code: 'fa', state: (s) => ({ ...VME(s), rflags: 2n | VM | VIF | 0x200n }) });
    expect([p.vector, BigInt(p.frame.flags)]).toEqual([3, 2n | VM | 0x200n]);
  });
  test('STI with VIP set is #GP(0)', () => {
    const p = play({ mode: 'v86', features: ['vme'], code: 'fb', state: (s) => ({ ...VME(s), rflags: 2n | VM | VIP }) });
    expect([p.vector, p.error]).toEqual([13, 0]);
  });
  test('PUSHF shows VIF as IF and IOPL as 3', () => {
    const p = play({ mode: 'v86', features: ['vme'], code: '9c', state: (s) => ({ ...VME(s), rflags: 2n | VM | VIF }) });
    expect(p.read(pushed16, 2)).toBe(0x3202n);
  });
  test('POPF of TF is #GP(0)', () => {
    const p = play({ mode: 'v86', features: ['vme'], code: '9d', state: VME, memory: { [pushed16 + 2]: '0201' } });
    expect([p.vector, p.error]).toEqual([13, 0]);
  });
  test('INT n is redirected to the vector table of the program', () => {
    const p = play({
      mode: 'v86',
      features: ['vme'],
      code: 'cd21',
      state: VME,
      memory: { 0x84: '20000010' },
    });
    expect([p.vector, p.frame.rip, p.read(pushed16, 2), p.read(pushed16 - 4, 2)]).toEqual([3, 0x21n, 0x3002n, 2n]);
  });
  test('without VME, CLI and PUSHF with IOPL below 3 are #GP(0)', () => {
    expect(play({ mode: 'v86', code: 'fa' })).toMatchObject({ vector: 13, error: 0 });
    expect(play({ mode: 'v86', code: '9c' })).toMatchObject({ vector: 13, error: 0 });
  });
  test('with IOPL 3, PUSHF pushes what is', () => {
    expect(play({ mode: 'v86', code: '9c', state: { rflags: 2n | VM | 0x3200n } }).read(pushed16, 2)).toBe(0x3202n);
  });
});

describe('questions about selectors', () => {
  const ZF = 0x40;
  test.each([
    ['LAR of user data', '0f02c3', 0x2b, true, 0xcff300n],
    ['LAR of kernel data', '0f02c3', 0x1b, false, 0x11n],
    ['LAR of conforming code of DPL 0', '0f02c3', 0x83, true, undefined],
    ['LAR of a call gate', '0f02c3', at.selectors.callGate3 | 3, true, undefined],
    ['LSL of a call gate', '0f03c3', at.selectors.callGate3 | 3, false, 0x11n],
    ['LSL of 4 GBytes', '0f03c3', 0x2b, true, 0xffff_ffffn],
    ['LSL in bytes', '0f03c3', at.selectors.small | 3, true, 0xfffn],
    ['LAR of null', '0f02c3', 3, false, 0x11n],
    ['LAR beyond the table', '0f02c3', 0xfffb, false, 0x11n],
    ['VERR of read-only data', '0f00e3', at.selectors.readOnly | 3, true, undefined],
    ['VERW of read-only data', '0f00eb', at.selectors.readOnly | 3, false, undefined],
    ['VERR of execute-only code', '0f00e3', at.selectors.executeOnly | 3, false, undefined],
    ['VERW of code', '0f00eb', 0x23, false, undefined],
  ] as const)('%s', (_name, code, selector, visible, rax) => {
    const p = play({ mode: 'prot32', cpl: 3, code, state: { rbx: BigInt(selector), rax: 0x11n } });
    expect([p.vector, (p.frame.flags & ZF) !== 0]).toEqual([3, visible]);
    if (rax !== undefined) expect(p.state.rax).toBe(rax);
  });
  test('ARPL raises RPL', () => {
    const p = play({ mode: 'prot32', code: '63c8', state: { rax: 0x10n, rcx: 3n } });
    expect([p.state.rax, p.frame.flags & ZF]).toEqual([0x13n, ZF]);
  });
});

test('CPUID names the vendor', () => {
  const { state } = play({ mode: 'long64', code: '0fa2', state: { rax: 0n } });
  const text = Buffer.from(Uint32Array.of(Number(state.rbx), Number(state.rdx), Number(state.rcx)).buffer).toString();
  expect(text).toBe('GenuineIntel');
});
test('an instruction that is announced but not done is said to be so, after its own faults', () => {
  expect(() => play({ mode: 'long64', code: 'dec1' })).toThrow('Faddp');
  expect(play({ mode: 'long64', code: 'dec1', state: (s) => ({ cr0: s.cr0 | 8n }) }).vector).toBe(7);
});
test('an extension that is not announced is an invalid opcode', () => {
  expect(play({ mode: 'long64', code: 'c5f858c0' }).vector).toBe(6);
});
