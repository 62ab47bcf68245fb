// What an interrupt leaves that the virtual-8086 program handles itself, and a task switch: a row a clause. The answers are written from the manual.
// One step each, told by its state.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import type { Answered, Setting } from './spec-history.ts';
import { d, once, type Patches, type Row, s, state, write } from './spec-row.ts';

const old: Setting = { mode: 'v86', paging: '32-bit', level: 3 };
const protectedMode: Setting = { mode: 'prot32', paging: '32-bit', level: 0 };
const hex = (value: number, size: number): string =>
  Array.from({ length: size }, (_, k) => ((value >>> (8 * k)) & 0xff).toString(16).padStart(2, '0')).join('');

/** CR4.VME, IOPL 0 and VIF; the vector table at 0 can be read, and leads to 1010H:0221H; no bit of the redirection bitmap is set. */
const redirects = {
  setting: old,
  code: 'cd21',
  change: (b: CpuState): Partial<CpuState> => ({ cr4: b.cr4 | 1n, rflags: b.rflags | 0x80000n }),
  patches: [
    [at.pageTable, hex(0x67, 4)],
    [4 * 0x21, hex(0x1010_0221, 4)],
  ] as Patches,
  run: once,
  good: (b: CpuState): Answered => ({
    by: 'limit',
    state: { rip: 0x221n, rsp: b.rsp - 6n, rflags: b.rflags & ~0x80000n, cs: { ...b.cs, selector: 0x1010, base: 0x10100n } },
    writes: [
      [top(b) - 2, (b.rflags & 0xcdffn) | 0x3200n, 2],
      [top(b) - 4, BigInt(b.cs.selector), 2],
      [top(b) - 6, b.rip + 2n, 2],
    ],
  }),
} as const;
const top = (b: CpuState): number => Number(b.ss.base + b.rsp);
const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const segmentNames = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const taskSelectors = [s.kernelData, s.kernelCode32, s.kernelData, s.kernelData, s.kernelData, s.kernelData];
const rowsOf = (field: number): readonly string[] => Array.from({ length: field }, () => hex(0, 4));

export const taskResults: readonly Row[] = [
  { clause: 'interrupt.flags', ...redirects, spoil: state((_, b) => ({ rflags: b.rflags & ~0x200n })) },
  { clause: 'interrupt.stores', ...redirects, spoil: (answer, b) => write(top(b) - 2, (v) => v ^ 0x200n)(answer) },
  { clause: 'interrupt.target', ...redirects, spoil: state(() => ({ rip: 0x222n })) },
  {
    clause: 'far.system',
    setting: protectedMode,
    code: 'ff2b',
    patches: [
      [d, `${hex(0, 4)}${hex(s.otherTss, 2)}`],
      [
        at.tss2,
        [
          ...rowsOf(7),
          hex(at.pageDirectory, 4),
          hex(at.code + 0x200, 4),
          hex(2, 4),
          ...rowsOf(8),
          ...taskSelectors.map((n) => hex(n, 4)),
          hex(s.ldt, 4),
          hex(0, 4),
        ].join(''),
      ],
    ],
    run: once,
    good: (b) => ({
      by: 'limit',
      state: {
        ...(Object.fromEntries(names.map((n) => [n, 0n])) as Partial<CpuState>),
        rip: BigInt(at.code + 0x200),
        rflags: 2n,
        cr0: b.cr0 | 8n,
        tr: { selector: s.otherTss, base: BigInt(at.tss2), limit: 0x67, access: 0x8b },
      },
      writes: [
        [at.tss + 0x20, b.rip + 2n, 4],
        [at.tss + 0x24, b.rflags, 4],
        ...names.map((n, k): [number, bigint, number] => [at.tss + 0x28 + 4 * k, b[n], 4]),
        ...segmentNames.map((n, k): [number, bigint, number] => [at.tss + 0x48 + 4 * k, BigInt(b[n].selector), 2]),
        [at.gdt + s.tss + 5, 0x89n, 1],
        [at.gdt + s.otherTss + 5, 0x8bn, 1],
      ],
    }),
    spoil: state((_, b) => ({ cr0: b.cr0 })),
  },
];
