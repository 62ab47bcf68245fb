// A mistake in how the command was called: one line that names it and the fix, exit 64.

export interface UsageError extends Error {
  readonly kind: 'usage';
}
export const usage = (message: string): UsageError => Object.assign(new Error(message), { kind: 'usage' as const });
/** A message about an adapter, and how its stderr ends. */
export const lastWords = (message: string, stderr: string): string =>
  stderr.trimEnd() === '' ? message : `${message}\nits stderr ends:\n${stderr.trimEnd().slice(-2000)}`;
/** Errors whose message is written for the user: everything else is a defect, and shows its stack. */
export const isForUser = (error: unknown): error is Error & { kind: string } => error instanceof Error && 'kind' in error;
