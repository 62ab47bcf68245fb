// What a device was told of: with EVENT_IDX a notification that is due and not sent leaves all that comes behind it untold, even what does not pass
// avail_event itself. VIRTIO 1.4, Available Buffer Notification Suppression.

import { expect, test } from 'vitest';
import { areas } from '../areas.ts';
import { createJudge } from '../judge.ts';
import type { Suite } from '../program.ts';
import { play } from '../run.ts';
import { refTarget } from '../targets/ref/ref.ts';
import type { BlkChoice } from './blk-choices.ts';
import { blkSuite } from './blk.ts';

const request = (then: 'publish' | 'settle'): BlkChoice => ({
  op: 'transfer',
  way: 'in',
  sector: 0,
  sectors: 1,
  queue: 0,
  cuts: [],
  every: 0,
  table: 'direct',
  place: 'row',
  times: 1,
  then,
});

test('an idle device is not blamed for chains behind a notification that was not sent', async () => {
  const target = refTarget();
  let waited = 0;
  for (const machine of blkSuite.machines) {
    const judge = createJudge(areas);
    for (const late of [0, 1, 2]) {
      const choices: BlkChoice[] = [request('settle'), ...Array.from({ length: late }, () => request('publish'))];
      const program = {
        suite: blkSuite.id,
        machine,
        choices: [...choices, { op: 'violate', duty: 'virtio.split.kick.required', n: 0 } as const],
      };
      const played = await play(target, blkSuite as unknown as Suite, program, judge);
      if (played.refused !== undefined) continue;
      waited++;
      expect(played.findings).toEqual([]);
    }
  }
  expect(waited).toBeGreaterThan(30);
  await target.close();
});
