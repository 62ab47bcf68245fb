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

/** A TSS of 32 bits: from `top` of the stack of CPL 0 on, the task starts at `eip` with these segments. */
const taskAt = (eip: number, segments: readonly number[]): Patches[number] => [
  at.tss2,
  [
    hex(0, 4),
    hex(at.stackTops.ring0, 4),
    hex(s.kernelData, 4),
    ...rowsOf(4),
    hex(at.pageDirectory, 4),
    hex(eip, 4),
    hex(2, 4),
    ...rowsOf(8),
    ...segments.map((n) => hex(n, 4)),
    hex(s.ldt, 4),
    hex(0, 4),
  ].join(''),
];
const zeroed = Object.fromEntries(names.map((n) => [n, 0n])) as Partial<CpuState>;
const switched = (b: CpuState): Partial<CpuState> => ({
  ...zeroed,
  cr0: b.cr0 | 8n,
  tr: { selector: s.otherTss, base: BigInt(at.tss2), limit: 0x67, access: 0x8b },
});
type Writes = NonNullable<Answered['writes']>;
const saved = (b: CpuState, length: number): Writes => [
  [at.tss + 0x20, b.rip + BigInt(length), 4],
  [at.tss + 0x24, b.rflags, 4],
  ...names.map((n, k): [number, bigint, number] => [at.tss + 0x28 + 4 * k, b[n], 4]),
  ...segmentNames.map((n, k): [number, bigint, number] => [at.tss + 0x48 + 4 * k, BigInt(b[n].selector), 2]),
  [at.gdt + s.otherTss + 5, 0x8bn, 1],
];
const leaves: Writes = [[at.gdt + s.tss + 5, 0x89n, 1]];
const toOther: Patches[number] = [d, `${hex(0, 4)}${hex(s.otherTss, 2)}`];
/** A stop that no gate of the furniture leads to. */
const start = 0xc0;

export const taskResults: readonly Row[] = [
  { clause: 'interrupt.flags', ...redirects, spoil: state((_, b) => ({ rflags: b.rflags & ~0x200n })) },
  { clause: 'interrupt.stores', ...redirects, spoil: (answer, b) => write(top(b) - 2, (v) => v ^ 0x200n)(answer) },
  { clause: 'interrupt.target', ...redirects, spoil: state(() => ({ rip: 0x222n })) },
  {
    clause: 'far.system',
    setting: protectedMode,
    code: 'ff2b',
    patches: [toOther, taskAt(at.code + 0x200, taskSelectors)],
    run: once,
    good: (b) => ({
      by: 'limit',
      state: { ...switched(b), rip: BigInt(at.code + 0x200), rflags: 2n },
      writes: [...saved(b, 2), ...leaves],
    }),
    spoil: state((_, b) => ({ cr0: b.cr0 })),
  },
  // INT 21H through a task gate, to a task that starts at a stop.
  {
    clause: 'deliver.task',
    setting: protectedMode,
    code: 'cd21',
    patches: [[at.idt + 8 * 0x21, `0000${hex(s.otherTss, 2)}00e50000`], taskAt(Number(at.stops.at) + 16 * start, taskSelectors)],
    good: (b) => ({
      by: 'stop',
      stop: start,
      state: { ...switched(b), rip: at.stops.at + BigInt(16 * start), rflags: 0x4002n },
      writes: [...saved(b, 2), [at.tss2, BigInt(s.tss), 2]],
    }),
    spoil: state(() => ({ rflags: 2n })),
  },
  // JMP to a task of CPL 3 whose stack may only be read: #TS on the stack of CPL 0 that it names itself.
  {
    clause: 'task.segments',
    setting: protectedMode,
    code: 'ff2b',
    patches: [
      toOther,
      taskAt(
        at.code + 0x200,
        [s.userData, s.userCode32, s.readOnly, s.userData, s.userData, s.userData].map((n) => n | 3),
      ),
    ],
    good: (b) => {
      const frame = [s.readOnly | 3, 0, 0x10002, s.userCode32 | 3, at.code + 0x200, s.readOnly];
      return {
        by: 'stop',
        stop: 10,
        state: {
          ...switched(b),
          rip: at.stops.at + 160n,
          rsp: BigInt(at.stackTops.ring0 - 24),
          rflags: 2n,
          ...Object.fromEntries((['ds', 'es', 'fs', 'gs'] as const).map((n) => [n, { ...b[n], selector: s.userData | 3 }])),
        },
        writes: [
          ...saved(b, 2),
          ...leaves,
          ...frame.map((v, k): [number, bigint, number] => [at.stackTops.ring0 - 4 * (k + 1), BigInt(v), 4]),
        ],
      };
    },
    spoil: (answer) => ({ ...answer, stop: 12, state: { ...answer.state, rip: at.stops.at + 192n } }),
  },
];
