// Every trace that is kept here is judged by today's spec, without the programs that it was recorded from: the footer's verdicts must come out.
// Curated traces are what their story tells; a trace without its end decides nothing.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { connect } from '../connect.ts';
import { createJudge } from '../judge.ts';
import { stories } from '../stories/catalogue.ts';
import { told } from '../stories/story.ts';
import { differences, judgeTrace } from './judge.ts';

const root = fileURLToPath(new URL('../../traces', import.meta.url));
const kept = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((f) => /\.jsonl(\.gz)?$/.test(f) && !f.startsWith(`found${sep}`))
  .sort();
const textOf = (file: string): string => {
  const raw = readFileSync(join(root, file));
  return (file.endsWith('.gz') ? gunzipSync(raw) : raw).toString('utf8');
};
const folder = mkdtempSync(join(tmpdir(), 'vmmc-kept-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('a kept trace', () => {
  test.each(kept)('%s is judged as its footer says', async (file) => {
    const judge = createJudge(areas);
    const j = await judgeTrace(join(root, file), judge);
    expect(j.truncated).toBeUndefined();
    expect(Object.keys(j.verdicts ?? {})).not.toEqual([]);
    expect(differences(j, judge)).toEqual([]);
    // A recording says what it was recorded from.
    if (file.includes(`${sep}recordings${sep}`))
      expect(j.header?.target).toMatchObject({
        name: expect.stringMatching(/^[a-z]/) as string,
        version: expect.stringMatching(/\d/) as string,
      });
  });
});

describe('a story', () => {
  /** The header names the target with all it offers, which grows with areas that the story is not about. */
  const body = (text: string): string => text.slice(text.indexOf('\n'));
  test.each(stories.map((s) => [s.name, s] as const))('%s is kept as it is told today: else npm run stories', async (name, story) => {
    const target = await connect(story.target);
    try {
      expect(body(textOf(`${name}.jsonl`))).toBe(body(await told(story, target)));
    } finally {
      await target.close();
    }
  });
  test('has a name of its own', () => {
    expect(new Set(stories.map((s) => s.name)).size).toBe(stories.length);
  });
});

describe('a trace without its end', () => {
  const [first] = stories;
  const lines = textOf(`${first?.name}.jsonl`).trimEnd().split('\n');
  const cut = join(folder, 'cut.jsonl');
  test.each([
    ['at a line', `${lines.slice(0, -1).join('\n')}\n`],
    ['in the middle of a line', lines.join('\n').slice(0, -20)],
    ['after the header', `${lines[0]}\n`],
  ])('%s is undecided: it was judged as far as it goes, and has no verdicts', async (_, text) => {
    writeFileSync(cut, text);
    const j = await judgeTrace(cut, createJudge(areas));
    expect(j.truncated).toContain('cut.jsonl: ends after line');
    expect(j.verdicts).toBeUndefined();
  });
});
