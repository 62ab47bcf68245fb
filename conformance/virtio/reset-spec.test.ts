// The clauses of a device reset against hand-made histories: what may still come while the reset is under way, and what may not once it is complete.
// VIRTIO 1.4, Device Reset.

import { expect, test } from 'vitest';
import { AVAIL, ringBench, type RingBench } from './ring-bench.ts';

/** One request is under way when the reset is asked for. */
const resetting = (): RingBench => {
  const b = ringBench();
  b.init();
  b.status(15);
  b.submit(0);
  b.status(0);
  return b;
};
const drain = (b: RingBench): void => {
  for (const w of [...b.answer(0), b.element(0, 0), b.index(1)]) b.changed(w);
  b.interrupt();
};

test('work in flight may end until status reads 0', () => {
  const b = resetting();
  drain(b);
  b.reads(0);
  b.settle();
  expect(b.findings).toEqual([]);
  expect(b.kept('virtio.reset.queues-untouched')).toBe(1);
  expect(b.kept('virtio.reset.silent')).toBe(1);
});
test.each([
  ['status read 0', (b: RingBench) => b.reads(0)],
  ['the device was at rest', (b: RingBench) => b.settle()],
] as const)('nothing may come once %s', (_, complete) => {
  const b = resetting();
  complete(b);
  drain(b);
  expect([...new Set(b.findings)]).toEqual(['virtio.reset.queues-untouched', 'virtio.reset.silent']);
});
test('a time bound does not say that the reset is complete', () => {
  const b = resetting();
  b.settle('bound');
  drain(b);
  b.reads(15);
  b.reads(0);
  expect(b.findings).toEqual([]);
  const stuck = resetting();
  stuck.settle();
  stuck.reads(15);
  expect(stuck.findings).toEqual(['virtio.reset.status-zero']);
});
test('a write of the device outside the queues counts too', () => {
  const b = resetting();
  b.reads(0);
  b.changed([AVAIL + 0x800, [1]]);
  expect(b.findings).toContain('virtio.reset.queues-untouched');
});
