// Whether the wire format is one-to-one, closed, documented by its schema, and safe against any bytes.

import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Answer, Granted, Hello, MachineConfig } from '../../spec/units.ts';
import {
  decode,
  decodeAnswer,
  decodeGranted,
  decodeHello,
  decodeMachine,
  encode,
  encodeAnswer,
  encodeGranted,
  encodeHello,
  encodeLine,
  encodeMachine,
  type WireEvent,
} from './events.ts';
import { type Field, type Fields, isWhole, largestOf } from './fields.ts';
import { completed, decodeReply, decodeRequest, encodeReply, encodeRequest, type Reply, type Request } from './lines.ts';
import { protocolSchema, protocolSchemaFile, protocolSchemaText } from './protocol.ts';
import { granted, grantedPart, hello, machine, observations, stimuli } from './shapes.ts';
import { isWireError } from './validate.ts';

const arbitraryOf = (field: Field): fc.Arbitrary<unknown> => {
  if (isWhole(field))
    return fc.oneof(
      fc.constantFrom(0, 1, largestOf(field)),
      fc.maxSafeNat().map((n) => n % (largestOf(field) + 1)),
    );
  if (field === 'u64') return fc.oneof(fc.constantFrom(0n, 0x1fn, 2n ** 64n - 1n), fc.bigInt(0n, 2n ** 64n - 1n));
  if (field === 'bytes') return fc.uint8Array({ maxLength: 20 });
  if (field === 'bool') return fc.boolean();
  if (field === 'string') return fc.string({ unit: 'binary', maxLength: 12 });
  if ('optional' in field) return arbitraryOf(field.optional);
  if ('list' in field) return fc.array(arbitraryOf(field.list), { maxLength: 3 });
  if ('record' in field) return recordOf(field.record);
  if ('numbers' in field) return fc.constantFrom(...Object.keys(field.numbers).map(Number));
  const word = fc.constantFrom(...Object.keys(field.words));
  return field.or === undefined ? word : fc.oneof(word, arbitraryOf(field.or));
};
const recordOf = (fields: Fields): fc.Arbitrary<Readonly<Record<string, unknown>>> => {
  const required = Object.entries(fields).filter(([, field]) => typeof field === 'string' || !('optional' in field));
  return fc.record(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, arbitraryOf(field)])), {
    requiredKeys: required.map(([name]) => name),
    noNullPrototype: true,
  });
};
const eventsOf = (key: 'do' | 'saw', shapes: Readonly<Record<string, Fields>>): readonly fc.Arbitrary<WireEvent>[] =>
  Object.entries(shapes).map(([name, fields]) => recordOf(fields).map((record) => ({ [key]: name, ...record }) as unknown as WireEvent));
const stimulus = fc.oneof(...eventsOf('do', stimuli));
const observation = fc.oneof(...eventsOf('saw', observations));
const event = fc.oneof(stimulus, observation);
const text = fc.string({ unit: 'binary' });
const answer = fc.oneof(
  fc.array(observation, { maxLength: 3 }).map((saw) => ({ saw })),
  text.map((unsupported) => ({ unsupported })),
  text.map((broke) => ({ broke })),
) as fc.Arbitrary<Answer>;
const machines = recordOf(machine) as unknown as fc.Arbitrary<MachineConfig>;
const seq = fc.maxSafeNat();
const request = fc.oneof(
  seq.map((n) => ({ seq: n, hello: 1 })),
  seq.map((n) => ({ seq: n, bye: true })),
  fc.record({ seq, reset: machines, file: text }, { requiredKeys: ['seq', 'reset'], noNullPrototype: true }),
  fc.record({ seq, apply: stimulus }, { noNullPrototype: true }),
) as fc.Arbitrary<Request>;
const reply = fc.oneof(
  fc.record({ seq, hello: recordOf(hello) }, { noNullPrototype: true }),
  fc.record({ seq, granted: recordOf(grantedPart) }, { noNullPrototype: true }),
  fc.tuple(seq, answer).map(([n, a]) => ({ seq: n, ...a })),
  fc.record({ seq: fc.option(seq), error: text }, { noNullPrototype: true }),
) as fc.Arbitrary<Reply>;

const always = <T>(values: fc.Arbitrary<T>, claim: (value: T) => void): void =>
  fc.assert(
    fc.property(values, (value) => {
      claim(value);
    }),
  );
const throughText = (json: unknown): unknown => JSON.parse(JSON.stringify(json));
const message = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    if (isWireError(error)) return error.message;
    throw error;
  }
  return 'accepted';
};

describe('round trips', () => {
  test('events', () => {
    fc.assert(
      fc.property(event, (e) => {
        expect(decode(JSON.parse(encodeLine(e)))).toEqual(e);
      }),
    );
  });
  test('machines, grants, hellos, answers', () => {
    always(machines, (m) => expect(decodeMachine(throughText(encodeMachine(m)))).toEqual(m));
    const grants = recordOf(granted) as unknown as fc.Arbitrary<Granted>;
    always(grants, (g) => expect(decodeGranted(throughText(encodeGranted(g)))).toEqual(g));
    const hellos = recordOf(hello) as unknown as fc.Arbitrary<Hello>;
    always(hellos, (h) => expect(decodeHello(throughText(encodeHello(h)))).toEqual(h));
    always(answer, (a) => expect(decodeAnswer(throughText(encodeAnswer(a)))).toEqual(a));
  });
  test('requests and replies, each on one line', () => {
    always(request, (r) => expect(decodeRequest(encodeRequest(r))).toEqual(r));
    always(reply, (r) => expect(decodeReply(encodeReply(r))).toEqual(r));
    always(reply, (r) => expect(encodeReply(r)).not.toContain('\n'));
  });
});

describe('schema', () => {
  const ajv = new Ajv2020({ allErrors: false });
  ajv.addSchema({ ...protocolSchema(), $id: 'protocol' });
  const accepts = (name: string, json: unknown): boolean => ajv.getSchema(`protocol#/$defs/${name}`)?.(json) === true;

  test('the committed file is what the tables say (npx tsx conformance/wire/protocol.ts)', () => {
    expect(readFileSync(protocolSchemaFile, 'utf8')).toBe(protocolSchemaText());
  });
  test('accepts every line that is written', () => {
    always(request, (r) => expect(accepts('request', JSON.parse(encodeRequest(r)))).toBe(true));
    always(reply, (r) => expect(accepts('reply', JSON.parse(encodeReply(r)))).toBe(true));
    always(event, (e) => expect(accepts('traceLine', encode(e))).toBe(true));
  });
  test('an event that the schema refuses is refused by the decoder, and the other way round', () => {
    const spoilt = fc.tuple(event, fc.nat(), fc.jsonValue()).map(([e, which, value]) => {
      const json = throughText(encode(e)) as Record<string, unknown>;
      const keys = [...Object.keys(json), 'extra'];
      return { ...json, [keys[which % keys.length] as string]: value };
    });
    fc.assert(
      fc.property(spoilt, (json) => {
        const schemaSays = accepts('stimulus', json) || accepts('observation', json);
        expect(message(() => decode(json)) === 'accepted').toBe(schemaSays);
      }),
      { numRuns: 300 },
    );
  });
});

describe('form', () => {
  test('discriminator first, declared order, minimal hex, no absent fields', () => {
    const made = { size: 8, used: 0x3000n, avail: 0n, desc: 0x1fn, queue: 0, do: 'virtq.set' } as unknown as WireEvent;
    expect(encodeLine(made)).toBe('{"do":"virtq.set","queue":0,"size":8,"desc":"0x1f","avail":"0x0","used":"0x3000"}');
    const write = { do: 'memory.write', bytes: Uint8Array.of(0, 255), at: 16n } as unknown as WireEvent;
    expect(encodeLine(write)).toBe('{"do":"memory.write","at":"0x10","bytes":"00ff"}');
  });
  test('errors name the field and the fix', () => {
    const cases: readonly (readonly [unknown, string])[] = [
      [{ do: 'virtq.notify' }, 'virtq.notify: field "queue" is missing: add a whole number from 0 to 65535'],
      [{ do: 'virtq.notify', queue: -1 }, 'virtq.notify: field "queue" must be a whole number from 0 to 65535, but is -1'],
      [{ do: 'virtq.notify', queue: 0, q: 1 }, 'virtq.notify: field "q" is unknown: remove it (the fields here are do, queue)'],
      [{ saw: 'settled', by: 'now' }, 'settled: field "by" must be one of "sync", "until", "idle", "bound", but is "now"'],
      [
        { saw: 'memory.changed', writes: [{ at: '0x00', bytes: '' }] },
        'memory.changed: field "writes.0.at" must be a 64-bit number as minimal',
      ],
      [
        { saw: 'memory.changed', writes: [{ at: '0x0', bytes: '0' }] },
        'memory.changed: field "writes.0.bytes" must be bytes as lower-case hex',
      ],
      [{ do: 'nothing' }, 'field "do": no event is called "nothing"; use one of memory.write, settle'],
      [7, 'an event must be an object with the field "do" or "saw", but is 7'],
    ];
    for (const [json, starts] of cases) expect(message(() => decode(json))).toContain(starts);
    const asked = '{"seq":1,"reset":{"memory":1,"fill":0,"bus":"isa"}}';
    expect(message(() => decodeRequest(asked))).toBe(
      'machine: field "bus" must be one of "none", "mmio", "pci", "vhost-user", but is "isa"',
    );
    expect(message(() => decodeRequest('{"seq":1,"hello":1,"bye":true}'))).toContain('exactly one of the fields hello, reset, apply, bye');
    expect(message(() => decodeReply('{"seq":1,"saw":[],"sow":1}'))).toBe('field "sow" is unknown: remove it (beside "seq" and "saw")');
    const badGrant = '{"seq":1,"granted":{"memory":{"size":1,"fill":"none","seen":"unseen"}}}';
    expect(message(() => decodeReply(badGrant))).toContain(
      'field "memory.fill" must be "unknown" or a whole number from 0 to 255, but is "none"',
    );
    const badOffer = '{"seq":1,"granted":{"virtio":{"offer":3}}}';
    expect(message(() => decodeReply(badOffer))).toContain('field "virtio.offer" must be a 64-bit number as minimal lower-case hex');
  });
  test('a grant that leaves everything out is the machine as asked', () => {
    const blk = { disk: 'pattern', sectors: 8, readOnly: false, blockSize: 512, serial: 's' } as const;
    const asked: MachineConfig = {
      memory: 4096,
      fill: 7,
      bus: 'none',
      virtio: { device: 'blk', offer: 9n, queueSizeMax: 8, queues: 2, blk },
    };
    const who: Hello = { protocol: 1, name: 'n', version: 'v', offers: ['virtio.blk'] };
    expect(completed({}, asked, who)).toEqual({
      memory: { size: 4096, fill: 7, seen: 'compared' },
      level: 'queue',
      reset: 'device',
      offers: ['virtio.blk'],
      virtio: asked.virtio,
    });
    expect(completed({ virtio: { offer: 1n, blk: { disk: 'unknown' } } }, asked, who).virtio).toEqual({
      ...asked.virtio,
      offer: 1n,
      blk: { ...blk, disk: 'unknown' },
    });
    expect(completed({ virtio: 'unknown' }, asked, who)).not.toHaveProperty('virtio');
  });
});

describe('any bytes in', () => {
  const near = fc.oneof(request.map(encodeRequest), reply.map(encodeReply), event.map(encodeLine));
  const flipped = fc.tuple(near, fc.nat(), fc.nat(255)).map(([line, at, byte]) => {
    const bytes = Buffer.from(line);
    bytes[at % bytes.length] = byte;
    return bytes.toString('utf8');
  });
  const cut = fc.tuple(near, fc.nat()).map(([line, at]) => line.slice(0, at % line.length));
  const anything = fc.oneof(text, fc.json(), near, flipped, cut);
  test('the readers accept or throw a WireError, nothing else', () => {
    fc.assert(
      fc.property(anything, (line) => {
        for (const read of [decodeRequest, decodeReply]) expect(message(() => read(line)).length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
    always(fc.jsonValue(), (json) => expect(message(() => decode(json)).length).toBeGreaterThan(0));
  });
});
