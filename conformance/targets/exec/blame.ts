// Whose fault a failed conversation is: an AdapterError is the adapter's, so nothing is decided about what it drives.
// Everything else that goes wrong is an answer, and the target's.

import type { Answer } from '../../../spec/units.ts';

/** Death or silence before the first accepted reset, or a line that breaks the protocol. The message says what came and what to change. */
export interface AdapterError extends Error {
  readonly kind: 'adapter';
  /** What to change in the adapter. */
  readonly fix: string;
  /** The end of what the adapter wrote to stderr. */
  readonly stderr: string;
  /** What the stimuli given together with the one that ended it were answered before. */
  readonly answers?: readonly Answer[];
}
export const adapterError = (what: string, fix: string, stderr: string): AdapterError =>
  Object.assign(new Error(`${what}; ${fix}`), { kind: 'adapter' as const, fix, stderr });
export const isAdapterError = (error: unknown): error is AdapterError =>
  error instanceof Error && 'kind' in error && error.kind === 'adapter';
