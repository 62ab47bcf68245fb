// The VT-d spec where a cache may hold on to what software replaced, and where the text leaves an outcome open: nobody is accused.
// Each history is told as the units that are let be answer, and then, once nothing is open any more, as one that is wrong.

import { describe, expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, DIRECTORY, ECAP_FULL, L1, legacyOn, PASIDS, ROOT, scalableOn, TABLE } from './spec-bench.ts';

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

describe('a unit with write buffers', () => {
  const RWBF = 1n << 4n;
  const flush = (b: Bench): void => {
    b.write(0x18, 0x88000000);
    b.read(0x1c, 0xc0000000);
  };
  const mapped = (cap: bigint, act: (b: Bench) => void): readonly string[] => {
    const b = bench(cap);
    legacyOn(b);
    b.settle();
    b.words(L1 + 0x28, 0x15003n);
    act(b);
    b.dmaWrite(0x5000, 'blocked');
    return b.news();
  };
  test('may not see what was not flushed', () => {
    expect(mapped(CAP | RWBF, () => undefined)).toEqual([]);
    expect(mapped(CAP, () => undefined)).toEqual(['vt-d.walk.translates']);
    expect(mapped(CAP | RWBF, flush)).not.toEqual([]);
    expect(
      mapped(CAP | RWBF, (b) => {
        b.write(0x28, (1n << 63n) | (1n << 61n), 8);
        b.read(0x28, (1n << 61n) | (1n << 59n), 8);
      }),
    ).not.toEqual([]);
  });
  test('may not see an interrupt entry that was not flushed', () => {
    const told = (cap: bigint, act: (b: Bench) => void): readonly string[] => {
      const b = interrupting(bench(cap), 0n);
      b.words(0xc000, 0x410001n);
      act(b);
      b.see({ do: 'msi.send', requester: 0, address: 0xfee00010n, data: 0 });
      b.settle();
      return b.news();
    };
    expect(told(CAP | RWBF, () => undefined)).toEqual([]);
    expect(told(CAP, () => undefined)).toEqual(['vt-d.interrupt.delivered']);
    expect(
      told(CAP | RWBF, (b) => {
        b.write(0x18, 0x8a000000);
        b.read(0x1c, 0xc3000000);
      }),
    ).not.toEqual([]);
  });
});
/** Interrupt remapping with two entries at C000H, the first as given. */
const interrupting = (b: Bench, entry: bigint): Bench => {
  legacyOn(b, (d) => (entry === 0n ? undefined : d.words(0xc000, entry)));
  b.write(0xb8, 0xc000n, 8);
  b.command(0x81000000, 0xc1000000);
  b.command(0x82000000, 0xc3000000);
  return b;
};
describe('of several reasons', () => {
  const recorded = (b: Bench, reason: bigint, low = 0x10n): readonly string[] => {
    b.settle();
    b.read(0x228, (1n << 63n) | (reason << 32n) | low, 8);
    return b.news();
  };
  test('any is reported for a request with PASID in legacy mode', () => {
    const told = (reason: bigint, spoil: (b: Bench) => void): readonly string[] => {
      const b = bench(CAP, ECAP_FULL);
      legacyOn(b, spoil);
      b.see({ do: 'dma.write', requester: 0, at: 0x1000n as never, bytes: Uint8Array.of(1, 2, 3, 4), pasid: 5 });
      b.see({ saw: 'dma.done', requester: 0, outcome: 'blocked' });
      return recorded(b, reason | (5n << 8n), 0x80000010n);
    };
    const none = (): void => undefined;
    const absent = (b: Bench): void => b.words(ROOT, 0n);
    expect([told(0x31n, none), told(0x31n, absent), told(1n, absent)]).toEqual([[], [], []]);
    expect(told(1n, none)).not.toEqual([]);
    expect(told(2n, absent)).not.toEqual([]);
    expect(told(2n, (b) => b.words(CONTEXT + 0x100, 0n, 0n))).toEqual([]);
    expect(told(3n, (b) => b.words(CONTEXT + 0x100, 1n, 0x107n))).toEqual([]);
  });
  test('any is reported for a request that its context or PASID-table entry refuses in several ways', () => {
    const told = (reason: bigint, context: bigint, entry: bigint, more: object): readonly string[] => {
      const b = bench(CAP, ECAP_FULL);
      scalableOn(b, (d) => {
        d.words(CONTEXT + 0x200, BigInt(DIRECTORY) | context);
        d.words(PASIDS + 5 * 64, entry, 1n, BigInt(TABLE));
      });
      b.see({ do: 'dma.write', requester: 0, at: 0x1000n as never, bytes: Uint8Array.of(1, 2, 3, 4), pasid: 5, ...more });
      b.see({ saw: 'dma.done', requester: 0, outcome: 'blocked' });
      const translated = 'translated' in more;
      return recorded(b, reason | (5n << 8n) | (translated ? 2n << 28n : 0n), 'privileged' in more ? 0xa0000010n : 0x80000010n);
    };
    const asked = { translated: true };
    expect([told(0x44n, 1n, 0x41n, asked), told(0x45n, 1n, 0x41n, asked)]).toEqual([[], []]);
    expect([told(0x42n, 0x21n, 0x41n, {}), told(0x45n, 0x21n, 0x41n, {})]).toEqual([[], []]);
    expect(told(0x45n, 9n, 0x41n, asked)).not.toEqual([]);
    expect(told(0x45n, 0x29n, 0x41n, {})).not.toEqual([]);
    const supervisor = { privileged: true };
    expect([told(0x5an, 9n, 0xc41n, supervisor), told(0x5dn, 9n, 0xc41n, supervisor)]).toEqual([[], []]);
    expect(told(0x5an, 9n, 0x41n, supervisor)).not.toEqual([]);
  });
  test('any is reported for a malformed entry that lacks a right too, and for an address past every other', () => {
    const reads = (reason: bigint, entry: bigint): readonly string[] => {
      const b = bench(CAP, ECAP_FULL);
      scalableOn(b, (d) => d.words(TABLE + 0x3008, entry));
      b.dmaWrite(0x1000, 'blocked');
      return recorded(b, reason);
    };
    const bad = 1n << 51n;
    expect([reads(0x72n, 0x10005n | bad), reads(0x85n, 0x10005n | bad), reads(0x85n, 0x10005n)]).toEqual([[], [], []]);
    expect(reads(0x85n, 0x10007n | bad)).not.toEqual([]);
    const far = (reason: bigint, at: bigint): readonly string[] => {
      const b = bench();
      legacyOn(b, (d) => d.words(ROOT, 0n));
      b.dmaWrite(at, 'blocked');
      return recorded(b, reason);
    };
    expect([far(1n, 1n << 50n), far(4n, 1n << 50n)]).toEqual([[], []]);
    expect(far(4n, 0x1000n)).not.toEqual([]);
  });
  test('either is reported for an interrupt request with reserved data and an index past the table', () => {
    const told = (reason: bigint, handle: bigint): readonly string[] => {
      const b = interrupting(bench(), 0x410001n);
      b.see({ do: 'msi.send', requester: 0, address: 0xfee00018n | (handle << 5n), data: 0x10000 });
      return recorded(b, reason);
    };
    expect([told(0x20n, 0n), told(0x20n, 0x80n), told(0x21n, 0x80n)]).toEqual([[], [], []]);
    expect(told(0x21n, 0n)).not.toEqual([]);
    expect(told(0x22n, 0x80n)).not.toEqual([]);
  });
});
test('a remapped NMI has no vector, and is an edge', () => {
  const told = (delivery: number, vector: number, level: boolean): readonly string[] => {
    const b = interrupting(bench(), 0x410011n | (BigInt(delivery) << 5n));
    b.see({ do: 'msi.send', requester: 0, address: 0xfee00010n, data: 0 });
    b.see({ saw: 'apic.interrupt', vector, delivery, destination: 0, logical: false, level, redirectionHint: false });
    b.settle();
    return b.news();
  };
  for (const delivery of [2, 4, 5])
    for (const vector of [0, 0x41]) for (const level of [false, true]) expect(told(delivery, vector, level)).toEqual([]);
  expect(told(7, 0, true)).toEqual([]);
  expect(told(0, 0x41, true)).toEqual([]);
  for (const [delivery, vector, level] of [
    [4, 0x42, false],
    [0, 0x42, true],
    [0, 0x41, false],
    [1, 0x42, true],
  ] as const)
    expect(told(delivery, vector, level)).toContain('vt-d.interrupt.fields');
});
