// What stays, what faults leave, frames, handlers, steps and interrupts: a row a clause.
// The answers are written from the manual.

import { entryAt } from './furniture.ts';
import * as at from './layout.ts';
import { completes, delivers, faults } from './spec-answers.ts';
import { CF, type Row, d, ends, state, write, word, flags, without, also, spoilSegment, port, TFset, stepped } from './spec-row.ts';

export const stays: readonly Row[] = [
  { clause: 'unchanged.registers', code: '90', good: ends(1), spoil: state(() => ({ r12: 0n })) },
  { clause: 'unchanged.flags', code: '90', good: ends(1), spoil: flags(CF) },
  { clause: 'unchanged.segments', code: '90', good: ends(1), spoil: spoilSegment('fs', (g) => ({ ...g, base: 1n })) },
  { clause: 'unchanged.system', code: '90', good: ends(1), spoil: state(() => ({ star: 0n })) },
  { clause: 'unchanged.memory', code: '90', good: ends(1), spoil: also(d, 0n) },
  { clause: 'unchanged.ports', code: '90', good: ends(1), spoil: (a) => ({ ...a, ports: [port] }) },
  { clause: 'fault.registers', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: state(() => ({ rbx: 0n })) },
  { clause: 'fault.segments', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: spoilSegment('fs', (g) => ({ ...g, selector: 0 })) },
  { clause: 'fault.system', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: state(() => ({ cr2: 1n })) },
  { clause: 'fault.memory', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: also(d, 0n) },
  { clause: 'fault.ports', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: (a) => ({ ...a, ports: [port] }) },
  {
    clause: 'string.progress',
    code: 'f3a4',
    change: { rcx: 3n, rdi: BigInt(at.pages.userReadOnly - 1) },
    patches: [[at.data + 0x200, 'abcd']],
    good: (b, g) =>
      delivers(g, b, {
        vector: 14,
        error: 7,
        rip: b.rip,
        rflags: b.rflags | 0x10000n,
        after: { rcx: 2n, rsi: b.rsi + 1n, rdi: b.rdi + 1n, cr2: BigInt(at.pages.userReadOnly) },
        writes: [[at.pages.userReadOnly - 1, 0xabn, 1]],
      }),
    spoil: state(() => ({ rcx: 3n })),
  },
  {
    clause: 'page.cr2',
    code: '8b00',
    change: { rax: BigInt(at.pages.absent + 4) },
    good: (b, g) => faults(g, b, 14, 4, BigInt(at.pages.absent + 4)),
    spoil: state(() => ({ cr2: BigInt(at.pages.absent) })),
  },
  {
    clause: 'page.accessed',
    code: '8908',
    change: { rax: BigInt(at.pages.fresh) },
    good: ends(2, {
      writes: [
        [at.pages.fresh, 2n, 4],
        [entryAt(at.pages.fresh, '4-level'), 0x67n, 1],
      ],
    }),
    spoil: write(entryAt(at.pages.fresh, '4-level'), () => 0x27n),
  },
  { clause: 'frame.rip', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: word(4, 1n) },
  { clause: 'frame.flags', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: word(2, 0x10000n) },
  { clause: 'frame.selectors', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: word(3, 3n) },
  { clause: 'frame.stack', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: word(1, 8n) },
  { clause: 'frame.error', code: 'f4', good: (b, g) => faults(g, b, 13, 0), spoil: word(5, 1n << 20n) },
  {
    clause: 'deliver.handler',
    code: 'f4',
    good: (b, g) => faults(g, b, 13, 0),
    spoil: state((a) => ({ rflags: (a.rflags ?? 0n) | 0x200n })),
  },
  {
    clause: 'deliver.hidden',
    code: 'f4',
    good: (b, g) => faults(g, b, 13, 0),
    spoil: spoilSegment('cs', (g) => ({ ...g, access: g.access ^ 0x60 })),
  },
  { clause: 'step.trap', code: '90', change: TFset, good: stepped, spoil: (_a, b, g) => completes(g, b, b.rip + 1n) },
  { clause: 'step.dr6', code: '90', change: TFset, good: stepped, spoil: state((_, b) => ({ dr6: b.dr6 | 0x2000n })) },
  {
    clause: 'interrupt.taken',
    code: '90',
    run: { interrupt: { vector: 0x21, after: 1 } },
    good: (b, g) => delivers(g, b, { vector: 0x21, rip: b.rip + 1n, rflags: b.rflags }),
    spoil: (_a, b, g) => completes(g, b, b.rip + 1n),
  },
  {
    clause: 'priority.permitted',
    code: '8b00',
    change: { rax: BigInt(at.pages.absent + 1), rflags: 0x40202n },
    good: (b, g) => faults(g, b, 17, 0),
    spoil: without,
  },
  {
    clause: 'memory.contained',
    code: '90d9c0',
    good: (b, g) => ends(3, { writes: [[d, 0n, 1]] })(b, g),
    spoil: also(at.pages.userReadOnly, 0n),
  },
];
