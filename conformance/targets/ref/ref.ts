// Decides how the reference answers as a target: in process, synchronous, one machine kept as long as the same one is asked for.
// Buses are offered raw (mmio.* and pci.* stimuli); lifting them to the control plane is not done here.

import { createMachine, type Machine, refusal } from '../../../reference/machine.ts';
import type { Answer, Capability, Granted, MachineConfig, Target } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';

const offers: readonly Capability[] = [
  'memory.order',
  'memory.seen',
  'virtio.blk',
  'virtio.status',
  'virtio.generation',
  'virtio.interrupt.queue',
  'virtq.base',
  'host.resize',
  'disk.seen',
  'virtio.pci',
  'virtio.mmio',
];

/** The reference. Its answers are never promises. */
export interface RefTarget extends Target {
  reset(machine: MachineConfig): { readonly granted: Granted } | { readonly unsupported: string };
  apply(stimulus: Stimulus): Answer;
  applyAll(stimuli: readonly Stimulus[]): readonly Answer[];
  close(): void;
}

export const refTarget = (): RefTarget => {
  let machine: Machine | undefined;
  let built: MachineConfig | undefined;
  const apply = (stimulus: Stimulus): Answer => machine?.apply(stimulus) ?? { broke: 'no machine: reset comes first' };
  return {
    hello: { protocol: 1, name: 'ref', version: '0.1.0', offers },
    reset: (config) => {
      if (machine !== undefined && built !== undefined && same(built, config)) {
        machine.reset();
        return { granted: machine.granted };
      }
      const unsupported = refusal(config);
      if (unsupported !== undefined) return { unsupported };
      machine = createMachine(config);
      built = config;
      return { granted: machine.granted };
    },
    apply,
    applyAll: (stimuli) => {
      const answers: Answer[] = [];
      for (const stimulus of stimuli) {
        const answer = apply(stimulus);
        answers.push(answer);
        if ('broke' in answer) break;
      }
      return answers;
    },
    close: () => {
      machine = undefined;
      built = undefined;
    },
  };
};

/** Whether the two describe one machine, value by value. */
const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([key, value]) => right.has(key) && same(value, right.get(key)));
};
