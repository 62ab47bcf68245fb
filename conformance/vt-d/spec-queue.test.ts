// The VT-d spec on the invalidation queue: it invalidates like the registers, waits tell that it did, errors stop it until they are cleared.
// Each history is told as a good unit answers, and then as one that does not.

import { describe, expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, ECAP, ECAP_FULL, L1, legacyOn } from './spec-bench.ts';

const QUEUE = 0x8000;
const STATUS = 0x9000;
const remap = (b: Bench): void => b.words(L1 + 8, 0x20003n);
const qi = (b: Bench): void => {
  b.write(0x90, QUEUE, 8);
  b.command(0xc4000000 - 0x40000000, 0xc4000000);
};
let slot = 0;
const submit = (b: Bench, ...descriptors: readonly (readonly [bigint, bigint])[]): void => {
  for (const d of descriptors) b.words(QUEUE + 16 * slot++, ...d);
  b.write(0x88, slot * 16, 8);
};
const wait = (data: number): readonly [bigint, bigint] => [(BigInt(data) << 32n) | 0x25n, BigInt(STATUS)];
const finished = (b: Bench, data: number): void => {
  b.see({ saw: 'memory.changed', writes: [{ at: BigInt(STATUS) as never, bytes: Uint8Array.of(data, 0, 0, 0) }] });
  b.settle();
  b.read(0x80, slot * 16, 8);
};
test('the queue invalidates like the registers', () => {
  slot = 0;
  const b = bench();
  legacyOn(b);
  qi(b);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  b.settle();
  remap(b);
  submit(b, [0x12n, 0n], wait(7));
  b.dmaWrite(0x1000, 'completed', 0x10000);
  expect(b.news()).toEqual([]);
  finished(b, 7);
  expect(b.news()).toEqual([]);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  expect(b.news()).toEqual(['vt-d.cache.iotlb-global']);
  expect(b.tally('vt-d.queue.wait-status').kept).toBeGreaterThan(0);
  expect(b.tally('vt-d.queue.head').kept).toBeGreaterThan(0);
  submit(b, wait(9));
  b.settle();
  expect(b.news()).toEqual(['vt-d.queue.wait-status']);
  b.read(0x80, 0, 8);
  expect(b.news()).toEqual(['vt-d.queue.head']);
  expect(b.breaches()).toEqual([]);
});
const errors: readonly (readonly [string, bigint, bigint, number])[] = [
  ['type 0', 0n, 0n, 3],
  ['type 10', 10n, 0n, 3],
  ['reserved in a context descriptor', 0x51n, 0n, 4],
  ['high word of a context descriptor', 0x11n, 1n, 4],
  ['granularity 0', 0x2n, 0n, 4],
  ['mask above MAMV', 0x32n, 19n, 4],
  ['wait at an odd address', 0x25n, 1n, 4],
];
test.each(errors)('queue error: %s', (_name, lo, hi, code) => {
  slot = 0;
  const b = bench();
  legacyOn(b);
  qi(b);
  submit(b, wait(1), [lo, hi], wait(2));
  finishedError(b, code);
  expect(b.news()).toEqual([]);
  expect(b.tally('vt-d.queue.error').kept).toBeGreaterThan(0);
  expect(b.tally('vt-d.queue.error-info').kept).toBe(1);
  // Software mends it and clears IQE: the queue goes on.
  b.words(QUEUE + 16, 0x12n, 0n);
  b.write(0x34, 0x10);
  finished(b, 2);
  b.read(0x34, 0);
  expect(b.news()).toEqual([]);
  slot = 0;
  const bad = bench();
  legacyOn(bad);
  qi(bad);
  submit(bad, [lo, hi]);
  bad.settle();
  bad.read(0x34, 0);
  expect(bad.news()).toEqual(['vt-d.queue.error']);
  bad.read(0x80, 16, 8);
  expect(bad.news()).toEqual(['vt-d.queue.error-head']);
  bad.read(0xb0, 9, 8);
  expect(bad.news()).toEqual(['vt-d.queue.error-info']);
});
const finishedError = (b: Bench, code: number): void => {
  b.see({ saw: 'memory.changed', writes: [{ at: BigInt(STATUS) as never, bytes: Uint8Array.of(1, 0, 0, 0) }] });
  b.settle();
  b.read(0x34, 0x10);
  b.read(0x80, 16, 8);
  b.read(0xb0, code, 8);
};
test('reserved bits in a type that the unit lacks are told as the one or the other', () => {
  const told = (ecap: bigint, descriptor: bigint, code: number): readonly string[] => {
    slot = 0;
    const b = bench(CAP, ecap);
    legacyOn(b);
    qi(b);
    submit(b, [descriptor, 0n]);
    b.settle();
    b.read(0x34, 0x10);
    b.read(0x80, 0, 8);
    b.read(0xb0, code, 8);
    return b.news();
  };
  // Device-TLB and interrupt-entry-cache invalidations with bit 8 set; DT and IR are bits 2 and 3 of ECAP_REG.
  for (const [descriptor, capability] of [
    [0x103n, 4n],
    [0x104n, 8n],
  ] as const) {
    for (const code of [0, 3, 4]) expect(told(ECAP & ~capability, descriptor, code)).toEqual([]);
    expect(told(ECAP & ~capability, descriptor, 5)).toEqual(['vt-d.queue.error-info']);
    expect(told(ECAP, descriptor, 4)).toEqual([]);
    expect(told(ECAP, descriptor, 3)).toEqual(['vt-d.queue.error-info']);
  }
});
test('masks of page-selective IOTLB invalidations mean nothing without PSI', () => {
  const told = (cap: bigint, mask: bigint, status: number): readonly string[] => {
    slot = 0;
    const b = bench(cap);
    legacyOn(b);
    qi(b);
    submit(b, [0x10032n, mask]);
    b.settle();
    b.read(0x34, status);
    return b.news();
  };
  // PSI is bit 39 of CAP_REG, MAMV bits 53:48, 18 here.
  const without = CAP & ~((1n << 39n) | (0x3fn << 48n));
  expect(told(without, 0n, 0)).toEqual([]);
  expect(told(without, 0n, 0x10)).toEqual(['vt-d.queue.error']);
  for (const status of [0, 0x10]) expect(told(without, 1n, status)).toEqual([]);
  expect(told(CAP, 18n, 0)).toEqual([]);
  expect(told(CAP, 19n, 0)).toEqual(['vt-d.queue.error']);
});
test('a wide queue of a unit without scalable mode is not judged', () => {
  for (const [status, head] of [
    [0x10, 0],
    [0, 0x20],
    [0, 0x10],
  ] as const) {
    const b = bench();
    legacyOn(b);
    b.write(0x90, QUEUE | 0x800, 8);
    b.command(0xc4000000 - 0x40000000, 0xc4000000);
    b.words(QUEUE, 0x12n, 0n, 0n, 0n);
    b.write(0x88, 0x20, 8);
    b.settle();
    b.read(0x34, status);
    b.read(0x80, head, 8);
    expect(b.findings).toEqual([]);
  }
});
describe('a tail that is wrong', () => {
  /** Past the end of the queue; in the middle of a wide descriptor. */
  const wrong = (wide: boolean): Bench => {
    const b = bench(CAP, wide ? ECAP_FULL : ECAP);
    b.write(0x20, wide ? 0x1400 : 0x1000, 8);
    b.command(0x40000000, 0x40000000);
    b.write(0x90, QUEUE | (wide ? 0x800 : 0), 8);
    b.command(0x04000000, 0x44000000);
    for (let i = 0; i < 4; i++) b.words(QUEUE + 32 * i, 0x12n, 0n, 0n, 0n);
    b.write(0x88, wide ? 0x50 : 0x2000, 8);
    b.settle();
    return b;
  };
  test('stops the queue', () => {
    for (const wide of [false, true]) {
      const b = wrong(wide);
      b.read(0x34, 0);
      expect(b.news()).toEqual(['vt-d.queue.error']);
    }
  });
  test('may stop it again, or be made the best of, once IQE was cleared', () => {
    for (const wide of [false, true])
      for (const [status, head] of [
        [0x10, 0],
        [0, 0],
        [0, 0x40],
      ] as const) {
        const b = wrong(wide);
        b.read(0x34, 0x10);
        b.write(0x34, 0x10);
        b.settle();
        b.read(0x34, status);
        b.read(0x80, head, 8);
        expect(b.news()).toEqual([]);
      }
  });
  test('that was mended before is forgotten', () => {
    for (const wide of [false, true]) {
      const b = wrong(wide);
      b.read(0x34, 0x10);
      b.write(0x88, 0x60, 8);
      b.words(QUEUE, 0x12n, 0n, 0x12n, 0n);
      if (!wide) for (let i = 1; i < 3; i++) b.words(QUEUE + 32 * i, 0x12n, 0n, 0x12n, 0n);
      else b.words(QUEUE, 0x12n, 0n, 0n, 0n);
      b.write(0x34, 0x10);
      b.settle();
      b.read(0x34, 0);
      b.read(0x80, 0x60, 8);
      expect(b.news()).toEqual([]);
      b.read(0x34, 0x10);
      b.read(0x80, 0x40, 8);
      expect(b.news()).toEqual(['vt-d.queue.error', 'vt-d.queue.head']);
    }
  });
  test('has nothing to do with an error that came too late to be cleared', () => {
    const told = (mended: boolean, status: number): readonly string[] => {
      slot = 0;
      const b = bench();
      legacyOn(b);
      qi(b);
      submit(b, [0n, 0n]);
      if (mended) b.words(QUEUE, 0x12n, 0n);
      b.write(0x34, 0x10);
      b.settle();
      b.read(0x34, status);
      return b.news();
    };
    expect([told(true, 0), told(true, 0x10), told(false, 0x10)]).toEqual([[], [], []]);
    expect(told(false, 0)).toEqual(['vt-d.queue.error']);
  });
});
test('a completion event waits for its mask', () => {
  slot = 0;
  const b = bench();
  legacyOn(b);
  qi(b);
  b.write(0xa8, 0xfee01000);
  b.write(0xa4, 0x41);
  submit(b, [0x15n, 0n]);
  b.settle();
  b.read(0x9c, 1);
  b.read(0xa0, 0xc0000000);
  b.write(0xa0, 0);
  b.see({ saw: 'apic.interrupt', vector: 0x41, delivery: 0, destination: 1, logical: false, level: false, redirectionHint: false });
  b.settle();
  b.read(0xa0, 0);
  expect(b.news()).toEqual([]);
  expect(b.tally('vt-d.queue.completion-sent').kept).toBe(1);
  b.write(0x9c, 1);
  b.read(0x9c, 1);
  expect(b.news()).toEqual(['vt-d.queue.completion']);
  submit(b, [0x15n, 0n]);
  b.settle();
  expect(b.news()).toEqual(['vt-d.queue.completion-sent']);
  b.see({ saw: 'apic.interrupt', vector: 0x42, delivery: 0, destination: 1, logical: false, level: false, redirectionHint: false });
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.asked-for']);
});
