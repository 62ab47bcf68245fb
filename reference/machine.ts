// Decides which machine of the reference a description asks for: what it describes (a virtio device, a processor, a remapping unit) builds it.
// Every machine is synchronous: an answer holds all that the stimulus caused, in the order it happened, replies last.

import type { Answer, Granted, MachineConfig } from '../spec/units.ts';
import type { Stimulus } from '../spec/vocabulary.ts';
import { monitorMachine, monitorRefusal } from './monitors/machine.ts';
import { type MachineOptions, virtioMachine, virtioRefusal } from './virtio/machine.ts';
import { vtdMachine, vtdRefusal } from './vt-d/machine.ts';

export interface Machine {
  readonly granted: Granted;
  readonly apply: (stimulus: Stimulus) => Answer;
  /** Everything as it was before the first stimulus. */
  readonly reset: () => void;
}
/** One kind of machine. */
interface Kind {
  /** Why no such machine can be built. */
  readonly refusal: (config: MachineConfig) => string | undefined;
  /** Throws RangeError where `refusal` gives a reason. */
  readonly build: (config: MachineConfig, options: MachineOptions) => Machine;
}
/** By the part of the description that asks for it. */
const kinds: readonly (readonly [part: 'virtio' | 'cpu' | 'vtd', kind: Kind])[] = [
  ['virtio', { refusal: virtioRefusal, build: virtioMachine }],
  ['cpu', { refusal: monitorRefusal, build: monitorMachine }],
  ['vtd', { refusal: vtdRefusal, build: vtdMachine }],
];

const kindOf = (config: MachineConfig): Kind | string => {
  const asked = kinds.filter(([part]) => config[part] !== undefined);
  const [first] = asked;
  if (first === undefined) return 'a machine without a device, a processor or a remapping unit';
  return asked.length === 1 ? first[1] : `a machine with ${asked.map(([part]) => part).join(' and ')} at once`;
};

/** Why no such machine can be built. */
export const refusal = (config: MachineConfig): string | undefined => {
  const kind = kindOf(config);
  return typeof kind === 'string' ? kind : kind.refusal(config);
};
/** Throws RangeError where `refusal` gives a reason. */
export const createMachine = (config: MachineConfig, options: MachineOptions = {}): Machine => {
  const kind = kindOf(config);
  if (typeof kind === 'string') throw new RangeError(`unsupported machine: ${kind}`);
  return kind.build(config, options);
};
