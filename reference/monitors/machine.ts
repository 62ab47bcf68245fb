// Decides what a machine is whose guest runs under a monitor: the same stimuli, the same answers; without a monitor it is the processor itself.

import type { Monitor } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import type { Machine } from '../machine.ts';
import { type BuildEngine, cpuMachine, cpuRefusal, ITERATIONS, restart, type Stores } from '../processor/machine.ts';
import { logging, poke } from '../processor/ram.ts';
import { loadState, saveState } from '../processor/state.ts';
import { runGuest, type Technique } from './monitor.ts';
import { paravirtual } from './rewrite.ts';
import { binaryTranslation } from './translate.ts';
import { trapAndEmulate } from './trap-and-emulate.ts';
import { createWorld, type World } from './world.ts';

const PAGE = 4096;
/** Two windows of it and tables must fit in 32 bits. */
const MEMORY_LIMIT = 1 << 28;
/** Without hardware assistance: that needs VMX. */
export const techniques: Readonly<Partial<Record<Monitor, () => Technique>>> = {
  'trap-and-emulate': trapAndEmulate,
  'binary-translation': binaryTranslation,
  paravirtual,
};

/** Guest stores, out of those of the real processor (in its window of host memory) and of the emulator (at guest-physical addresses). */
const guestStores = (w: World): Stores => {
  const { entries, count, bytes } = w.host.log;
  const kept: number[] = [];
  const values: number[] = [];
  let next = 0;
  for (let i = 0; i < count; i += 2) {
    const [at, length] = [entries[i]!, entries[i + 1]!];
    const to = at < w.base ? at : at - w.base;
    if (to < w.guest.size) {
      kept.push(to, length);
      for (let k = 0; k < length; k++) values.push(bytes[next + k]!);
    }
    next += length;
  }
  return { entries: kept, count: kept.length, bytes: Uint8Array.from(values) };
};
const restoreGuest = (w: World, initial: Uint8Array): void => {
  const first = w.base / PAGE;
  for (const page of [...w.guest.dirty, ...w.host.dirty.map((p) => p - first)]) {
    if (page < 0 || page >= w.guest.size / PAGE) continue;
    w.guest.bytes.set(initial.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
    w.guest.versions[page]!++;
    w.guest.flags[page] = (w.guest.flags[page]! & 4) | 1;
  }
  w.guest.dirty.length = 0;
  w.host.dirty.length = 0;
};
/** The engine and what it stands on, for those who look at the memory around the guest. */
export const engineOver =
  (technique: Technique, umip: boolean, seen?: (w: World) => void): BuildEngine =>
  (initial, port) => {
    const w = createWorld(initial.length, umip, port);
    w.guest.bytes.set(initial);
    seen?.(w);
    return {
      load: (state) => {
        loadState(w.v, state);
        technique.fresh(w);
      },
      save: (was) => saveState(w.v, was),
      run: (stops, limit, raise) => {
        w.v.iterations = ITERATIONS;
        return runGuest(w, technique, stops, limit, raise);
      },
      poke: (at, bytes) => poke(w.guest, at, bytes),
      watch: () => logging(w.host, true),
      stores: () => guestStores(w),
      restore: () => {
        restoreGuest(w, initial);
        restart(w.v);
      },
    };
  };

/** Why no such machine can be built. */
export const monitorRefusal = (config: MachineConfig): string | undefined => {
  const monitor = config.cpu?.monitor ?? 'none';
  const refused = cpuRefusal(config);
  if (refused !== undefined || monitor === 'none') return refused;
  if (techniques[monitor] === undefined) return `monitor ${monitor}`;
  return config.memory > MEMORY_LIMIT ? `memory of ${config.memory} bytes under a monitor` : undefined;
};
/** Throws RangeError where `refusal` gives a reason. */
export const monitorMachine = (config: MachineConfig): Machine => {
  const refused = monitorRefusal(config);
  if (refused !== undefined) throw new RangeError(`unsupported machine: ${refused}`);
  const { monitor = 'none', features = [] } = config.cpu ?? {};
  const technique = techniques[monitor];
  return technique === undefined ? cpuMachine(config) : cpuMachine(config, engineOver(technique(), features.includes('umip')));
};
