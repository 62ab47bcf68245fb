// The fault-recording registers and the fault event: every state still possible after faults that may be collapsed or not.
// VT-d 4.1, Primary Fault Logging; Fault Status Register; Fault Event Control Register.

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
export interface FaultState {
  readonly records: readonly (Fault | undefined)[];
  readonly next: number;
  readonly fri: number;
  readonly pfo: boolean;
  readonly iqe: boolean;
  readonly ice: boolean;
  readonly ite: boolean;
  readonly ip: boolean;
  readonly sent: number;
  readonly late: boolean;
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
    late: false,
  },
];
export const pending = (s: FaultState): boolean => s.records.some((r) => r !== undefined);
const busy = (s: FaultState): boolean => s.pfo || s.iqe || s.ice || s.ite || pending(s);
const raise = (before: FaultState, after: FaultState, masked: boolean): FaultState =>
  busy(before) ? after : { ...after, ip: masked, sent: masked ? after.sent : after.sent + 1 };

const equal = (a: FaultState, b: FaultState): boolean =>
  a.next === b.next &&
  a.fri === b.fri &&
  a.pfo === b.pfo &&
  a.iqe === b.iqe &&
  a.ice === b.ice &&
  a.ite === b.ite &&
  a.ip === b.ip &&
  a.sent === b.sent &&
  a.late === b.late &&
  a.records.every((r, i) => r === b.records[i]);
export const distinct = (states: readonly FaultState[]): FaultState[] => {
  const list: FaultState[] = [];
  for (const s of states) if (!list.some((t) => equal(s, t))) list.push(s);
  return list;
};
/** What one fault makes of one state. */
const record = (s: FaultState, f: Fault, masked: boolean): readonly FaultState[] => {
  if (s.pfo) return [s];
  // Several faults of one requester may be told as one.
  const collapsed = s.records.some((r) => r !== undefined && r.sourceId === f.sourceId) ? [s] : [];
  if (s.records[s.next] !== undefined) return [...collapsed, { ...s, pfo: true }];
  const records = s.records.slice();
  records[s.next] = f;
  const after = { ...s, records, next: (s.next + 1) % s.records.length, fri: pending(s) ? s.fri : s.next };
  return [...collapsed, raise(s, after, masked)];
};
/** A request was blocked. `sure`: it was, and is reported. */
export const faulted = (states: readonly FaultState[], f: Fault, masked: boolean, sure: boolean): FaultState[] =>
  distinct([...states.flatMap((s) => record(s, f, masked)), ...(sure ? [] : states)]);
/** The invalidation queue met an error, at once or later. */
export const queueFailed = (states: readonly FaultState[], what: 'iqe' | 'ice' | 'ite', masked: boolean): FaultState[] =>
  distinct([...states.map((s) => raise(s, { ...s, [what]: true }, masked)), ...states.map((s) => ({ ...s, late: true }))]);
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
export const unmasked = (states: readonly FaultState[]): FaultState[] =>
  distinct(states.map((s) => (s.ip ? { ...s, ip: false, sent: s.sent + 1 } : s)));
/** Both remappings are off: the next fault goes to record 0. Where only translation went off, either. */
export const indexReset = (states: readonly FaultState[], sure: boolean): FaultState[] =>
  distinct([...states.map((s) => ({ ...s, next: 0 })), ...(sure ? [] : states)]);
/** Everything that can happen has. */
export const rested = (states: readonly FaultState[]): FaultState[] => {
  const done = states.filter((s) => !s.late);
  return distinct((done.length > 0 ? done : states).map((s) => ({ ...s, late: false, sent: 0 })));
};
