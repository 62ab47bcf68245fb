// What a bus owes the lifters: batched accesses to PCI configuration space, BARs or MMIO registers, and a place for interrupt messages.
// One interface for every bus-level machine: a qtest socket, the reference's faces, a bus over somebody's stub.

import type { Observation, Stimulus } from '../../spec/vocabulary.ts';

/** Bytes of one access. */
export type Width = 1 | 2 | 4;
/** Where an access goes: a function's configuration space, one of its BARs (offset from its base), or a device's MMIO registers. */
export type Place =
  | { readonly space: 'pci-config'; readonly at: number; readonly width: Width }
  | { readonly space: 'bar'; readonly bar: number; readonly at: number; readonly width: Width }
  | { readonly space: 'mmio'; readonly at: number; readonly width: Width };
export type BusOp = ({ readonly kind: 'read' } & Place) | ({ readonly kind: 'write'; readonly value: number } & Place);

/** One device function, or one register window, seen from the bus. */
export interface Bus {
  /** Applies the accesses in order and gives one number for each: what was read, unsigned, or 0 for a write. May pipeline. */
  run(ops: readonly BusOp[]): readonly number[];
}

/** Where message-signalled interrupts land: 4 bytes a vector from guest-physical `at`, best outside the memory that programs see. */
export interface Messages {
  readonly at: bigint;
  /** Room for this many vectors. */
  readonly vectors: number;
  /** Vectors whose message (a non-zero value) arrived since the last take, ascending; forgets them. */
  take(): readonly number[];
}

/** Accesses in turns: each turn is given the results of its own before it says the next. Whoever drives it may do something else meanwhile. */
export type Turns<T> = Generator<readonly BusOp[], T, readonly number[]>;
/** Takes all turns at once. */
export function inTurn<T>(bus: Bus, turns: Turns<T>): T {
  let turn = turns.next();
  while (!turn.done) turn = turns.next(bus.run(turn.value));
  return turn.value;
}

/** A stimulus as accesses, and what their results (as many, in order) let one see. */
export interface Lifted {
  readonly ops: readonly BusOp[];
  readonly saw: (results: readonly number[]) => readonly Observation[];
}
export interface Unsupported {
  readonly unsupported: string;
}

/** A virtio device behind a bus, as a control plane. Nothing it remembers can be spoilt by a program's raw accesses, short of `prepare`. */
export interface LiftedDevice {
  /** How many queues and vectors there are. */
  readonly queues: number;
  /** Resets the device, and makes it reachable again where raw accesses may have moved it. False: status did not read 0 afterwards. */
  prepare(disturbed: boolean): Turns<boolean>;
  lift(stimulus: Stimulus): Lifted | Unsupported;
  /** Notifications since the last look. At least one access is made and answered first, so that what came before it is final. */
  look(): Turns<readonly Observation[]>;
}

export const read = (place: Place): BusOp => ({ kind: 'read', ...place });
export const write = (place: Place, value: number): BusOp => ({ kind: 'write', ...place, value: value >>> 0 });
