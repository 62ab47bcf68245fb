// The block spec against hand-made histories: that each answer rule, and each of the configuration, can tell right from wrong.
// No reference and no ring.

import { describe, expect, test } from 'vitest';
import { all, bench, filled, FLUSH, pattern, RO, SEG_MAX, segment, u32s, WRITE_ZEROES } from './blk-bench.ts';

describe('answers', () => {
  test('a read-only device refuses writes and keeps its data', () => {
    const b = bench(all | RO, { readOnly: true });
    b.submit(0, 1, 5, filled(1));
    b.complete(0, 1);
    b.read(5, pattern(5));
    expect(b.findings).toEqual([]);
    b.read(5, filled(1));
    b.submit(0, 1, 5, filled(1));
    b.complete(0, 0);
    expect(b.findings).toEqual(['virtio.blk.read-only.data', 'virtio.blk.read-only.ioerr']);
  });
  test.each([
    ['unknown flag', 13, 2, 0, 'virtio.blk.erase.flags'],
    ['unknown flag, IOERR', 13, 0x80000000, 1, 'virtio.blk.erase.flags'],
    ['unmap in discard', 11, 1, 0, 'virtio.blk.discard.unmap'],
  ] as const)('%s', (_, type, flags, wrong, clause) => {
    const b = bench(all);
    b.submit(0, type, 0, segment(3, 1, flags));
    b.complete(0, 2);
    b.read(3, pattern(3));
    expect(b.findings).toEqual([]);
    expect(b.applied('virtio.blk.unsupp.data')).toBe(1);
    b.submit(0, type, 0, segment(3, 1, flags));
    b.complete(0, wrong);
    expect(b.findings).toEqual([clause]);
  });
  test('zone commands and unknown types', () => {
    const b = bench(all);
    for (const [type, status] of [
      [16, 2],
      [99, 2],
      [5, 2],
      [8, 0],
    ] as const) {
      b.submit(0, type, 0, type === 8 ? 20 : 0);
      b.complete(0, status, type === 8 ? new Uint8Array([...new TextEncoder().encode('serial'), ...filled(0, 14)]) : undefined);
    }
    expect(b.findings).toEqual([]);
    for (const [type, status] of [
      [16, 1],
      [99, 0],
      [99, 1],
      [5, 0],
      [0, 2],
    ] as const) {
      b.submit(0, type, 0, type === 0 ? 512 : 0);
      b.complete(0, status);
    }
    expect(b.findings).toEqual([
      'virtio.blk.zone.unsupp',
      'virtio.blk.unsupp.unknown',
      'virtio.blk.unsupp.status',
      'virtio.blk.unsupp.legacy',
      'virtio.blk.supported',
      'virtio.blk.used.claimed',
    ]);
  });
  test('IN and OUT without data and FLUSH with data may be unsupported, with data and without they may not', () => {
    const b = bench(all);
    for (const [type, data] of [
      [0, 0],
      [1, 0],
      [4, 512],
    ] as const) {
      b.submit(0, type, 0, data);
      b.complete(0, 2, undefined, 1);
    }
    expect(b.findings).toEqual([]);
    for (const [type, data] of [
      [0, 512],
      [1, filled(1)],
      [4, 0],
    ] as const) {
      b.submit(0, type, 0, data);
      b.complete(0, 2, undefined, 1);
    }
    expect(b.findings).toEqual(['virtio.blk.supported', 'virtio.blk.supported', 'virtio.blk.supported']);
  });
  test('a chain past a reasonable limit may be refused, unless SEG_MAX told how long one may be', () => {
    const refused = (features: bigint, entries: number): readonly string[] => {
      const b = bench(features);
      for (const status of [1, 2]) {
        b.submit(0, 0, 3, 512, entries);
        b.complete(0, status, undefined, 1);
      }
      return b.findings;
    };
    expect(refused(all, 129)).toEqual([]);
    expect(refused(all, 128)).toEqual(['virtio.blk.served', 'virtio.blk.supported']);
    expect(refused(all | SEG_MAX, 129)).toEqual(['virtio.blk.served', 'virtio.blk.supported']);
  });
  test('past the end nothing succeeds; other promises end on that queue until it is reset', () => {
    const b = bench(all);
    b.submit(0, 0, 64, 512);
    b.complete(0, 0, filled(3));
    b.read(3, filled(9));
    expect(b.findings).toEqual(['virtio.blk.range.refused']);
    b.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
    b.read(3, filled(9));
    expect(b.findings).toEqual(['virtio.blk.range.refused', 'virtio.blk.in.data']);
  });
  test('a status byte must be written', () => {
    const b = bench(all);
    b.submit(0, 0, 3, 512);
    b.complete(0, 0xee, pattern(3));
    expect(b.findings).toEqual(['virtio.blk.status.written']);
  });
  test('a type behind a feature that was not negotiated may be carried out or not', () => {
    for (const status of [0, 1, 2]) {
      const b = bench(FLUSH);
      b.submit(0, 13, 0, segment(3, 1, 0));
      b.complete(0, status);
      b.read(3, pattern(3));
      expect(b.findings).toEqual([]);
    }
  });
  test('limits that nobody read excuse refusals', () => {
    const b = bench(all | SEG_MAX, { read: false });
    b.submit(0, 13, 0, segment(3, 1, 0));
    b.complete(0, 1);
    expect(b.findings).toEqual([]);
  });
  test('the used length may not exceed what was there to write', () => {
    const b = bench(all);
    b.submit(0, 1, 5, filled(1));
    b.complete(0, 0, undefined, 513);
    b.submit(0, 0, 5, 512);
    b.complete(0, 0, filled(1), 512);
    expect(b.findings).toEqual(['virtio.blk.used.bound', 'virtio.blk.used.complete']);
  });
});

describe('configuration', () => {
  test('capacity, padding and limits', () => {
    const b = bench(all);
    const config = new Uint8Array(60);
    config.set(u32s(65), 0);
    config[33] = 1;
    config.set(u32s(0, 4, 1, 32, 4), 36);
    config[58] = 1;
    b.see({ saw: 'virtio.config', at: 0, bytes: config });
    expect(b.findings).toEqual(['virtio.blk.config.capacity', 'virtio.blk.config.padding', 'virtio.blk.config.limits']);
  });
  test('may end before padding that no field follows', () => {
    const b = bench(WRITE_ZEROES, { read: false });
    b.see({ saw: 'virtio.config', at: 57, bytes: filled(0xff, 3) });
    expect(b.applied('virtio.blk.config.padding')).toBe(0);
    b.see({ saw: 'virtio.config', at: 33, bytes: filled(0xff, 1) });
    expect(b.findings).toEqual(['virtio.blk.config.padding']);
  });
  test('of several new capacities the last one holds, although it was there before', () => {
    const b = bench(all);
    for (const sectors of [64, 65, 64]) b.see({ do: 'host.resize', sectors });
    b.see({ saw: 'settled', by: 'sync' });
    const bytes = new Uint8Array(8);
    bytes[0] = 64;
    b.see({ saw: 'virtio.config', at: 0, bytes });
    expect([b.findings, b.applied('virtio.blk.config.capacity')]).toEqual([[], 2]);
  });
  test('a new capacity is announced', () => {
    const b = bench(all);
    b.feed({ saw: 'virtio.live', features: all });
    b.see({ do: 'host.resize', sectors: 32 });
    b.see({ saw: 'interrupt', from: 'config' });
    b.see({ saw: 'settled', by: 'sync' });
    expect(b.findings).toEqual([]);
    b.see({ do: 'host.resize', sectors: 48 });
    b.see({ saw: 'settled', by: 'bound' });
    b.see({ saw: 'settled', by: 'sync' });
    expect(b.findings).toEqual(['virtio.blk.capacity.notice']);
  });
});
