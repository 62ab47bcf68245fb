// What a permitted ending changes of the state before: a clause is asked only where another answer would have broken it.
// Nothing here judges.

import { gpr, segments } from './bits.ts';
import type { Instruction } from './decode.ts';
import type { Changes, Ending } from './ghost.ts';
import type { CpuState } from './vocabulary.ts';
import { low } from './work.ts';

const systemNames = [
  'cr0',
  'cr2',
  'cr3',
  'cr4',
  'cr8',
  'efer',
  'dr0',
  'dr1',
  'dr2',
  'dr3',
  'dr7',
  'gdtr',
  'idtr',
  'ldtr',
  'tr',
  'star',
  'lstar',
  'cstar',
  'sfmask',
  'kernelGsBase',
  'sysenterCs',
  'sysenterEsp',
  'sysenterEip',
  'tscAux',
] as const;

export const changesOf = (e: Ending, before: CpuState, i: Instruction | undefined): Changes => {
  const after = e.completed;
  let registers = false;
  for (const name of gpr) if (after[name] !== before[name]) registers = true;
  let loaded = false;
  for (const name of segments) if (after[name] !== before[name]) loaded = true;
  let system = false;
  for (const name of systemNames) if (after[name] !== before[name]) system = true;
  let stores = false;
  let descriptors = false;
  for (const at of e.stores.keys()) {
    const mark = e.marks.get(at);
    if (mark === undefined) stores = true;
    else if (mark === 'descriptor') descriptors = true;
  }
  return {
    registers,
    flags: (e.flagsWritten & ~low(e.open.get('rflags') ?? 0n)) !== 0,
    stores,
    target: !e.fault && after.rip !== before.rip + BigInt(i?.length ?? 0),
    segments: loaded,
    descriptors,
    system,
    ports: e.ports.length > 0,
  };
};
