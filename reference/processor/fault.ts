// Decides how an instruction that cannot complete says so: one exception object, thrown, with vector and error code.
// SDM volume 3, Interrupt and Exception Handling. What this processor cannot do at all is said apart, never as an exception.

import { GP, NM, SS_FAULT, UD } from './bits.ts';

/** An exception on its way to delivery. */
export interface Fault extends Error {
  vector: number;
  /** Error code, or -1. */
  error: number;
  /** Whether it stands before the instruction, so that RF is set in the saved flags; #DB by an instruction breakpoint is one without. */
  resume: boolean;
}
const fault: Fault = Object.assign(new Error('exception'), { vector: 0, error: -1, resume: true });
export const isFault = (thrown: unknown): thrown is Fault => thrown === fault;

/** Apart from the throwing: a function that only ever throws is never compiled, however often it is called. */
const told = (vector: number, error: number, resume: boolean): Fault => {
  fault.vector = vector;
  fault.error = error;
  fault.resume = resume;
  return fault;
};
export const raise = (vector: number, error = -1): never => {
  throw told(vector, error, true);
};
export const raiseWithoutResume = (vector: number): never => {
  throw told(vector, -1, false);
};
export const gp = (selector = 0): never => {
  throw told(GP, selector & 0xffff, true);
};
export const ss = (selector = 0): never => {
  throw told(SS_FAULT, selector & 0xffff, true);
};
export const ud = (): never => {
  throw told(UD, -1, true);
};
export const nm = (): never => {
  throw told(NM, -1, true);
};

/** What the reference does not do; the machine answers `unsupported`. */
export interface Missing extends Error {
  readonly kind: 'missing';
}
export const missing = (what: string): never => {
  throw Object.assign(new Error(what), { kind: 'missing' as const });
};
export const isMissing = (thrown: unknown): thrown is Missing => thrown instanceof Error && 'kind' in thrown && thrown.kind === 'missing';
