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
test('fields that may change unasked are not compared, their neighbours are', () => {
  const b = live();
  for (const at of [32, 56, 72, 92]) {
    b.config(at, 1);
    b.config(at, 0);
  }
  expect(b.findings).toEqual([]);
  for (const at of [20, 57, 68]) {
    b.config(at, 1);
    b.config(at, 0);
  }
  expect(b.findings.filter((id) => id === 'virtio.config.readable-and-stable').length).toBe(3);
});
test('after a change by the host either capacity may be read until the device was at rest', () => {
  const b = live();
  const capacity = (value: number): void => b.config(0, value, 0, 0, 0, 0, 0, 0, 0);
  capacity(64);
  resize(b, 72);
  capacity(64);
  b.settle('bound');
  capacity(64);
  capacity(72);
  b.interrupt('config');
  b.settle();
  capacity(72);
  expect(b.findings).toEqual([]);
  expect(b.kept('virtio.blk.config.capacity')).toBe(5);
  resize(b, 80);
  b.interrupt('config');
  capacity(80);
  capacity(72);
  expect(b.findings).toEqual(['virtio.blk.config.capacity']);
  b.settle();
  capacity(80);
  capacity(72);
  expect(b.findings.slice(1)).toEqual(['virtio.config.readable-and-stable', 'virtio.blk.config.capacity']);
});
test('the generation may count a change when it comes, or when the configuration is read after it, and at no other time', () => {
  const b = live();
  const generation = (value: number): void => b.see({ do: 'virtio.generation.read' }, { saw: 'virtio.generation', value });
  generation(3);
  resize(b, 72);
  b.interrupt('config');
  b.settle();
  generation(3);
  b.config(0, 72, 0, 0, 0, 0, 0, 0, 0);
  generation(4);
  expect(b.findings).toEqual([]);
  b.config(0, 72, 0, 0, 0, 0, 0, 0, 0);
  generation(5);
  expect(b.findings).toEqual(['virtio.config.generation-stable']);
});
