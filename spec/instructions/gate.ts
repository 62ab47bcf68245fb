// What keeps an event from going through a gate of the IDT into the code segment that it names, in the order in which it is reported.
// Intel SDM volume 3, Exception- or Interrupt-Handler Procedures; Protection of Exception- and Interrupt-Handler Procedures; 64-Bit Mode IDT.

import { low } from './bits.ts';
import type { Occurrence } from './deliver.ts';
import { type Descriptor, isCode, isConforming } from './descriptors.ts';
import { cpl, type Fault, v86, type Work } from './work.ts';

/** Why an event cannot go through a gate; `known`: its type is one that leads somewhere. Given back, not thrown from each place, as a walk's failures are. */
export const gateFault = (w: Work, e: Occurrence, gate: bigint, known: boolean): Fault | undefined => {
  const named = e.vector * 8 + 2;
  const error = named + (e.software ? 0 : 1);
  if (!known) return { vector: 13, error, cr2: undefined, rule: 'deliver.type' };
  if (e.software && (low(gate >> 45n) & 3) < cpl(w.s)) return { vector: 13, error: named, cr2: undefined, rule: 'interrupt.dpl' };
  if ((gate & (1n << 47n)) === 0n) return { vector: 11, error, cr2: undefined, rule: 'deliver.present' };
  return undefined;
};
/** Why the handler's code segment cannot be entered. */
export const codeFault = (w: Work, d: Descriptor | undefined, error: number, long: boolean): Fault | undefined => {
  const refused: Fault = { vector: 13, error, cr2: undefined, rule: 'deliver.code' };
  if (d === undefined) return refused;
  const level = cpl(w.s);
  if (!isCode(d) || d.dpl > level || (long && (d.access & 0x6000) !== 0x2000)) return refused;
  if (!d.present) return { vector: 11, error, cr2: undefined, rule: 'deliver.code' };
  return v86(w.s) && (isConforming(d) || d.dpl !== 0) ? refused : undefined;
};
