// The VT-d spec where a cache may hold on to what software replaced, and where the text leaves an outcome open: nobody is accused.
// Each history is told as the units that are let be answer, and then, once nothing is open any more, as one that is wrong.

import { expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, ECAP_FULL, PASIDS, scalableOn, TABLE } from './spec-bench.ts';

const QUEUE = 0xe000;
const submit = (b: Bench, ...descriptors: readonly (bigint | readonly [bigint, bigint])[]): void => {
  b.words(QUEUE, ...descriptors.flatMap((d) => (typeof d === 'bigint' ? [d, 0n, 0n, 0n] : [...d, 0n, 0n])));
  b.write(0x90, QUEUE | 0x800, 8);
  b.write(0x88, 0, 8);
  b.command(0x84000000, 0xc4000000);
  b.write(0x88, descriptors.length * 32, 8);
  b.settle();
};
test('a PASID-table entry reached through an old context entry is cached until the PASID cache is invalidated', () => {
  const deviceOf10 = 0x10_0000_0031n;
  const passed = (...drops: readonly bigint[]): Bench => {
    const b = bench(CAP, ECAP_FULL);
    // Pass-through, domain 1.
    scalableOn(b, (x) => x.words(PASIDS, 0x109n, 1n, 0n));
    b.dmaWrite(0x10000, 'completed', 0x10000);
    b.settle();
    b.words(CONTEXT + 0x200, 0x1000009n);
    submit(b, ...drops);
    return b;
  };
  for (const drops of [
    [deviceOf10, 0x10022n],
    [deviceOf10, 0x20007n, 0x10022n],
    [deviceOf10, 0x1_0001_0017n, 0x10022n],
    [deviceOf10, 0x10007n],
    [0x10007n, 0x10022n],
  ])
    for (const outcome of ['completed', 'blocked'] as const) {
      const b = passed(...drops);
      b.dmaWrite(0x10000, outcome, outcome === 'completed' ? 0x10000 : undefined);
      expect(b.findings).toEqual([]);
    }
  for (const drop of [0x10007n, 0x17n | (1n << 16n), 0x37n]) {
    const b = passed(deviceOf10, drop, 0x10022n);
    b.dmaWrite(0x10000, 'blocked');
    expect(b.news()).toEqual([]);
    b.dmaWrite(0x10000, 'completed', 0x10000);
    expect(new Set(b.news())).toEqual(new Set(['vt-d.cache.context-device']));
  }
});
test('flags are due where one PASID-table entry leads the request, not where another may lead it to the same place', () => {
  const b = bench(CAP, ECAP_FULL);
  scalableOn(b, (x) => {
    x.words(PASIDS, 0x109n, 1n, 0n);
    x.words(TABLE + 0x3080, 0x10007n);
  });
  // From pass-through to a first stage that maps the page to itself.
  b.dmaWrite(0x10000, 'completed', 0x10000);
  b.settle();
  b.words(PASIDS, 0x41n, 1n, BigInt(TABLE));
  b.dmaWrite(0x10000, 'completed', 0x10000);
  b.settle();
  expect(b.news()).toEqual([]);
  submit(b, 0x37n, 0x12n);
  b.dmaWrite(0x10000, 'completed', 0x10000);
  b.settle();
  expect(new Set(b.news())).toEqual(new Set(['vt-d.walk.accessed', 'vt-d.walk.dirty']));
});
test('invalidation by registers is for legacy mode', () => {
  const global = (1n << 63n) | (1n << 61n);
  for (const actual of [0n, 1n]) {
    const b = bench(CAP, ECAP_FULL);
    scalableOn(b, (x) => x.words(PASIDS, 0x109n, 1n, 0n));
    b.dmaWrite(0x10000, 'completed', 0x10000);
    b.settle();
    b.words(CONTEXT + 0x200, 0n);
    b.write(0x28, global, 8);
    b.settle();
    b.read(0x28, (1n << 61n) | (actual << 59n), 8);
    expect(b.news()).toEqual([]);
    b.dmaWrite(0x10000, 'completed', 0x10000);
    expect(b.news()).toEqual([]);
    b.write(0xf0 + 8, (1n << 63n) | (1n << 60n), 8);
    b.read(0xf0 + 8, (1n << 60n) | (actual << 57n), 8);
    expect(b.news()).toEqual([]);
    b.write(0x28, global, 8);
    b.read(0x28, (1n << 61n) | (3n << 59n), 8);
    expect(b.news()).toEqual(['vt-d.command.context-granularity']);
  }
});
test('a PASID-based IOTLB invalidation takes masks above MAMV', () => {
  const told = (mask: bigint, status: number): readonly string[] => {
    const b = bench(CAP, ECAP_FULL);
    scalableOn(b);
    submit(b, [0x10036n, mask]);
    b.read(0x34, status);
    return b.news();
  };
  for (const mask of [0n, 18n, 19n, 52n]) {
    expect(told(mask, 0)).toEqual([]);
    expect(told(mask, 0x10)).toEqual(['vt-d.queue.error']);
  }
  for (const status of [0, 0x10]) expect(told(63n, status)).toEqual([]);
});
