// Stimuli, observations, machines, hellos and answers, to and from JSON. Every decoder checks first and throws a WireError that names the
// field and the fix; every encoder writes keys in one order, so that equal values are equal bytes.

import type { Answer, Granted, Hello, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import { type Json, type JsonRecord, recordDecoder, recordEncoder } from './codec.ts';
import type { Fields } from './fields.ts';
import { schemaOfRecord } from './schema.ts';
import { granted, hello, machine, observations, stimuli } from './shapes.ts';
import { type Check, checkOf, excerpt, wireError } from './validate.ts';

/** An event that can stand on the wire or in a trace. */
export type WireEvent = Stimulus | Observation;

interface Kind {
  readonly encode: (value: unknown) => JsonRecord;
  readonly decode: (json: Json) => unknown;
  readonly check: Check;
}
export const kindOf = (what: string, fields: Fields, first?: readonly [key: string, name: string]): Kind => ({
  encode: recordEncoder(fields, first),
  decode: recordDecoder(fields, first),
  check: checkOf(what, () => schemaOfRecord(fields, first)),
});
const kindsOf = (key: 'do' | 'saw', shapes: Readonly<Record<string, Fields>>): ReadonlyMap<string, Kind> =>
  new Map(Object.entries(shapes).map(([name, fields]) => [name, kindOf(name, fields, [key, name])]));

const doKinds = kindsOf('do', stimuli);
const sawKinds = kindsOf('saw', observations);

const decodeBy = (kinds: ReadonlyMap<string, Kind>, key: 'do' | 'saw', json: unknown): unknown => {
  const name = (json as Readonly<Record<string, unknown>>)[key];
  const kind = kinds.get(name as string);
  if (kind === undefined)
    throw wireError(`field "${key}": no event is called ${excerpt(name)}; use one of ${[...kinds.keys()].join(', ')}`);
  kind.check(json);
  return kind.decode(json as Json);
};

export const isRecord = (json: unknown): json is Readonly<Record<string, unknown>> =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

/** Whether a stimulus or observation of this name exists. */
export const isStimulusName = (name: unknown): boolean => doKinds.has(name as string);

/** Keys in declared order, discriminator first. */
export const encode = (event: WireEvent): JsonRecord => {
  const kind = 'do' in event ? doKinds.get(event.do) : sawKinds.get(event.saw);
  if (kind === undefined) throw wireError(`no such event on the wire: ${'do' in event ? event.do : event.saw}`);
  return kind.encode(event);
};
/** One line, without its newline. */
export const encodeLine = (event: WireEvent): string => JSON.stringify(encode(event));

export const decodeStimulus = (json: unknown): Stimulus => {
  if (!isRecord(json) || !Object.hasOwn(json, 'do'))
    throw wireError(`a stimulus must be an object with the field "do", but is ${excerpt(json)}`);
  return decodeBy(doKinds, 'do', json) as Stimulus;
};
export const decodeObservation = (json: unknown): Observation => {
  if (!isRecord(json) || !Object.hasOwn(json, 'saw')) {
    throw wireError(`an observation must be an object with the field "saw", but is ${excerpt(json)}`);
  }
  return decodeBy(sawKinds, 'saw', json) as Observation;
};
export const decode = (json: unknown): WireEvent => {
  if (isRecord(json)) {
    if (Object.hasOwn(json, 'do')) return decodeBy(doKinds, 'do', json) as Stimulus;
    if (Object.hasOwn(json, 'saw')) return decodeBy(sawKinds, 'saw', json) as Observation;
  }
  throw wireError(`an event must be an object with the field "do" or "saw", but is ${excerpt(json)}`);
};

interface Codec<T> {
  readonly encode: (value: T) => JsonRecord;
  readonly decode: (json: unknown) => T;
}
export const codecOf = <T>(what: string, fields: Fields): Codec<T> => {
  const kind = kindOf(what, fields);
  return {
    encode: kind.encode,
    decode: (json) => {
      kind.check(json);
      return kind.decode(json as Json) as T;
    },
  };
};
const machines: Codec<MachineConfig> = codecOf('machine', machine);
const grants: Codec<Granted> = codecOf('granted', granted);
const hellos: Codec<Hello> = codecOf('hello', hello);

export const encodeMachine: (value: MachineConfig) => JsonRecord = machines.encode;
export const decodeMachine: (json: unknown) => MachineConfig = machines.decode;
export const encodeGranted: (value: Granted) => JsonRecord = grants.encode;
export const decodeGranted: (json: unknown) => Granted = grants.decode;
export const encodeHello: (value: Hello) => JsonRecord = hellos.encode;
export const decodeHello: (json: unknown) => Hello = hellos.decode;

const reasonOf = (key: string, json: unknown): string => {
  if (typeof json !== 'string') throw wireError(`field "${key}" must be a string that says why, but is ${excerpt(json)}`);
  return json;
};
export const encodeAnswer = (answer: Answer): JsonRecord => ('saw' in answer ? { saw: answer.saw.map(encode) } : { ...answer });
export const decodeAnswer = (json: unknown): Answer => {
  if (!isRecord(json)) throw wireError(`an answer must be an object, but is ${excerpt(json)}`);
  const keys = Object.keys(json);
  const [key] = keys;
  if (keys.length !== 1 || (key !== 'saw' && key !== 'unsupported' && key !== 'broke')) {
    throw wireError(`an answer must have exactly one of the fields "saw", "unsupported", "broke", but has ${excerpt(keys)}`);
  }
  if (key !== 'saw') return key === 'broke' ? { broke: reasonOf(key, json[key]) } : { unsupported: reasonOf(key, json[key]) };
  const { saw } = json;
  if (!Array.isArray(saw)) throw wireError(`field "saw" must be a list of observations, but is ${excerpt(saw)}`);
  return { saw: saw.map(decodeObservation) };
};
