// What the unit owes and gets round to in its own time: before anything is seen of its status, or written to it, every way it may stand by now.
// VT-d 4.1, Fault Status Register; Invalidation Completion Status Register; Page Request Status Register, and their event control registers (IP).

import { recounted as faultsRecounted, rested as faultsRested, unfolded as faultsUnfolded } from './faults.ts';
import type { FaultState } from './faults.ts';
import type { VtdGhost } from './ghost.ts';
import { FECTL, FSTS, ICS, IECTL, PECTL, PRS } from './layout.ts';
import { recounted, rested, unfolded } from './line.ts';
import { masked } from './queue.ts';

const follow = (g: VtdGhost, states: FaultState[] | undefined): void => {
  if (states === undefined) g.faultsUnknown ??= 'which of many faults were recorded';
  else g.faults = states;
};
export const unfold = (g: VtdGhost): void => {
  if (g.faultsUnknown === undefined) follow(g, faultsUnfolded(g.faults, masked(g, FECTL)));
  g.completion.states = unfolded(g.completion.states, masked(g, IECTL));
  g.page.states = unfolded(g.page.states, masked(g, PECTL));
};
const telling = [FSTS, FECTL, ICS, IECTL, PRS, PECTL];
/** An access to status or its masks, before anything is made of it. */
export const accessed = (g: VtdGhost, at: number, width: number): void => {
  const records = at + width > g.a.fro && at < g.a.fro + g.a.records * 16;
  if (records || telling.some((t) => t >= at && t < at + width)) unfold(g);
};
/** The unit is at rest: it owes nothing any more. */
export const paid = (g: VtdGhost): void => {
  if (g.faultsUnknown === undefined) follow(g, faultsRested(g.faults, masked(g, FECTL)));
  rested(g.completion, masked(g, IECTL));
  rested(g.page, masked(g, PECTL));
};
export const recount = (g: VtdGhost): void => {
  g.faults = faultsRecounted(g.faults);
  recounted(g.completion);
  recounted(g.page);
  g.programmed.clear();
};
