// Everything that can be done to a machine or seen of it: the union of the areas' vocabularies. Types only.

import type { CpuDerived, CpuObservation, CpuStimulus } from './instructions/vocabulary.ts';
import type { Gpa, Scope } from './units.ts';
import type { VirtioDerived, VirtioObservation, VirtioStimulus } from './virtio/vocabulary.ts';
import type { VtdDerived, VtdObservation, VtdStimulus } from './vt-d/vocabulary.ts';

/** The guest stores bytes into its own memory. */
export interface MemoryWrite {
  readonly do: 'memory.write';
  readonly at: Gpa;
  readonly bytes: Uint8Array;
}
/** Let everything finish that can. `until` is a hint: u16 little-endian words that will hold these values when the work is done;
 *  `interrupt` says that an interrupt is expected too. The answer ends with `settled`, whatever came. */
export interface Settle {
  readonly do: 'settle';
  readonly until?: readonly { readonly at: Gpa; readonly value: number }[];
  readonly interrupt?: boolean;
}
/** Memory the target changed since the last look: a set in ascending order, or one write each where the target offers memory.order. */
export interface MemoryChanged {
  readonly saw: 'memory.changed';
  readonly writes: readonly { readonly at: Gpa; readonly bytes: Uint8Array }[];
}
/** Nothing more will come without another stimulus. `by` is the evidence: the target is synchronous; every `until` (and the
 *  interrupt) was seen and a later round trip found no more; the target proved itself idle; or only a time bound ran out. */
export interface Settled {
  readonly saw: 'settled';
  readonly by: 'sync' | 'until' | 'idle' | 'bound';
}
/** The target died, hung or could not go on; the rest of the program was not applied. */
export interface Broke {
  readonly saw: 'broke';
  readonly why: string;
}
/** The target cannot do the last stimulus. */
export interface Unsupported {
  readonly saw: 'unsupported';
  readonly what: string;
}
/** Derived: a scope was reset; duties broken in it are forgiven. */
export interface ScopeReset {
  readonly saw: 'scope.reset';
  readonly scope: Scope;
}

export type CoreStimulus = MemoryWrite | Settle;
export type CoreObservation = MemoryChanged | Settled | Broke | Unsupported;

export type Stimulus = CoreStimulus | VirtioStimulus | CpuStimulus | VtdStimulus;
export type Observation = CoreObservation | VirtioObservation | CpuObservation | VtdObservation;
/** Events that only `Area.observe` makes; they are never on the wire. */
export type Derived = ScopeReset | VirtioDerived | CpuDerived | VtdDerived;
export type Event = Stimulus | Observation | Derived;
export type StimulusName = Stimulus['do'];
export type EventName = StimulusName | Observation['saw'] | Derived['saw'];
/** The event of a name. */
export type EventOf<N extends EventName> = Extract<Event, { readonly do: N } | { readonly saw: N }>;
