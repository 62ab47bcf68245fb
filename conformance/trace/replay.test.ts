// A replay builds the machine that the recording was granted, tells where it could not, and leaves out what the target refuses.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { MachineConfig, Target } from '../../spec/units.ts';
import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { play } from '../run.ts';
import { programsOf } from '../sample.ts';
import { refTarget } from '../targets/ref/ref.ts';
import { blkSuite } from '../virtio/blk.ts';
import { replayOn } from './replay.ts';
import { traceWriter } from './write.ts';

const folder = mkdtempSync(join(tmpdir(), 'vmmc-replay-'));
afterAll(() => rmSync(folder, { recursive: true }));
const suite = blkSuite as unknown as Suite;
const [plain] = suite.machines as readonly [MachineConfig, ...MachineConfig[]];
const withSectors = (sectors: number): MachineConfig => {
  if (plain.virtio === undefined) throw new Error('no block device');
  return { ...plain, virtio: { ...plain.virtio, blk: { ...plain.virtio.blk, sectors } } };
};
const [asked, granted] = [64, 8];
/** As an adapter records it whose disk has always 8 sectors, whatever is asked for. */
const file = join(folder, 'granted.jsonl');
const ref = refTarget();
const writer = traceWriter(file, { about: [], story: 'another capacity', target: ref.hello });
for (const program of programsOf(suite, withSectors(granted), 1, 0).slice(0, 20))
  writer.write((await play(ref, suite, program, undefined)).lines);
writer.end({});
writer.close();
const recorded = readFileSync(file, 'utf8')
  .split('\n')
  .map((line) => (line.startsWith('{"reset"') ? line.replace(`"sectors":${granted}`, `"sectors":${asked}`) : line));
writeFileSync(file, recorded.join('\n'));

/** The reference, which refuses some machines. */
const without = (refused: (m: MachineConfig) => boolean): Target => {
  const inner = refTarget();
  return { ...inner, reset: (machine) => (refused(machine) ? { unsupported: 'not that one' } : inner.reset(machine)) };
};

test('the machine is the one that was granted', async () => {
  const seen: (number | undefined)[] = [];
  const target = without((m) => {
    seen.push(m.virtio?.blk.sectors);
    return false;
  });
  const replayed = await replayOn(target, file, createJudge(areas), 'granted');
  expect(replayed).toMatchObject({ findings: [], otherwise: [], machines: 20, unbuilt: 0 });
  expect(new Set(seen)).toEqual(new Set([granted]));
});
test('where it cannot be, the one that was asked for is, and that is told', async () => {
  const replayed = await replayOn(
    without((m) => m.virtio?.blk.sectors === granted),
    file,
    createJudge(areas),
    'granted',
  );
  expect(replayed).toMatchObject({ unbuilt: 0, otherwise: [`sectors: ${asked}, recorded with ${granted}`] });
});
test('a deviation is asked of its own target as it was', async () => {
  expect(await replayOn(refTarget(), file, createJudge(areas))).toMatchObject({
    otherwise: [`sectors: ${asked}, recorded with ${granted}`],
  });
});
test('machines that are refused are counted, and the others are run', async () => {
  let n = 0;
  const replayed = await replayOn(
    without(() => n++ % 2 === 0),
    file,
    createJudge(areas),
  );
  expect(replayed).toMatchObject({ machines: 20, unbuilt: 10, refused: 'not that one' });
  expect(replayed.stimuli).toBeGreaterThan(0);
});
test('a target that ends at reset did not refuse', async () => {
  const inner = refTarget();
  let n = 0;
  const target: Target = { ...inner, reset: (machine) => (n++ === 3 ? { broke: 'exited with status 1' } : inner.reset(machine)) };
  const replayed = await replayOn(target, file, createJudge(areas), 'granted');
  expect(replayed).toMatchObject({ machines: 20, unbuilt: 1, died: 'exited with status 1' });
  expect(replayed).not.toHaveProperty('refused');
});
