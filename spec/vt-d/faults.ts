// The fault-recording registers and the fault event: every state still possible after faults that may be collapsed or not.
// A unit records in its own time: until it is at rest each state tells what has not been recorded yet in it.
// VT-d 4.1, Primary Fault Logging; Fault Status Register; Fault Event Control Register.

import { several } from './line.ts';

/** One fault as it would stand in a record. Several reasons: any of them. */
export interface Fault {
  readonly sourceId: number;
  /** T bit; undefined where neither read nor write. */
  readonly read: boolean | undefined;
  /** FI, bits 63:12 of the address, or the interrupt index in bits 63:48. */
  readonly info: bigint | undefined;
  readonly interrupt: boolean;
  readonly reasons: readonly number[];
  readonly pasid: number | undefined;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** Address type, bits 125:124; undefined where it says nothing. */
  readonly type: number | undefined;
}
/** A fault that was met; `sure`: it is reported. */
interface Met {
  readonly fault: Fault;
  readonly sure: boolean;
}
/** Errors that the queue reports. */
type QueueError = 'iqe' | 'ice' | 'ite';
export interface FaultState {
  readonly records: readonly (Fault | undefined)[];
  readonly next: number;
  readonly fri: number;
  readonly pfo: boolean;
  readonly iqe: boolean;
  readonly ice: boolean;
  readonly ite: boolean;
  /** A message is held pending: by the mask, or for as long as the unit likes. */
  readonly ip: boolean;
  /** Messages sent since the last settle: none, one, or several. */
  readonly sent: number;
  /** What has not been recorded yet in it, although it will: faults, those of one requester and kind in their order, and errors of the queue. */
  readonly faults: readonly Met[];
  readonly errors: readonly QueueError[];
}
export const firstFaults = (records: number): FaultState[] => [
  {
    records: new Array<Fault | undefined>(records).fill(undefined),
    next: 0,
    fri: 0,
    pfo: false,
    iqe: false,
    ice: false,
    ite: false,
    ip: false,
    sent: 0,
    faults: [],
    errors: [],
  },
];
export const pending = (s: FaultState): boolean => s.records.some((r) => r !== undefined);
const busy = (s: FaultState): boolean => s.pfo || s.iqe || s.ice || s.ite || pending(s);
/** The unit holds a message for it, unless an event was pending already. */
const raise = (before: FaultState, after: FaultState): FaultState => (busy(before) ? after : { ...after, ip: true });

const equal = (a: FaultState, b: FaultState): boolean =>
  a.next === b.next &&
  a.fri === b.fri &&
  a.pfo === b.pfo &&
  a.iqe === b.iqe &&
  a.ice === b.ice &&
  a.ite === b.ite &&
  a.ip === b.ip &&
  a.sent === b.sent &&
  a.faults.length === b.faults.length &&
  a.errors.length === b.errors.length &&
  a.faults.every((f, i) => f === b.faults[i]) &&
  a.errors.every((e, i) => e === b.errors[i]) &&
  a.records.every((r, i) => r === b.records[i]);
export const distinct = (states: readonly FaultState[]): FaultState[] => {
  const list: FaultState[] = [];
  for (const s of states) if (!list.some((t) => equal(s, t))) list.push(s);
  return list;
};
/** What one fault makes of one state. */
const record = (s: FaultState, f: Fault): readonly FaultState[] => {
  if (s.pfo) return [s];
  // Several faults of one requester may be told as one.
  const collapsed = s.records.some((r) => r !== undefined && r.sourceId === f.sourceId) ? [s] : [];
  if (s.records[s.next] !== undefined) return [...collapsed, { ...s, pfo: true }];
  const records = s.records.slice();
  records[s.next] = f;
  return [...collapsed, raise(s, { ...s, records, next: (s.next + 1) % s.records.length, fri: pending(s) ? s.fri : s.next })];
};
/** What may happen next of itself. */
const steps = (s: FaultState, masked: boolean): readonly FaultState[] => {
  const list: FaultState[] = s.ip && !masked ? [{ ...s, ip: false, sent: Math.min(several, s.sent + 1) }] : [];
  for (const [i, met] of s.faults.entries()) {
    // Of several requesters nobody's request is said to come first, nor of an interrupt request and a memory request of one.
    const { sourceId, interrupt } = met.fault;
    if (s.faults.findIndex(({ fault }) => fault.sourceId === sourceId && fault.interrupt === interrupt) < i) continue;
    const t = { ...s, faults: s.faults.filter((_, k) => k !== i) };
    list.push(...record(t, met.fault), ...(met.sure ? [] : [t]));
  }
  const [error, ...errors] = s.errors;
  if (error !== undefined) list.push(raise(s, { ...s, errors, [error]: true }));
  return list;
};
/** States that are followed at once, and those that are passed on the way to rest. */
const statesKept = 128;
const statesPassed = 512;
/** Each state, and all that may have come of it by now; undefined: too many. */
export const unfolded = (states: readonly FaultState[], masked: boolean, most: number = statesKept): FaultState[] | undefined => {
  const list = [...states];
  for (const s of list) {
    for (const t of steps(s, masked)) if (!list.some((u) => equal(t, u))) list.push(t);
    if (list.length > most) return undefined;
  }
  return list;
};
/** A request was blocked. It is recorded at once or later. */
export const faulted = (states: readonly FaultState[], fault: Fault, sure: boolean): FaultState[] => {
  const met = { fault, sure };
  return states.map((s) => ({ ...s, faults: [...s.faults, met] }));
};
/** The invalidation queue met an error, at once or later. */
export const queueFailed = (states: readonly FaultState[], what: QueueError): FaultState[] =>
  states.map((s) => ({ ...s, errors: [...s.errors, what] }));
const settle = (s: FaultState): FaultState => (busy(s) ? s : { ...s, ip: false });
/** Ones written to F of record `i`. */
export const recordCleared = (states: readonly FaultState[], i: number): FaultState[] =>
  distinct(
    states.map((s) => {
      if (s.records[i] === undefined) return s;
      const records = s.records.slice();
      records[i] = undefined;
      return settle({ ...s, records });
    }),
  );
/** Ones written to bits of FSTS_REG: PFO, IQE, ICE, ITE. */
export const statusCleared = (states: readonly FaultState[], bits: number): FaultState[] =>
  distinct(
    states.map((s) =>
      settle({
        ...s,
        pfo: s.pfo && (bits & 1) === 0,
        iqe: s.iqe && (bits & 0x10) === 0,
        ice: s.ice && (bits & 0x20) === 0,
        ite: s.ite && (bits & 0x40) === 0,
      }),
    ),
  );
/** Both remappings are off: the next fault goes to record 0. Where only translation went off, either. */
export const indexReset = (states: readonly FaultState[], sure: boolean): FaultState[] =>
  distinct([...states.map((s) => ({ ...s, next: 0 })), ...(sure ? [] : states)]);
/** Everything that can happen has; undefined: too many states. */
export const rested = (states: readonly FaultState[], masked: boolean): FaultState[] | undefined => {
  const all = unfolded(states, masked, statesPassed)?.filter((s) => s.faults.length === 0 && s.errors.length === 0 && (masked || !s.ip));
  return all !== undefined && all.length > statesKept ? undefined : all;
};
/** Messages are counted anew. */
export const recounted = (states: readonly FaultState[]): FaultState[] => distinct(states.map((s) => ({ ...s, sent: 0 })));
