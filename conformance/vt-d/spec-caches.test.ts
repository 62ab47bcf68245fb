// The VT-d spec on stale entries: what may be cached, what each invalidation drops, and what faults leave behind.
// Each history is told twice: as a good unit answers, and as one that forgot the invalidation.

import { describe, expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, L1, L2, L4, legacyOn, ROOT } from './spec-bench.ts';

const FRCD = 0x220;
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
test('an IOTLB that is invalidated before the context cache may be filled from it again, until it is invalidated once more', () => {
  const [, change, drop] = drops[3] as Drop;
  const told = (at: number, again: boolean): readonly string[] => {
    const b = bench();
    legacyOn(b);
    other(b);
    b.dmaWrite(0x1000, 'completed', 0x10000);
    b.settle();
    change(b);
    iotlb(b, 1n << 60n, 1n);
    ccmd(b, g1, 1n);
    if (again) drop(b);
    b.dmaWrite(0x1000, 'completed', at);
    return b.news();
  };
  expect([told(0x10000, false), told(0x30000, false), told(0x30000, true)]).toEqual([[], [], []]);
  expect(told(0x10000, true)).toContain('vt-d.cache.context-global');
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
test('what a root table led to that many others replaced may be cached until it is invalidated', () => {
  const b = bench();
  legacyOn(b);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  b.settle();
  other(b);
  b.words(0x11000 + 0x100, 0xc001n, 0x302n);
  for (let n = 0; n < 9; n++) {
    b.words(0x12000 + 0x1000 * n, 0x11001n, 0n);
    b.write(0x20, 0x12000 + 0x1000 * n, 8);
    b.command(0xc0000000, 0xc0000000);
  }
  for (const at of [0x10000, 0x30000]) b.dmaWrite(0x1000, 'completed', at);
  b.settle();
  expect(b.news()).toEqual([]);
  ccmd(b, g1, 1n);
  iotlb(b, 1n << 60n, 1n);
  b.dmaWrite(0x1000, 'completed', 0x30000);
  expect(b.news()).toEqual([]);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  expect(b.news()).toEqual(['vt-d.walk.address']);
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
  c.settle();
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
  f.settle();
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
