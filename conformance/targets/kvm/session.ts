// What targets that are processors have in common: which machines they build, what they grant, and programs given to a batch one stimulus at a time
// or all at once.

import { readFileSync } from 'node:fs';
import type { CpuMachine, GrantedCpu } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Awaitable, Capability, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import type { Batch } from './batch.ts';
import { type CpuFacts, missing } from './features.ts';

const memoryMax = 4 << 20;
/** The processor's name as the kernel prints it. */
export const processorName = (): string =>
  /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim() ?? 'unknown processor';

export const granting = (machine: MachineConfig, cpu: CpuMachine, facts: CpuFacts, offered: readonly Capability[]): Granted => ({
  memory: { size: machine.memory, fill: machine.fill, seen: 'compared' },
  level: 'agent',
  reset: 'snapshot',
  offers: offered,
  cpu: { ...cpu, ...facts } satisfies GrantedCpu,
});
/** Why no processor target builds this machine, or undefined. */
export const refusal = (machine: MachineConfig, facts: CpuFacts): string | undefined => {
  const { cpu, memory, bus } = machine;
  if (cpu === undefined) return 'a machine without a processor';
  if (bus !== 'none' || machine.virtio !== undefined || machine.vtd !== undefined) return 'a processor with devices';
  if (cpu.monitor !== undefined && cpu.monitor !== 'none') return `the monitor ${cpu.monitor}`;
  if (memory < 0x10000 || memory % 4096 !== 0 || memory > memoryMax)
    return `${memory} bytes of guest memory: a multiple of 4096 from 65536 to ${memoryMax} is possible`;
  return missing(facts, cpu.features, cpu.paging);
};

export interface BatchTarget {
  readonly hello: Hello;
  readonly batch: Batch;
  readonly facts: () => CpuFacts;
  /** Why this target cannot build a machine that others can, or undefined. */
  readonly refuses?: (machine: MachineConfig) => string | undefined;
  readonly close: () => Awaitable<void>;
}
export const batchTarget = ({ hello, batch, facts, refuses, close }: BatchTarget): Target => {
  let fresh = false;
  let standing = false;
  const applyAll = (stimuli: readonly Stimulus[]): readonly Answer[] => {
    if (!standing) return [{ broke: 'no machine: reset comes first' }];
    const answers = batch.apply(stimuli, fresh);
    fresh = false;
    const last = answers[answers.length - 1];
    if (last !== undefined && 'broke' in last) standing = false;
    return answers;
  };
  const reset: Target['reset'] = (machine) => {
    const why = refusal(machine, facts()) ?? refuses?.(machine);
    standing = why === undefined;
    if (why !== undefined || machine.cpu === undefined) return { unsupported: why ?? '' };
    batch.furnish(machine);
    fresh = true;
    return { granted: granting(machine, machine.cpu, facts(), hello.offers) };
  };
  return {
    hello,
    reset,
    applyAll,
    apply: (stimulus) => applyAll([stimulus])[0] ?? { broke: 'no answer' },
    runAll: async (machine, programs) => {
      const granted = await reset(machine);
      if (!('granted' in granted)) return granted;
      return { granted: granted.granted, answers: batch.runAll(programs) };
    },
    close: async () => {
      standing = false;
      await close();
    },
  };
};
