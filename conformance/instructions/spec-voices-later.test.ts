// Cases in which a reserved or silent text leaves correct processors free, and the spec once knew only one of them.
// Each shows what is permitted now, and that what nobody permits is still told.

import { describe, expect, test } from 'vitest';
import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { completes, delivers, faults } from './spec-answers.ts';
import { type Setting, tell } from './spec-history.ts';

const p32: Setting = { mode: 'prot32', paging: '32-bit' };

describe('the upper part of a pushed error code', () => {
  /** MOV DS, AX of a selector past the limit of the GDT; HLT in ring 3. */
  const told = (setting: Setting, code: string, error: number, upper: bigint): readonly string[] =>
    tell(setting, code, { rax: BigInt(error) }, (b) => {
      const due = faults(setting, b, 13, error);
      const writes = due.writes?.map(
        ([where, value, size], n, all) => [where, n === all.length - 1 ? value | upper : value, size] as const,
      );
      return { ...due, ...(writes === undefined ? {} : { writes }) };
    }).broken;
  const high = 0xabcd0000n;
  test('is reserved beside a selector', () => {
    for (const setting of [p32, {}]) {
      expect([told(setting, '8ed8', 0x1f8, high), told(setting, '8ed8', 0x1f8, 0n)]).toEqual([[], []]);
      expect(told(setting, '8ed8', 0x1f8, 0x200n)).not.toEqual([]);
    }
  });
  test('is 0 past bit 31, as the word is zero-extended', () => {
    expect(told({}, '8ed8', 0x1f8, 1n << 32n)).toEqual(['instructions.frame.error']);
  });
  test('is 0 where the code is null, but perhaps on the oldest processors', () => {
    const ring3 = { ...p32, level: 3 };
    expect(told(ring3, 'f4', 0, high)).toEqual([]);
    expect(told({ ...ring3, features: ['syscall'] }, 'f4', 0, high)).toEqual(['instructions.frame.error']);
    expect(told({ level: 3 }, 'f4', 0, high)).toEqual(['instructions.frame.error']);
  });
});

describe('POP of a segment register with an operand wider than the selector', () => {
  const barred = at.pages.supervisor;
  const told = (
    setting: Setting,
    code: string,
    rsp: number,
    answer: 'pops' | 14 | 17,
    cr2 = barred,
    also: Partial<CpuState> = {},
  ): readonly string[] =>
    tell(
      setting,
      code,
      { ...also, rsp: BigInt(rsp) },
      (b) => {
        if (answer !== 'pops') return faults(setting, b, answer, answer === 14 ? 5 : 0, answer === 14 ? BigInt(cr2) : undefined);
        const size = setting.mode === 'prot32' ? 4n : 8n;
        const after = { rsp: b.rsp + size };
        return completes(setting, { ...b, ...after }, b.rip + BigInt(code.length / 2), { after });
      },
      [[barred - 2, '2b00']],
    ).broken;
  test.each([
    ['32 bits', { ...p32, level: 3 }, '1f'],
    ['64 bits', { level: 3 }, '0fa1'],
  ] as const)('of %s may read the selector alone', (_, setting, code) => {
    const fs: Partial<CpuState> = code === '0fa1' ? { fs: { selector: 0x2b, base: 0n, limit: 0xffffffff, access: 0xc0f3 } } : {};
    expect([told(setting, code, barred - 2, 'pops', 0, fs), told(setting, code, barred - 2, 14, barred, fs)]).toEqual([[], []]);
    expect(told(setting, code, barred, 'pops', 0, fs)).toContain('instructions.page.rights');
    expect(told(setting, code, barred - 2, 14, barred + 2, fs)).toContain('instructions.page.cr2');
    expect(told(setting, code, barred - 8, 14, barred, fs)).not.toEqual([]);
  });
});

describe('DR6 where RTM and BLD were clear', () => {
  /** NOP, single-stepped. */
  const told = (before: bigint, after: bigint): readonly string[] =>
    tell({}, '90', { rflags: 0x102n, dr6: before }, (b) =>
      delivers({}, b, { vector: 1, rip: b.rip + 1n, rflags: b.rflags, after: { dr6: after } }),
    ).broken;
  test('may have them set by a debug exception', () => {
    expect([0xffff4ff0n, 0xfffe47f0n, 0xffff47f0n].map((after) => told(0xfffe07f0n, after))).toEqual([[], [], []]);
  });
  test('keeps them where they were set, and BS is due', () => {
    expect(told(0xffff0ff0n, 0xfffe4ff0n)).toContain('instructions.step.dr6');
    expect(told(0xffff0ff0n, 0xffff47f0n)).toContain('instructions.step.dr6');
    expect(told(0xfffe07f0n, 0xffff0ff0n)).not.toEqual([]);
  });
});

describe('MOV to CR3 with a reserved bit in a PDPTE that nothing needs', () => {
  const told = (vendor: 'intel' | 'amd', answer: 'completes' | 13 | 6): readonly string[] => {
    const setting: Setting = { mode: 'prot32', paging: 'pae', vendor };
    const cr3 = BigInt(at.data);
    const table = `01${(at.pageDirectory >> 8).toString(16).padStart(2, '0')}000000000000${'e701000000000000'}${'00'.repeat(16)}`;
    return tell(
      setting,
      '0f22d8',
      { rax: cr3 },
      (b) =>
        answer === 'completes'
          ? completes(setting, { ...b, cr3 }, b.rip + 3n, { after: { cr3 } })
          : faults(setting, b, answer, answer === 13 ? 0 : undefined),
      [[at.data, table]],
    ).broken;
  };
  test('is #GP(0) on Intel’s processors', () => {
    expect(told('intel', 13)).toEqual([]);
    expect(told('intel', 'completes')).toContain('instructions.control.pdpte');
  });
  test('may wait for the walk on AMD’s, where a guest has nested paging', () => {
    expect([told('amd', 13), told('amd', 'completes')]).toEqual([[], []]);
    expect(told('amd', 6)).not.toEqual([]);
  });
});

describe('an interrupt that is pending when STI sets IF, or SS is loaded', () => {
  type Taken = 'at once' | 'after one more' | 'never';
  /** The instruction, then INT3 or two NOPs. */
  const told = (code: string, behind: '' | '9090', taken: Taken, flags = 0n): readonly string[] => {
    const length = BigInt(code.length / 2);
    return tell(
      {},
      code + behind,
      { rflags: 2n | flags, rax: BigInt(at.selectors.kernelData) },
      (b) => {
        const rflags = code === 'fb' ? b.rflags | 0x200n : b.rflags;
        if (taken === 'never') return completes({}, { ...b, rflags }, b.rip + length + BigInt(behind.length / 2));
        const rip = b.rip + length + (taken === 'at once' ? 0n : 1n);
        return delivers({}, b, { vector: 0x21, rip, rflags });
      },
      [],
      { interrupt: { vector: 0x21, after: 1 } },
    ).broken;
  };
  test.each([
    ['STI', 'fb', 0n],
    ['MOV SS', '8ed0', 0x200n],
  ] as const)('is not taken right after %s', (_, code, flags) => {
    expect(told(code, '', 'never', flags)).toEqual([]);
    expect(told(code, '', 'at once', flags)).toEqual(['instructions.interrupt.taken']);
    expect(told(code, '9090', 'after one more', flags)).toEqual([]);
    expect(told(code, '9090', 'at once', flags)).toContain('instructions.course.frame');
    expect(told(code, '9090', 'never', flags)).toContain('instructions.course.ends');
  });
  test('is taken at once where IF was set before STI', () => {
    expect(told('fb', '9090', 'at once', 0x200n)).toEqual([]);
    expect(told('fb', '9090', 'after one more', 0x200n)).toContain('instructions.frame.rip');
    expect(told('fb', '', 'never', 0x200n)).toContain('instructions.interrupt.taken');
  });
  test('may be taken after the second of two that hold it back', () => {
    expect([told('fb8ed0', '9090', 'at once'), told('fb8ed0', '9090', 'after one more')]).toEqual([[], []]);
  });
});

describe('CMPXCHG16B of what is not aligned', () => {
  const setting: Setting = { features: ['cx8', 'cx16'] };
  const told = (rbx: number, answer: 'completes' | 13 | 14): readonly string[] =>
    tell(setting, '480fc70b', { rbx: BigInt(rbx), rax: 0n, rdx: 0n }, (b) => {
      const cc = BigInt.asUintN(64, -0x3333333333333334n);
      const after = { rax: cc, rdx: cc, rflags: b.rflags & ~0x40n };
      if (answer === 'completes') return completes(setting, { ...b, ...after }, b.rip + 4n, { after });
      return faults(setting, b, answer, answer === 13 ? 0 : 2, answer === 14 ? BigInt(at.pages.absent) : undefined);
    }).broken;
  test('is #GP(0)', () => {
    expect(told(at.data + 8, 13)).toEqual([]);
    expect(told(at.data + 8, 'completes')).toEqual(['instructions.operand.alignment']);
    expect([told(at.data, 'completes'), told(at.data, 13)]).toEqual([[], ['instructions.alu.completes']]);
  });
  test('or the fault of its page', () => {
    expect([told(at.pages.absent - 8, 13), told(at.pages.absent - 8, 14)]).toEqual([[], []]);
    expect(told(at.pages.absent - 8, 'completes')).not.toEqual([]);
  });
});
