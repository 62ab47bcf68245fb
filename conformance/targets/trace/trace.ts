// A recording as a target: doing what it recorded, in order, gives what it recorded. Anything else is unsupported.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Answer, Granted, MachineConfig, Target } from '../../../spec/units.ts';
import type { Observation, Stimulus } from '../../../spec/vocabulary.ts';
import { decodeGranted, decodeMachine, decodeObservation, decodeStimulus, encodeLine, encodeMachine, isRecord } from '../../wire/events.ts';
import { traceError } from '../../trace/read.ts';

interface Recorded {
  readonly machine: string;
  readonly granted: Granted;
  readonly steps: { readonly line: string; readonly answer: Observation[] }[];
}
const machineText = (machine: MachineConfig): string => JSON.stringify(encodeMachine(machine));

const recorded = (path: string): { readonly name: string; readonly version: string; readonly parts: readonly Recorded[] } => {
  let raw: Buffer;
  try {
    raw = readFileSync(path);
  } catch (error) {
    throw traceError(`${path}: cannot be read (${(error as Error).message}); name a trace file`);
  }
  const text = (raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw).toString('utf8');
  const parts: Recorded[] = [];
  let machine = '';
  let name = 'trace';
  let version = '0';
  for (const [i, line] of text.split('\n').entries()) {
    if (line === '') continue;
    try {
      const json: unknown = JSON.parse(line);
      if (!isRecord(json)) throw new Error('must be an object');
      const part = parts.at(-1);
      if ('trace' in json && isRecord(json['target'])) {
        name = String(json['target']['name']);
        version = String(json['target']['version']);
      } else if ('reset' in json) machine = machineText(decodeMachine(json['reset']));
      else if ('granted' in json) parts.push({ machine, granted: decodeGranted(json['granted']), steps: [] });
      else if ('do' in json) part?.steps.push({ line: encodeLine(decodeStimulus(json)), answer: [] });
      else if ('saw' in json) part?.steps.at(-1)?.answer.push(decodeObservation(json));
    } catch (error) {
      throw traceError(`${path}:${i + 1}: ${(error as Error).message}`);
    }
  }
  if (parts.length === 0) throw traceError(`${path}: holds no machine; a trace has {"reset":…} and {"granted":…}`);
  return { name, version, parts };
};
const answerOf = (saw: readonly Observation[]): Answer => {
  const last = saw.at(-1);
  if (last?.saw === 'unsupported') return { unsupported: last.what };
  if (last?.saw === 'broke') return { broke: last.why };
  return { saw };
};

export const traceTarget = (path: string): Target => {
  const { name, version, parts } = recorded(path);
  let next = 0;
  let part: Recorded | undefined;
  let at = 0;
  const apply = (stimulus: Stimulus): Answer => {
    const step = part?.steps[at];
    if (step === undefined) return { unsupported: 'the recording has ended here' };
    if (step.line !== encodeLine(stimulus)) return { unsupported: `the recording has ${step.line.slice(0, 120)} here` };
    at++;
    return answerOf(step.answer);
  };
  return {
    hello: { protocol: 1, name: `trace of ${name}`, version, offers: [...new Set(parts.flatMap((p) => p.granted.offers))] },
    reset: (machine) => {
      const wanted = machineText(machine);
      const found = parts.findIndex((p, i) => i >= next && p.machine === wanted);
      if (found < 0) return { unsupported: 'the recording has no such machine left' };
      part = parts[found];
      next = found + 1;
      at = 0;
      return { granted: (part as Recorded).granted };
    },
    apply,
    close: () => undefined,
  };
};
