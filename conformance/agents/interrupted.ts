// Whether the watchdog's interrupt finds its way out of a case, by what the case starts with: where it may not, that the emulator hangs says nothing of the program.
// QEMU 7.2 never comes back from an NMI that shuts its processor down.

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
const own = pageOf(stackTops.ring0 - 1);
/** That of 16-bit code, in a page of the user's: with SMAP CPL 0 cannot push there. SDM volume 3, Paging, Access Rights. */
const users = pageOf(base16 + stackTop16 - 1);
const SMAP = 1 << 21;

/** Nobody has written to tables before it starts, and the stack is the furnished one of CPL 0. */
export const interruptible = ({ mode }: CpuMachine, { state, patches }: Pick<AgentCase, 'state' | 'patches'>): boolean => {
  if (patches.some((p) => p.at < tablesEnd)) return false;
  if (mode === 'v86' || (mode !== 'real' && (state.cs.selector & 3) !== 0)) return true; // the stack comes from the TSS
  const big = mode !== 'real' && (state.ss.access & 0x4000) !== 0;
  // In IA-32e mode the handler has 64 bits, and no base counts.
  const top =
    mode === 'long64' || mode === 'compat' ? Number(state.rsp) : Number(state.ss.base) + (big ? low(state.rsp) : low(state.rsp) & 0xffff);
  const page = pageOf(top - 1);
  return (page === own || (page === users && (low(state.cr4) & SMAP) === 0)) && pageOf(top - frames) === page;
};
