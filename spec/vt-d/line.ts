// One event of the unit (completion, page request): status bit, IM, IP, and the message it owes; all states still possible.
// VT-d 4.1, Remapping Hardware Event Interrupt; Invalidation Event Control Register; Page Request Event Control Register.

/** One possible state. `late`: has not happened yet in it, although it will. */
export interface LineState {
  /** IWC or PPR. */
  readonly status: boolean;
  /** PRO. */
  readonly overflow: boolean;
  readonly ip: boolean;
  /** Messages sent since the last settle. */
  readonly sent: number;
  readonly late: boolean;
}
export interface Line {
  states: LineState[];
}
export const newLine = (): Line => ({ states: [{ status: false, overflow: false, ip: false, sent: 0, late: false }] });
const keep = (l: Line, states: readonly LineState[]): void => {
  const list: LineState[] = [];
  for (const s of states)
    if (!list.some((t) => t.status === s.status && t.overflow === s.overflow && t.ip === s.ip && t.sent === s.sent && t.late === s.late))
      list.push(s);
  l.states = list;
};
/** A condition arises: an event, unless one was pending already. */
const raise = (s: LineState, masked: boolean, set: { readonly status?: true; readonly overflow?: true }): LineState => {
  if (s.status || s.overflow) return { ...s, ...set };
  return { ...s, ...set, ip: masked, sent: masked ? s.sent : s.sent + 1 };
};
/** It happens at once or later. */
export const arises = (l: Line, masked: boolean, set: { readonly status?: true; readonly overflow?: true }, sure: boolean): void => {
  const now = l.states.map((s) => raise(s, masked, set));
  keep(l, sure ? now : [...now, ...l.states.map((s) => ({ ...s, late: true }))]);
};
export const maskWritten = (l: Line, masked: boolean): void =>
  keep(
    l,
    l.states.map((s) => (!masked && s.ip ? { ...s, ip: false, sent: s.sent + 1 } : s)),
  );
/** Ones were written to status bits. */
export const serviced = (l: Line, status: boolean, overflow: boolean): void =>
  keep(
    l,
    l.states.map((s) => {
      const t = { ...s, status: s.status && !status, overflow: s.overflow && !overflow };
      return t.status || t.overflow ? t : { ...t, ip: false };
    }),
  );
/** Everything that can happen has. */
export const rested = (l: Line): void => {
  const done = l.states.filter((s) => !s.late);
  keep(
    l,
    (done.length > 0 ? done : l.states).map((s) => ({ ...s, late: false, sent: 0 })),
  );
};
/** Keeps the states that agree with what was seen; all of them if none does. */
export const narrow = (l: Line, agrees: (s: LineState) => boolean): void => {
  const left = l.states.filter(agrees);
  if (left.length > 0) l.states = left;
};
