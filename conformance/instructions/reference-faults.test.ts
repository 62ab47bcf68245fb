// Who may do what on the reference processor: vector and error code of each refusal, by hand from the "Exceptions" and "Operation" parts of
// SDM volume 2 and the chapters of volume 3 that each block names. No vector: the program runs to the INT3 that follows.

import { describe, expect, test } from 'vitest';
import type { CpuFeature, CpuMode, CpuState, PagingMode } from '../../spec/instructions/vocabulary.ts';
import { play } from './reference-play.ts';

interface Row {
  readonly name: string;
  readonly mode?: CpuMode;
  readonly paging?: PagingMode;
  readonly features?: readonly CpuFeature[];
  readonly cpl?: number;
  readonly code: string;
  readonly state?: Partial<CpuState> | ((s: CpuState) => Partial<CpuState>);
  readonly memory?: Readonly<Record<number, string>>;
  readonly vector?: number;
  readonly error?: number;
  /** Offset of the instruction that faults; default the first. */
  readonly at?: bigint;
  readonly after?: Partial<CpuState>;
}
const check = (rows: readonly Row[]): void => {
  test.each(rows)('$name', ({ name: _name, vector = 3, error, after, at = 0n, mode = 'long64', ...rest }) => {
    const p = play({ mode, ...rest });
    expect([p.by, p.vector, p.error]).toEqual(['stop', vector, error]);
    if (vector !== 3) expect(p.frame.rip).toBe(mode === 'prot16' || mode === 'v86' || mode === 'real' ? at : 0x10000n + at);
    if (after !== undefined) expect(p.state).toMatchObject(after);
  });
};
const plus =
  (bits: bigint) =>
  (s: CpuState): Partial<CpuState> => ({ cr4: s.cr4 | bits });
const UMIP = plus(1n << 11n);
const TSD = plus(4n);

describe('privileged and UMIP instructions (volume 3, Privileged Instructions; volume 2)', () => {
  const privileged: readonly (readonly [string, string])[] = [
    ['HLT', 'f4'],
    ['CLTS', '0f06'],
    ['INVD', '0f08'],
    ['WBINVD', '0f09'],
    ['LGDT', '0f0113'],
    ['LIDT', '0f011b'],
    ['LLDT', '0f00d0'],
    ['LTR', '0f00d8'],
    ['LMSW', '0f01f0'],
    ['INVLPG', '0f013b'],
    ['RDMSR', '0f32'],
    ['WRMSR', '0f30'],
    ['MOV from CR0', '0f20c0'],
    ['MOV to CR3', '0f22d8'],
    ['MOV from DR7', '0f21f8'],
    ['MOV to DR0', '0f23c0'],
    ['SWAPGS', '0f01f8'],
    ['SYSRET', '480f07'],
  ];
  check(
    privileged.map(([name, code]) => ({
      name: `${name} at CPL 3 is #GP(0)`,
      cpl: 3,
      code,
      state: (s: CpuState) => ({ efer: s.efer | 1n }),
      vector: 13,
      error: 0,
    })),
  );
  const umip: readonly (readonly [string, string])[] = [
    ['SGDT', '0f0103'],
    ['SIDT', '0f010b'],
    ['SLDT', '0f00c0'],
    ['SMSW', '0f01e0'],
    ['STR', '0f00c8'],
  ];
  check(umip.map(([name, code]) => ({ name: `${name} at CPL 3 is allowed`, cpl: 3, code })));
  check(
    umip.map(([name, code]) => ({
      name: `${name} at CPL 3 under UMIP is #GP(0)`,
      cpl: 3,
      code,
      features: ['umip'] as const,
      state: UMIP,
      vector: 13,
      error: 0,
    })),
  );
  check(
    umip.map(([name, code]) => ({
      name: `${name} at CPL 0 under UMIP is allowed`,
      cpl: 0,
      code,
      features: ['umip'] as const,
      state: UMIP,
    })),
  );
  check([
    { name: 'CLI at CPL 3 with IOPL 0', cpl: 3, code: 'fa', vector: 13, error: 0 },
    { name: 'CLI at CPL 3 with IOPL 3', cpl: 3, code: 'fa', state: { rflags: 0x3202n } },
    { name: 'STI at CPL 3 with IOPL 0', cpl: 3, code: 'fb', vector: 13, error: 0 },
    { name: 'RDTSC at CPL 3', cpl: 3, code: '0f31' },
    { name: 'RDTSC at CPL 3 under TSD', cpl: 3, code: '0f31', state: TSD, vector: 13, error: 0 },
    { name: 'RDTSC at CPL 0 under TSD', cpl: 0, code: '0f31', state: TSD },
    { name: 'RDPMC at CPL 3', cpl: 3, code: '0f33', state: { rcx: 0n }, vector: 13, error: 0 },
    { name: 'RDPMC at CPL 3 under PCE', cpl: 3, code: '0f33', state: (s) => ({ rcx: 0n, cr4: s.cr4 | 0x100n }) },
    { name: 'RDFSBASE without FSGSBASE', cpl: 3, code: 'f3480faec0', vector: 6 },
    { name: 'WRFSBASE', cpl: 3, code: 'f3480faed0', state: (s) => ({ rax: 0x1234n, cr4: s.cr4 | 0x10000n }) },
    {
      name: 'WRFSBASE of no canonical address',
      cpl: 3,
      code: 'f3480faed0',
      state: (s) => ({ rax: 1n << 47n, cr4: s.cr4 | 0x10000n }),
      vector: 13,
      error: 0,
    },
    { name: 'UD2', code: '0f0b', vector: 6 },
    { name: 'SYSCALL without SCE', code: '0f05', vector: 6 },
    { name: 'SYSCALL in compatibility mode', mode: 'compat', code: '0f05', state: (s) => ({ efer: s.efer | 1n }), vector: 6 },
    { name: 'SYSENTER with a null IA32_SYSENTER_CS', code: '0f34', state: { sysenterCs: 3n }, vector: 13, error: 0 },
  ]);
});

describe('LOCK and decoding (volume 2, LOCK; Instruction Format)', () => {
  check([
    { name: 'LOCK ADD to memory', code: 'f00103' },
    { name: 'LOCK ADD to a register', code: 'f001d8', vector: 6 },
    { name: 'LOCK CMP', code: 'f03903', vector: 6 },
    { name: 'LOCK NOP', code: 'f090', vector: 6 },
    { name: 'PUSH ES in 64-bit mode', code: '06', vector: 6 },
    { name: 'an instruction of 15 bytes', code: '66'.repeat(14) + '90' },
    { name: 'an instruction of 16 bytes', code: '66'.repeat(15) + '90', vector: 13, error: 0 },
    { name: 'MOV to CS', code: '8ec8', vector: 6 },
    { name: 'MOV from CR1', code: '0f20c8', vector: 6 },
    { name: 'ARPL in real-address mode', mode: 'real', code: '63c0', vector: 6 },
    { name: 'SLDT in virtual-8086 mode', mode: 'v86', code: '0f00c0', vector: 6 },
    { name: 'BOUND outside', mode: 'prot32', code: '6203', state: { rax: 5n }, memory: { 0x14100: '0000000004000000' }, vector: 5 },
    { name: 'BOUND at the upper bound', mode: 'prot32', code: '6203', state: { rax: 4n }, memory: { 0x14100: '0000000004000000' } },
    { name: 'FNINIT under CR0.TS', code: 'dbe3', state: (s) => ({ cr0: s.cr0 | 8n }), vector: 7 },
    { name: 'FNINIT under CR0.EM', code: 'dbe3', state: (s) => ({ cr0: s.cr0 | 4n }), vector: 7 },
    { name: 'MOVAPS without OSFXSR', code: '0f28c1', state: (s) => ({ cr4: s.cr4 & ~0x200n }), vector: 6 },
    { name: 'MOVAPS under CR0.EM', code: '0f28c1', state: (s) => ({ cr0: s.cr0 | 4n, cr4: s.cr4 | 0x200n }), vector: 6 },
    { name: 'MOVAPS under CR0.TS', code: '0f28c1', state: (s) => ({ cr0: s.cr0 | 8n, cr4: s.cr4 | 0x200n }), vector: 7 },
    { name: 'MOVAPS', code: '0f28c1', state: plus(0x200n) },
    { name: 'MOVAPS misaligned', code: '0f2803', state: (s) => ({ cr4: s.cr4 | 0x200n, rbx: 0x14101n }), vector: 13, error: 0 },
    { name: 'WAIT under TS without MP', code: '9b', state: (s) => ({ cr0: s.cr0 | 8n }) },
    { name: 'WAIT under TS and MP', code: '9b', state: (s) => ({ cr0: s.cr0 | 10n }), vector: 7 },
  ]);
});

describe('control and debug registers (volume 3, Control Registers; Debug Registers)', () => {
  check([
    { name: 'CR0: PG without PE', mode: 'prot32', code: '0f22c0', state: { rax: 0x8000_0010n }, vector: 13, error: 0 },
    { name: 'CR0: NW without CD', mode: 'prot32', code: '0f22c0', state: { rax: 0x2000_0011n }, vector: 13, error: 0 },
    { name: 'CR0: a high bit', code: '0f22c0', state: (s) => ({ rax: s.cr0 | (1n << 32n) }), vector: 13, error: 0 },
    { name: 'CR0: clearing PG in 64-bit mode', code: '0f22c0', state: (s) => ({ rax: s.cr0 & 0x7fff_ffffn }), vector: 13, error: 0 },
    { name: 'CR0: a reserved low bit is ignored', code: '0f22c0 0f20c3', state: (s) => ({ rax: s.cr0 | 0x40n }) },
    { name: 'CR4: clearing PAE in IA-32e mode', code: '0f22e0', state: (s) => ({ rax: s.cr4 & ~0x20n }), vector: 13, error: 0 },
    { name: 'CR4: a reserved bit', code: '0f22e0', state: (s) => ({ rax: s.cr4 | (1n << 15n) }), vector: 13, error: 0 },
    { name: 'CR4: LA57 in IA-32e mode', code: '0f22e0', state: (s) => ({ rax: s.cr4 | (1n << 12n) }), vector: 13, error: 0 },
    {
      name: 'CR4: PCIDE with a PCID in CR3',
      code: '0f22e0',
      state: (s) => ({ rax: s.cr4 | (1n << 17n), cr3: s.cr3 | 8n }),
      vector: 13,
      error: 0,
    },
    { name: 'CR4: PCIDE', code: '0f22e0', state: (s) => ({ rax: s.cr4 | (1n << 17n) }) },
    { name: 'CR3: past the physical width', code: '0f22d8', state: (s) => ({ rax: s.cr3 | (1n << 46n) }), vector: 13, error: 0 },
    { name: 'CR3: bit 63 without PCIDE', code: '0f22d8', state: (s) => ({ rax: s.cr3 | (1n << 63n) }), vector: 13, error: 0 },
    {
      name: 'CR3: PDPTE with a reserved bit',
      mode: 'prot32',
      paging: 'pae',
      code: '0f22d8',
      state: { rax: 0x1c000n },
      memory: { 0x1c000: '0390000000000000' },
      vector: 13,
      error: 0,
    },
    { name: 'CR8: 16', code: '440f22c0', state: { rax: 16n }, vector: 13, error: 0 },
    { name: 'CR8: 15', code: '440f22c0', state: { rax: 15n }, after: { cr8: 15n } },
    { name: 'DR4 under DE', code: '0f21e0', state: plus(8n), vector: 6 },
    { name: 'DR4 without DE is DR6', code: '0f21e0', state: (s) => ({ dr6: s.dr6 }) },
    { name: 'DR7: a high bit', code: '0f23f8', state: { rax: 1n << 32n }, vector: 13, error: 0 },
    { name: 'DR6 keeps its fixed bits', code: '0f23f0', state: { rax: 0n }, after: { dr6: 0xffff_0ff0n } },
    { name: 'DR7 keeps its fixed bits', code: '0f23f8', state: { rax: 0xd000n }, after: { dr7: 0x400n } },
    { name: 'a debug register under GD', code: '0f21c0', state: { dr7: 0x2400n }, vector: 1, after: { dr7: 0x400n } },
    { name: 'LMSW cannot clear PE', mode: 'prot32', code: '0f01f0', state: { rax: 0n } },
    { name: 'EFER: a reserved bit', code: '0f30', state: { rcx: 0xc000_0080n, rax: 2n, rdx: 0n }, vector: 13, error: 0 },
    {
      name: 'EFER: LME while paging',
      code: '0f30',
      state: (s) => ({ rcx: 0xc000_0080n, rax: s.efer & ~0x100n, rdx: 0n }),
      vector: 13,
      error: 0,
    },
    { name: 'LSTAR: not canonical', code: '0f30', state: { rcx: 0xc000_0082n, rax: 0n, rdx: 0x8000n }, vector: 13, error: 0 },
    {
      name: 'LSTAR',
      code: '0f30',
      state: { rcx: 0xc000_0082n, rax: 0x1234n, rdx: 0xffff_8000n },
      after: { lstar: 0xffff_8000_0000_1234n },
    },
    { name: 'an MSR that does not exist', code: '0f32', state: { rcx: 0xc000_1234n }, vector: 13, error: 0 },
    { name: 'SWAPGS', code: '0f01f8', state: { kernelGsBase: 0x7777n }, after: { kernelGsBase: 0n } },
  ]);
});

describe('segments (volume 3, Protection; volume 2, MOV to a segment register)', () => {
  const load = (selector: number, rest: Partial<Row>): Row => ({
    name: `MOV DS, ${selector.toString(16)}`,
    mode: 'prot32',
    code: '8ed8',
    state: { rax: BigInt(selector) },
    ...rest,
  });
  const gp = (selector: number): Partial<Row> => ({ vector: 13, error: selector & 0xfffc });
  check([
    load(0, { cpl: 3 }),
    load(3, { cpl: 3, name: 'a null selector with RPL 3' }),
    load(0x2b, { cpl: 3 }),
    load(0x1b, { cpl: 3, ...gp(0x18) }),
    load(0x23, { cpl: 3, name: 'readable code' }),
    load(0xa3, { cpl: 3, name: 'execute-only code', ...gp(0xa0) }),
    load(0x80, { cpl: 3, name: 'conforming code of DPL 0' }),
    load(0xab, { cpl: 3, name: 'data not present', vector: 11, error: 0xa8 }),
    load(0x40, { name: 'a TSS', ...gp(0x40) }),
    load(0x160, { name: 'beyond the GDT', ...gp(0x160) }),
    load(0x07, { cpl: 3, name: 'data of the LDT' }),
    load(0x17, { cpl: 3, name: 'DPL 0 data of the LDT', ...gp(0x14) }),
    load(0x24, { name: 'beyond the LDT', ...gp(0x24) }),
    { name: 'SS null', mode: 'prot32', code: '8ed0', state: { rax: 0n }, vector: 13, error: 0 },
    { name: 'SS null in 64-bit mode at CPL 0', code: '8ed0', state: { rax: 0n } },
    { name: 'SS null in 64-bit mode at CPL 3', cpl: 3, code: '8ed0', state: { rax: 3n }, vector: 13, error: 0 },
    { name: 'SS of another RPL', mode: 'prot32', code: '8ed0', state: { rax: 0x1bn }, vector: 13, error: 0x18 },
    { name: 'SS read-only', mode: 'prot32', cpl: 3, code: '8ed0', state: { rax: 0x9bn }, vector: 13, error: 0x98 },
    { name: 'SS not present', mode: 'prot32', cpl: 3, code: '8ed0', state: { rax: 0xabn }, vector: 12, error: 0xa8 },
    { name: 'a store through a null segment', at: 2n, mode: 'prot32', code: '8ed8 8903', state: { rax: 0n }, vector: 13, error: 0 },
    {
      name: 'a store through a read-only segment',
      at: 2n,
      mode: 'prot32',
      cpl: 3,
      code: '8ed8 8903',
      state: { rax: 0x9bn },
      vector: 13,
      error: 0,
    },
    { name: 'the last dword of a segment', mode: 'prot32', cpl: 3, code: '8ed8 8b03', state: { rax: 0xdbn, rbx: 0xffcn } },
    {
      name: 'one byte past a segment',
      at: 2n,
      mode: 'prot32',
      cpl: 3,
      code: '8ed8 8b03',
      state: { rax: 0xdbn, rbx: 0xffdn },
      vector: 13,
      error: 0,
    },
    {
      name: 'at the limit of an expand-down segment',
      at: 2n,
      mode: 'prot32',
      cpl: 3,
      code: '8ed8 8b03',
      state: { rax: 0x93n, rbx: 0x14fffn },
      vector: 13,
      error: 0,
    },
    {
      name: 'above the limit of an expand-down segment',
      mode: 'prot32',
      cpl: 3,
      code: '8ed8 8b03',
      state: { rax: 0x93n, rbx: 0x15000n },
    },
    { name: 'a stack access past SS', mode: 'prot16', cpl: 3, code: '8b46ff', state: { rbp: 0n }, vector: 12, error: 0 },
    { name: 'a word at FFFFH in real-address mode', mode: 'real', code: '8b07', state: { rbx: 0xffffn }, vector: 13 },
    { name: 'no canonical address', code: '8b03', state: { rbx: 1n << 47n }, vector: 13, error: 0 },
    { name: 'no canonical address of the stack', code: '8b4500', state: { rbp: 1n << 47n }, vector: 12, error: 0 },
  ]);
});
