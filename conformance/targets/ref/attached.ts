// Decides how a machine of the reference is reached: directly on a bare queue, through the bus lifters on PCI and MMIO.
// The machine itself tells interrupts as they happen, so the lifters' own look at status registers only acknowledges.

import type { Machine } from '../../../reference/machine.ts';
import type { Answer } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { type Bus, type BusOp, inTurn, type LiftedDevice, type Messages, type Unsupported } from '../../bus/bus.ts';
import type { Windows } from '../../bus/pci-function.ts';
import { openMmio } from '../../bus/virtio-mmio.ts';
import { openPci } from '../../bus/virtio-pci.ts';

const VIRTIO_ID_BLOCK = 2;
/** The function decodes its BARs wherever they are; these are as on a PC. */
const windows: Windows = { memory: 0xe000_0000, io: 0xc000, stride: 0x100_0000 };
/** Outside any guest memory: the machine shows a message sent there as an interrupt, so there is never one to take. */
const messages: Messages = { at: 0xfee0_0000n, vectors: 65, take: () => [] };

export interface Attached {
  readonly apply: (stimulus: Stimulus) => Answer;
  /** As new. Undefined, or why the machine could not be made reachable again. */
  readonly reset: () => string | undefined;
}

/** A machine that answered `broke` in the middle of a lifted stimulus. */
interface Broken extends Error {
  readonly kind: 'broke';
}
const broken = (why: string): Broken => Object.assign(new Error(why), { kind: 'broke' as const });
const isBroken = (error: unknown): error is Broken => error instanceof Error && 'kind' in error && error.kind === 'broke';

const stimulusOf = (op: BusOp): Stimulus => {
  const { at, width } = op;
  if (op.space === 'bar') {
    const { bar } = op;
    return op.kind === 'read' ? { do: 'pci.bar.read', bar, at, width } : { do: 'pci.bar.write', bar, at, width, value: op.value };
  }
  if (op.space === 'mmio') return op.kind === 'read' ? { do: 'mmio.read', at, width } : { do: 'mmio.write', at, width, value: op.value };
  return op.kind === 'read' ? { do: 'pci.config.read', at, width } : { do: 'pci.config.write', at, width, value: op.value };
};

/** The machine's bus; what accesses cause beside their value is put into `caused`. */
const busOf = (machine: Machine, caused: Observation[]): Bus => ({
  run: (ops) => {
    const results: number[] = [];
    for (const op of ops) {
      const answer = machine.apply(stimulusOf(op));
      if ('broke' in answer) throw broken(answer.broke);
      if ('unsupported' in answer) throw new Error(`the reference has no ${answer.unsupported}`);
      let result = 0;
      for (const seen of answer.saw) {
        if (seen.saw === 'pci.config' || seen.saw === 'pci.bar' || seen.saw === 'mmio') result = seen.value;
        else caused.push(seen);
      }
      results.push(result);
    }
    return results;
  },
});

const direct = (machine: Machine): Attached => ({
  apply: machine.apply,
  reset: () => {
    machine.reset();
    return undefined;
  },
});

/** What the bus itself carries, whatever stands on it. */
const raw: ReadonlySet<Stimulus['do']> = new Set([
  'memory.write',
  'settle',
  'host.resize',
  'pci.config.read',
  'pci.config.write',
  'pci.bar.read',
  'pci.bar.write',
  'mmio.read',
  'mmio.write',
]);
/** A bus on which no virtio device was found: its own accesses reach it, and there is no control plane, which `why` explains. */
export const rawBus = (machine: Machine, why: string): Attached => ({
  ...direct(machine),
  apply: (stimulus) => (raw.has(stimulus.do) ? machine.apply(stimulus) : { unsupported: why }),
});

/** Attaches a fresh machine. */
export const attach = (machine: Machine, bus: 'none' | 'pci' | 'mmio'): Attached | Unsupported => {
  if (bus === 'none') return direct(machine);
  const caused: Observation[] = [];
  const accesses = busOf(machine, caused);
  const device = bus === 'pci' ? openPci(accesses, VIRTIO_ID_BLOCK, windows, messages) : openMmio(accesses, VIRTIO_ID_BLOCK);
  if ('unsupported' in device) return device;
  return {
    apply: (stimulus) => {
      // What is no register access is the machine's own.
      if (stimulus.do === 'memory.write' || stimulus.do === 'settle' || stimulus.do === 'host.resize')
        return acknowledged(bus, accesses, device, machine.apply(stimulus));
      const lifted = device.lift(stimulus);
      if ('unsupported' in lifted) return lifted;
      caused.length = 0;
      try {
        const results = accesses.run(lifted.ops);
        return acknowledged(bus, accesses, device, { saw: [...caused, ...lifted.saw(results)] });
      } catch (error) {
        if (isBroken(error)) return { broke: error.message };
        throw error;
      }
    },
    reset: () => {
      machine.reset();
      try {
        return inTurn(accesses, device.prepare(true)) ? undefined : 'the device does not reset';
      } catch (error) {
        if (isBroken(error)) return error.message;
        throw error;
      }
    },
  };
};

/** An MMIO interrupt line that was seen to rise is acknowledged, as a driver would, unless the program does so itself: the lifter knows. */
const acknowledged = (bus: 'pci' | 'mmio', accesses: Bus, device: LiftedDevice, answer: Answer): Answer => {
  if (bus === 'mmio' && 'saw' in answer && answer.saw.some((o) => o.saw === 'interrupt')) inTurn(accesses, device.look());
  return answer;
};
