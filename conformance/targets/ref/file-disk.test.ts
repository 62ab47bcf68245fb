// A block device over a file does what one over memory does, and leaves in the file what was written; it never takes a file that is there.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { areas } from '../../areas.ts';
import { createJudge } from '../../judge.ts';
import type { Suite } from '../../program.ts';
import { play } from '../../run.ts';
import { programsOf } from '../../sample.ts';
import { blkSuite } from '../../virtio/blk.ts';
import { fileMedium } from './file-disk.ts';
import { refTarget } from './ref.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmmc-disk-'));
afterAll(() => rmSync(folder, { recursive: true }));
const suite = blkSuite as unknown as Suite;

test('the same programs have the same traces', async () => {
  const [inMemory, inFile] = [refTarget(), refTarget(join(folder, 'a.img'))];
  const judge = createJudge(areas);
  let played = 0;
  for (const [block, machine] of suite.machines.slice(0, 6).entries())
    for (const program of programsOf(suite, machine, 1, block).slice(0, 8)) {
      const here = await play(inFile, suite, program, judge);
      expect(here.findings).toEqual([]);
      expect(here.lines).toEqual((await play(inMemory, suite, program, undefined)).lines);
      played += here.stimuli;
    }
  inFile.close();
  expect(played).toBeGreaterThan(1000);
});
test('the file has the pattern, and then what was written', () => {
  const file = join(folder, 'b.img');
  const medium = fileMedium(file);
  const disk = medium.disk(1024);
  disk.restore();
  expect(readFileSync(file).readUInt16LE(1022)).toBe(511);
  expect(disk.write(512, Uint8Array.of(1, 2, 3))).toBe(true);
  expect([disk.zero(0, 2), disk.flush()]).toEqual([true, true]);
  expect([...readFileSync(file).subarray(510, 516)]).toEqual([255, 0, 1, 2, 3, 1]);
  expect(disk.read(512, 3)).toEqual(Uint8Array.of(1, 2, 3));
  expect(disk.read(1020, 8)).toBeUndefined();
  disk.restore();
  expect(disk.read(512, 2)).toEqual(Uint8Array.of(0, 1));
  medium.close();
  medium.close();
  expect([disk.write(0, Uint8Array.of(1)), disk.read(0, 1), disk.flush()]).toEqual([false, undefined, false]);
});
test('a file that is there is left alone', () => {
  const file = join(folder, 'c.img');
  writeFileSync(file, 'precious');
  expect(() => fileMedium(file)).toThrow('c.img exists, and would be written over');
  expect(readFileSync(file, 'utf8')).toBe('precious');
});
