// The VT-d spec on faults that a unit met between two rests: in which order they may be recorded, and that each is.

import { describe, expect, test } from 'vitest';
import { bench, CAP, legacyOn } from './spec-bench.ts';

const FSTS = 0x34;

describe('faults of several requesters', () => {
  const FRCD = 0x220;
  const record = (sourceId: number): bigint => (1n << 63n) | (1n << 62n) | (6n << 32n) | BigInt(sourceId);
  /** Two requesters read where nothing is mapped; the first record of eight, and the one behind it. */
  const told = (first: bigint, second: bigint): readonly string[] => {
    const b = bench(CAP | (7n << 40n));
    legacyOn(b);
    b.dmaRead(0x5000, 'blocked');
    b.dmaRead(0x6000, 'blocked', undefined, 1);
    b.settle();
    b.read(FRCD + 8, first, 8);
    b.read(FRCD + 24, second, 8);
    return b.news();
  };
  test('are recorded in any order: nothing says whose request is processed first', () => {
    expect(told(record(0x10), record(0x18))).toEqual([]);
    expect(told(record(0x18), record(0x10))).toEqual([]);
  });
  test('are recorded each', () => {
    expect(told(record(0x18), 0n)).toEqual(['vt-d.fault.recorded']);
    expect(told(record(0x18), record(0x18))).toEqual(['vt-d.fault.source-id']);
  });
});

test('an interrupt request and a memory request of one requester are recorded in any order', () => {
  const interrupt = (1n << 63n) | (0x22n << 32n) | 0x10n;
  const memory = (1n << 63n) | (1n << 62n) | (6n << 32n) | 0x10n;
  const told = (first: bigint, second: bigint): readonly string[] => {
    const b = bench(CAP | (7n << 40n));
    legacyOn(b);
    b.write(0xb8, 0xc000n, 8);
    b.command(0x81000000, 0xc1000000);
    b.command(0x82000000, 0xc3000000);
    b.settle();
    b.news();
    b.see({ do: 'msi.send', requester: 0, address: 0xfee00010n, data: 0 });
    b.dmaRead(0x5000, 'blocked');
    b.settle();
    b.read(0x228, first, 8);
    b.read(0x238, second, 8);
    return b.news();
  };
  expect(told(interrupt, memory)).toEqual([]);
  expect(told(memory, interrupt)).toEqual([]);
  expect(told(memory, memory)).not.toEqual([]);
});

test('many faults at once are followed to rest', () => {
  const b = bench(CAP | (7n << 40n));
  legacyOn(b);
  for (let i = 0; i < 3; i++) for (const requester of [0, 1]) b.dmaRead(0x9000 + i * 0x1000, 'blocked', undefined, requester);
  b.settle();
  b.read(FSTS, 0);
  expect(b.news()).toEqual(['vt-d.fault.pending']);
});
