// What a task switch leaves: a row a clause. The answers are written from the manual.
// One step each, told by its state.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import { type Answered, machineOf, type Setting } from './spec-history.ts';
import { d, once, p32, type Patches, type Row, s, state } from './spec-row.ts';
import { segmentOf } from './state.ts';

const old: Setting = { mode: 'v86', paging: '32-bit', level: 3 };
const protectedMode: Setting = { mode: 'prot32', paging: '32-bit', level: 0 };
const hex = (value: number, size: number): string =>
  Array.from({ length: size }, (_, k) => ((value >>> (8 * k)) & 0xff).toString(16).padStart(2, '0')).join('');

const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;
const segmentNames = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
const taskSelectors = [s.kernelData, s.kernelCode32, s.kernelData, s.kernelData, s.kernelData, s.kernelData];
const rowsOf = (field: number): readonly string[] => Array.from({ length: field }, () => hex(0, 4));

/** A TSS of 32 bits: from `top` of the stack of CPL 0 on, the task starts at `eip` with these segments, flags and debug trap flag. */
const taskAt = (eip: number, segments: readonly number[], flags = 2, trap = 0): Patches[number] => [
  at.tss2,
  [
    hex(0, 4),
    hex(at.stackTops.ring0, 4),
    hex(s.kernelData, 4),
    ...rowsOf(4),
    hex(at.pageDirectory, 4),
    hex(eip, 4),
    hex(flags, 4),
    ...rowsOf(8),
    ...segments.map((n) => hex(n, 4)),
    hex(s.ldt, 4),
    hex(trap, 4),
  ].join(''),
];
const zeroed = Object.fromEntries(names.map((n) => [n, 0n])) as Partial<CpuState>;
const switched = (b: CpuState): Partial<CpuState> => ({
  ...zeroed,
  cr0: b.cr0 | 8n,
  tr: { selector: s.otherTss, base: BigInt(at.tss2), limit: 0x67, access: 0x8b },
});
type Writes = NonNullable<Answered['writes']>;
const saved = (b: CpuState, length: number, flags: bigint = b.rflags): Writes => [
  [at.tss + 0x20, b.rip + BigInt(length), 4],
  [at.tss + 0x24, flags, 4],
  ...names.map((n, k): [number, bigint, number] => [at.tss + 0x28 + 4 * k, b[n], 4]),
  ...segmentNames.map((n, k): [number, bigint, number] => [at.tss + 0x48 + 4 * k, BigInt(b[n].selector), 2]),
  [at.gdt + s.otherTss + 5, 0x8bn, 1],
];
const leaves: Writes = [[at.gdt + s.tss + 5, 0x89n, 1]];
const toOther: Patches[number] = [d, `${hex(0, 4)}${hex(s.otherTss, 2)}`];
/** A stop that no gate of the furniture leads to. */
const start = 0xc0;
const userSelectors = [s.userData, s.userCode32, s.userData, s.userData, s.userData, s.userData].map((n) => n | 3);
const userSegments = (b: CpuState, selectors: readonly number[]): Partial<CpuState> => ({
  ...Object.fromEntries(
    (['es', 'ds', 'fs', 'gs'] as const).map((n) => [
      n,
      selectors === userSelectors ? segmentOf(machineOf(p32), s.userData | 3) : { ...b[n], selector: s.userData | 3 },
    ]),
  ),
  cs: segmentOf(machineOf(p32), s.kernelCode32),
  ss: segmentOf(machineOf(p32), s.kernelData),
});
/** An event at the new task's first instruction, on the stack of CPL 0 that the task names. */
const inTask = (
  b: CpuState,
  selectors: readonly number[],
  stop: number,
  before: Writes,
  more: { readonly error?: number; readonly eip?: number; readonly flags?: number; readonly state?: Partial<CpuState> } = {},
): Answered => {
  const { error, eip = at.code + 0x200, flags = 2 } = more;
  const frame = [selectors[2] as number, 0, flags, selectors[1] as number, eip, ...(error === undefined ? [] : [error])];
  return {
    by: 'stop',
    stop,
    state: {
      ...switched(b),
      ...userSegments(b, selectors),
      rip: at.stops.at + BigInt(16 * stop),
      rsp: BigInt(at.stackTops.ring0 - 4 * frame.length),
      rflags: 2n,
      ...more.state,
    },
    writes: [...before, ...frame.map((v, k): [number, bigint, number] => [at.stackTops.ring0 - 4 * (k + 1), BigInt(v), 4])],
  };
};
const paragraphs = (): Partial<CpuState> =>
  Object.fromEntries(
    (
      [
        ['es', 0x1400],
        ['cs', 0x1000],
        ['ss', 0x1100],
        ['ds', 0x1234],
        ['fs', 0xffff],
        ['gs', 0],
      ] as const
    ).map(([name, selector]) => [name, { selector, base: BigInt(selector) << 4n, limit: 0xffff, access: 0xf3 }]),
  );
const link: Writes = [[at.tss2, BigInt(s.tss), 2]];
const RF = 0x10000n;
const badStack = userSelectors.map((n, k) => (k === 2 ? s.readOnly | 3 : n));
const gateTo = (vector: number): Patches[number] => [at.idt + 8 * vector, `0000${hex(s.otherTss, 2)}00850000`];

/** A TSS of 16 bits, told by its descriptor: the task starts at a stop, with these flags, on the 16-bit stack of CPL 0. */
const narrowTask = (flags: number): Patches => [
  [at.gdt + s.otherTss, '2c00'],
  [at.gdt + s.otherTss + 5, '81'],
  [
    at.tss2,
    [
      ...Array.from({ length: 7 }, () => 0),
      Number(at.stops.at) + 16 * start,
      flags,
      ...Array.from({ length: 4 }, () => 0),
      at.stackTop16,
      ...Array.from({ length: 3 }, () => 0),
      s.kernelData,
      s.kernelCode32,
      s.kernelData16,
      s.kernelData,
      s.ldt,
    ]
      .map((n) => hex(n, 2))
      .join(''),
  ],
];

export const taskResults: readonly Row[] = [
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
  // From virtual-8086 mode to a task of 16 bits: VM is cleared, and what is saved has it.
  {
    clause: 'deliver.task',
    setting: old,
    code: 'cd21',
    change: (b) => ({ rflags: b.rflags | 0x3000n }),
    patches: [[at.idt + 8 * 0x21, `0000${hex(s.otherTss, 2)}00e50000`], ...narrowTask(0x3202)],
    good: (b) => ({
      by: 'stop',
      stop: start,
      state: {
        ...zeroed,
        cr0: b.cr0 | 8n,
        tr: { selector: s.otherTss, base: BigInt(at.tss2), limit: 0x2c, access: 0x83 },
        rip: at.stops.at + BigInt(16 * start),
        rsp: BigInt(at.stackTop16),
        rflags: 0x7202n,
        cs: segmentOf(machineOf(p32), s.kernelCode32),
        ss: segmentOf(machineOf(p32), s.kernelData16),
        ds: segmentOf(machineOf(p32), s.kernelData),
        es: segmentOf(machineOf(p32), s.kernelData),
      },
      writes: [...saved(b, 2).slice(0, -1), ...link, [at.gdt + s.otherTss + 5, 0x83n, 1]],
    }),
    spoil: state(() => ({ rflags: 0x27202n })),
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
  // JMP to a task of CPL 3 with the debug trap flag: #DB before its first instruction.
  {
    clause: 'debug.task',
    setting: protectedMode,
    code: 'ff2b',
    patches: [toOther, taskAt(at.code + 0x200, userSelectors, 2, 1)],
    good: (b) => inTask(b, userSelectors, 1, [...saved(b, 2), ...leaves], { state: { dr6: b.dr6 | 0x8000n } }),
    spoil: (_, b) => inTask(b, userSelectors, 3, [...saved(b, 2), ...leaves], { eip: at.code + 0x201 }),
  },
  // An INT 21H that leads to it.
  {
    clause: 'debug.task',
    setting: p32,
    code: 'cd21',
    patches: [[at.idt + 8 * 0x21, `0000${hex(s.otherTss, 2)}00e50000`], taskAt(at.code + 0x200, userSelectors, 2, 1)],
    good: (b) => inTask(b, userSelectors, 1, [...saved(b, 2), ...link], { flags: 0x4002, state: { dr6: b.dr6 | 0x8000n } }),
    spoil: (_, b) => inTask(b, userSelectors, 3, [...saved(b, 2), ...link], { flags: 0x4002, eip: at.code + 0x201 }),
  },
  // TF in the new task: the trap comes after its first instruction, a NOP.
  {
    clause: 'step.trap',
    setting: protectedMode,
    code: 'ff2b',
    patches: [toOther, taskAt(at.code + 0x200, userSelectors, 0x102), [at.code + 0x200, '90']],
    good: (b) =>
      inTask(b, userSelectors, 1, [...saved(b, 2), ...leaves], { flags: 0x102, eip: at.code + 0x201, state: { dr6: b.dr6 | 0x4000n } }),
    spoil: (_, b) => inTask(b, userSelectors, 3, [...saved(b, 2), ...leaves], { flags: 0x102, eip: at.code + 0x202 }),
  },
  // A task in virtual-8086 mode: selectors are paragraphs.
  {
    clause: 'far.selector',
    setting: protectedMode,
    code: 'ff2b',
    patches: [toOther, taskAt(0x200, [0x1400, 0x1000, 0x1100, 0x1234, 0xffff, 0], 0x20002)],
    run: once,
    good: (b) => ({
      by: 'limit',
      state: { ...switched(b), ...paragraphs(), rip: 0x200n, rflags: 0x20002n },
      writes: [...saved(b, 2), ...leaves],
    }),
    spoil: state((a) => ({ ds: { ...(a.ds as CpuState['ds']), selector: 0x1235 } })),
  },
  // UD2 to a task whose stack may only be read: EXT is set, and the fault is the new task's.
  {
    clause: 'task.segments',
    setting: p32,
    code: '0f0b',
    patches: [gateTo(6), taskAt(at.code + 0x200, badStack)],
    good: (b) => inTask(b, badStack, 10, [...saved(b, 0, b.rflags | RF), ...link], { error: s.readOnly | 1, flags: 0x14002 }),
    spoil: (_, b) => inTask(b, badStack, 10, [...saved(b, 0, b.rflags | RF), ...link], { error: s.readOnly, flags: 0x14002 }),
  },
  // INT 21H to it: EXT is clear.
  {
    clause: 'task.segments',
    setting: p32,
    code: 'cd21',
    patches: [[at.idt + 8 * 0x21, `0000${hex(s.otherTss, 2)}00e50000`], taskAt(at.code + 0x200, badStack)],
    good: (b) => inTask(b, badStack, 10, [...saved(b, 2), ...link], { error: s.readOnly, flags: 0x14002 }),
    spoil: (_, b) => inTask(b, badStack, 10, [...saved(b, 2), ...link], { error: s.readOnly | 1, flags: 0x14002 }),
  },
  // #GP to it: a double fault, with nothing of the error code of #GP.
  {
    clause: 'task.segments',
    setting: p32,
    code: 'f4',
    patches: [gateTo(13), taskAt(at.code + 0x200, badStack)],
    good: (b) => inTask(b, badStack, 8, [...saved(b, 0, b.rflags | RF), ...link], { error: 0, flags: 0x4002 }),
    spoil: (_, b) => inTask(b, badStack, 10, [...saved(b, 0, b.rflags | RF), ...link], { error: s.readOnly | 1, flags: 0x14002 }),
  },
];
