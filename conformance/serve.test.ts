// Whether a served target answers every line once, byte for byte as recorded, and survives any input.
// The transcripts in wire/golden alternate: a request, its reply. `npx vitest run conformance/serve.test.ts -u` records the replies anew.

import { readdirSync, readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MachineConfig } from '../spec/units.ts';
import { instructionsSuite } from './instructions/suite.ts';
import type { Suite } from './program.ts';
import { play } from './run.ts';
import { programsOf } from './sample.ts';
import { linesOf, serve } from './serve.ts';
import { negotiation, reading, smokeMachine } from './smoke/block-request.ts';
import { execTarget } from './targets/exec/exec.ts';
import { refTarget } from './targets/ref/ref.ts';
import { vtdSuite } from './vt-d/suite.ts';
import { decodeReply, encodeRequest, type Request } from './wire/lines.ts';

const golden = new URL('wire/golden/', import.meta.url);

const served = async (chunks: readonly (string | Buffer)[]): Promise<readonly string[]> => {
  const target = refTarget();
  let output = '';
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      output += chunk.toString();
      done();
    },
  });
  await serve(target, Readable.from(chunks, { objectMode: true }), sink);
  target.close();
  return output === '' ? [] : output.replace(/\n$/, '').split('\n');
};

describe('golden transcripts', () => {
  test.each(readdirSync(golden))('%s', async (name) => {
    const recorded = readFileSync(new URL(name, golden), 'utf8').trimEnd().split('\n');
    const requests = recorded.filter((_, i) => i % 2 === 0);
    const replies = await served([`${requests.join('\n')}\n`]);
    expect(replies.length).toBe(requests.length);
    const transcript = requests.map((line, i) => `${line}\n${replies[i]}\n`).join('');
    await expect(transcript).toMatchFileSnapshot(new URL(name, golden).pathname);
  });
});

describe('a conversation', () => {
  const hello = encodeRequest({ seq: 1, hello: 1 });
  test('ends at bye, with nothing after it', async () => {
    expect(await served([`${hello}\n${encodeRequest({ seq: 2, bye: true })}\n${hello}\n`])).toHaveLength(1);
  });
  test('takes lines in any chunks, and a last one without newline', async () => {
    const bytes = Buffer.from(`${hello}\n${hello}`);
    expect(await served([...bytes].map((byte) => Buffer.from([byte])))).toHaveLength(2);
  });
  test('garbage gets an error and does no harm', async () => {
    const replies = await served(['\n', 'garbage\n', Buffer.from([0xff, 0xfe, 10]), `${hello}\n`]);
    expect(replies[0]).toBe('{"seq":null,"error":"line 1: the line must be one JSON object, but is \\"\\""}');
    expect(replies[1]).toBe('{"seq":null,"error":"line 2: the line must be one JSON object, but is \\"garbage\\""}');
    expect(replies[3]).toContain('"hello":{"protocol":1');
  });
  test('a stimulus of a later protocol is unsupported', async () => {
    const [, reply] = await served([`${hello}\n{"seq":2,"apply":{"do":"cpu.step"}}\n`]);
    expect(decodeReply(reply as string)).toMatchObject({ seq: 2, unsupported: expect.stringContaining('no event is called "cpu.step"') });
  });
  test('any bytes: one well-formed reply for each line', async () => {
    const noise = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 10)));
    const polite: readonly Request[] = [
      { seq: 1, hello: 1 },
      { seq: 2, apply: { do: 'virtio.status.read' } },
    ];
    const line = fc.oneof(
      noise,
      fc.json().map(Buffer.from),
      fc.constantFrom(...polite).map((request) => Buffer.from(encodeRequest(request))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 8 }), async (lines) => {
        const replies = await served(lines.map((bytes) => Buffer.concat([bytes, Buffer.from('\n')])));
        expect(replies).toHaveLength(lines.length);
        for (const reply of replies) decodeReply(reply);
      }),
    );
  });
  test('a line that is too long is skipped, in bounded memory', async () => {
    const got: unknown[] = [];
    for await (const taken of linesOf(Readable.from([Buffer.alloc(9, 0x61), Buffer.from('\nok\n')]), 8)) got.push(taken);
    expect(got).toEqual([{ skipped: 9 }, { line: 'ok' }]);
  });
});

test('the reference served to exec answers as the reference', { timeout: 60_000 }, async () => {
  const self = JSON.stringify(new URL('serve.ts', import.meta.url).href);
  const ref = JSON.stringify(new URL('targets/ref/ref.ts', import.meta.url).href);
  const program = `const [{ serve }, { refTarget }] = await Promise.all([import(${self}), import(${ref})]); await serve(refTarget(), process.stdin, process.stdout);`;
  const over = execTarget(`exec '${process.execPath}' --import tsx --input-type=module -e '${program}'`);
  const direct = refTarget();
  try {
    expect(over.hello).toEqual(direct.hello);
    expect(over.reset(smokeMachine)).toEqual(direct.reset(smokeMachine));
    for (const part of [negotiation, reading]) expect(over.applyAll(part)).toEqual(direct.applyAll(part));
    // Of other areas: the same grants, and the same lines of programs as they are drawn.
    for (const suite of [instructionsSuite, vtdSuite] as unknown as readonly Suite[]) {
      const [machine] = suite.machines as [MachineConfig, ...MachineConfig[]];
      expect(over.reset(machine), suite.id).toEqual(direct.reset(machine));
      for (const program of programsOf(suite, machine, 1, 0).slice(0, 8))
        expect((await play(over, suite, program, undefined)).lines).toEqual((await play(direct, suite, program, undefined)).lines);
    }
  } finally {
    over.close();
  }
});
