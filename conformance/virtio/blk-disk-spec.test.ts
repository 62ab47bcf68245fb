// The block spec against hand-made histories: what the disk may hold after writes, reads, refusals and what is in flight.
// No reference and no ring.

import { describe, expect, test } from 'vitest';
import type { Event } from '../../spec/vocabulary.ts';
import { all, bench, filled, gpa, pattern, segment } from './blk-bench.ts';

describe('the disk as a set', () => {
  test('starts as the pattern', () => {
    const b = bench(all);
    b.read(3, pattern(3));
    expect(b.findings).toEqual([]);
    b.read(3, pattern(4));
    expect(b.findings).toEqual(['virtio.blk.in.data']);
  });
  test('is anything after OK to a type that means nothing, until it is written again: one difference, one clause', () => {
    const b = bench(all);
    b.submit(0, 0x8000_0001, 3, filled(0));
    b.complete(0, 0, undefined, 1);
    b.read(3, filled(0));
    expect(b.findings).toEqual(['virtio.blk.unsupp.legacy']);
    b.submit(1, 1, 3, filled(7));
    b.complete(1, 0, undefined, 1);
    b.read(3, filled(0));
    expect(b.findings).toEqual(['virtio.blk.unsupp.legacy', 'virtio.blk.out.data']);
  });
  test('is anything after a reset in the middle of a type that means nothing', () => {
    const b = bench(all);
    b.submit(0, 0x8000_0001, 3, filled(0));
    b.feed({ saw: 'scope.reset', scope: 'device:0' });
    b.feed({ saw: 'virtio.live', features: all });
    b.read(3, filled(0));
    expect(b.findings).toEqual([]);
  });
  test.each([
    ['old for ever', [pattern(5), pattern(5)], []],
    ['new late', [pattern(5), filled(1), filled(1)], []],
    ['in parts', [Uint8Array.from([...filled(1, 9), ...pattern(5).subarray(9)]), filled(1)], []],
    ['new, then old again', [filled(1), pattern(5)], ['virtio.blk.out.data']],
    ['another', [pattern(5), filled(2)], ['virtio.blk.out.data']],
  ] as const)('a write that a reset took lands at any time or never: %s', (_, seen, findings) => {
    const b = bench(all);
    b.submit(0, 1, 5, filled(1));
    b.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
    for (const data of seen) b.read(5, data);
    expect(b.findings).toEqual(findings);
    // A later write that is complete ends it.
    b.submit(1, 1, 5, filled(3));
    b.complete(1, 0, undefined, 1);
    b.read(5, filled(3));
    expect(b.findings).toEqual(findings);
    b.read(5, filled(1));
    expect(b.findings.slice(findings.length)).toEqual(['virtio.blk.out.data']);
  });
  test('of two reads in flight the one that is told first may see it, and the other not', () => {
    const seen = (second: Uint8Array): readonly string[] => {
      const b = bench(all);
      b.submit(0, 1, 5, filled(1));
      b.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
      b.submit(1, 0, 5, 512);
      b.submit(2, 0, 5, 512);
      b.complete(1, 0, filled(1));
      b.complete(2, 0, second);
      return b.findings;
    };
    expect(seen(pattern(5))).toEqual([]);
    expect(seen(filled(1))).toEqual([]);
    expect(seen(filled(2))).toEqual(['virtio.blk.out.data']);
  });
  test('a chain that nobody can read, and a reset took, lands at any time until the sector is written', () => {
    const b = bench(all);
    b.feed({ saw: 'virtq.malformed', queue: 0, head: 3, why: 'loop', writable: [] });
    b.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
    b.read(3, pattern(3));
    b.read(3, filled(9));
    expect(b.findings).toEqual([]);
    b.submit(0, 1, 3, filled(1));
    b.complete(0, 0, undefined, 1);
    b.read(3, filled(9));
    expect(b.findings).toEqual(['virtio.blk.out.data']);
  });
  test('a write replaces what was there, once it is complete', () => {
    const b = bench(all);
    b.submit(0, 1, 5, filled(1));
    b.complete(0, 0);
    b.read(5, filled(1));
    expect(b.findings).toEqual([]);
    b.read(5, pattern(5));
    expect(b.findings).toEqual(['virtio.blk.out.data']);
  });
  test('a read in flight with a write may find old, new or part of each', () => {
    for (const [data, bad] of [
      [pattern(5), 0],
      [filled(1), 0],
      [Uint8Array.from([...filled(1, 256), ...pattern(5).subarray(256)]), 0],
      [filled(2), 1],
    ] as const) {
      const b = bench(all);
      b.submit(0, 1, 5, filled(1));
      b.submit(1, 0, 5, 512);
      b.complete(0, 0);
      b.complete(1, 0, data);
      expect(b.findings.length).toBe(bad);
      b.read(5, filled(1));
      expect(b.findings.length).toBe(bad);
    }
  });
  test('of overlapping writes either may last, the older content may not', () => {
    const twice = () => {
      const b = bench(all);
      b.submit(0, 1, 7, filled(1));
      b.submit(1, 1, 7, filled(2));
      b.complete(1, 0);
      b.complete(0, 0);
      return b;
    };
    for (const [data, findings] of [
      [filled(1), []],
      [filled(2), []],
      [pattern(7), ['virtio.blk.out.data']],
    ] as const) {
      const b = twice();
      b.read(7, data);
      expect(b.findings).toEqual(findings);
    }
    const b = twice();
    b.read(7, filled(2));
    b.read(7, filled(1)); // the first read told which one lasted
    expect(b.findings).toEqual(['virtio.blk.in.data']);
  });
  test('a failed write leaves old or new, sector by sector', () => {
    const b = bench(all);
    b.submit(0, 1, 8, filled(1, 1024));
    b.complete(0, 1);
    expect(b.findings).toEqual(['virtio.blk.served']);
    b.read(8, filled(1));
    b.read(9, pattern(9));
    expect(b.findings.length).toBe(1);
    b.read(8, pattern(8));
    expect(b.findings.slice(1)).toEqual(['virtio.blk.in.data']);
  });
  test('unknown content is learned by reading it, and discarded content is not', () => {
    const b = bench(all);
    b.see({ do: 'host.resize', sectors: 66 });
    b.see({ saw: 'settled', by: 'sync' });
    b.read(65, filled(7));
    b.read(65, filled(7));
    expect(b.findings).toEqual([]);
    b.read(65, filled(8));
    expect(b.findings).toEqual(['virtio.blk.in.data']);
    const d = bench(all);
    d.submit(0, 11, 0, segment(3, 1, 0));
    d.complete(0, 0);
    d.read(3, filled(7));
    d.read(3, filled(8));
    expect(d.findings).toEqual([]);
  });
  test('write zeroes gives zeroes; a malformed chain leaves nothing sure until reset and rewrite', () => {
    const b = bench(all);
    b.submit(0, 13, 0, segment(3, 2, 1));
    b.complete(0, 0);
    b.read(3, filled(0));
    expect(b.findings).toEqual([]);
    b.read(4, pattern(4));
    expect(b.findings).toEqual(['virtio.blk.zeroes.data']);
    const m = bench(all);
    m.feed({ saw: 'virtq.malformed', queue: 0, head: 3, why: 'loop', writable: [] });
    m.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
    m.read(3, filled(9));
    m.submit(0, 1, 3, filled(1));
    m.complete(0, 0);
    m.read(3, filled(9));
    expect(m.findings).toEqual(['virtio.blk.out.data']);
  });
  test('is anything after a queue has moved under a live device, until it is written again', () => {
    const enabled = { saw: 'virtq.enabled', queue: 0, size: 8, desc: gpa(0), avail: gpa(0x100), used: gpa(0x200), base: 0 } as const;
    const read = (...events: readonly Event[]): readonly string[] => {
      const b = bench(all);
      b.feed(...events);
      b.feed({ saw: 'scope.reset', scope: 'device:0' }, { saw: 'virtio.negotiated', features: all });
      b.read(3, filled(9));
      b.submit(0, 1, 3, filled(1));
      b.complete(0, 0);
      b.read(3, filled(9));
      return b.findings;
    };
    expect(read(enabled, { saw: 'virtio.live', features: all })).toEqual(['virtio.blk.in.data', 'virtio.blk.out.data']);
    expect(read(enabled, { saw: 'virtio.live', features: all }, enabled)).toEqual(['virtio.blk.out.data']);
  });
  test('the driver that rewrites a buffer in flight has no claim on its content', () => {
    const b = bench(all);
    b.submit(0, 1, 5, filled(1));
    b.see({ do: 'memory.write', at: gpa(4096 + 16), bytes: filled(2) });
    b.complete(0, 0);
    b.read(5, filled(2));
    expect(b.findings).toEqual([]);
  });
});
