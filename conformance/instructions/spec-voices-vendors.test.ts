// Cases in which correct processors differ by vendor, model or extension, and the spec once knew only one of them.
// Each shows what is permitted now, and that what nobody permits is still told.

import { describe, expect, test } from 'vitest';
import type { CpuFeature, CpuState } from '../../spec/instructions/vocabulary.ts';
import { unusable } from './descriptors.ts';
import * as at from './layout.ts';
import { completes, faults } from './spec-answers.ts';
import { type Setting, tell } from './spec-history.ts';

describe('a base that is canonical with 57 bits alone', () => {
  const base = 1n << 47n;
  const told = (la57: readonly CpuFeature[], code: string, change: Partial<CpuState>, after: Partial<CpuState>): readonly string[] => {
    const setting: Setting = { features: ['fsgsbase', 'syscall', 'invpcid', ...la57] };
    const image = [at.data, '00000000000000000000000000800000'] as const;
    return tell(
      setting,
      code,
      (b) => ({ ...change, cr4: b.cr4 | 0x10000n }),
      (b) => completes(setting, b, b.rip + BigInt(code.length / 2), { after }),
      [image],
    ).broken;
  };
  const lstar = { rcx: 0xc0000082n, rdx: 0x8000n, rax: 0n };
  const invpcid = { rax: BigInt(at.data), rcx: 0n };
  test('may be kept by processors that have 57, whatever CR4 says', () => {
    expect(told(['la57'], '0f30', lstar, { lstar: base })).toEqual([]);
    expect(told(['la57'], '660f388208', invpcid, {})).toEqual([]);
  });
  test('may not by others', () => {
    expect(told([], '0f30', lstar, { lstar: base })).toContain('instructions.msr.canonical');
    expect(told([], '660f388208', invpcid, {})).toContain('instructions.cache.invpcid');
  });
  test('is none where it fits in 57 bits neither', () => {
    expect(told(['la57'], '0f30', { ...lstar, rdx: 0x8000_0000n }, { lstar: 1n << 63n })).toContain('instructions.msr.canonical');
  });
  test('is no address of an operand', () => {
    const setting: Setting = { features: ['la57'] };
    const read = tell(setting, '8b03', { rbx: base }, (b) => faults(setting, b, 14, 0, base)).broken;
    expect(read).toContain('instructions.operand.canonical');
  });
});

describe('VMREAD above CPL 0', () => {
  const told = (more: Setting, cr4: bigint, vector: 6 | 13 | 17): readonly string[] => {
    const setting: Setting = { level: 3, ...more };
    return tell(
      setting,
      '0f78c0',
      (b) => ({ cr4: b.cr4 | cr4 }),
      (b) => (more.offers !== undefined ? { stop: vector } : vector === 6 ? faults(setting, b, vector) : faults(setting, b, vector, 0)),
    ).broken;
  };
  const native: Setting = { offers: ['cpu', 'cpu.ring3', 'memory.seen'] };
  test('may be #GP(0) in VMX operation, which it cannot tell', () => {
    expect([told(native, 0n, 13), told(native, 0n, 6), told({}, 0x2000n, 13), told({}, 0x2000n, 6)]).toEqual([[], [], [], []]);
    expect(told({}, 0x2000n, 17)).toContain('instructions.priority.permitted');
    expect(told(native, 0n, 17)).toContain('instructions.priority.permitted');
  });
  test('is #UD where there is none', () => {
    expect(told({}, 0n, 13)).toContain('instructions.ud.reserved');
    expect(told({ ...native, vendor: 'amd' }, 0n, 13)).toContain('instructions.ud.reserved');
    expect(told({ mode: 'compat' }, 0x2000n, 13)).toContain('instructions.ud.reserved');
  });
});

describe('PUSH of a segment register with a 32-bit operand', () => {
  const top = BigInt(at.pages.userReadOnly + 2);
  const pushed = (setting: Setting, rsp: bigint, answer: 'narrow' | 'wide' | 14 | 17, change: Partial<CpuState> = {}): readonly string[] =>
    tell(setting, '1e', { ...change, rsp }, (b) => {
      if (answer === 14) return faults(setting, b, 14, 7, BigInt(at.pages.userReadOnly));
      if (answer === 17) return faults(setting, b, 17, 0);
      const writes = [[Number(rsp) - 4, BigInt(b.ds.selector), answer === 'wide' ? 4 : 2]] as const;
      return completes(setting, { ...b, rsp: rsp - 4n }, b.rip + 1n, { after: { rsp: rsp - 4n }, writes });
    }).broken;
  const user: Setting = { mode: 'prot32', paging: '32-bit', level: 3 };
  test('may be of 16 bits where the upper half faults', () => {
    expect([pushed(user, top, 'narrow'), pushed(user, top, 14)]).toEqual([[], []]);
    expect(pushed(user, top, 17)).not.toEqual([]);
    expect(pushed(user, top + 2n, 'narrow')).toContain('instructions.page.write');
  });
  test('may be aligned to 2 bytes', () => {
    const checked = { cr0: 0x80050033n, rflags: 0x40202n };
    const rsp = BigInt(at.stackTops.user) - 2n;
    expect([pushed(user, rsp, 'narrow', checked), pushed(user, rsp, 17, checked)]).toEqual([[], []]);
    expect(pushed(user, rsp - 2n, 17, checked)).not.toEqual([]);
    expect(pushed(user, rsp - 1n, 'narrow', checked)).toContain('instructions.operand.alignment');
  });
});

describe('SS after SYSCALL and SYSRET', () => {
  const flat = { base: 0n, limit: 0xffffffff };
  const there = BigInt(at.code + 0x100);
  const called = (star: bigint, selector: number): readonly string[] => {
    const setting: Setting = { features: ['syscall'] };
    const cs = { ...flat, selector: Number(star & 0xfffcn), access: 0xa09b };
    const ss = { ...flat, selector, access: 0xc093 };
    return tell(
      setting,
      '0f05',
      (b) => ({ star: star << 32n, lstar: there, efer: b.efer | 1n }),
      (b) => {
        const after = { cs, ss, rcx: b.rip + 2n, r11: b.rflags };
        return completes(setting, { ...b, ...after }, there, { after });
      },
      [[at.code + 0x100, 'cc']],
    ).broken;
  };
  test('has STAR’s RPL, or that of the level', () => {
    expect([called(0x13n, 0x1b), called(0x13n, 0x18), called(0x10n, 0x18)]).toEqual([[], [], []]);
    expect(called(0x13n, 0x23)).not.toEqual([]);
    expect(called(0x10n, 0x1b)).not.toEqual([]);
  });
  test('has 16 bits', () => {
    expect(called(0xfffcn, 4)).toEqual([]);
    expect(called(0xfffcn, 0x10)).not.toEqual([]);
  });
  const returned = (vendor: 'intel' | 'amd', star: bigint, ss: CpuState['ss']): readonly string[] =>
    tell(
      { features: ['syscall'], vendor },
      '480f07',
      (b) => ({ star: star << 48n, efer: b.efer | 1n, rcx: there, r11: 0x202n }),
      () => ({
        by: 'limit',
        state: { rip: there, rflags: 0x202n, cs: { ...flat, selector: Number(star + 16n) | 3, access: 0xa0fb }, ss },
      }),
      [],
      { limit: 1 },
    ).broken;
  test('keeps its hidden part after SYSRET on AMD’s processors', () => {
    const kept = { base: 0x10000n, limit: 0xffff, access: 0x93, selector: 0x2b };
    expect([returned('amd', 0x23n, kept), returned('amd', 0x20n, { ...kept, selector: 0x28 })]).toEqual([[], []]);
    expect(returned('amd', 0x23n, { ...kept, selector: 0x28 })).not.toEqual([]);
    expect(returned('intel', 0x23n, kept)).toContain('instructions.call.hidden');
  });
});

describe('bit 8 of a PML4E', () => {
  const where = BigInt(at.aliases.top + at.data);
  const told = (vendor: 'intel' | 'amd', entry: string, answer: 'reads' | 14): readonly string[] => {
    const setting: Setting = { vendor };
    return tell(
      setting,
      '8b03',
      { rbx: where, rax: 0n },
      (b) => (answer === 14 ? faults(setting, b, 14, 9, where) : completes(setting, b, b.rip + 2n, { after: { rax: 0xccccccccn } })),
      [[at.pml4 + 8, `${entry}000000000000`]],
    ).broken;
  };
  test('may be reserved, but for Intel', () => {
    expect([told('amd', '2781', 14), told('amd', '2781', 'reads')]).toEqual([[], []]);
    expect(told('intel', '2781', 14)).not.toEqual([]);
    expect(told('intel', '2781', 'reads')).toEqual([]);
    expect(told('amd', '2780', 14)).not.toEqual([]);
    expect(told('amd', 'a780', 'reads')).toContain('instructions.page.reserved');
  });
});

describe('a null selector in FS', () => {
  const base = 0x1234000n;
  /** MOV FS, AX; RDFSBASE RCX. */
  const read = (vendor: 'intel' | 'amd', rcx: bigint, before = base): readonly string[] => {
    const setting: Setting = { features: ['fsgsbase'], vendor };
    return tell(
      setting,
      '8ee0f3480faec1',
      (b) => ({ rax: 0n, cr4: b.cr4 | 0x10000n, fs: { ...b.fs, base: before } }),
      (b) => completes(setting, b, b.rip + 7n, { after: { rcx, fs: { ...unusable(0), base: rcx } } }),
    ).broken;
  };
  test('may leave the base, but on Intel’s processors', () => {
    expect([read('amd', base), read('amd', 0n), read('intel', 0n)]).toEqual([[], [], []]);
    expect(read('intel', base)).not.toEqual([]);
    expect(read('amd', base, 0n)).not.toEqual([]);
  });
});

describe('CLFLUSH of an execute-only segment', () => {
  const told = (vendor: 'intel' | 'amd', code: string, answer: 'completes' | 13): readonly string[] => {
    const setting: Setting = { mode: 'prot32', paging: '32-bit', features: ['clflush'], vendor };
    return tell(
      setting,
      code,
      (b) => ({ rbx: BigInt(at.data), cs: { ...b.cs, access: b.cs.access & ~2 } }),
      (b) => (answer === 13 ? faults(setting, b, 13, 0) : completes(setting, b, b.rip + BigInt(code.length / 2))),
    ).broken;
  };
  test('is permitted, where a load is not', () => {
    expect([told('intel', '2e0fae3b', 'completes'), told('amd', '2e0fae3b', 'completes'), told('amd', '2e0fae3b', 13)]).toEqual([
      [],
      [],
      [],
    ]);
    expect(told('intel', '2e0fae3b', 13)).toContain('instructions.cache.completes');
    expect(told('intel', '2e8b03', 'completes')).toContain('instructions.operand.type');
  });
});

describe('an opcode that CPUID tells of', () => {
  const told = (code: string, features: readonly CpuFeature[], vector: 6 | 'completes'): readonly string[] => {
    const setting: Setting = { mode: 'prot32', paging: '32-bit', features };
    const rip = BigInt(code.length / 2);
    return tell(setting, code, { rbx: BigInt(at.data) }, (b) => (vector === 6 ? faults(setting, b, 6) : completes(setting, b, b.rip + rip)))
      .broken;
  };
  test.each([
    ['MFENCE', '0faef0', 'sse2'],
    ['LFENCE', '0faee8', 'sse2'],
    ['SFENCE', '0faef8', 'sse'],
    ['CLFLUSH', '0fae3b', 'clflush'],
    ['CMOVC', '0f42c1', 'cmov'],
    ['NOP of 0F1FH', '0f1fc0', 'cmov'],
    ['RDTSC', '0f31', 'tsd'],
    ['CMPXCHG8B', '0fc70b', 'cx8'],
  ] as const)('%s may be absent without its bit', (name, code, feature) => {
    expect([told(code, [], 6), told(code, [], 'completes')]).toEqual([[], []]);
    expect(told(code, [feature], 6)).not.toEqual([]);
    if (!name.startsWith('CMPX')) expect(told(code, [feature], 'completes')).toEqual([]);
  });
});

describe('a model-specific register', () => {
  const told = (rcx: bigint, features: readonly CpuFeature[], answer: 'completes' | 13): readonly string[] => {
    const setting: Setting = { features };
    return tell(
      setting,
      '0f32',
      (b) => ({ rcx, rax: b.efer }),
      (b) =>
        answer === 13
          ? faults(setting, b, 13, 0)
          : completes(setting, b, b.rip + 2n, { after: { rax: rcx === 0xc0000080n ? b.efer : 0n, rdx: 0n } }),
    ).broken;
  };
  test.each([
    ['IA32_SYSENTER_ESP', 0x175n, 'sep'],
    ['IA32_EFER', 0xc0000080n, 'syscall'],
    ['IA32_EFER', 0xc0000080n, 'nx'],
    ['IA32_LSTAR', 0xc0000082n, 'syscall'],
    ['IA32_GS_BASE', 0xc0000101n, 'syscall'],
  ] as const)('%s may be absent without what it came with', (_, rcx, feature) => {
    expect([told(rcx, [], 13), told(rcx, [], 'completes')]).toEqual([[], []]);
    expect(told(rcx, [feature], 13)).toContain('instructions.msr.completes');
  });
});

describe('CR4', () => {
  const told = (bits: bigint, features: readonly CpuFeature[], answer: 'completes' | 13): readonly string[] => {
    const setting: Setting = { mode: 'prot32', paging: '32-bit', features };
    return tell(
      setting,
      '0f22e0',
      (b) => ({ rax: b.cr4 | bits, cr4: b.cr4 & ~bits }),
      (b) => (answer === 13 ? faults(setting, b, 13, 0) : completes(setting, b, b.rip + 3n, { after: { cr4: b.cr4 | bits } })),
    ).broken;
  };
  test.each([
    ['MCE', 0x40n],
    ['PCE', 0x100n],
    ['OSFXSR', 0x200n],
    ['OSXMMEXCPT', 0x400n],
  ] as const)('may have %s or not on processors without SSE2', (_, bit) => {
    expect([told(bit, [], 13), told(bit, [], 'completes'), told(bit, ['sse2'], 'completes')]).toEqual([[], [], []]);
    expect(told(bit, ['sse2'], 13)).toContain('instructions.control.completes');
  });
  test('has no bit of a feature that is not there', () => {
    expect(told(0x800n, [], 'completes')).toContain('instructions.control.reserved');
  });
});
