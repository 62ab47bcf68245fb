// What an adapter's author imports: the contract's types, and `serve`, which puts a target on stdin and stdout.

export type {
  Answer,
  Awaitable,
  Bus,
  Capability,
  Granted,
  Hello,
  MachineConfig,
  Target,
} from '../spec/units.ts';
export type { Event, Observation, Stimulus } from '../spec/vocabulary.ts';
export type { BlkMachine, VirtioMachine } from '../spec/virtio/vocabulary.ts';
export { serve } from './serve.ts';
