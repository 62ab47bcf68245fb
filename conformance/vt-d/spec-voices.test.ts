// Histories in which units other than those at hand answer otherwise than the spec once said, and the text gives them leave.
// Beside each stands what is still told.

import { describe, expect, test } from 'vitest';
import {
  bench,
  type Bench,
  CAP,
  CONTEXT,
  DIRECTORY,
  ECAP,
  ECAP_FULL,
  L1,
  L2,
  L3,
  L4,
  legacyOn,
  PASIDS,
  ROOT,
  scalableOn,
} from './spec-bench.ts';

const QUEUE = 0x8000;
const STATUS = 0x9000;
const go = 1n << 63n;
const ccmd = (b: Bench, value: bigint, granularity: bigint): void => {
  b.write(0x28, value | go, 8);
  b.read(0x28, (value & ~0x3ffff0000n) | (granularity << 59n), 8);
};
const iotlb = (b: Bench, value: bigint, granularity: bigint, iva = 0n): void => {
  b.write(0xf0, iva, 8);
  b.write(0xf8, value | go, 8);
  b.read(0xf8, value | (granularity << 57n), 8);
};
/** Legacy mode with page 1 at 10000H, used once; then the context entry leads it to 30000H under domain 3. */
const moved = (cap = CAP, ecap = ECAP): Bench => {
  const b = bench(cap, ecap);
  legacyOn(b);
  b.words(0xc000, 0xd003n);
  b.words(0xd000, 0xe003n);
  b.words(0xe000, 0xf003n);
  b.words(0xf008, 0x30003n);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  b.settle();
  b.words(CONTEXT + 0x100, 0xc001n, 0x302n);
  return b;
};
const globally = (b: Bench): void => ccmd(b, 1n << 61n, 1n);
const drop = (b: Bench): void => iotlb(b, 1n << 60n, 1n);
const queue = (b: Bench, ...descriptors: readonly (readonly [bigint, bigint])[]): void => {
  b.write(0x90, QUEUE, 8);
  b.command(0x84000000, 0xc4000000);
  for (const [i, d] of descriptors.entries()) b.words(QUEUE + 16 * i, ...d);
};

describe('an invalidation', () => {
  test('of the IOTLB that is asked for while one of the context cache is under way may come too early', () => {
    const told = (again: boolean): readonly string[] => {
      const b = moved();
      b.write(0x28, (1n << 61n) | go, 8);
      b.write(0xf8, (1n << 60n) | go, 8);
      b.read(0x28, (1n << 61n) | (1n << 59n), 8);
      b.read(0xf8, (1n << 60n) | (1n << 57n), 8);
      if (again) drop(b);
      b.dmaWrite(0x1000, 'completed', 0x10000);
      return b.news();
    };
    expect(told(false)).toEqual([]);
    expect(told(true)).toContain('vt-d.cache.context-global');
  });
  test('of leaves alone leaves upper entries that an old context entry led to', () => {
    const told = (hint: bigint): readonly string[] => {
      const b = moved();
      globally(b);
      iotlb(b, (3n << 60n) | (1n << 32n), 3n, 0x1000n | hint);
      b.dmaWrite(0x1000, 'completed', 0x10000);
      return b.news();
    };
    expect(told(0x40n)).toEqual([]);
    expect(told(0n)).toContain('vt-d.cache.context-global');
  });
  test('of a device’s context entry names its domain', () => {
    const told = (domain: bigint): readonly string[] => {
      const b = moved();
      ccmd(b, (3n << 61n) | (0x10n << 16n) | domain, 3n);
      drop(b);
      b.dmaWrite(0x1000, 'completed', 0x10000);
      return b.news();
    };
    expect(told(3n)).toEqual([]);
    expect(told(1n)).toContain('vt-d.cache.context-device');
  });
  test('of a page is as large as the page', () => {
    const told = (order: bigint): readonly string[] => {
      const b = bench();
      legacyOn(b, (d) => d.words(L2, 0x83n));
      b.dmaWrite(0x10000, 'completed', 0x10000);
      b.settle();
      b.words(L2, 0x81n);
      iotlb(b, (3n << 60n) | (1n << 32n), 3n, order);
      b.dmaWrite(0x10000, 'completed', 0x10000);
      return b.news();
    };
    expect([told(0n), told(8n)]).toEqual([[], []]);
    expect(told(9n)).toContain('vt-d.cache.iotlb-page');
  });
  test('of more interrupt entries than MHMV names may be carried out', () => {
    const b = bench(CAP, (ECAP & ~(15n << 20n)) | (4n << 20n));
    legacyOn(b);
    queue(b, [0x14n | (6n << 27n), 0n], [0x25n | (1n << 32n), BigInt(STATUS)]);
    b.write(0x88, 0x20, 8);
    b.settle();
    b.read(0x80, 0x20, 8);
    b.read(0x34, 0);
    expect(b.news()).toEqual([]);
  });
});

describe('registers', () => {
  test('may lack the domain-id bits past ND', () => {
    const told = (shown: bigint): readonly string[] => {
      const b = bench((CAP & ~7n) | 2n);
      b.write(0x28, 0xffffn, 8);
      b.read(0x28, shown, 8);
      b.write(0xf8, 0xffffn << 32n, 8);
      b.read(0xf8, shown << 32n, 8);
      return b.news();
    };
    expect([told(0xffn), told(0xffffn)]).toEqual([[], []]);
    expect(told(0x7fn)).toContain('vt-d.register.read-write');
  });
  test('show the head as it was until the queue is off', () => {
    const b = bench();
    legacyOn(b);
    queue(b, [0x12n, 0n]);
    b.write(0x88, 0x10, 8);
    b.settle();
    b.write(0x18, 0x80000000);
    b.read(0x80, 0x10, 8);
    expect(b.news()).toEqual([]);
  });
});

describe('abort mode without scalable mode', () => {
  const told = (offered: bigint, mode: bigint, outcome: 'blocked' | 'completed'): readonly string[] => {
    const b = bench(CAP, ECAP | offered);
    b.words(ROOT, BigInt(CONTEXT) | 1n, 0n);
    b.words(CONTEXT + 0x100, BigInt(L4) | 1n, 0x102n);
    b.words(L4, BigInt(L3) | 3n);
    b.words(L3, BigInt(L2) | 3n);
    b.words(L2, BigInt(L1) | 3n);
    b.words(L1 + 8, 0x10003n);
    b.write(0x20, BigInt(ROOT) | (mode << 10n), 8);
    b.command(0x40000000, 0x40000000);
    b.command(0x80000000, 0xc0000000);
    b.dmaWrite(0x1000, outcome, ...(outcome === 'completed' ? [0x10000] : []));
    return b.news();
  };
  test('blocks where it is offered, and is not judged where it is not', () => {
    expect(told(1n << 52n, 3n, 'blocked')).toEqual([]);
    expect(told(1n << 52n, 3n, 'completed')).not.toEqual([]);
    expect([told(0n, 3n, 'blocked'), told(0n, 3n, 'completed')]).toEqual([[], []]);
  });
});

describe('a fault record', () => {
  const recorded = (b: Bench, reason: number, info: bigint): readonly string[] => {
    b.settle();
    b.read(0x220, info, 8);
    b.read(0x228, go | (BigInt(reason) << 32n) | 0x10n, 8);
    return b.news();
  };
  const far = (1n << 48n) | 0x5000n;
  test('may lack the bits of the address above the guest address width', () => {
    const told = (info: bigint): readonly string[] => {
      const b = bench();
      legacyOn(b);
      b.dmaWrite(far, 'blocked');
      return recorded(b, 4, info);
    };
    expect([told(far), told(0x5000n)]).toEqual([[], []]);
    expect(told(0x6000n)).toContain('vt-d.fault.address');
    expect(told(far << 1n)).toContain('vt-d.fault.address');
  });
  test('may have no address type where there are no device TLBs', () => {
    const told = (ecap: bigint): readonly string[] => {
      const b = bench(CAP, ecap);
      legacyOn(b);
      b.see({ do: 'dma.write', requester: 0, at: 0x1000n as never, bytes: Uint8Array.of(1, 2, 3, 4), translated: true });
      b.see({ saw: 'dma.done', requester: 0, outcome: 'blocked' });
      return recorded(b, 0xd, 0x1000n);
    };
    expect(told(ECAP & ~4n)).toEqual([]);
    expect(told(ECAP)).toContain('vt-d.fault.address-type');
  });
  test('tells any of several things that are wrong with a context entry', () => {
    const told = (reason: number): readonly string[] => {
      const b = bench();
      legacyOn(b, (d) => d.words(CONTEXT + 0x100, BigInt(L4) | 0x11n, 0x107n));
      b.dmaWrite(0x1000, 'blocked');
      return recorded(b, reason, 0x1000n);
    };
    expect([told(0x03), told(0x0b)]).toEqual([[], []]);
    expect(told(0x02)).not.toEqual([]);
  });
});

describe('reserved bits', () => {
  test('of a pointer that pass-through does not use may be ignored', () => {
    const told = (type: bigint): readonly string[] => {
      const b = bench();
      legacyOn(b, (d) => d.words(CONTEXT + 0x100, 1n | (type << 2n) | (1n << 50n), 0x102n));
      b.dmaWrite(0x10000, 'completed', 0x10000);
      return b.news();
    };
    expect(told(2n)).toEqual([]);
    expect(told(0n)).not.toEqual([]);
  });
  test('PWSNP and PGSNP may be, where the unit does not support what they ask', () => {
    for (const snoop of [23n, 24n]) {
      const b = bench(CAP, ECAP_FULL & ~0x80n);
      scalableOn(b, (d) => d.words(PASIDS, 0x41n, 1n | (1n << snoop)));
      b.dmaWrite(0x1000, 'blocked');
      expect(b.news()).toEqual([]);
    }
  });
});

test('a page request may find no room where it is not known how full the queue is', () => {
  const told = (moved: boolean): readonly string[] => {
    const b = bench(CAP, ECAP_FULL);
    scalableOn(b, (d) => d.words(CONTEXT + 0x200, BigInt(DIRECTORY) | 0x1dn));
    const ask = (): void =>
      b.see({ do: 'pri.request', requester: 0, at: 0x7000n as never, read: true, write: false, last: true, group: 1 });
    b.write(0xd0, 0xc000, 8);
    ask();
    if (moved) b.write(0xd0, 0xd000, 8);
    ask();
    b.see({ saw: 'pri.response', requester: 0, group: 1, code: 0 });
    return b.news();
  };
  expect(told(true)).toEqual([]);
  expect(told(false)).toContain('vt-d.pri.response');
});

test('a page request that finds no room is answered once, as its last of the group, or not at all', () => {
  const told = (last: boolean, ...responses: readonly (readonly [group: number, code: number])[]): readonly string[] => {
    const b = bench(CAP, ECAP_FULL);
    scalableOn(b, (d) => d.words(CONTEXT + 0x200, BigInt(DIRECTORY) | 0x1dn));
    b.write(0xd0, 0xc000, 8);
    b.write(0xc0, 0x20, 8);
    b.see({ do: 'pri.request', requester: 0, at: 0x7000n as never, read: true, write: false, last, group: 1 });
    for (const [group, code] of responses) b.see({ saw: 'pri.response', requester: 0, group, code });
    b.settle();
    return b.news();
  };
  expect([told(true), told(true, [1, 0]), told(true, [1, 1]), told(false, [1, 15]), told(false)]).toEqual([[], [], [], [], []]);
  for (const wrong of [told(true, [1, 0], [1, 0]), told(true, [2, 0]), told(true, [1, 2]), told(false, [1, 0])])
    expect(wrong).toEqual(['vt-d.pri.response']);
});
