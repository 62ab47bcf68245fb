// Runs a recording's stimuli on a target and judges what the target does: other permitted behaviour passes.

import type { Answer, Target } from '../../spec/units.ts';
import type { Event, Stimulus } from '../../spec/vocabulary.ts';
import type { Finding, Judge } from '../judge.ts';
import { isTraceError, readTrace } from './read.ts';

export interface Replayed {
  readonly findings: readonly Finding[];
  readonly stimuli: number;
  /** The target would not build a machine of the trace, and why. */
  readonly refused?: string;
  /** Why the trace ends early; what stands in it was run. */
  readonly truncated?: string;
}
const seen = (answer: Answer): readonly Event[] => {
  if ('saw' in answer) return answer.saw;
  return 'unsupported' in answer ? [{ saw: 'unsupported', what: answer.unsupported }] : [{ saw: 'broke', why: answer.broke }];
};

/** `path`: a trace, plain or gzip. Stimuli after a death are left out until the next reset of the trace. Throws TraceError for anything but a missing end. */
export const replayOn = async (target: Target, path: string, judge: Judge): Promise<Replayed> => {
  const findings: Finding[] = [];
  let stimuli = 0;
  let dead = false;
  const apply = async (stimulus: Stimulus): Promise<void> => {
    const answer = await target.apply(stimulus);
    stimuli++;
    if ('unsupported' in answer) judge.pass();
    else findings.push(...judge.see(stimulus));
    for (const event of seen(answer)) findings.push(...judge.see(event));
    dead = 'broke' in answer;
  };
  try {
    for await (const entries of readTrace(path))
      for (const entry of entries) {
        if ('reset' in entry) {
          const granting = await target.reset(entry.reset);
          if (!('granted' in granting))
            return { findings, stimuli, refused: 'unsupported' in granting ? granting.unsupported : granting.broke };
          judge.reset(granting.granted, entry.reset.image);
          dead = false;
        } else if ('event' in entry && 'do' in entry.event && !dead) await apply(entry.event as Stimulus);
      }
  } catch (error) {
    if (!isTraceError(error) || !error.truncated) throw error;
    return { findings, stimuli, truncated: error.message };
  }
  return { findings, stimuli };
};
