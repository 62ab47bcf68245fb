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

export const raise = (vector: number, error = -1): never => {
  fault.vector = vector;
  fault.error = error;
  fault.resume = true;
  throw fault;
};
export const raiseWithoutResume = (vector: number): never => {
  fault.vector = vector;
  fault.error = -1;
  fault.resume = false;
  throw fault;
};
export const gp = (selector = 0): never => raise(GP, selector & 0xffff);
export const ss = (selector = 0): never => raise(SS_FAULT, selector & 0xffff);
export const ud = (): never => raise(UD);
export const nm = (): never => raise(NM);

/** What the reference does not do; the machine answers `unsupported`. */
export interface Missing extends Error {
  readonly kind: 'missing';
}
export const missing = (what: string): never => {
  throw Object.assign(new Error(what), { kind: 'missing' as const });
};
export const isMissing = (thrown: unknown): thrown is Missing => thrown instanceof Error && 'kind' in thrown && thrown.kind === 'missing';
