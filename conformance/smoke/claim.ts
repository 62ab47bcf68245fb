// What the smoke test says: a check is a claim about the adapter; a red one tells what came instead, and what to change.

import type { Answer, Granted } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';

export interface SmokeCheck {
  readonly check: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly detail: string;
  /** What to change; only where not ok. */
  readonly fix?: string;
}
export interface Red {
  readonly red: string;
  readonly fix: string;
}
export const red = (what: string, fix: string): Red => ({ red: what, fix });
export type Outcome = string | Red;
export interface Claim {
  readonly check: string;
  readonly run: () => Outcome;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;
export const shown = (told: unknown): string =>
  typeof told === 'bigint' ? hex(told) : JSON.stringify(told, (_, value: unknown) => (typeof value === 'bigint' ? hex(value) : value));

export const lastWords = (stderr: string): string => {
  const said = stderr.trimEnd().split('\n').slice(-3).join(' | ');
  return said === '' ? '' : `; its stderr ends: ${said}`;
};

/** The first stimulus that was not answered with what was seen; `what` needs it. */
export const failing = (stimuli: readonly Stimulus[], answers: readonly Answer[], what: string): Red | undefined => {
  const at = answers.findIndex((answer) => !('saw' in answer));
  if (at < 0) return undefined;
  const answer = answers[at];
  if (answer !== undefined && 'broke' in answer)
    return red(`at ${stimuli[at]?.do} the target died: ${answer.broke}`, 'what died is the adapter or what it drives: run it by hand');
  return red(`${stimuli[at]?.do} was answered ${shown(answers[at])}`, `${stimuli[at]?.do} is needed for ${what}: answer it with "saw"`);
};
/** Offers that do not go with how memory is seen. */
export const memoryOffers = (granted: Granted): Red | undefined => {
  const { offers, memory } = granted;
  if (memory.seen !== 'unseen' && !offers.includes('memory.seen')) {
    return red('memory is seen, but "memory.seen" is not offered', 'add "memory.seen" to the offers of hello');
  }
  if (memory.seen === 'ordered' && !offers.includes('memory.order')) {
    return red('memory is seen in order, but "memory.order" is not offered', 'add "memory.order" to the offers of hello');
  }
  return undefined;
};
