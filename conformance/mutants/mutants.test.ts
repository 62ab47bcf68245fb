// The score is what it says: mutants are switched at run time, noticed by clauses, ended where they loop; classes stand for mutants of today.

import { describe, expect, test } from 'vitest';
import { mutatedAreas, type MutatedArea } from './areas.ts';
import { classesOf, fits, scoreOf } from './classes.ts';
import { instrument, type Mutant, withoutCoverage } from './instrument.ts';
import { type Place, suitesOf } from './programs.ts';
import type { Outcome } from './run.ts';
import { createBench } from './trial.ts';

const virtio = mutatedAreas['virtio'] as MutatedArea;
const instrumented = await instrument(virtio);
const bench = createBench(withoutCoverage(instrumented.code), suitesOf(virtio), {
  places: Array.from({ length: 64 }, (_, i): Place => ({ suite: 0, machine: 0, block: i >> 5, index: i & 31 })),
  unsupported: [],
});
const all = Array.from({ length: 64 }, (_, i) => i);
const mutant = (file: string, text: string, becomes: string): Mutant => {
  const found = instrumented.mutants.find((m) => m.file === file && m.text === text && m.becomes === becomes);
  if (found === undefined) throw new Error(`no mutant of ${file}: ${text} → ${becomes}`);
  return found;
};

describe('a mutant', () => {
  test('is told by file, line, text and replacement', () => {
    expect(mutant('virtio/split-ring.ts', 'queue.nextUsed + 1', 'queue.nextUsed - 1').at).toBe(
      'queue.nextUsed = (queue.nextUsed + 1) & 0xffff;',
    );
  });
  test('is noticed by a clause', async () => {
    const { id } = mutant('virtio/split-ring.ts', 'queue.nextUsed + 1', 'queue.nextUsed - 1');
    expect(await bench.try(id, all)).toMatchObject({ id, notice: { clause: expect.stringMatching(/^virtio\.split\.used/) } });
  });
  test('that is none is not noticed', async () => {
    expect(await bench.try('none', all)).toEqual({ id: 'none', programs: 64 });
  });
});

describe('a class', () => {
  test.each(Object.keys(mutatedAreas))('of %s stands for a mutant of today, with a reason', async (area) => {
    const classes = classesOf(area);
    if (classes.length === 0) return;
    const { mutants } = area === 'virtio' ? instrumented : await instrument(mutatedAreas[area] as MutatedArea);
    expect(classes.filter((c) => !mutants.some((m) => fits(c, m))).map((c) => `${c.file}: ${c.at}`)).toEqual([]);
    expect(classes.filter((c) => c.because.length < 20)).toEqual([]);
  });
});

test('the score leaves out what is classed, and counts what is not reached', () => {
  const [a, b, c, d] = instrumented.mutants as unknown as readonly [Mutant, Mutant, Mutant, Mutant];
  const outcome = (m: Mutant, noticedBy: string | null, reachedBy: number): Outcome => ({ mutant: m, noticedBy, reachedBy, programs: 1 });
  const key = ({ file, at, text, becomes }: Mutant): { file: string; at: string; text: string; becomes: string } => ({
    file,
    at,
    text,
    becomes,
  });
  const score = scoreOf(
    [outcome(a, 'virtio.x', 1), outcome(b, null, 3), outcome(c, null, 0), outcome(d, null, 5)],
    [
      { ...key(b), is: 'permitted', because: 'the text permits it' },
      { ...key(a), is: 'equivalent', because: 'wrong: it was noticed' },
    ],
  );
  expect(score).toMatchObject({ all: 4, noticed: 1, equivalent: 0, permitted: 1, score: 1 / 3 });
  expect(score.survivors.map((s) => s.mutant)).toEqual([c, d]);
  expect(score.stale.map((s) => s.because)).toEqual(['wrong: it was noticed']);
});
