// System instructions of which a sentence judges less than all: what is told of them still, and what stays open.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { completes, faults } from './spec-answers.ts';
import { type Setting, tell } from './spec-history.ts';

const setting: Setting = { features: ['monitor'] };
const told = (code: string, set: Partial<CpuState>, answer: 'completes' | 13 | 14, cr2?: number): readonly string[] =>
  tell(setting, code, set, (b) => {
    if (answer === 'completes') return completes(setting, b, b.rip + BigInt(code.length / 2));
    return faults(setting, b, answer, 0, cr2 === undefined ? undefined : BigInt(cr2));
  }).broken;

describe('MONITOR', () => {
  const [code, withFs] = ['0f01c8', '640f01c8'];
  const good = { rax: BigInt(at.data), rcx: 0n };
  const { absent } = at.pages;
  test('changes nothing, and refuses extensions', () => {
    expect(told(code, good, 'completes')).toEqual([]);
    expect(told(code, good, 13)).toEqual(['instructions.cache.completes']);
    expect(told(code, { ...good, rcx: 1n }, 13)).toEqual([]);
    expect(told(code, { ...good, rcx: 1n }, 'completes')).toEqual(['instructions.privileged.monitor']);
  });
  test('may look at the upper half of RCX or not', () => {
    expect([13, 'completes'].map((answer) => told(code, { ...good, rcx: 1n << 32n }, answer as 13))).toEqual([[], []]);
  });
  test.each([code, withFs])('is checked as a load is: %s', (bytes) => {
    const bad = { ...good, rax: BigInt(absent) };
    expect(told(bytes, bad, 14, absent)).toEqual([]);
    expect(told(bytes, bad, 'completes')).toEqual(['instructions.page.present']);
    // Which comes first is not said.
    expect([told(bytes, { ...bad, rcx: 2n }, 13), told(bytes, { ...bad, rcx: 2n }, 14, absent)]).toEqual([[], []]);
    expect(told(bytes, { ...bad, rcx: 2n }, 'completes')).not.toEqual([]);
  });
});

describe('MWAIT', () => {
  test('refuses extensions that no processor has, and may refuse others', () => {
    expect(told('0f01c9', { rcx: 8n }, 13)).toEqual([]);
    expect(told('0f01c9', { rcx: 8n }, 'completes')).toEqual(['instructions.privileged.monitor']);
    expect([told('0f01c9', { rcx: 1n }, 13), told('0f01c9', { rcx: 1n }, 'completes')]).toEqual([[], []]);
  });
});

describe('WRMSR of reserved bits', () => {
  const bare: Setting = { features: ['syscall'] };
  const write = (rcx: bigint, rax: bigint, rdx: bigint, after: Partial<CpuState> | 13): readonly string[] =>
    tell(bare, '0f30', { rcx, rax, rdx }, (b) =>
      after === 13 ? faults(bare, b, 13, 0) : completes(bare, { ...b, ...after }, b.rip + 2n, { after }),
    ).broken;
  test('IA32_EFER.LMA stays, or the write is refused', () => {
    const [efer, without] = [0xc0000080n, 0x100n];
    expect([write(efer, without, 0n, { efer: 0x500n }), write(efer, without, 0n, 13)]).toEqual([[], []]);
    expect(write(efer, without, 0n, { efer: 0x100n })).not.toEqual([]);
  });
  test('the upper half of IA32_FMASK is refused, kept or lost; the lower half is loaded', () => {
    const mask = 0xc0000084n;
    const [kept, lost] = [{ sfmask: 0x1_0000_0200n }, { sfmask: 0x200n }];
    expect([kept, lost, 13 as const].map((after) => write(mask, 0x200n, 1n, after))).toEqual([[], [], []]);
    expect(write(mask, 0x200n, 1n, { sfmask: 1n })).not.toEqual([]);
  });
});
