// The target `kvm`: /dev/kvm of this machine, one virtual machine reused for every program, in a child process.
// Two stacks may answer: the processor's virtualization extensions, or KVM's software emulator where a module without them runs guests.

import { release } from 'node:os';
import type { Capability, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import { loadLibc } from '../host/libc.ts';
import { programArguments } from '../host/program.ts';
import { probeHost } from '../host/probe.ts';
import { startWorker, type Worker } from '../host/worker.ts';
import { openBatch } from './batch.ts';
import { records } from './decode.ts';
import { factsOf, type Leaf } from './features.ts';
import { control, sharedBytes } from './layout.ts';
import type { LegacyPaging } from './legacy-paging.ts';
import { batchTarget, processorName } from './session.ts';

const offers: readonly Capability[] = ['cpu', 'cpu.system', 'cpu.hidden', 'cpu.port', 'memory.seen'];
const startMs = 30_000;

export interface Greeting {
  readonly module: string;
  readonly tellsFailures: boolean;
  readonly leaves: readonly Leaf[];
  readonly paging: LegacyPaging;
}
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

/** Every program would be a shutdown, of which nothing is believed. */
const noPaging = (cpu: MachineConfig['cpu'], { module, paging }: Greeting): string | undefined => {
  const runs = cpu?.paging === '32-bit' ? paging.bits32 : cpu?.paging === 'pae' ? paging.pae : true;
  return runs ? undefined : `${cpu?.paging} paging: ${module} shuts down a guest with it that only halts`;
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
  return batchTarget({
    hello,
    batch,
    facts: () => facts,
    refuses: ({ cpu }) => noPaging(cpu, greeting),
    close: async () => {
      await first?.close();
      await batch.close();
    },
  });
};
