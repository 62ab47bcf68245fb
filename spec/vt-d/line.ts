// One event of the unit (completion, page request): status bit, IM, IP, and the message it owes; all states still possible.
// A unit gets round to what it is asked for in its own time: until it is at rest each state tells what has not happened yet in it.
// VT-d 4.1, Remapping Hardware Event Interrupt; Invalidation Event Control Register; Page Request Event Control Register.

export interface LineState {
  /** IWC or PPR. */
  readonly status: boolean;
  /** PRO. */
  readonly overflow: boolean;
  /** A message is held pending: by the mask, or for as long as the unit likes. */
  readonly ip: boolean;
  /** Messages sent since the last settle: none, one, or several. */
  readonly sent: number;
  /** Conditions that will arise yet: this many, or that many and more. */
  readonly owes: { readonly status: number; readonly overflow: number };
}
export interface Line {
  states: readonly LineState[];
}
const nothing = { status: 0, overflow: 0 };
export const newLine = (): Line => ({ states: [{ status: false, overflow: false, ip: false, sent: 0, owes: nothing }] });
type Condition = 'status' | 'overflow';
const conditions = ['status', 'overflow'] as const;
/** So many messages are not counted any more. */
export const several = 2;
/** Conditions counted one by one. */
const counted = 4;

const equal = (s: LineState, t: LineState): boolean =>
  s.status === t.status &&
  s.overflow === t.overflow &&
  s.ip === t.ip &&
  s.sent === t.sent &&
  s.owes.status === t.owes.status &&
  s.owes.overflow === t.owes.overflow;
const distinct = (states: readonly LineState[]): readonly LineState[] => {
  const list: LineState[] = [];
  for (const s of states) if (!list.some((t) => equal(s, t))) list.push(s);
  return list;
};
/** It will happen, at once or later. */
export const arises = (l: Line, what: Condition): void => {
  l.states = distinct(l.states.map((s) => ({ ...s, owes: { ...s.owes, [what]: Math.min(counted, s.owes[what] + 1) } })));
};
/** A condition arises: an event, unless one was pending already. */
const raise = (s: LineState, what: Condition, left: number): LineState => ({
  ...s,
  [what]: true,
  ip: s.ip || !(s.status || s.overflow),
  owes: { ...s.owes, [what]: left },
});
/** What may happen next of itself. */
const steps = (s: LineState, masked: boolean): readonly LineState[] => {
  const list: LineState[] = s.ip && !masked ? [{ ...s, ip: false, sent: Math.min(several, s.sent + 1) }] : [];
  for (const what of conditions) {
    const n = s.owes[what];
    if (n > 0) list.push(raise(s, what, n - 1));
    if (n === counted) list.push(raise(s, what, n));
  }
  return list;
};
/** Each state, and all that may have come of it by now. */
export const unfolded = (states: readonly LineState[], masked: boolean): readonly LineState[] => {
  const list = [...states];
  for (const s of list) for (const t of steps(s, masked)) if (!list.some((u) => equal(t, u))) list.push(t);
  return list;
};
/** Everything that can happen has. */
export const rested = (l: Line, masked: boolean): void => {
  const done = unfolded(l.states, masked).filter((s) => s.owes.status === 0 && s.owes.overflow === 0 && (masked || !s.ip));
  l.states = distinct(done);
};
/** Messages are counted anew. */
export const recounted = (l: Line): void => {
  l.states = distinct(l.states.map((s) => ({ ...s, sent: 0 })));
};
/** Ones were written to status bits. Servicing all of them clears IP. */
export const serviced = (l: Line, status: boolean, overflow: boolean): void => {
  l.states = distinct(
    l.states.map((s) => {
      const t = { ...s, status: s.status && !status, overflow: s.overflow && !overflow };
      return t.status || t.overflow ? t : { ...t, ip: false };
    }),
  );
};
/** Keeps the states that agree with what was seen; all of them if none does. */
export const narrow = (l: Line, agrees: (s: LineState) => boolean): void => {
  const left = l.states.filter(agrees);
  if (left.length > 0) l.states = left;
};
