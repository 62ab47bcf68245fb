// The remapping unit's side of the QEMU target: which machines there are, a small pool of them, and a fresh one after a death.

import { spawnSync } from 'node:child_process';
import type { Answer, Capability, Granted, MachineConfig } from '../../../../spec/units.ts';
import type { VtdMachine } from '../../../../spec/vt-d/vocabulary.ts';
import type { Stimulus } from '../../../../spec/vocabulary.ts';
import type { Watchdog } from '../watchdog.ts';
import { applyVtd, flowVtd } from './apply.ts';
import { type Starting, startVtd, type VtdQemu, type WantedVtd, wantedVtd } from './machine.ts';

/** Pairs kept: suites visit their machines in turn. */
const poolMax = 7;
/** Steps of a program in which a reset ends that was begun before it. */
const resetWithin = 6;
interface Pair {
  readonly ready: readonly VtdQemu[];
  readonly starting: Starting | undefined;
}
const offered: readonly Capability[] = ['memory.seen', 'vt-d', 'vt-d.register', 'vt-d.interrupt', 'vt-d.reset'];

export interface VtdSide {
  /** Nothing where this QEMU lacks a device. */
  readonly offers: readonly Capability[];
  reset(
    config: MachineConfig,
    vtd: VtdMachine,
  ): { readonly granted: Granted } | { readonly unsupported: string } | { readonly broke: string };
  applyAll(stimuli: readonly Stimulus[]): readonly Answer[];
  flow(steps: Iterable<readonly Stimulus[]>): Iterable<readonly Answer[]>;
  close(): void;
}

/** What intel-iommu's properties are called; none where there is no such device. Other devices that are missing refuse the machine. */
const propertiesOf = (binary: string): ReadonlySet<string> => {
  const help = spawnSync(binary, ['-device', 'intel-iommu,help'], { encoding: 'latin1', timeout: 20_000 });
  return new Set([...(help.stdout ?? '').matchAll(/^ {2}([\w-]+)=/gm)].map((m) => m[1] ?? ''));
};

export const vtdSide = (binary: string, watchdog: Watchdog): VtdSide => {
  const properties = propertiesOf(binary);
  // Two processes a machine, so that one resets while the other works: a reset takes as long as a program. Machines in the order of use, the last used last.
  const pool = new Map<string, Pair>();
  let current: { readonly key: string; readonly machine: VtdQemu } | undefined;
  /** The machine that was asked for last. */
  let latest = '';
  /** It resets while the current one works. */
  let resting: VtdQemu | undefined;
  const drop = (key: string, machine: VtdQemu): void => {
    machine.close();
    const { ready = [], starting } = pool.get(key) ?? {};
    const others = ready.filter((m) => m !== machine);
    if (others.length > 0 || starting !== undefined) pool.set(key, { ready: others, starting });
    else pool.delete(key);
    if (current?.machine === machine) current = undefined;
    if (resting === machine) resting = undefined;
  };
  const end = ({ ready, starting }: Pair): void => {
    for (const machine of ready) machine.close();
    starting?.close();
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
  /** The one that was used last begins its reset; the other is given, or one that is started. A machine that is asked for again gets its second process. */
  const next = (want: WantedVtd): VtdQemu | { readonly unsupported: string } => {
    const again = latest === want.key;
    latest = want.key;
    const last = current?.machine;
    last?.begin();
    resting = last;
    let { ready, starting } = pool.get(want.key) ?? { ready: [], starting: undefined };
    const start = (): Starting => startVtd(binary, want, watchdog);
    if (ready.length === 0 && starting === undefined) {
      const [oldest, pair] = [...pool][0] ?? [];
      if (oldest !== undefined && pair !== undefined && pool.size >= poolMax) {
        pool.delete(oldest);
        if (current?.key === oldest) current = resting = undefined;
        end(pair);
      }
      starting = start();
    }
    let chosen = ready.find((m) => m !== last) ?? (starting === undefined ? ready[0] : undefined);
    if (chosen === undefined) {
      const started = (starting as Starting).finish();
      starting = undefined;
      pool.set(want.key, { ready, starting });
      if (!('unsupported' in started)) chosen = started;
      // The second of a pair does not come up: the first goes on alone.
      else if (ready[0] !== undefined) chosen = ready[0];
      else return pool.delete(want.key), started;
    }
    ready = [...ready.filter((m) => m !== chosen), chosen];
    if (again && ready.length === 1) starting ??= start();
    pool.delete(want.key);
    pool.set(want.key, { ready, starting });
    if (resting === chosen) resting = undefined;
    return chosen;
  };
  /** Gets the resting machine on. A death is told when it is asked for. */
  const prepare = (): void => {
    try {
      resting?.prepare();
    } catch (error) {
      if (resting?.running.ended() === undefined) throw error;
    }
    resting = undefined;
  };
  const noMachine: Answer = { broke: 'no machine: reset comes first' };
  /** A processor that hangs while the process lives is replaced too. */
  const endsIn = (answers: readonly Answer[], of: { readonly key: string; readonly machine: VtdQemu }): void => {
    if (answers.some((a) => 'broke' in a)) drop(of.key, of.machine);
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
      if (current === undefined) return [noMachine];
      const answers = applyVtd(current.machine, stimuli);
      endsIn(answers, current);
      return answers;
    },
    *flow(steps) {
      if (current === undefined) return yield [noMachine];
      const now = current;
      let played = 0;
      for (const answers of flowVtd(now.machine, steps)) {
        if (++played === resetWithin) prepare();
        endsIn(answers, now);
        yield answers;
      }
    },
    close: () => {
      for (const pair of pool.values()) end(pair);
      pool.clear();
      current = resting = undefined;
    },
  };
};
