// Runs a recording's stimuli on a target and judges what the target does: other permitted behaviour passes.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Answer, Target } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import type { Finding, Judge } from '../judge.ts';
import { decodeMachine, decodeStimulus, isRecord } from '../wire/events.ts';

export interface Replayed {
  readonly findings: readonly Finding[];
  readonly stimuli: number;
  /** The target would not build a machine of the trace, and why. */
  readonly refused?: string;
}
const seen = (answer: Answer): readonly Event[] => {
  if ('saw' in answer) return answer.saw;
  return 'unsupported' in answer ? [{ saw: 'unsupported', what: answer.unsupported }] : [{ saw: 'broke', why: answer.broke }];
};

/** `path`: a trace, plain or gzip. Stimuli after a death are left out until the next reset of the trace. */
export const replayOn = async (target: Target, path: string, judge: Judge): Promise<Replayed> => {
  const raw = readFileSync(path);
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('utf8');
  const findings: Finding[] = [];
  let stimuli = 0;
  let dead = false;
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const json: unknown = JSON.parse(line);
    if (!isRecord(json)) throw new Error(`${path}:${i + 1}: a trace line must be an object`);
    if (json['reset'] !== undefined) {
      const machine = decodeMachine(json['reset']);
      const granting = await target.reset(machine);
      if (!('granted' in granting))
        return { findings, stimuli, refused: 'unsupported' in granting ? granting.unsupported : granting.broke };
      judge.reset(granting.granted, machine.image);
      dead = false;
    }
    if (json['do'] === undefined || dead) continue;
    const stimulus = decodeStimulus(json);
    const answer = await target.apply(stimulus);
    stimuli++;
    if ('unsupported' in answer) judge.pass();
    else findings.push(...judge.see(stimulus));
    for (const event of seen(answer)) findings.push(...judge.see(event));
    dead = 'broke' in answer;
  }
  return { findings, stimuli };
};
