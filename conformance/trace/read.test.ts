// What the reader says of files that are no good trace: the file, the line, what is wrong, what to do; never anything but a TraceError.
// Whatever the bytes, nothing is lost before the place that is wrong, and memory stays bounded.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { type Line, play } from '../run.ts';
import { programsOf } from '../sample.ts';
import { refTarget } from '../targets/ref/ref.ts';
import { pciSuite } from '../virtio/pci.ts';
import { type Judgement, judgeTrace } from './judge.ts';
import { isTraceError, lineLimit } from './read.ts';
import { headLine, lineText } from './write.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'vmmc-read-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'bad.jsonl');

const recorded = async (): Promise<readonly string[]> => {
  const target = refTarget();
  const suite = pciSuite as unknown as Suite;
  const lines: Line[] = [];
  const [machine] = suite.machines;
  if (machine === undefined) throw new Error('no machine');
  for (const program of programsOf(suite, machine, 1, 0).slice(0, 3)) lines.push(...(await play(target, suite, program, undefined)).lines);
  return [headLine({ about: [], story: 'good', target: target.hello }), ...lines.map(lineText)];
};
const body = await recorded();
const good = Buffer.from(`${[...body, JSON.stringify({ end: body.length, verdicts: {} })].join('\n')}\n`);

const judged = (bytes: Uint8Array): Promise<Judgement> => {
  writeFileSync(path, bytes);
  return judgeTrace(path, createJudge(areas));
};
const refusal = async (bytes: Uint8Array): Promise<string> => {
  try {
    const j = await judged(bytes);
    return j.truncated ?? 'accepted';
  } catch (error) {
    if (!isTraceError(error)) throw error;
    return error.message;
  }
};
const text = (s: string): Buffer => Buffer.from(s);
const header = body[0] ?? '';

test('a good trace is read to its end, plain or compressed', async () => {
  for (const bytes of [good, gzipSync(good)]) {
    const j = await judged(bytes);
    expect(j.truncated).toBeUndefined();
    expect(j.lines).toBe(body.length + 1);
  }
});

describe('a trace that is', () => {
  const cases: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ['empty', text(''), /bad\.jsonl: .*empty/],
    ['a blank line', text('\n'), /bad\.jsonl: .*empty/],
    ['binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 255, 254, 10, 0, 1]), /bad\.jsonl:1: .*no JSON/],
    ['some other JSON', text('[1,2,3]\n'), /bad\.jsonl:1: must be an object/],
    ['without a header', text(`${body.slice(1).join('\n')}\n`), /bad\.jsonl:1: must be the header/],
    ['of an unknown version', text(header.replace('"trace":1', '"trace":2') + '\n'), /trace version 2 is unknown; this program reads 1/],
    ['two traces in one file', Buffer.concat([good, good]), /after the end of the trace/],
    ['two headers', text(`${header}\n${header}\n`), /bad\.jsonl:2: is a second header/],
    ['cut in a line', good.subarray(0, good.length - 20), /ends after line/],
    ['cut at a line', text(`${body.join('\n')}\n`), /ends after line/],
    ['cut in compressed data', gzipSync(good).subarray(0, 200), /bad\.jsonl: /],
    ['damaged in compressed data', damaged(gzipSync(good)), /bad\.jsonl/],
    ['an event before any machine', text(`${header}\n{"do":"settle"}\n`), /bad\.jsonl:2: /],
    ['an event that nobody knows', text(`${body.slice(0, 3).join('\n')}\n{"do":"dance"}\n`), /bad\.jsonl:4: .*no event is called "dance"/],
    ['a footer that counts wrong', text(`${body.join('\n')}\n{"end":1,"verdicts":{}}\n`), /bad\.jsonl:\d+: /],
    [
      'of a machine beyond reason',
      text(`${header}\n${(body[1] ?? '').replace(/"memory":\d+/, '"memory":1099511627776')}\n`),
      /bad\.jsonl:2: .*memory/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, says) => {
    expect(await refusal(bytes)).toMatch(says);
  });
  test('one line without end', { timeout: 60_000 }, () => {
    writeFileSync(path, Buffer.concat([text(`${header}\n"`), Buffer.alloc(4 * lineLimit, 0x61)]));
    // By a process of its own, whose memory is all that this takes.
    const script = `
      import { judgeTrace } from './conformance/trace/judge.ts';
      import { createJudge } from './conformance/judge.ts';
      const before = process.memoryUsage.rss();
      await judgeTrace(${JSON.stringify(path)}, createJudge([])).catch((error) => console.log(error.message));
      console.log(process.resourceUsage().maxRSS * 1024 - before);`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', script];
    const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8', timeout: 50_000 });
    const [message, grown] = stdout.split('\n');
    expect(message).toMatch(/bad\.jsonl:2: .*longer than/);
    expect(Number(grown)).toBeGreaterThan(0);
    expect(Number(grown)).toBeLessThan(24 * lineLimit);
  });
  test('not there, or a folder', async () => {
    await expect(judgeTrace(join(folder, 'none.jsonl'), createJudge(areas))).rejects.toThrow(/none\.jsonl: cannot be read/);
    await expect(judgeTrace(folder, createJudge(areas))).rejects.toThrow(/cannot be read/);
  });
});

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.fill(0xff, 60, 80);
  return copy;
}

describe('any damage', () => {
  test('a flipped bit is refused with the line, or leaves a trace that is judged', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length * 8 - 1), async (at) => {
        const copy = Buffer.from(good);
        copy[at >> 3] = (copy[at >> 3] ?? 0) ^ (1 << (at & 7));
        expect(await refusal(copy)).toMatch(/^accepted$|bad\.jsonl/);
      }),
      { numRuns: 150, seed: 1 },
    );
  });
  test('cut anywhere, what stands before is judged', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: header.length + 1, max: good.length - 2 }), async (length) => {
        const j = await judged(good.subarray(0, length));
        expect(j.truncated).toContain('ends after line');
        const whole = good.subarray(0, length).toString().split('\n').length - 1;
        expect(j.lines).toBeGreaterThanOrEqual(whole);
        expect(j.lines).toBeLessThanOrEqual(whole + 1);
      }),
      { numRuns: 60, seed: 1 },
    );
  });
  test('any bytes, lines of any JSON, lines of a trace in any order: a TraceError or a judgement', { timeout: 60_000 }, async () => {
    const line = fc.oneof(fc.constantFrom(...body), fc.json(), fc.string());
    const file = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(line, { maxLength: 12 }).map((lines) => text(`${header}\n${lines.join('\n')}`)),
      fc.array(line, { maxLength: 12 }).map((lines) => text(`${body.slice(0, 3).join('\n')}\n${lines.join('\n')}`)),
    );
    await fc.assert(
      fc.asyncProperty(file, async (bytes) => {
        expect(await refusal(bytes)).toMatch(/^accepted$|bad\.jsonl/);
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});
