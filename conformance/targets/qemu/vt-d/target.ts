// The remapping unit's side of the QEMU target: which machines there are, a small pool of them, and a fresh one after a death.

import { spawnSync } from 'node:child_process';
import type { Answer, Capability, Granted, MachineConfig } from '../../../../spec/units.ts';
import type { VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';
import type { Stimulus } from '../../../../spec/vocabulary.ts';
import type { Watchdog } from '../watchdog.ts';
import { applyVtd } from './apply.ts';
import { startVtd, type VtdQemu, type WantedVtd, wantedVtd } from './machine.ts';

/** Pairs kept: suites visit their machines in turn. */
const poolMax = 7;
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
  // Two processes a machine, so that one resets while the other works: a reset takes as long as a program. The next to be used comes first.
  // Machines in the order of use, the last used last.
  const pool = new Map<string, readonly VtdQemu[]>();
  let current: { readonly key: string; readonly machine: VtdQemu } | undefined;
  const drop = (key: string, machine: VtdQemu): void => {
    machine.close();
    const others = (pool.get(key) ?? []).filter((m) => m !== machine);
    if (others.length > 0) pool.set(key, others);
    else pool.delete(key);
    if (current?.machine === machine) current = undefined;
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
  /** The one that was used last begins its reset; the other is given, or one that is started. */
  const next = (want: WantedVtd): VtdQemu | { readonly unsupported: string } => {
    const pair = pool.get(want.key) ?? [];
    const again = current?.key === want.key;
    current?.machine.begin();
    let [machine] = pair;
    if (machine === undefined || (again && pair.length === 1)) {
      const [oldest, old] = [...pool].find(([key]) => key !== want.key) ?? [];
      if (oldest !== undefined && pool.size >= poolMax) for (const m of old ?? []) drop(oldest, m);
      const started = startVtd(binary, want, watchdog);
      if ('unsupported' in started) return started;
      machine = started;
    }
    const chosen = machine;
    pool.delete(want.key);
    pool.set(want.key, [...pair.filter((m) => m !== chosen), chosen]);
    return chosen;
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
      // Retries: processes that died since their last answer are replaced.
      for (let tries = 0; tries < 3; tries++) {
        const machine = next(want);
        if ('unsupported' in machine) return machine;
        current = { key: want.key, machine };
        if (fresh(machine, config)) return { granted: granted(config, vtd) };
        drop(want.key, machine);
      }
      return { broke: 'the machine does not reset' };
    },
    applyAll: (stimuli) => {
      if (current === undefined) return [{ broke: 'no machine: reset comes first' }];
      const answers = applyVtd(current.machine, stimuli);
      // A processor that hangs while the process lives is replaced too.
      if (answers.some((a) => 'broke' in a)) drop(current.key, current.machine);
      return answers;
    },
    close: () => {
      for (const [key, pair] of pool) for (const machine of pair) drop(key, machine);
    },
  };
};
