// What an interrupt leaves that the virtual-8086 program handles itself: a row a clause. The answers are written from the manual.
// One step each, told by its state.

import type { CpuState } from '../../spec/instructions/vocabulary.ts';
import * as at from './layout.ts';
import type { Answered, Setting } from './spec-history.ts';
import { once, type Patches, type Row, state, write } from './spec-row.ts';

const old: Setting = { mode: 'v86', paging: '32-bit', level: 3 };
/** CR4.VME, IOPL 0 and VIF; the vector table at 0 can be read, and leads to 1010H:0221H; no bit of the redirection bitmap is set. */
const redirects = {
  setting: old,
  code: 'cd21',
  change: (b: CpuState): Partial<CpuState> => ({ cr4: b.cr4 | 1n, rflags: b.rflags | 0x80000n }),
  patches: [
    [at.pageTable, '67000000'],
    [4 * 0x21, '21021010'],
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

export const redirectedResults: readonly Row[] = [
  { clause: 'interrupt.flags', ...redirects, spoil: state((_, b) => ({ rflags: b.rflags & ~0x200n })) },
  { clause: 'interrupt.stores', ...redirects, spoil: (answer, b) => write(top(b) - 2, (v) => v ^ 0x200n)(answer) },
  { clause: 'interrupt.target', ...redirects, spoil: state(() => ({ rip: 0x222n })) },
];
