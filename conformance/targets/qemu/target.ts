// QEMU behind the four verbs: a small pool of processes, one per kind of machine, reset in place; a dead one is an answer, then a new one.
// Consecutive stimuli go out as one batch; stores of a device that sleeps need no place in it. What waits sends the batch first, so order holds.

import type { Answer, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { VirtioMachine } from '../../../spec/virtio/vocabulary.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import type { Lifted } from '../../bus/bus.ts';
import { wanted } from './arguments.ts';
import { type QemuOp, windows } from './bus.ts';
import { type Machine, startMachine } from './machine.ts';
import { type Model, microvm, q35 } from './models.ts';
import { find, type Probe, probe } from './probe.ts';
import { linger, seen, settle } from './settle.ts';
import { vtdSide } from './vt-d/target.ts';
import { startWatchdog } from './watchdog.ts';

/** Processes kept: suites have few machines, and each costs some 50 MB. */
const poolMax = 4;

/** Raw accesses that the bus cannot carry to this device, or that would reach another one. */
function beyond(s: Stimulus): string | undefined {
  switch (s.do) {
    case 'pci.config.read':
    case 'pci.config.write':
      return s.at < 0 || s.at + s.width > 0x100 || s.at % s.width !== 0 ? `configuration access at ${s.at}, width ${s.width}` : undefined;
    case 'pci.bar.read':
    case 'pci.bar.write':
      return s.bar < 0 || s.bar > 5 || s.at < 0 || s.at + s.width > windows.stride ? `BAR ${s.bar} at ${s.at}` : undefined;
    case 'mmio.read':
    case 'mmio.write':
      return s.at < 0 || s.at + s.width > 0x200 ? `register at ${s.at}` : undefined;
    default:
      return undefined;
  }
}

const DRIVER_OK = 4;
/** After these the device may touch memory. */
const rouses = (s: Stimulus): boolean =>
  s.do === 'virtio.status.write'
    ? (s.value & DRIVER_OK) !== 0
    : s.do === 'virtq.notify' || s.do === 'pci.bar.write' || s.do === 'pci.config.write' || s.do === 'mmio.write';

/** A longer store goes to the file: the FIFOs have no room for it. */
const batchedStore = 4096;

/** The batch not sent yet: each lifted stimulus and the place of its answer. */
interface Pending {
  readonly answer: number;
  readonly ops: readonly QemuOp[];
  readonly saw: Lifted['saw'];
}
const nothing: Lifted['saw'] = () => [];

/** `spare` is done while QEMU is at work. */
function applyBatch(machine: Machine, stimuli: readonly Stimulus[], spare: (() => void) | undefined): readonly Answer[] {
  const answers: Answer[] = [];
  let pending: Pending[] = [];
  /** Sends the batch, and lets `meanwhile` pass before its results are waited for. */
  const flush = (meanwhile?: () => void): void => {
    if (pending.length === 0) return meanwhile?.();
    const batch = pending;
    pending = [];
    const ops: QemuOp[] = [];
    for (const p of batch) ops.push(...p.ops);
    const results: number[] = [];
    try {
      const finish = machine.bus.start(ops, results);
      spare?.();
      meanwhile?.();
      finish();
    } finally {
      let at = 0;
      for (const { answer, ops: own, saw } of batch) {
        const end = at + own.length;
        if (end > results.length) {
          answers.length = answer;
          break;
        }
        answers[answer] = { saw: saw(results.slice(at, end)) };
        at = end;
      }
    }
  };
  const store = (at: bigint, bytes: Uint8Array): void => {
    // Nothing that waits in the batch lets a sleeping device look at memory.
    if (pending.length > 0 && machine.activity.roused) {
      if (bytes.length > 0 && bytes.length <= batchedStore && machine.memory.note(at, bytes)) {
        pending.push({ answer: answers.length, ops: [{ kind: 'store', at, bytes }], saw: nothing });
        answers.push({ saw: [] });
        return;
      }
      flush();
    }
    answers.push(machine.memory.write(at, bytes) ? { saw: [] } : { unsupported: `memory at ${at}` });
  };
  const now = (saw: () => readonly Observation[] | { readonly unsupported: string }): void => {
    flush();
    const seen = saw();
    answers.push('unsupported' in seen ? seen : { saw: seen });
  };
  const control = (s: Stimulus): void => {
    const far = beyond(s);
    const lifted = far === undefined ? machine.device.lift(s) : { unsupported: far };
    if (rouses(s)) machine.activity.roused = true;
    if ('ops' in lifted) pending.push({ answer: answers.length, ops: lifted.ops, saw: lifted.saw });
    answers.push('ops' in lifted ? { saw: [] } : lifted);
  };
  const one = (s: Stimulus): void => {
    switch (s.do) {
      case 'memory.write':
        return store(s.at, s.bytes);
      case 'settle':
        flush(() => linger(s, machine.memory));
        return now(() => settle(s, machine.running.pid, machine.memory, machine.device));
      case 'virtio.status.write':
        control(s);
        // What was in flight is finished or dropped by a reset: it is told here, or it would seem to come after the reset.
        if (s.value === 0 && machine.activity.roused) {
          machine.activity.roused = false;
          flush();
          answers[answers.length - 1] = { saw: seen(machine.memory, machine.device) };
        }
        return;
      case 'host.resize':
        return now(() => {
          const error = machine.resize(s.sectors);
          return error === undefined ? [] : { unsupported: error };
        });
      default:
        return control(s);
    }
  };
  try {
    for (const s of stimuli) one(s);
    flush();
  } catch (error) {
    const died = machine.running.ended();
    if (died === undefined) throw error;
    answers.push({ broke: died });
  }
  return answers;
}

function connect(model: Model, binary: string | undefined): Target {
  const found = find(model, binary);
  if ('reason' in found) throw new Error(`${model.name}: ${found.reason}`);
  const watchdog = startWatchdog();
  const remapping = model === q35 ? vtdSide(found.binary, watchdog) : undefined;
  const offers = [...new Set([...model.offers, ...(remapping?.offers ?? [])])];
  const hello: Hello = { protocol: 1, name: model.name, version: found.version, offers };
  /** The current machine is the remapping unit's. */
  let remaps = false;
  // In the order of use, the last used last.
  const pool = new Map<string, Machine>();
  let current: { readonly key: string; readonly machine: Machine } | undefined;
  // What was worked out for a machine before: most programs ask for the one that the last asked for.
  const plans = new WeakMap<MachineConfig, ReturnType<typeof wanted>>();
  // Machines whose function raw accesses may have spoilt.
  const disturbed = new Set<string>();

  const drop = (key: string): void => {
    pool.get(key)?.close();
    pool.delete(key);
    disturbed.delete(key);
    if (current?.key === key) current = undefined;
  };
  const room = (): void => {
    const [oldest] = pool.keys();
    if (oldest !== undefined && pool.size >= poolMax) drop(oldest);
  };
  const applyAll = (stimuli: readonly Stimulus[], meanwhile?: () => void): readonly Answer[] => {
    if (remaps && remapping !== undefined) return remapping.applyAll(stimuli);
    if (current === undefined) return [{ broke: 'no machine: reset comes first' }];
    if (stimuli.some((s) => s.do === 'pci.config.write' || s.do === 'pci.bar.write')) disturbed.add(current.key);
    return applyBatch(current.machine, stimuli, meanwhile);
  };
  const reset = (config: MachineConfig): ReturnType<Target['reset']> => {
    remaps = config.vtd !== undefined;
    if (config.vtd !== undefined) return remapping?.reset(config, config.vtd) ?? { unsupported: `${model.name} with a remapping unit` };
    const want = plans.get(config) ?? wanted(model, config, found.properties);
    plans.set(config, want);
    if ('unsupported' in want) return want;
    // One retry: a process that died since its last answer is replaced.
    for (let tries = 0; tries < 2; tries++) {
      let machine = pool.get(want.key);
      if (machine === undefined) {
        room();
        const started = startMachine(found.binary, model, want, watchdog);
        if ('unsupported' in started) return started;
        machine = started;
      }
      pool.delete(want.key);
      pool.set(want.key, machine);
      current = { key: want.key, machine };
      try {
        if (machine.reset(config.fill, disturbed.delete(want.key))) return { granted: granted(config, machine) };
      } catch (error) {
        if (machine.running.ended() === undefined) throw error;
      }
      drop(want.key);
    }
    return { broke: 'the device does not reset' };
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
  return {
    hello,
    reset,
    apply: (stimulus) => applyAll([stimulus])[0] ?? { broke: 'no answer' },
    applyAll,
    flow: function* (steps) {
      if (remaps && remapping !== undefined) yield* remapping.flow(steps);
      else for (const stimuli of steps) yield applyAll(stimuli);
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
