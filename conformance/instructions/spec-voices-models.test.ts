// Cases in which the pages of one manual permit two answers, or an extension or an older model gives another: each is permitted.
// And what nobody permits is still told.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { completes, faults } from './spec-answers.ts';
import { type Answered, type Setting, tell } from './spec-history.ts';

type Change = Partial<CpuState> | ((start: CpuState) => Partial<CpuState>);
type Patch = readonly [at: number, bytes: string];
const priority = ['instructions.priority.permitted'];
/** What is broken when the instruction faults so; without an error code, #UD. */
const faulting = (
  setting: Setting,
  code: string,
  change: Change,
  vector: number,
  error?: number,
  cr2?: bigint,
  patch?: Patch,
): readonly string[] =>
  tell(setting, code, change, (b) => faults(setting, b, vector, error, cr2), patch === undefined ? [] : [patch]).broken;
/** And when it completes. */
const completing = (setting: Setting, code: string, change: Change, after: Partial<CpuState>, patch?: Patch): readonly string[] =>
  tell(
    setting,
    code,
    change,
    (b) => completes(setting, { ...b, ...after }, b.rip + BigInt(code.length / 2), { after }),
    patch === undefined ? [] : [patch],
  ).broken;
const p32: Setting = { mode: 'prot32', paging: '32-bit' };
const native: Setting = { level: 3, offers: ['cpu', 'cpu.ring3', 'memory.seen'] };
const stopped = (setting: Setting, code: string, change: Change, stop: number): readonly string[] =>
  tell(setting, code, change, { stop } satisfies Answered).broken;

test.each([
  ['real-address', { mode: 'real', paging: 'none' }],
  ['virtual-8086', { mode: 'v86', paging: '32-bit', level: 3 }],
] as const)('PUSHA in %s mode near the bottom of the stack may be #GP or #SS', (_, setting) => {
  for (const rsp of [7n, 15n]) {
    expect([12, 13].map((vector) => faulting(setting, '60', { rsp }, vector, 0))).toEqual([[], []]);
    expect(faulting(setting, '60', { rsp }, 11, 0)).toEqual(['instructions.operand.limit']);
  }
  expect(faulting(setting, '60', { rsp: 0x20n }, 13, 0)).toEqual(['instructions.stack.completes']);
});

test('INVD may be #GP(0) on Intel’s processors', () => {
  expect([faulting({}, '0f08', {}, 13, 0), completing({}, '0f08', {}, {})]).toEqual([[], []]);
  expect(faulting({}, '0f08', {}, 6)).toEqual(priority);
  expect(faulting({ vendor: 'amd' }, '0f08', {}, 13, 0)).toContain('instructions.cache.completes');
});

test('activating IA-32e mode with a TSS of 16 bits is #GP(0) on Intel’s processors', () => {
  const told = (vendor: 'intel' | 'amd', access: number, answer: 'completes' | 13): readonly string[] => {
    const setting: Setting = { mode: 'prot32', paging: 'none', features: ['pae', 'syscall'], vendor };
    const change = (b: CpuState): Partial<CpuState> => ({
      rax: b.cr0 | 0x80000000n,
      efer: 0x100n,
      cr4: b.cr4 | 0x20n,
      cr3: BigInt(at.pml4),
      tr: { ...b.tr, access },
    });
    return answer === 13
      ? faulting(setting, '0f22c0', change, 13, 0)
      : tell(setting, '0f22c0', change, (b) => ({ by: 'limit', state: { rip: b.rip + 3n, cr0: b.rax, efer: 0x500n } }), [], { limit: 1 })
          .broken;
  };
  expect([told('intel', 0x83, 13), told('amd', 0x83, 13), told('amd', 0x83, 'completes')]).toEqual([[], [], []]);
  expect(told('intel', 0x83, 'completes')).toContain('instructions.control.combination');
  expect(told('intel', 0x8b, 13)).not.toEqual([]);
});

describe('an extension that a host may have enabled', () => {
  test('LASS: ring 3 reads the supervisor half', () => {
    const rbx = 0xffff800000000000n;
    expect([stopped(native, '8b03', { rbx }, 13), stopped(native, '8b03', { rbx }, 14)]).toEqual([[], []]);
    expect(faulting({ level: 3 }, '8b03', { rbx }, 13, 0)).toContain('instructions.page.present');
    expect(stopped(native, '8b03', { rbx: BigInt(at.pages.absent) }, 13)).toContain('instructions.page.present');
  });
  test.each([
    ['SWAPGS', '0f01f8'],
    ['SYSEXIT', '0f35'],
    ['SYSRET', '480f07'],
  ])('FRED: %s', (_, code) => {
    const level: Setting = { features: ['sep', 'syscall'], level: 3 };
    const change = (b: CpuState): Partial<CpuState> => ({ efer: b.efer | 1n });
    expect([6, 13].map((vector) => stopped({ ...native, ...level }, code, change, vector))).toEqual([[], []]);
    expect(stopped({ ...native, ...level }, code, change, 3)).toEqual(priority);
    expect(faulting(level, code, change, 6)).toContain('instructions.privileged.gp');
  });
  test('APX: D5H', () => {
    expect([stopped(native, 'd50090', {}, 6), stopped(native, 'd50090', {}, 3)]).toEqual([[], []]);
    expect(stopped({ ...native, vendor: 'amd' }, 'd50090', {}, 3)).toContain('instructions.ud.mode');
    expect(completing({ level: 3 }, 'd50090', {}, {})).toContain('instructions.ud.mode');
  });
});

test('INVPCID of a reserved type may report its operand', () => {
  const setting: Setting = { features: ['invpcid'] };
  const rax = BigInt(at.pages.absent);
  expect(faulting(setting, '660f388208', { rax, rcx: 4n }, 13, 0)).toEqual([]);
  expect(faulting(setting, '660f388208', { rax, rcx: 4n }, 14, 0, rax)).toEqual([]);
  expect(faulting(setting, '660f388208', { rax, rcx: 4n }, 6)).toEqual(priority);
  expect(faulting(setting, '660f388208', { rax: BigInt(at.data), rcx: 4n }, 14, 0, rax)).toContain('instructions.cache.invpcid');
});

test('LLDT of an absent descriptor may report its second half', () => {
  const { absentLdt } = at.selectors;
  const typed = [at.gdt + absentLdt + 13, '01'] as const;
  const told = (vector: number, patch?: Patch): readonly string[] =>
    faulting({}, '0f00d0', { rax: BigInt(absentLdt) }, vector, absentLdt, undefined, patch);
  expect([told(11, typed), told(13, typed), told(11)]).toEqual([[], [], []]);
  expect(told(12, typed)).toEqual(priority);
  expect(told(13)).toContain('instructions.table.present');
});

test('LGDT may read the base before the limit', () => {
  const rax = BigInt(at.pages.absent + 0x10);
  const told = (cr2: bigint): readonly string[] => faulting({}, '0f0110', { rax }, 14, 0, cr2);
  expect([told(rax), told(rax + 2n)]).toEqual([[], []]);
  expect(told(rax + 4n)).toContain('instructions.page.cr2');
});

test.each([
  ['MOV', '8cd8', 'ds'],
  ['SLDT', '0f00c0', 'ldtr'],
] as const)('%s to a register of 32 bits may leave the upper half on old processors', (_, code, name) => {
  const told = (setting: Setting, high: bigint, low = 0n): readonly string[] =>
    tell(setting, code, { rax: 0xabcd0000n }, (b) => {
      const after = { rax: high | (BigInt(b[name].selector) ^ low) };
      return completes(setting, { ...b, ...after }, b.rip + BigInt(code.length / 2), { after });
    }).broken;
  expect([told(p32, 0xabcd0000n), told(p32, 0n)]).toEqual([[], []]);
  expect(told(p32, 0n, 4n)).not.toEqual([]);
  expect(told({ ...p32, features: ['syscall'] }, 0xabcd0000n)).not.toEqual([]);
});

describe('WRMSR', () => {
  const told = (rcx: bigint, vendor: 'intel' | 'amd', rdx: bigint, rax: bigint, after: Partial<CpuState>): readonly string[] =>
    completing({ features: ['syscall', 'nx'], vendor }, '0f30', { rcx, rdx, rax }, after);
  test('may take an address for CSTAR that is not canonical on Intel’s processors', () => {
    expect(told(0xc0000083n, 'intel', 0x800000n, 0n, { cstar: 0x80000000000000n })).toEqual([]);
    expect(told(0xc0000083n, 'amd', 0x800000n, 0n, { cstar: 0x80000000000000n })).toContain('instructions.msr.canonical');
    expect(told(0xc0000082n, 'intel', 0x800000n, 0n, { lstar: 0x80000000000000n })).toContain('instructions.msr.canonical');
  });
  test('may ignore bits 7:1 of EFER on AMD’s', () => {
    expect(told(0xc0000080n, 'amd', 0n, 0xd02n, {})).toEqual([]);
    expect(told(0xc0000080n, 'intel', 0n, 0xd02n, {})).toContain('instructions.msr.reserved');
  });
});
