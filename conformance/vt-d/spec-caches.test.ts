// The VT-d spec on stale entries and the invalidation queue: what may be cached, what each invalidation drops, waits, errors, resume.
// Each history is told twice: as a good unit answers, and as one that forgot the invalidation.

import { describe, expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, L1, L2, L4, legacyOn, ROOT } from './spec-bench.ts';

const FRCD = 0x220;
const QUEUE = 0x8000;
const STATUS = 0x9000;
const remap = (b: Bench): void => b.words(L1 + 8, 0x20003n);
const ccmd = (b: Bench, value: bigint, caig: bigint): void => {
  b.write(0x28, value | (1n << 63n), 8);
  b.read(0x28, (value & ~0x3ffff0000n) | (caig << 59n), 8);
};
const iotlb = (b: Bench, value: bigint, iaig: bigint, iva = 0n): void => {
  b.write(0xf0, iva, 8);
  b.write(0xf8, value | (1n << 63n), 8);
  b.read(0xf8, value | (iaig << 57n), 8);
};
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
type Drop = readonly [kind: string, change: (b: Bench) => void, drop: (b: Bench) => void, stale: number, fresh: number];
const g1 = 1n << 61n;
const drops: readonly Drop[] = [
  ['iotlb-global', remap, (b) => iotlb(b, 1n << 60n, 1n), 0x10000, 0x20000],
  ['iotlb-domain', remap, (b) => iotlb(b, (2n << 60n) | (1n << 32n), 2n), 0x10000, 0x20000],
  ['iotlb-page', remap, (b) => iotlb(b, (3n << 60n) | (1n << 32n), 3n, 0x1000n), 0x10000, 0x20000],
  [
    'context-global',
    (b) => b.words(CONTEXT + 0x100, 0xc001n, 0x302n),
    (b) => {
      ccmd(b, g1, 1n);
      iotlb(b, 1n << 60n, 1n);
    },
    0x10000,
    0x30000,
  ],
  [
    'context-device',
    (b) => b.words(CONTEXT + 0x100, 0xc001n, 0x302n),
    (b) => {
      ccmd(b, (3n << 61n) | (0x10n << 16n) | 1n, 3n);
      iotlb(b, 1n << 60n, 1n);
    },
    0x10000,
    0x30000,
  ],
  [
    'context-domain',
    (b) => b.words(CONTEXT + 0x100, 0xc001n, 0x302n),
    (b) => {
      ccmd(b, (2n << 61n) | 1n, 2n);
      iotlb(b, 1n << 60n, 1n);
    },
    0x10000,
    0x30000,
  ],
];
/** A second page table, at 0xc000, that leads page 1 to 0x30000. */
const other = (b: Bench): void => {
  b.words(0xc000, 0xd003n);
  b.words(0xd000, 0xe003n);
  b.words(0xe000, 0xf003n);
  b.words(0xf008, 0x30003n);
};
describe.each(drops)('%s', (kind, change, drop, stale, fresh) => {
  const begin = (): Bench => {
    const b = bench();
    legacyOn(b);
    other(b);
    b.dmaWrite(0x1000, 'completed', 0x10000);
    b.settle();
    change(b);
    return b;
  };
  test('before it either holds', () => {
    for (const at of [stale, fresh]) {
      const b = begin();
      b.dmaWrite(0x1000, 'completed', at);
      expect(b.news()).toEqual([]);
    }
  });
  test('after it the old one is gone', () => {
    const b = begin();
    drop(b);
    expect(b.news()).toEqual([]);
    b.dmaWrite(0x1000, 'completed', fresh);
    expect(b.news()).toEqual([]);
    expect(b.tally(`vt-d.cache.${kind}`).kept).toBeGreaterThan(0);
    b.dmaWrite(0x1000, 'completed', stale);
    expect(b.news()).toEqual([`vt-d.cache.${kind}`]);
  });
});
test('too narrow an invalidation leaves both permitted', () => {
  for (const narrow of [
    (b: Bench) => iotlb(b, (2n << 60n) | (2n << 32n), 2n),
    (b: Bench) => iotlb(b, (3n << 60n) | (1n << 32n), 3n, 0x2000n),
  ])
    for (const at of [0x10000, 0x20000]) {
      const b = bench();
      legacyOn(b);
      b.dmaWrite(0x1000, 'completed', 0x10000);
      b.settle();
      remap(b);
      narrow(b);
      b.dmaWrite(0x1000, 'completed', at);
      expect(b.findings).toEqual([]);
    }
});
test('what was not present is not cached, unless in caching mode', () => {
  const run = (cap: bigint): Bench => {
    const b = bench(cap);
    legacyOn(b);
    b.dmaWrite(0x5000, 'blocked');
    b.settle();
    b.words(L1 + 5 * 8, 0x15003n);
    b.dmaWrite(0x5000, 'blocked');
    return b;
  };
  expect(run(CAP).findings).toEqual(['vt-d.cache.not-cached']);
  expect(run(CAP | 0x80n).findings).toEqual([]);
});
test('a mask covers its pages and no leaf of another size escapes it', () => {
  const b = bench();
  legacyOn(b);
  b.words(L2 + 8, 0x0n);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  b.settle();
  remap(b);
  iotlb(b, (3n << 60n) | (1n << 32n), 3n, 0x3n | 0x4000n);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  expect(b.news()).toEqual(['vt-d.cache.iotlb-page']);
});
test('granularities that are not carried out are told so', () => {
  const b = bench();
  legacyOn(b);
  iotlb(b, (3n << 60n) | (1n << 32n), 0n, 19n);
  ccmd(b, 0n, 0n);
  expect(b.news()).toEqual([]);
  iotlb(b, (3n << 60n) | (1n << 32n), 3n, 19n);
  ccmd(b, 0n, 1n);
  ccmd(b, g1, 2n);
  expect(b.news()).toEqual(['vt-d.command.iotlb-refused', 'vt-d.command.context-refused', 'vt-d.command.context-granularity']);
});
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
test('setting the root pointer drops everything where the unit says so', () => {
  const run = (cap: bigint): Bench => {
    const b = bench(cap);
    legacyOn(b);
    b.dmaWrite(0x1000, 'completed', 0x10000);
    b.settle();
    remap(b);
    b.write(0x20, ROOT, 8);
    b.command(0xc0000000, 0xc0000000);
    b.dmaWrite(0x1000, 'completed', 0x10000);
    return b;
  };
  expect(run(CAP).findings).toEqual([]);
  expect(run(CAP | (1n << 63n)).findings).toEqual(['vt-d.cache.root-pointer']);
});
test('faults: overflow, collapse, index, FPD', () => {
  const b = bench();
  legacyOn(b);
  b.dmaWrite(0x2000, 'blocked');
  b.dmaWrite(0x2000, 'blocked', undefined, 1);
  b.read(0x34, 3);
  expect(b.news()).toEqual([]);
  b.write(FRCD + 12, 0x80000000);
  b.read(0x34, 3);
  expect(b.news()).toEqual(['vt-d.fault.pending']);
  const c = bench();
  legacyOn(c);
  c.dmaWrite(0x2000, 'blocked');
  c.dmaWrite(0x2000, 'blocked', undefined, 1);
  c.read(0x34, 2);
  expect(c.news()).toEqual(['vt-d.fault.overflow']);
  const d = bench();
  legacyOn(d, (b) => b.words(CONTEXT + 0x100, BigInt(L4) | 3n, 0x102n));
  d.dmaWrite(0x2000, 'blocked');
  d.read(FRCD + 8, 0, 8);
  expect(d.news()).toEqual([]);
  expect(d.tally('vt-d.fault.disabled').kept).toBe(1);
  d.read(FRCD + 8, (1n << 63n) | (5n << 32n) | 0x10n, 8);
  expect(d.news()).toEqual(['vt-d.fault.disabled']);
  const e = bench();
  legacyOn(e);
  e.read(FRCD + 8, (1n << 63n) | (5n << 32n) | 0x10n, 8);
  expect(e.news()).toEqual(['vt-d.fault.nothing-else']);
  const f = bench();
  legacyOn(f);
  f.dmaWrite(0x2000, 'blocked');
  f.read(FRCD + 8, 0, 8);
  expect(f.news()).toEqual(['vt-d.fault.recorded']);
});
test('a second table of the same words is not the first', () => {
  const b = bench();
  legacyOn(b);
  other(b);
  b.words(L2, 0n);
  b.dmaWrite(0x1000, 'blocked');
  b.settle();
  expect(b.findings).toEqual([]);
});
