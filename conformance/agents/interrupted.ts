// Whether the watchdog's interrupt surely finds its way out of a case: where it may not, how the emulator ended says nothing of the program. QEMU 7.2 never comes
// back from an NMI that shuts its processor down.

import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import { base16, pageTable, stackTop16, stackTops } from '../instructions/layout.ts';
import { low } from '../numbers.ts';
import type { AgentCase } from './case.ts';

/** What an NMI, and #DF behind it, may push. */
const frames = 0x80;
const pageSize = 0x1000;
/** Descriptors, gates, tasks and paging structures lie below. */
const tablesEnd = pageTable + pageSize;
const pageOf = (at: number): number => Math.floor(at / pageSize);
/** Of CPL 0. */
const stacks: ReadonlySet<number> = new Set([stackTops.ring0 - 1, base16 + stackTop16 - 1].map(pageOf));

/** Nobody has written to tables, and the stack is the furnished one. */
export const interruptible = ({ mode }: CpuMachine, { state, patches }: Pick<AgentCase, 'state' | 'patches'>): boolean => {
  if (patches.some((p) => p.at < tablesEnd)) return false;
  if (mode === 'v86' || (mode !== 'real' && (state.cs.selector & 3) !== 0)) return true; // the stack comes from the TSS
  const big = mode !== 'real' && (state.ss.access & 0x4000) !== 0;
  const top = mode === 'long64' ? Number(state.rsp) : Number(state.ss.base) + (big ? low(state.rsp) : low(state.rsp) & 0xffff);
  return stacks.has(pageOf(top - 1)) && pageOf(top - frames) === pageOf(top - 1);
};
