// The JSON Schema 2020-12 of all lines: requests, replies, and the lines of a trace. Shipped as protocol.schema.json beside this file.
// `npx tsx conformance/wire/protocol.ts` writes that file anew; a test compares.

import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Schema, schemaOfRecord } from './schema.ts';
import { granted, grantedPart, hello, machine, observations, stimuli } from './shapes.ts';

const ref = (name: string): Schema => ({ $ref: `#/$defs/${name}` });
const seq: Schema = { type: 'integer', minimum: 0, description: 'a whole number; the reply repeats it' };
const text: Schema = { type: 'string' };

const line = (about: string, fields: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema => ({
  description: about,
  type: 'object',
  properties: fields,
  required: Object.keys(fields).filter((name) => !optional.includes(name)),
  additionalProperties: false,
});
/** A trace line that may carry more than is named here. */
const open = (about: string, fields: Readonly<Record<string, Schema>>, required: readonly string[]): Schema => ({
  description: about,
  type: 'object',
  properties: fields,
  required,
});
const eventDefs = (
  key: 'do' | 'saw',
  shapes: Readonly<Record<string, Parameters<typeof schemaOfRecord>[0]>>,
): Readonly<Record<string, Schema>> =>
  Object.fromEntries(Object.entries(shapes).map(([name, fields]) => [`${key}:${name}`, schemaOfRecord(fields, [key, name])]));
const anyOf = (defs: Readonly<Record<string, Schema>>): Schema => ({ anyOf: Object.keys(defs).map(ref) });

const doDefs = eventDefs('do', stimuli);
const sawDefs = eventDefs('saw', observations);
const requests = {
  'request:hello': line('Who are you? 1 is the version of the protocol.', { seq, hello: { const: 1 } }),
  'request:reset': line('Build this machine. `file` is its memory, already filled.', { seq, reset: ref('machine'), file: text }, ['file']),
  'request:apply': line('Do this.', { seq, apply: ref('stimulus') }),
  'request:bye': line('Exit. Not answered.', { seq, bye: { const: true } }),
};
const replies = {
  'reply:hello': line('Answers hello.', { seq, hello: ref('hello') }),
  'reply:granted': line('Answers reset: what differs from the machine asked for.', { seq, granted: ref('grantedPart') }),
  'reply:saw': line('Answers apply.', { seq, saw: { type: 'array', items: ref('observation') } }),
  'reply:unsupported': line('Answers reset or apply: cannot do that, and why.', { seq, unsupported: text }),
  'reply:broke': line('Answers reset or apply: what was driven died or hung, and how.', { seq, broke: text }),
  'reply:error': line('Answers a bad line, and says what to change.', { seq: { type: ['integer', 'null'] }, error: text }),
};
const traceLines = {
  'trace:header': open('First line.', { trace: { const: 1 }, machine: ref('machine'), granted: ref('granted') }, ['trace']),
  'trace:plan': line('The choice that the following stimuli were lowered from.', {
    plan: { type: 'object', properties: { op: text }, required: ['op'] },
  }),
  'trace:end': open('Last line; without it the trace is truncated.', { end: { type: 'integer', minimum: 0 } }, ['end']),
};

export const protocolSchema = (): Schema => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'vmm-conformance, protocol 1: lines between the suite and an adapter, and lines of a trace',
  anyOf: [ref('request'), ref('reply'), ref('traceLine')],
  $defs: {
    request: anyOf(requests),
    reply: anyOf(replies),
    traceLine: { anyOf: [...Object.keys(traceLines).map(ref), ref('stimulus'), ref('observation')] },
    ...requests,
    ...replies,
    ...traceLines,
    stimulus: anyOf(doDefs),
    observation: anyOf(sawDefs),
    hello: schemaOfRecord(hello),
    machine: schemaOfRecord(machine),
    granted: schemaOfRecord(granted),
    grantedPart: schemaOfRecord(grantedPart),
    ...doDefs,
    ...sawDefs,
  },
});
/** The bytes of protocol.schema.json. */
export const protocolSchemaText = (): string => `${JSON.stringify(protocolSchema(), undefined, 1)}\n`;
export const protocolSchemaFile: URL = new URL('protocol.schema.json', import.meta.url);

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(protocolSchemaFile, protocolSchemaText());
