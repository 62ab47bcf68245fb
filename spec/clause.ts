// The judge's contract: what a clause, a duty and an area are. Types, and the two constructors that infer event types.

import type { Citation } from './sources.ts';
import type { Capability, Granted, Party, Scope } from './units.ts';
import type { Event, EventName, EventOf } from './vocabulary.ts';

/** Dotted area, topic, rule: 'virtio.split.used.id-outstanding'. Never renamed. */
export type ClauseId = string;
export type Level = 'must' | 'should' | 'may';
/** What a user loses when the clause is broken; reports sort by it. */
export type Harm = 'dies' | 'stray-write' | 'all-stuck' | 'self-stuck' | 'wrong-data' | 'interop';

/** Read-only guest memory as the judge knows it. Reads past the end give undefined; `known` tells whether bytes are certain. */
export interface Memory {
  readonly size: number;
  /** A copy, or undefined where any byte lies outside memory. */
  read(at: bigint, length: number): Uint8Array | undefined;
  u8(at: bigint | number): number | undefined;
  u16(at: bigint | number): number | undefined;
  u32(at: bigint | number): number | undefined;
  u64(at: bigint | number): bigint | undefined;
  /** Whether all bytes of the range are certain: granted fill, written by the driver, or reported by the target. */
  known(at: bigint | number, length: number): boolean;
}

/** One event, seen with what was known before it. `memory` already contains it. `at` counts the trace's events from 0. */
export interface Moment<G, E = Event> {
  readonly before: G;
  readonly event: E;
  readonly memory: Memory;
  readonly granted: Granted;
  readonly at: number;
}

/** Why an observation is not permitted. `kind` is one of few fixed words: findings are told apart by it; no addresses or values in it. */
export interface Objection {
  readonly expected: string;
  readonly saw: string;
  readonly kind: string;
}
/** The clause cannot be decided here, and why. */
export interface Unknown {
  readonly unknown: string;
}
export type Judged = true | Objection | Unknown;

/** A feature bit as a device offers it: `VIRTIO_F_IN_ORDER`, 1 << 35. */
export interface Feature {
  readonly name: string;
  readonly bit: bigint;
}

export interface Clause<G> {
  readonly id: ClauseId;
  readonly cite: Citation;
  readonly level: Level;
  readonly binds: Party;
  /** One line, ours. */
  readonly says: string;
  readonly on: readonly EventName[];
  readonly needs?: readonly Capability[];
  /** It speaks only of devices that offer this: where none was seen to, it is unsupported and not untested. */
  readonly feature?: Feature;
  readonly harm: Harm;
  /** True only where another answer would have broken the clause. */
  readonly when: (m: Moment<G>) => boolean;
  readonly holds: (m: Moment<G>) => Judged;
  /** Default: the machine. */
  readonly scope?: (m: Moment<G>) => Scope;
  /** Owed even after a broken duty. */
  readonly always?: true;
  /** What a black-box observer cannot see of it. */
  readonly blind?: string;
}

/** A rule that binds the side the suite plays. */
export interface Duty<G> {
  readonly id: ClauseId;
  readonly cite: Citation;
  readonly says: string;
  readonly on: readonly EventName[];
  readonly keeps: (m: Moment<G>) => Judged;
  /** Past a broken duty nothing but `always` clauses is owed in this scope, until it is reset. */
  readonly taints: (m: Moment<G>) => Scope;
}

export interface Area<G> {
  readonly id: string;
  /** A machine that does not offer these is none of this area's business: nothing is observed or asked. */
  readonly needs?: readonly Capability[];
  readonly initial: (granted: Granted) => G;
  /** Updates the ghost in place, never judges. Derived events go to this area and to all others, in the order given. */
  readonly observe: (ghost: G, m: Moment<G>) => readonly Event[];
  /** Events that observe wants; absent: all. */
  readonly on: readonly EventName[];
  readonly clauses: readonly Clause<G>[];
  readonly duties: readonly Duty<G>[];
  /** Those of the clauses whose `when` can be true for this event, in their order; absent or undefined: all. The judge keeps what it works out of a
   *  list by the list itself, so the same answer is the same array. */
  readonly among?: (ghost: G, event: Event) => readonly Clause<G>[] | undefined;
  /** What the event means here, one line for who reads a trace; undefined: nothing to tell. Judges nothing. */
  readonly tell?: (m: Moment<G>) => string | undefined;
  /** What an objection to this event is about (which queue, head, sector), a phrase for who reads a trace; undefined: its scope says it all. Judges nothing. */
  readonly about?: (m: Moment<G>) => string | undefined;
}

type ClauseOn<G, N extends EventName> = Omit<Clause<G>, 'on' | 'when' | 'holds' | 'scope'> & {
  readonly on: readonly N[];
  readonly when: (m: Moment<G, EventOf<N>>) => boolean;
  readonly holds: (m: Moment<G, EventOf<N>>) => Judged;
  readonly scope?: (m: Moment<G, EventOf<N>>) => Scope;
};
type DutyOn<G, N extends EventName> = Omit<Duty<G>, 'on' | 'keeps' | 'taints'> & {
  readonly on: readonly N[];
  readonly keeps: (m: Moment<G, EventOf<N>>) => Judged;
  readonly taints: (m: Moment<G, EventOf<N>>) => Scope;
};

/** `clauseOf<Ghost>()({ on: ['settled'], … })`: `m.event` has the type of the events named in `on`. */
export const clauseOf =
  <G>(): (<N extends EventName>(c: ClauseOn<G, N>) => Clause<G>) =>
  (c) =>
    c as unknown as Clause<G>;
export const dutyOf =
  <G>(): (<N extends EventName>(d: DutyOn<G, N>) => Duty<G>) =>
  (d) =>
    d as unknown as Duty<G>;
