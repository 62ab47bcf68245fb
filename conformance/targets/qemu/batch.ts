// Stimuli of one program as batches of accesses: consecutive ones go out together, and what waits sends the batch first, so that order holds.
// Stores of a device that sleeps need no place in a batch. It stops wherever QEMU is at work.

import type { Answer } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import type { Lifted } from '../../bus/bus.ts';
import type { Waits } from '../host/lanes.ts';
import { type QemuOp, windows } from './bus.ts';
import type { Machine } from './machine.ts';
import { arriving } from './qtest.ts';
import { linger, seen, settle } from './settle.ts';

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

/** Applies them in order. */
export function* applyBatch(machine: Machine, stimuli: readonly Stimulus[]): Waits<readonly Answer[]> {
  const answers: Answer[] = [];
  let pending: Pending[] = [];
  /** Sends the batch, and lets `meanwhile` pass before its results are waited for. */
  const flush = function* (meanwhile?: Waits<void>): Waits<void> {
    if (pending.length === 0) return meanwhile === undefined ? undefined : yield* meanwhile;
    const batch = pending;
    pending = [];
    const ops: QemuOp[] = [];
    for (const p of batch) ops.push(...p.ops);
    const results: number[] = [];
    try {
      const finish = machine.bus.start(ops, results);
      if (meanwhile !== undefined) yield* meanwhile;
      yield* arriving(machine.bus);
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
  const store = function* (at: bigint, bytes: Uint8Array): Waits<void> {
    // Nothing that waits in the batch lets a sleeping device look at memory.
    if (pending.length > 0 && machine.activity.roused) {
      if (bytes.length > 0 && bytes.length <= batchedStore && machine.memory.note(at, bytes)) {
        pending.push({ answer: answers.length, ops: [{ kind: 'store', at, bytes }], saw: nothing });
        answers.push({ saw: [] });
        return;
      }
      yield* flush();
    }
    answers.push(machine.memory.write(at, bytes) ? { saw: [] } : { unsupported: `memory at ${at}` });
  };
  const control = (s: Stimulus): void => {
    const far = beyond(s);
    const lifted = far === undefined ? machine.device.lift(s) : { unsupported: far };
    if (rouses(s)) machine.activity.roused = true;
    if ('ops' in lifted) pending.push({ answer: answers.length, ops: lifted.ops, saw: lifted.saw });
    answers.push('ops' in lifted ? { saw: [] } : lifted);
  };
  const told = (saw: readonly Observation[]): void => void answers.push({ saw });
  const one = function* (s: Stimulus): Waits<void> {
    switch (s.do) {
      case 'memory.write':
        return yield* store(s.at, s.bytes);
      case 'settle':
        yield* flush(linger(s, machine.memory));
        return told(yield* settle(s, machine.running.pid, machine));
      case 'virtio.status.write':
        control(s);
        // What was in flight is finished or dropped by a reset: it is told here, or it would seem to come after the reset.
        if (s.value === 0 && machine.activity.roused) {
          machine.activity.roused = false;
          yield* flush();
          answers[answers.length - 1] = { saw: yield* seen(machine) };
        }
        return;
      case 'host.resize': {
        yield* flush();
        const error = machine.resize(s.sectors);
        if (error === undefined) told([]);
        else answers.push({ unsupported: error });
        return;
      }
      default:
        return control(s);
    }
  };
  try {
    for (const s of stimuli) yield* one(s);
    yield* flush();
  } catch (error) {
    const died = machine.running.ended();
    if (died === undefined) throw error;
    answers.push({ broke: died });
  }
  return answers;
}
