// Decides what a machine with a processor is: guest memory with the observer's stop code in it, and a processor that runs programs to an end.
// It is synchronous: memory as it was stored, in order; then port accesses; then how the run stopped.

import type { CpuFeature, CpuState, GrantedCpu } from '../../spec/instructions/vocabulary.ts';
import type { Answer, Capability, Gpa, Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Machine } from '../machine.ts';
import { type Cpu, createCpu } from './cpu.ts';
import { newBlocks } from './decode.ts';
import { isMissing } from './fault.ts';
import { wide } from './halves.ts';
import { PHYSICAL_BITS } from './paging.ts';
import { createRam, logging, pagesOf, poke, restore } from './ram.ts';
import { type End, type Raise, run, type StopRange } from './run.ts';
import { loadState, saveState } from './state.ts';

export const cpuOffers: readonly Capability[] = [
  'memory.order',
  'memory.seen',
  'cpu',
  'cpu.system',
  'cpu.step',
  'cpu.hidden',
  'cpu.interrupt',
  'cpu.port',
];
const FEATURES: readonly CpuFeature[] = [
  'umip',
  'smep',
  'smap',
  'nx',
  'pcid',
  'pge',
  'pse',
  'pae',
  'la57',
  'fsgsbase',
  'syscall',
  'sep',
  'rdtscp',
  'rdpid',
  'invpcid',
  'tsd',
  'de',
  'vme',
  'monitor',
  'sse2',
  'gbpages',
  'popcnt',
  'lzcnt',
  'movbe',
  'cx16',
  'bmi1',
  'bmi2',
  'adx',
  'lahf',
  'cx8',
  'cmov',
  'clflush',
  'sse',
];
const MEMORY_LIMIT = 1 << 30;
const HLT = 0xf4;
/** Iterations of repeated string instructions in one run. */
export const ITERATIONS: number = 1 << 20;

/** Why no such machine can be built. */
export const cpuRefusal = (config: MachineConfig): string | undefined => {
  const { cpu, memory } = config;
  if (cpu === undefined) return 'a machine without a processor';
  if (config.bus !== 'none') return `a processor on bus ${config.bus}`;
  if (memory <= 0 || memory % 4096 !== 0 || memory > MEMORY_LIMIT) return `memory of ${memory} bytes`;
  if (cpu.monitor === 'hardware') return 'monitor hardware';
  const lacks = cpu.features.filter((f) => !FEATURES.includes(f));
  if (lacks.length > 0) return `processor features ${lacks.join(', ')}`;
  const { at, stride, count } = cpu.stops;
  if (stride < 1 || count < 1 || Number(at) + stride * count > memory) return 'stops outside memory';
  return undefined;
};

/** Stores in order: address and length of each (`count` numbers), and their bytes one after the other. */
export interface Stores {
  readonly entries: ArrayLike<number>;
  readonly count: number;
  readonly bytes: Uint8Array;
}
/** What runs programs: the processor itself, or a monitor over one. */
export interface Engine {
  readonly load: (state: CpuState) => void;
  /** The state; `was`: as it was loaded last. */
  readonly save: (was: CpuState) => CpuState;
  readonly run: (stops: StopRange, limit: number, raise?: Raise) => End;
  /** The host's bytes, put in guest memory. */
  readonly poke: (at: number, bytes: Uint8Array) => void;
  /** Stores are told from now on. */
  readonly watch: () => void;
  /** Guest stores since then, in order. */
  readonly stores: () => Stores;
  /** Guest memory as it was. */
  readonly restore: () => void;
}
export type BuildEngine = (initial: Uint8Array, port: Cpu['port']) => Engine;
/** The processor itself. */
export const bareEngine: BuildEngine = (initial, port) => {
  const ram = createRam(initial.length);
  ram.bytes.set(initial);
  const cpu = createCpu(ram, port);
  const blocks = newBlocks();
  const pages = pagesOf(initial);
  return {
    load: (state) => loadState(cpu, state),
    save: (was) => saveState(cpu, was),
    run: (stops, limit, raise) => {
      cpu.iterations = ITERATIONS;
      return run(cpu, blocks, stops, limit, raise);
    },
    poke: (at, bytes) => poke(ram, at, bytes),
    watch: () => logging(ram, true),
    stores: () => ram.log,
    restore: () => {
      restore(ram, initial, pages);
      restart(cpu);
    },
  };
};

/** What is answered where there is nothing to see. */
const silence: Answer = { saw: [] };
/** Throws RangeError where `refusal` gives a reason. */
export const cpuMachine = (config: MachineConfig, build: BuildEngine = bareEngine): Machine => {
  const refused = cpuRefusal(config);
  const { cpu: asked } = config;
  if (asked === undefined || refused !== undefined) throw new RangeError(`unsupported machine: ${refused}`);
  const initial = initialMemory(config);
  let ports: Observation[] = [];
  // Port I/O reaches no device: IN gives all ones.
  const engine = build(initial, (port, width, direction, value) => {
    const shown = direction === 'out' ? value : width === 4 ? 0xffff_ffff : 2 ** (8 * width) - 1;
    ports.push({ saw: 'cpu.port', port, width, direction, value: shown });
    return shown;
  });
  const { stops } = asked;
  const at = Number(stops.at);
  const range: StopRange = { lo: at | 0, hi: 0, stride: stops.stride, count: stops.count };
  const size = stops.stride * stops.count;
  let loaded: CpuState | undefined;
  let broke: string | undefined;

  const perform = (stimulus: Stimulus): Answer => {
    switch (stimulus.do) {
      case 'memory.write': {
        const to = Number(stimulus.at);
        if (to > config.memory || stimulus.bytes.length > config.memory - to) return { unsupported: 'memory.write outside memory' };
        engine.poke(to, stimulus.bytes);
        return silence;
      }
      case 'settle':
        return { saw: [{ saw: 'settled', by: 'sync' }] };
      case 'cpu.run': {
        if (stimulus.state !== undefined) {
          engine.load(stimulus.state);
          loaded = stimulus.state;
        }
        if (loaded === undefined) return { unsupported: 'cpu.run without a state before any' };
        ports = [];
        engine.watch();
        const { interrupt } = stimulus;
        const ended = engine.run(range, stimulus.limit, interrupt && { vector: interrupt.vector, at: interrupt.after });
        const seen = changes(engine.stores(), at, at + size);
        for (const access of ports) seen.push(access);
        seen.push(stopped(ended, engine.save(loaded)));
        return { saw: seen };
      }
      default:
        return { unsupported: `${stimulus.do} on a processor` };
    }
  };
  const apply = (stimulus: Stimulus): Answer => {
    if (broke !== undefined) return { broke };
    try {
      return perform(stimulus);
    } catch (error) {
      if (isMissing(error)) return { unsupported: error.message };
      broke = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      return { broke };
    }
  };
  const reset = (): void => {
    broke = undefined;
    loaded = undefined;
    engine.restore();
  };
  return { granted: granting(config), apply, reset };
};

/** What no state that is loaded says: counters, registers that only WRMSR reaches, and those of x87, SSE and the page-directory pointers. */
export const restart = (cpu: Cpu): void => {
  cpu.done = 0;
  cpu.tscOffset = 0n;
  if (cpu.msr.size !== 0) cpu.msr.clear();
  cpu.pdpte.fill(0n);
  cpu.x87.control = 0x37f;
  cpu.x87.status = 0;
  cpu.x87.tag = 0xffff;
  cpu.mxcsr = 0x1f80;
  cpu.xmm.fill(0);
};
const initialMemory = (config: MachineConfig): Uint8Array => {
  const bytes = new Uint8Array(config.memory).fill(config.fill);
  for (const { at, bytes: over } of config.image ?? []) bytes.set(over, Number(at));
  const stops = config.cpu?.stops;
  if (stops !== undefined) bytes.fill(HLT, Number(stops.at), Number(stops.at) + stops.stride * stops.count);
  return bytes;
};
/** Stored bytes as they are told. Selectors, flags and words of zero are stored over and over: what is alike is one array, which nobody writes to,
 *  because to make one takes longer than the store did. */
const TOLD = 4096;
const alike: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(TOLD).fill(undefined);
const told = (from: Uint8Array, start: number, length: number): Uint8Array => {
  let hash = length;
  for (let k = 0; k < length; k++) hash = (Math.imul(hash, 0x01000193) ^ from[start + k]!) | 0;
  const slot = (hash ^ (hash >>> 15)) & (TOLD - 1);
  const known = alike[slot];
  if (known !== undefined && known.length === length) {
    let k = 0;
    while (k < length && known[k] === from[start + k]) k++;
    if (k === length) return known;
  }
  const stored = new Uint8Array(length);
  for (let k = 0; k < length; k++) stored[k] = from[start + k]!;
  alike[slot] = stored;
  return stored;
};
/** The stop code is not the guest's memory. */
const changes = ({ entries, count, bytes }: Stores, from: number, to: number): Observation[] => {
  const seen: Observation[] = [];
  let next = 0;
  for (let i = 0; i < count; i += 2) {
    const [at, length] = [entries[i]!, entries[i + 1]!];
    if (at + length <= from || at >= to)
      seen.push({ saw: 'memory.changed', writes: [{ at: wide(at, 0) as Gpa, bytes: told(bytes, next, length) }] });
    next += length;
  }
  return seen;
};
const stopped = (ended: End, state: CpuState): Observation =>
  ended.by === 'stop' ? { saw: 'cpu.stopped', by: 'stop', stop: ended.stop, state } : { saw: 'cpu.stopped', by: ended.by, state };

const granting = (config: MachineConfig): Granted => {
  const asked = config.cpu!;
  const cpu: GrantedCpu = { ...asked, has: FEATURES, physicalBits: PHYSICAL_BITS, vendor: 'intel' };
  return { memory: { size: config.memory, fill: config.fill, seen: 'ordered' }, level: 'queue', reset: 'device', offers: cpuOffers, cpu };
};
