// The smoke test of an adapter: whether a program speaks the protocol well enough that a finding would be about what it drives.
// First the conversation, then one short program for each kind of machine that the adapter offers. A red check ends its part.

import type { Capability } from '../../spec/units.ts';
import { isAdapterError } from '../targets/exec/blame.ts';
import { type ExecTarget, execTarget } from '../targets/exec/exec.ts';
import { type Session, startSession } from '../targets/exec/session.ts';
import { type SharedMemory, shareMemory } from '../targets/exec/shared-memory.ts';
import { startWatchdog } from '../targets/exec/watchdog.ts';
import { blockDevice } from './block-device.ts';
import { smokeMachine } from './block-request.ts';
import { type Claim, lastWords, type SmokeCheck } from './claim.ts';
import { conversation } from './conversation.ts';
import { processor } from './processor.ts';
import { remappingUnit } from './remapping-unit.ts';

export type { SmokeCheck } from './claim.ts';
export interface SmokeOptions {
  /** How long one line may stay unanswered, in milliseconds; 10,000 unless told. */
  readonly deadlineMs?: number;
}
/** What is tried of a machine, by the capability that offers it. */
const kinds: readonly (readonly [offer: Capability, claims: (target: () => ExecTarget) => readonly Claim[]])[] = [
  ['virtio.blk', blockDevice],
  ['cpu', processor],
  ['vt-d', remappingUnit],
];

const tried = (claim: Claim): SmokeCheck => {
  const { check } = claim;
  try {
    const outcome = claim.run();
    if (typeof outcome === 'string') return { check, ok: true, detail: outcome };
    return { check, ok: false, detail: outcome.red, fix: outcome.fix };
  } catch (error) {
    if (!isAdapterError(error)) throw error;
    const { message, fix, stderr } = error;
    return { check, ok: false, detail: message.slice(0, -fix.length - 2) + lastWords(stderr), fix };
  }
};

/** Tries an adapter, cheapest checks first; a red check ends its part. */
export const smokeTest = async function* (command: string, options: SmokeOptions = {}): AsyncGenerator<SmokeCheck, void, void> {
  const { deadlineMs = 10_000 } = options;
  const watchdog = startWatchdog();
  let session: Session | undefined;
  let file: SharedMemory | undefined;
  let target: ExecTarget | undefined;
  const begin = (): Session => {
    const begun = startSession(command, watchdog, deadlineMs);
    file = shareMemory(begun.memory);
    file.clear(smokeMachine.memory, smokeMachine.fill);
    return begun;
  };
  try {
    for (const claim of conversation(() => (session ??= begin()))) {
      const result = tried(claim);
      yield result;
      if (!result.ok) return;
    }
    session?.close();
    target = execTarget(command, { deadlineMs });
    for (const [offer, claims] of kinds) {
      if (!target.hello.offers.includes(offer)) continue;
      for (const claim of claims(() => target as ExecTarget)) {
        const result = tried(claim);
        yield result;
        if (!result.ok) break;
      }
    }
  } finally {
    session?.close();
    file?.close();
    target?.close();
    watchdog.close();
  }
};
