// The remapping unit's side of the QEMU target: which machines there are, a small pool of them, and a fresh one after a death.

import { spawnSync } from 'node:child_process';
import type { Answer, Capability, Granted, MachineConfig } from '../../../../spec/units.ts';
import type { VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';
import type { Stimulus } from '../../../../spec/vocabulary.ts';
import type { Watchdog } from '../watchdog.ts';
import { applyVtd } from './apply.ts';
import { startVtd, type VtdQemu, wantedVtd } from './machine.ts';

/** Processes kept: suites visit their machines in turn. */
const poolMax = 6;
const offered: readonly Capability[] = ['memory.seen', 'vt-d', 'vt-d.register', 'vt-d.interrupt', 'vt-d.reset'];

export interface VtdSide {
  /** Nothing where this QEMU lacks a device. */
  readonly offers: readonly Capability[];
  reset(
    config: MachineConfig,
    vtd: VtdMachine,
  ): { readonly granted: Granted } | { readonly unsupported: string } | { readonly broke: string };
  applyAll(stimuli: readonly Stimulus[]): readonly Answer[];
  close(): void;
}

/** What intel-iommu's properties are called; none where there is no such device. Other devices that are missing refuse the machine. */
const propertiesOf = (binary: string): ReadonlySet<string> => {
  const help = spawnSync(binary, ['-device', 'intel-iommu,help'], { encoding: 'latin1', timeout: 20_000 });
  return new Set([...(help.stdout ?? '').matchAll(/^ {2}([\w-]+)=/gm)].map((m) => m[1] ?? ''));
};

export const vtdSide = (binary: string, watchdog: Watchdog): VtdSide => {
  const properties = propertiesOf(binary);
  // In the order of use, the last used last.
  const pool = new Map<string, VtdQemu>();
  let current: { readonly key: string; readonly machine: VtdQemu } | undefined;
  const drop = (key: string): void => {
    pool.get(key)?.close();
    pool.delete(key);
    if (current?.key === key) current = undefined;
  };
  const fresh = (machine: VtdQemu, config: MachineConfig): boolean => {
    try {
      if (!machine.restart()) return false;
    } catch (error) {
      if (machine.running.ended() === undefined) throw error;
      return false;
    }
    machine.memory.refill(config.fill);
    for (const piece of config.image ?? []) machine.memory.write(piece.at, piece.bytes);
    return true;
  };
  const granted = (config: MachineConfig, vtd: VtdMachine): Granted => ({
    memory: { size: config.memory, fill: config.fill, seen: 'compared' },
    level: 'pci',
    reset: 'device',
    offers: offered,
    vtd,
  });
  return {
    offers: properties.size === 0 ? [] : offered,
    reset: (config, vtd) => {
      if (properties.size === 0) return { unsupported: 'this QEMU has no intel-iommu' };
      const want = wantedVtd(config, vtd, properties);
      if ('unsupported' in want) return want;
      // One retry: a process that died since its last answer is replaced.
      for (let tries = 0; tries < 2; tries++) {
        let machine = pool.get(want.key);
        if (machine === undefined) {
          const [oldest] = pool.keys();
          if (oldest !== undefined && pool.size >= poolMax) drop(oldest);
          const started = startVtd(binary, want, watchdog);
          if ('unsupported' in started) return started;
          machine = started;
        }
        pool.delete(want.key);
        pool.set(want.key, machine);
        current = { key: want.key, machine };
        if (fresh(machine, config)) return { granted: granted(config, vtd) };
        drop(want.key);
      }
      return { broke: 'the machine does not reset' };
    },
    applyAll: (stimuli) => {
      if (current === undefined) return [{ broke: 'no machine: reset comes first' }];
      const answers = applyVtd(current.machine, stimuli);
      // A processor that hangs while the process lives is replaced too.
      if (answers.some((a) => 'broke' in a)) drop(current.key);
      return answers;
    },
    close: () => {
      for (const key of pool.keys()) drop(key);
    },
  };
};
