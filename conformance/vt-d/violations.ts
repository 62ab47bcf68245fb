// The ways in which a program can break a rule that binds software, once and on purpose; each is tagged with the duty it breaks.
// VT-d 4.1, Register Descriptions; Queued Invalidation Interface.

import type { Software } from './software.ts';

type Violation = (sw: Software, n: number) => void;
const violations: Readonly<Record<string, Violation>> = {};

/** Duties that a program can break. */
export const DUTIES: readonly string[] = Object.keys(violations);

/** At most one a program. */
export const violate = (sw: Software, duty: string, n: number): void => {
  const violation = violations[duty];
  if (violation === undefined || sw.violated) return;
  sw.violated = true;
  violation(sw, n);
};
