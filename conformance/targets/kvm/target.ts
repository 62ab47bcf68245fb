// The target `kvm`: /dev/kvm of this machine, one virtual machine reused for every program, in a child process.
// Two stacks may answer: the processor's virtualization extensions, or KVM's software emulator where a module without them runs guests.

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Answer, Capability, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { CpuMachine, GrantedCpu } from '../../../spec/instructions/vocabulary.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { loadLibc } from '../host/libc.ts';
import { programArguments } from '../host/program.ts';
import { probeHost } from '../host/probe.ts';
import { startWorker, type Worker } from '../host/worker.ts';
import { openBatch } from './batch.ts';
import { records } from './decode.ts';
import { type CpuFacts, factsOf, type Leaf, missing } from './features.ts';
import { control, sharedBytes } from './layout.ts';

const offers: readonly Capability[] = ['cpu', 'cpu.system', 'cpu.hidden', 'cpu.port', 'memory.seen'];
const memoryMax = 4 << 20;
const startMs = 30_000;

export interface Greeting {
  readonly module: string;
  readonly tellsFailures: boolean;
  readonly leaves: readonly Leaf[];
}
/** The processor's name as the kernel prints it. */
export const processorName = (): string =>
  /^model name\s*: (.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim() ?? 'unknown processor';

/** What the child says in its first round, or why it does not work. */
const greeted = (worker: Worker): Greeting | { readonly reason: string } => {
  const end = worker.round(startMs);
  const length = worker.shared.readUInt32LE(control.greeting);
  if (end === 'late') return { reason: `no answer from the child within ${startMs / 1000} s` };
  if (length === 0) return { reason: 'the smoke test died' };
  return JSON.parse(worker.shared.toString('utf8', control.text, control.text + length));
};
const opened = async (): Promise<{ readonly start: () => Worker; readonly worker: Worker; readonly greeting: Greeting }> => {
  const host = await probeHost();
  if (!host.ok) throw new Error(host.reason);
  const libc = await loadLibc();
  const start = (): Worker => startWorker(libc, process.execPath, programArguments(import.meta.url, './child'), sharedBytes);
  const worker = start();
  const greeting = greeted(worker);
  if ('reason' in greeting) {
    await worker.close();
    throw new Error(greeting.reason);
  }
  return { start, worker, greeting };
};

type Probe =
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly install?: string };
/** Whether `kvm` can run here; a guest of one instruction is run, because a device that opens need not work. */
export const probeKvm = async (): Promise<Probe> => {
  try {
    const target = await kvmTarget();
    await target.close();
    return { available: true, detail: target.hello.version };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (reason.endsWith('ENOENT')) return { available: false, reason: '/dev/kvm does not exist' };
    if (reason.endsWith('EACCES')) return { available: false, reason: '/dev/kvm: EACCES', install: 'sudo usermod -aG kvm $USER' };
    return { available: false, reason };
  }
};

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
  if (memory < 0x10000 || memory % 4096 !== 0 || memory > memoryMax) return `${memory} bytes of guest memory`;
  return missing(facts, cpu.features, cpu.paging);
};

export const kvmTarget = async (): Promise<Target> => {
  const { start, worker, greeting } = await opened();
  const facts = factsOf(greeting.leaves);
  const hello: Hello = { protocol: 1, name: 'kvm', version: `Linux ${release()}, ${greeting.module}, ${processorName()}`, offers };
  let first: Worker | undefined = worker;
  const batch = openBatch({
    start: () => {
      const next = first ?? start();
      if (first === undefined) greeted(next);
      first = undefined;
      return next;
    },
    furnish: (requests, _shared, machine) => requests.machine(machine),
    records: (shared) => records(shared),
    refuses: ({ state, interrupt }) => {
      if (state === undefined) return 'going on from where a run stopped';
      return interrupt === undefined ? undefined : 'raising an interrupt';
    },
  });
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
    const why = refusal(machine, facts);
    standing = why === undefined;
    if (why !== undefined || machine.cpu === undefined) return { unsupported: why ?? '' };
    batch.furnish(machine);
    fresh = true;
    return { granted: granting(machine, machine.cpu, facts, offers) };
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
      await first?.close();
      await batch.close();
    },
  };
};
