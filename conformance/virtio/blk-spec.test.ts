// The block spec against hand-made histories: what the disk may hold, and that each answer rule can tell right from wrong.
// No reference and no ring: submissions and completions are handed to the judge through a stub area.

import { describe, expect, test } from 'vitest';
import { blk } from '../../spec/virtio/blk/index.ts';
import type { Area } from '../../spec/clause.ts';
import type { Gpa, Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import type { Chain, Segment } from '../../spec/virtio/vocabulary.ts';
import { createJudge } from '../judge.ts';

const gpa = (n: number): Gpa => BigInt(n) as Gpa;
const bit = (n: number): bigint => 1n << BigInt(n);
const SEG_MAX = bit(2);
const RO = bit(5);
const FLUSH = bit(9);
const DISCARD = bit(13);
const WRITE_ZEROES = bit(14);
const all = FLUSH | DISCARD | WRITE_ZEROES;

const granted = (features: bigint, readOnly = false): Granted => ({
  memory: { size: 0x10000, fill: 0xee, seen: 'compared' },
  level: 'queue',
  reset: 'device',
  offers: ['virtio.blk', 'memory.seen', 'disk.seen', 'host.resize'],
  virtio: {
    device: 'blk',
    offer: features,
    queueSizeMax: 8,
    queues: 1,
    blk: { disk: 'pattern', sectors: 64, readOnly, blockSize: 512, serial: 'serial' },
  },
});
const pattern = (sector: number): Uint8Array => Uint8Array.from({ length: 512 }, (_, i) => (i % 2 ? sector % 256 : i / 2));
const filled = (value: number, length = 512): Uint8Array => new Uint8Array(length).fill(value);
const u32s = (...values: number[]): Uint8Array => {
  const out = new Uint8Array(values.length * 4);
  values.forEach((v, i) => new DataView(out.buffer).setUint32(i * 4, v, true));
  return out;
};

/** A judge of virtio.blk and a driver that talks to it without a ring; slot n owns 4 KiB at (n + 1) · 4096. */
const bench = (features: bigint, options: { readOnly?: boolean; read?: boolean } = {}) => {
  // The stub derives what the ring would: an event passed as `derive` next to the one event it reacts to.
  let derive: readonly Event[] = [];
  const stub: Area<object> = {
    id: 'stub',
    initial: () => ({}),
    on: ['virtio.status.read'],
    observe: () => derive,
    clauses: [],
    duties: [],
  };
  const judge = createJudge([stub as unknown as Area<never>, blk as unknown as Area<never>]);
  judge.reset(granted(features, options.readOnly));
  const findings: string[] = [];
  const see = (event: Event): void => {
    for (const f of judge.see(event)) findings.push(f.clause);
  };
  const feed = (...events: readonly Event[]): void => {
    derive = events;
    see({ do: 'virtio.status.read' });
  };
  see({ saw: 'virtio.features', offered: features });
  feed({ saw: 'virtio.negotiated', features });
  const config = new Uint8Array(60);
  config[0] = 64;
  config.set(u32s(126), 12);
  config.set(u32s(32, 4, 1, 32, 4), 36);
  if (options.read !== false) see({ saw: 'virtio.config', at: 0, bytes: config });
  const chainOf = (slot: number, out: number, into: number): Chain => {
    const at = (slot + 1) * 4096;
    const segment = (from: number, length: number): Segment => ({ at: gpa(at + from), length });
    return {
      queue: 0,
      head: slot,
      readable: out > 0 ? [segment(0, 16), segment(16, out)] : [segment(0, 5), segment(5, 11)],
      writable: into > 0 ? [segment(2048, into), segment(4095, 1)] : [segment(4095, 1)],
      entries: 4,
      indirect: false,
      mixed: false,
    };
  };
  const open = new Map<number, Chain>();
  const submit = (slot: number, type: number, sector: number, data: Uint8Array | number = 0): void => {
    const at = (slot + 1) * 4096;
    const out = typeof data === 'number' ? new Uint8Array(0) : data;
    see({ do: 'memory.write', at: gpa(at), bytes: new Uint8Array([...u32s(type, 0, sector, 0), ...out]) });
    see({ do: 'memory.write', at: gpa(at + 2048), bytes: filled(0xee, 2048) });
    const chain = chainOf(slot, out.length, typeof data === 'number' ? data : 0);
    open.set(slot, chain);
    feed({ saw: 'virtq.submitted', chain, order: slot });
  };
  const complete = (slot: number, status: number, data?: Uint8Array, length?: number): void => {
    const chain = open.get(slot);
    if (chain === undefined) throw new Error(`slot ${slot} is not open`);
    const at = (slot + 1) * 4096;
    const writes = [...(data ? [{ at: gpa(at + 2048), bytes: data }] : []), { at: gpa(at + 4095), bytes: Uint8Array.of(status) }];
    see({ saw: 'memory.changed', writes });
    const room = chain.writable.reduce((n, s) => n + s.length, 0);
    feed({ saw: 'virtq.completed', chain, length: length ?? room, order: slot });
  };
  const read = (sector: number, data: Uint8Array): void => {
    submit(9, 0, sector, data.length);
    complete(9, 0, data);
  };
  return { see, feed, submit, complete, read, findings, judge, applied: (id: string) => judge.tallies.get(id)?.applied ?? 0 };
};
const segment = (sector: number, count: number, flags: number): Uint8Array => u32s(sector, 0, count, flags);

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
  test('the driver that rewrites a buffer in flight has no claim on its content', () => {
    const b = bench(all);
    b.submit(0, 1, 5, filled(1));
    b.see({ do: 'memory.write', at: gpa(4096 + 16), bytes: filled(2) });
    b.complete(0, 0);
    b.read(5, filled(2));
    expect(b.findings).toEqual([]);
  });
});

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
