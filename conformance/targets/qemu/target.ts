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
import { createPool, type Kind } from './pool.ts';
import { find, type Probe, probe } from './probe.ts';
import { vtdSide } from './vt-d/target.ts';
import { startWatchdog } from './watchdog.ts';

/** Processes kept: each costs some 50 MB, and a start as much time as some hundred programs. The suites of a block device have six kinds of machine. */
const poolMax = 12;
/** Programs side by side: while one QEMU is at work, we are at work for the other. */
const lanesOf = 2;

/** Where there is no such machine, for that reason, or none was asked for. */
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
const none = empty({ broke: 'no machine: reset comes first' });

function connect(model: Model, binary: string | undefined): Target {
  const found = find(model, binary);
  if ('reason' in found) throw new Error(`${model.name}: ${found.reason}`);
  const watchdog = startWatchdog();
  const remapping = model === q35 ? vtdSide(found.binary, watchdog) : undefined;
  const offers = [...new Set([...model.offers, ...(remapping?.offers ?? [])])];
  const hello: Hello = { protocol: 1, name: model.name, version: found.version, offers };
  const pool = createPool<Machine>(poolMax);
  // What was worked out for a machine before: most programs ask for the one that the last asked for.
  const plans = new WeakMap<MachineConfig, ReturnType<typeof wanted>>();
  // Machines whose function raw accesses may have spoilt.
  const disturbed = new WeakSet<Machine>();

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
  const kindOf = (config: MachineConfig): Kind<Machine> | { readonly unsupported: string } => {
    const want = plans.get(config) ?? wanted(model, config, found.properties);
    plans.set(config, want);
    if ('unsupported' in want) return want;
    return {
      key: want.key,
      start: () => startMachine(found.binary, model, want, watchdog),
      reset: (machine) => machine.reset(config.fill, disturbed.delete(machine)),
      granted: (machine) => granted(config, machine),
      applyAll: (machine, stimuli) => {
        if (stimuli.some((s) => s.do === 'pci.config.write' || s.do === 'pci.bar.write')) disturbed.add(machine);
        return applyBatch(machine, stimuli);
      },
    };
  };
  const laneOf = (number: number, config: MachineConfig): Lane =>
    config.vtd === undefined
      ? pool.lane(number, () => kindOf(config))
      : (remapping?.lane(number, config, config.vtd) ?? empty({ unsupported: `${model.name} with a remapping unit` }));

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
      pool.close();
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
