// The clauses of the device status field against hand-made histories: what a device may do before DRIVER_OK, and what its bits say; and what may be offered.
// VIRTIO 1.4, Device Status Field; Feature Bits.

import { expect, test } from 'vitest';
import { status } from '../../spec/virtio/features.ts';
import { AVAIL_EVENT, EVENT_IDX, le, plain, ringBench, USED } from './ring-bench.ts';

test('flags and avail_event of the used ring may be written as the queue is enabled, at first and after a reset', () => {
  const b = ringBench();
  for (let i = 0; i < 2; i++) {
    b.init(plain | EVENT_IDX);
    b.changed([USED, [1, 0]]);
    b.changed([AVAIL_EVENT, [1, 0]]);
    b.status(15);
    b.changed([USED, [0, 0]]);
    b.settle();
  }
  expect(b.findings).toEqual([]);
  expect(b.breaches()).toEqual([]);
});
test.each([
  ['idx', USED + 2],
  ['an element', USED + 4],
] as const)('%s of the used ring may not', (_, at) => {
  const b = ringBench();
  b.init();
  b.changed([at, le(1, 2)]);
  expect(b.findings).toEqual(['virtio.status.no-use-before-driver-ok']);
  b.status(15);
  b.init();
  b.changed([at, le(1, 2)]);
  expect(b.findings.slice(1)).toEqual(['virtio.reset.queues-untouched']);
});
test('used flags that the driver left set are its own mistake', () => {
  const b = ringBench();
  b.init();
  b.poke(USED, 1, 0);
  b.status(15);
  expect(b.breaches()).toEqual(['virtio.split.driver.used-ring-cleared']);
});
test('DEVICE_NEEDS_RESET is told where it was set after DRIVER_OK, and need not be where it may have been set before', () => {
  const broken = (...reads: readonly number[]): readonly string[] => {
    const b = ringBench();
    b.init();
    for (const value of reads) {
      if (value === 15) b.status(15);
      b.reads(value);
    }
    b.settle();
    return b.findings.filter((id) => id === 'virtio.status.needs-reset-notified');
  };
  expect(broken(75)).toEqual([]);
  const early = ringBench();
  early.init();
  early.reads(75);
  early.status(15);
  early.reads(79);
  early.settle();
  expect(early.findings).not.toContain('virtio.status.needs-reset-notified');
  expect(broken(15, 79)).toEqual(['virtio.status.needs-reset-notified']);
});
test('a suspended device shows DRIVER_OK clear, and its driver may write what it reads; without SUSPEND negotiated neither may', () => {
  const suspended = (features: bigint): ReturnType<typeof ringBench> => {
    const b = ringBench(features);
    b.init(features);
    b.status(15);
    b.status(15 | status.SUSPEND);
    b.reads(11 | status.SUSPEND);
    return b;
  };
  const b = suspended(plain | (1n << 43n));
  b.status(15);
  b.reads(15);
  expect(b.findings).toEqual([]);
  expect(b.breaches()).toEqual([]);
  b.reads(13);
  expect(b.findings).toEqual(['virtio.status.keeps-bits']);
  const c = suspended(plain);
  expect(c.findings).toEqual(['virtio.status.keeps-bits']);
  c.status(15);
  expect(c.breaches()).toEqual(['virtio.status.clears-no-bit']);
});
test('the bits of a transitional device may be offered, and no other undefined one', () => {
  const offering = (bit: bigint): readonly string[] => {
    const b = ringBench(plain | (1n << bit));
    b.init();
    return b.findings;
  };
  for (const bit of [24n, 27n, 30n]) expect(offering(bit), `${bit}`).toEqual([]);
  for (const bit of [25n, 31n, 44n]) expect(offering(bit), `${bit}`).toEqual(['virtio.features.undefined-not-offered']);
});
