// The remapping unit's side of the QEMU target: which machines there are, and what makes one as new.

import { spawnSync } from 'node:child_process';
import type { Capability, Granted, MachineConfig } from '../../../../spec/units.ts';
import type { VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';
import type { Lane } from '../../host/lanes.ts';
import { createPool } from '../pool.ts';
import type { Watchdog } from '../watchdog.ts';
import { applyVtd } from './apply.ts';
import { startVtd, type VtdQemu, wantedVtd } from './machine.ts';

/** Processes kept: suites visit their machines in turn, and each has two. */
const poolMax = 14;
const offered: readonly Capability[] = ['memory.seen', 'vt-d', 'vt-d.register', 'vt-d.interrupt', 'vt-d.reset'];

export interface VtdSide {
  /** Nothing where this QEMU lacks a device. */
  readonly offers: readonly Capability[];
  /** A lane of that number on such a machine; a process for each number. */
  lane(number: number, config: MachineConfig, vtd: VtdMachine): Lane;
  /** Begins the reset of the process that a lane of that number has on this machine, if it has one. */
  rest(number: number, config: MachineConfig, vtd: VtdMachine): void;
  close(): void;
}

/** What intel-iommu's properties are called; none where there is no such device. Other devices that are missing refuse the machine. */
const propertiesOf = (binary: string): ReadonlySet<string> => {
  const help = spawnSync(binary, ['-device', 'intel-iommu,help'], { encoding: 'latin1', timeout: 20_000 });
  return new Set([...(help.stdout ?? '').matchAll(/^ {2}([\w-]+)=/gm)].map((m) => m[1] ?? ''));
};

export const vtdSide = (binary: string, watchdog: Watchdog): VtdSide => {
  const properties = propertiesOf(binary);
  const pool = createPool<VtdQemu>(poolMax);
  const plans = new WeakMap<MachineConfig, ReturnType<typeof wantedVtd>>();
  const planOf = (config: MachineConfig, vtd: VtdMachine): ReturnType<typeof wantedVtd> => {
    const plan = plans.get(config) ?? wantedVtd(config, vtd, properties);
    plans.set(config, plan);
    return plan;
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
    lane: (number, config, vtd) =>
      pool.lane(number, () => {
        if (properties.size === 0) return { unsupported: 'this QEMU has no intel-iommu' };
        const want = planOf(config, vtd);
        if ('unsupported' in want) return want;
        return {
          key: want.key,
          start: () => startVtd(binary, want, watchdog),
          reset: function* (machine) {
            if (!(yield* machine.restart())) return false;
            machine.memory.refill(config.fill);
            for (const piece of config.image ?? []) machine.memory.write(piece.at, piece.bytes);
            return true;
          },
          granted: () => granted(config, vtd),
          applyAll: applyVtd,
        };
      }),
    rest: (number, config, vtd) => {
      const want = planOf(config, vtd);
      const machine = 'unsupported' in want ? undefined : pool.get(number, want.key);
      try {
        machine?.begin();
      } catch (error) {
        if (machine?.running.ended() === undefined) throw error;
      }
    },
    close: () => pool.close(),
  };
};
