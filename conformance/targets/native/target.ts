// The target `native`: ring 3 of this machine's processor, in a process that holds nothing but the guest and a small runner.
// Guest memory from 64 KiB up stands at its own addresses, with the rights that the machine's page tables give a user.

import { closeSync, openSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import type { Capability, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { MemoryWrite } from '../../../spec/vocabulary.ts';
import { low, numberOf } from '../../numbers.ts';
import { loadLibc } from '../host/libc.ts';
import { probeHost } from '../host/probe.ts';
import { startWorker } from '../host/worker.ts';
import { type Batch, openBatch, type Run } from '../kvm/batch.ts';
import { type CpuFacts, factsOf } from '../kvm/features.ts';
import { batchTarget, processorName } from '../kvm/session.ts';
import { codeRefusal, FSGSBASE, OSXSAVE } from './code.ts';
import { nativeRecords } from './decode.ts';
import { leavesOf } from './identify.ts';
import * as place from './places.ts';
import { type Rights, rightsAt } from './rights.ts';
import { runnerImage } from './runner.ts';
import { bitnessOf } from './state.ts';

const offers: readonly Capability[] = ['cpu', 'cpu.ring3', 'memory.seen'];
const [PROT_READ, PROT_WRITE, PROT_EXEC] = [1, 2, 4];
/** The kernel tells no error code for its own half: it says "present" there, whatever is (arch/x86/mm/fault.c). */
const userEnd = 0x7fff_ffff_f000n;
/** Each may change all of memory, and all of it must fit the runner's log. */
const runsMax = 4;

/** AT_HWCAP2, bit 1: user code may use RDFSBASE and its like (Linux, Documentation/arch/x86/x86_64/fsgs.rst). */
const hasFsgsbase = (): boolean => {
  const vector = readFileSync('/proc/self/auxv');
  for (let i = 0; i + 16 <= vector.length; i += 16) if (vector.readBigUInt64LE(i) === 26n) return (vector.readUInt32LE(i + 8) & 2) !== 0;
  return false;
};
const hasFlag = (flag: string): boolean => new RegExp(`^flags\\s*:.*\\b${flag}\\b`, 'm').test(readFileSync('/proc/cpuinfo', 'utf8'));

/** What stands for a machine: its furniture, and the tables that its pages were mapped by. */
interface Furnished {
  readonly machine: MachineConfig;
  readonly memory: Buffer;
  readonly cr3: bigint;
  readonly nx: boolean;
}
const furnitureOf = (machine: MachineConfig): Buffer => {
  const memory = Buffer.alloc(machine.memory, machine.fill);
  for (const { at, bytes } of machine.image ?? []) memory.set(bytes, Number(at));
  return memory;
};
/** Whether a page of the furniture holds the fill byte alone. */
const isPlain = (memory: Buffer, page: number, fill: number): boolean => memory.subarray(page, page + 4096).every((byte) => byte === fill);
const lowest = BigInt(place.lowest);
const nxOf = (s: CpuState): boolean => (low(s.efer) & 0x800) !== 0;
/** 0: not there for the guest either, or not as the host could show it. */
const protection = (r: Rights, page: number): number =>
  r.present && r.user && r.settled && r.physical === page ? PROT_READ | (r.write ? PROT_WRITE : 0) | (r.execute ? PROT_EXEC : 0) : 0;

type Probe = { readonly available: true; readonly detail: string } | { readonly available: false; readonly reason: string };
/** Whether `native` can run here: its runner is started and runs CPUID. */
export const probeNative = async (): Promise<Probe> => {
  try {
    const target = await nativeTarget();
    await target.close();
    return { available: true, detail: target.hello.version };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
};

export const nativeTarget = async (): Promise<Target> => {
  const host = await probeHost();
  if (!host.ok) throw new Error(host.reason);
  const libc = await loadLibc();
  const fsgsbase = hasFsgsbase();
  const cr4 = (fsgsbase ? FSGSBASE : 0n) | (hasFlag('osxsave') || hasFlag('xsave') ? OSXSAVE : 0n);
  const image = runnerImage(fsgsbase);
  // A file that is open for writing cannot be executed.
  const file = libc.memfd('vmmc-native', image.length);
  libc.write(file, image);
  const executable = openSync(`/proc/self/fd/${file}`, 'r');
  libc.close(file);

  let furnished: Furnished | undefined;
  let furniture: { readonly machine: MachineConfig; readonly memory: Buffer } | undefined;
  const memoryOf = (machine: MachineConfig): Buffer => {
    if (furniture?.machine !== machine) furniture = { machine, memory: furnitureOf(machine) };
    return furniture.memory;
  };
  const rights = (f: Furnished, linear: bigint): Rights => rightsAt(f.memory, f.machine.cpu?.paging ?? 'none', f.cr3, f.nx, linear);
  const hidden = (address: bigint, error: number): string | undefined => {
    if (address >= userEnd) return 'the kernel hides page faults in its half of the addresses';
    if (furnished === undefined) return undefined;
    const page = rights(furnished, address & ~0xfffn);
    if ((error & 0x10) !== 0 && !furnished.nx) return 'the host tells instruction fetches from reads';
    if (page.present && protection(page, Number(address & ~0xfffn)) === 0)
      return "a page that the host's tables do not have as the guest's do";
    return undefined;
  };
  const mappings = (f: Furnished): readonly (readonly [number, number, number, number])[] => {
    const list: [number, number, number, number][] = [];
    for (let page = place.lowest; page < f.memory.length; page += 4096) {
      const wanted = protection(rights(f, BigInt(page)), page);
      if (wanted === 0) continue;
      const last = list[list.length - 1];
      if (last !== undefined && last[0] + last[1] === page && last[2] === wanted) last[1] += 4096;
      else list.push([page, 4096, wanted, place.guestAt + page]);
    }
    return list;
  };
  const codeOf = (rip: bigint, writes: readonly MemoryWrite[], memory: Buffer): Uint8Array => {
    for (let i = writes.length - 1; i >= 0; i--) {
      const { at, bytes } = writes[i] as MemoryWrite;
      const start = numberOf(rip) - numberOf(at);
      if (start >= 0 && start < bytes.length) return start === 0 ? bytes : bytes.subarray(start);
    }
    return memory.subarray(numberOf(rip), numberOf(rip) + 16);
  };
  const refuses = ({ state, interrupt }: Run, writes: readonly MemoryWrite[], again: boolean): string | undefined => {
    if (state === undefined) return 'going on from where a run stopped';
    if (interrupt !== undefined) return 'raising an interrupt';
    if (furnished === undefined) return 'no machine';
    const bitness = bitnessOf(state, fsgsbase);
    if (typeof bitness === 'string') return bitness;
    if (state.cr3 !== furnished.cr3 || nxOf(state) !== furnished.nx) return 'other page tables than the first program had';
    if (writes.some((w) => w.at < lowest)) return 'writes to what the host cannot have of the guest';
    return codeRefusal(codeOf(state.rip, writes, furnished.memory), bitness, state, { memory: furnished.memory, writes, again, cr4 });
  };
  const batch: Batch = openBatch({
    start: () => startWorker(libc, `/proc/${process.pid}/fd/${executable}`, [], place.sharedBytes),
    refuses,
    runsMax,
    furnish: (requests, shared, machine, first) => {
      const memory = memoryOf(machine);
      furnished = { machine, memory, cr3: first?.cr3 ?? 0n, nx: first !== undefined && nxOf(first) };
      for (const to of [place.guestAt, place.knownAt, place.pristineAt]) memory.copy(shared, to);
      const list = mappings(furnished);
      const pages = list
        .filter(([, , protect]) => (protect & PROT_WRITE) !== 0)
        .flatMap(([start, length]) => Array.from({ length: length >> 12 }, (_, i) => start + 4096 * i));
      shared.writeBigUInt64LE(BigInt(pages.length), place.writableAt);
      for (const [i, page] of pages.entries()) shared.writeBigUInt64LE(BigInt(page), place.writableAt + 8 + 8 * i);
      shared.fill(machine.fill, place.fillAt, place.fillAt + 16);
      shared.fill(0, place.plainAt, place.plainAt + place.plainBytes);
      for (const page of pages) shared[place.plainAt + (page >> 12)] = isPlain(memory, page, machine.fill) ? 1 : 0;
      return requests.mappings(list);
    },
    records: (shared) => nativeRecords(shared, fsgsbase, hidden),
  });
  let facts: CpuFacts = { has: [], physicalBits: 0, vendor: 'other' };
  const close = async (): Promise<void> => {
    await batch.close();
    closeSync(executable);
  };
  try {
    facts = factsOf(leavesOf(batch));
  } catch (error) {
    await close();
    throw error;
  }
  const hello: Hello = { protocol: 1, name: 'native', version: `Linux ${release()}, ${processorName()}`, offers };
  return batchTarget({
    hello,
    batch,
    facts: () => facts,
    refuses: ({ memory, cpu }) =>
      memory > place.guestMax
        ? `${memory} bytes of guest memory`
        : cpu?.paging === 'none'
          ? 'no paging: a process of the host has it, with CR0.AM set'
          : ['long64', 'compat', 'prot32'].includes(cpu?.mode ?? '')
            ? undefined
            : `the mode ${cpu?.mode}`,
    close,
  });
};
