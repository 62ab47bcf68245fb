// QEMU behind the four verbs: a small pool of processes, reset in place; a dead one is an answer, then a new one.
// Each kind of machine has as many lanes as processes: programs side by side each have a process of their own.

import type { Answer, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { VirtioMachine } from '../../../spec/virtio/vocabulary.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { abreast, inTurn, type Lane, waited } from '../host/lanes.ts';
import { wanted } from './arguments.ts';
import { applyBatch } from './batch.ts';
import { type Machine, startMachine } from './machine.ts';
import { type Model, microvm, q35 } from './models.ts';
import { find, type Probe, probe } from './probe.ts';
import { vtdSide } from './vt-d/target.ts';
import { startWatchdog } from './watchdog.ts';

/** Processes kept: each costs some 50 MB, and a start as much time as some hundred programs. The suites of a block device have six kinds of machine. */
const poolMax = 12;
/** Programs side by side: while one QEMU is at work, we are at work for the other. */
const lanesOf = 2;

const noMachine = { broke: 'no machine: reset comes first' };
/** Where no machine stands, for that reason. */
const empty = (why: { readonly unsupported: string } | { readonly broke: string }): Lane => ({
  reset: function* () {
    yield;
    return why;
  },
  applyAll: function* () {
    yield;
    return [why];
  },
});
const none = empty(noMachine);

function connect(model: Model, binary: string | undefined): Target {
  const found = find(model, binary);
  if ('reason' in found) throw new Error(`${model.name}: ${found.reason}`);
  const watchdog = startWatchdog();
  const remapping = model === q35 ? vtdSide(found.binary, watchdog) : undefined;
  const offers = [...new Set([...model.offers, ...(remapping?.offers ?? [])])];
  const hello: Hello = { protocol: 1, name: model.name, version: found.version, offers };
  // In the order of use, the last used last.
  const pool = new Map<string, Machine>();
  // What was worked out for a machine before: most programs ask for the one that the last asked for.
  const plans = new WeakMap<MachineConfig, ReturnType<typeof wanted>>();
  // Machines whose function raw accesses may have spoilt.
  const disturbed = new Set<string>();

  const drop = (key: string): void => {
    pool.get(key)?.close();
    pool.delete(key);
    disturbed.delete(key);
  };
  const room = (): void => {
    const [oldest] = pool.keys();
    if (oldest !== undefined && pool.size >= poolMax) drop(oldest);
  };
  /** Field by field: a spread costs more than the rest of a reset's bookkeeping. */
  const deviceOf = ({ device, blk }: VirtioMachine, { offer, queueSizeMax, device: { queues } }: Machine): VirtioMachine => ({
    device,
    offer,
    queueSizeMax,
    queues,
    blk: { disk: 'pattern', sectors: blk.sectors, readOnly: blk.readOnly, blockSize: blk.blockSize, serial: blk.serial },
  });
  const granted = (config: MachineConfig, machine: Machine): Granted => ({
    memory: { size: machine.memory.size, fill: config.fill, seen: 'compared' },
    level: model.level,
    reset: 'device',
    offers: model.offers,
    ...(config.virtio === undefined ? {} : { virtio: deviceOf(config.virtio, machine) }),
  });
  const laneOf = (number: number, config: MachineConfig): Lane => {
    if (config.vtd !== undefined)
      return remapping?.lane(number, config, config.vtd) ?? empty({ unsupported: `${model.name} with a remapping unit` });
    let current: { readonly key: string; readonly machine: Machine } | undefined;
    /** A dead machine, or one that is left in the middle of something. */
    const forget = (key: string): void => {
      drop(key);
      current = undefined;
    };
    return {
      reset: function* () {
        current = undefined;
        const want = plans.get(config) ?? wanted(model, config, found.properties);
        plans.set(config, want);
        if ('unsupported' in want) return want;
        const key = `${number} ${want.key}`;
        // One retry: a process that died since its last answer is replaced.
        for (let tries = 0; tries < 2; tries++) {
          let machine = pool.get(key);
          if (machine === undefined) {
            room();
            const started = yield* startMachine(found.binary, model, want, watchdog);
            if ('unsupported' in started) return started;
            machine = started;
          }
          pool.delete(key);
          pool.set(key, machine);
          try {
            if (yield* machine.reset(config.fill, disturbed.delete(key))) {
              current = { key, machine };
              return { granted: granted(config, machine) };
            }
          } catch (error) {
            if (machine.running.ended() === undefined) throw error;
          }
          drop(key);
        }
        return { broke: 'the device does not reset' };
      },
      applyAll: function* (stimuli) {
        if (current === undefined) return [noMachine];
        if (stimuli.some((s) => s.do === 'pci.config.write' || s.do === 'pci.bar.write')) disturbed.add(current.key);
        const { key, machine } = current;
        try {
          const answers = yield* applyBatch(machine, stimuli);
          if (answers.some((a) => 'broke' in a)) forget(key);
          return answers;
        } catch (error) {
          forget(key);
          throw error;
        }
      },
    };
  };

  /** The lane of the verbs that do one thing at a time. */
  let alone: { readonly lane: Lane; readonly number: number; readonly config: MachineConfig } | undefined;
  const applyAll = (stimuli: readonly Stimulus[]): readonly Answer[] => waited((alone?.lane ?? none).applyAll(stimuli));
  return {
    hello,
    reset: (config) => {
      const last = alone;
      // A remapping unit's reset takes as long as a program: what was used last begins it while another is used.
      const number = config.vtd === undefined || last?.config !== config ? 0 : (last.number + 1) % lanesOf;
      alone = { lane: laneOf(number, config), number, config };
      if (config.vtd !== undefined && last?.config === config) remapping?.rest(last.number, config, config.vtd);
      return waited(alone.lane.reset());
    },
    apply: (stimulus) => applyAll([stimulus])[0] ?? { broke: 'no answer' },
    applyAll,
    sideBySide: (config, programs) => {
      alone = undefined;
      const lanes = Array.from({ length: lanesOf }, (_, number) => laneOf(number, config));
      const { vtd } = config;
      return vtd === undefined ? abreast(lanes, programs) : inTurn(lanes, programs, (number) => remapping?.rest(number, config, vtd));
    },
    close: () => {
      for (const key of pool.keys()) drop(key);
      remapping?.close();
      watchdog.close();
    },
  };
}

/** QEMU's q35 with virtio-blk-pci; another binary than the installed one where named. Throws where `probeQemu` says unavailable. */
export const qemuTarget = (binary?: string): Target => connect(q35, binary);
/** QEMU's microvm with virtio-blk over virtio-mmio. */
export const microvmTarget = (binary?: string): Target => connect(microvm, binary);
export const probeQemu = (binary?: string): Probe => probe(q35, binary);
export const probeMicrovm = (binary?: string): Probe => probe(microvm, binary);
