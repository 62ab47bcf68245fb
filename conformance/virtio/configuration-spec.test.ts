// The clauses of the configuration space against hand-made histories: which changes must be told, and which fields may change unasked.
// VIRTIO 1.4, Device Configuration Space; Notification of Device Configuration Changes; Block Device / Device Operation.

import { expect, test } from 'vitest';
import { basic } from '../../spec/virtio/basic/index.ts';
import { ringBench, type RingBench } from './ring-bench.ts';

const live = (): RingBench => {
  const b = ringBench();
  b.init();
  b.status(15);
  return b;
};
const resize = (b: RingBench, sectors: number): void => b.see({ do: 'host.resize', sectors });

test('a new capacity that is not told breaks advice and no more', () => {
  const b = live();
  resize(b, 72);
  b.settle();
  expect(b.findings).toEqual(['virtio.config.change-notified', 'virtio.blk.capacity.notice']);
  expect(basic.clauses.find((c) => c.id === 'virtio.config.change-notified')?.level).toBe('should');
});
test('a change that was taken back need not be told, and may be', () => {
  const b = live();
  resize(b, 72);
  resize(b, 64);
  b.settle();
  resize(b, 72);
  resize(b, 64);
  b.interrupt('config');
  b.reads(15);
  b.settle();
  expect(b.findings).toEqual([]);
  resize(b, 72);
  b.interrupt('config');
  resize(b, 64);
  b.settle();
  expect(b.findings).toEqual(['virtio.config.change-notified', 'virtio.blk.capacity.notice']);
});
