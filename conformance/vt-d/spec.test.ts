// The VT-d spec against hand-made histories, topic by topic: what a good unit answers is kept, each wrong answer is named.
// Legacy walk, faults, registers, commands.

import { expect, test } from 'vitest';
import { bench, CONTEXT, L1, L2, L4, legacyOn, ROOT } from './spec-bench.ts';

const FRCD = 0x220;
const record = (reason: number, sourceId: number, read: boolean): bigint =>
  (1n << 63n) | (read ? 1n << 62n : 0n) | (BigInt(reason) << 32n) | BigInt(sourceId);
const clear = (b: ReturnType<typeof bench>): void => {
  b.write(FRCD + 12, 0x80000000);
};

test('a good unit in legacy mode breaks nothing', () => {
  const b = bench();
  legacyOn(b);
  b.dmaWrite(0x1234, 'completed', 0x10234);
  b.settle();
  b.dmaWrite(0x2000, 'blocked');
  b.read(FRCD + 8, record(0x05, 0x10, false), 8);
  b.read(FRCD, 0x2000n, 8);
  b.read(0x34, 0x2);
  clear(b);
  b.read(0x34, 0);
  b.dmaRead(0x2000, 'completed');
  b.dmaRead(0x3000, 'blocked');
  b.settle();
  b.read(FRCD + 8, record(0x06, 0x10, true), 8);
  b.settle();
  expect(b.findings).toEqual([]);
  expect(b.breaches()).toEqual([]);
  for (const id of [
    'vt-d.walk.translates',
    'vt-d.walk.address',
    'vt-d.walk.write-permission',
    'vt-d.walk.read-permission',
    'vt-d.fault.reason-write-permission',
    'vt-d.fault.reason-read-permission',
    'vt-d.fault.recorded',
    'vt-d.fault.source-id',
    'vt-d.fault.direction',
    'vt-d.fault.address',
    'vt-d.fault.pending',
    'vt-d.command.status',
    'vt-d.isolation.memory',
  ])
    expect([id, b.tally(id).kept > 0]).toEqual([id, true]);
});
test('a request that is let through, blocked or sent elsewhere wrongly', () => {
  const b = bench();
  legacyOn(b);
  b.dmaWrite(0x2000, 'completed');
  expect(b.news()).toEqual(['vt-d.walk.write-permission']);
  b.dmaRead(0x3000, 'completed');
  expect(b.news()).toEqual(['vt-d.walk.read-permission']);
  b.dmaWrite(0x1000, 'blocked');
  expect(b.news()).toEqual(['vt-d.walk.translates']);
  b.dmaWrite(0x1000, 'unseen', 0x11000);
  expect(b.news()).toEqual(['vt-d.walk.address']);
  b.dmaWrite(0x2000, 'unseen', 0x11000);
  expect(b.news()).toEqual(['vt-d.walk.write-permission']);
  b.settle();
  expect(b.news()).toEqual([]);
  b.dmaWrite(0x1008, 'unseen');
  b.settle();
  expect(b.news()).toEqual(['vt-d.walk.translates']);
});
test('bytes that a read returns come from the translated page', () => {
  const b = bench();
  legacyOn(b);
  b.words(0x10000, 0x1122334455667788n);
  b.words(0x11000, 0x99n);
  b.dmaRead(0x1000, 'completed', Uint8Array.of(0x88, 0x77));
  expect(b.news()).toEqual([]);
  b.dmaRead(0x1000, 'unseen', Uint8Array.of(0x99, 0));
  expect(b.news()).toEqual(['vt-d.walk.address']);
});
type Case = readonly [name: string, spoil: (b: ReturnType<typeof bench>) => void, at: bigint, reason: number, slug: string];
const cases: readonly Case[] = [
  ['root not present', (b) => b.words(ROOT, 0n, 0n), 0x1000n, 0x01, 'root-present'],
  ['root reserved', (b) => b.words(ROOT, BigInt(CONTEXT) | 3n, 0n), 0x1000n, 0x0a, 'root-reserved'],
  ['root reserved high', (b) => b.words(ROOT, BigInt(CONTEXT) | 1n, 1n), 0x1000n, 0x0a, 'root-reserved'],
  ['context table outside', (b) => b.words(ROOT, 0x1000001n, 0n), 0x1000n, 0x09, 'context-access'],
  ['context not present', (b) => b.words(CONTEXT + 0x100, 0n, 0n), 0x1000n, 0x02, 'context-present'],
  ['context reserved', (b) => b.words(CONTEXT + 0x100, BigInt(L4) | 0x11n, 0x102n), 0x1000n, 0x0b, 'context-reserved'],
  ['context reserved high', (b) => b.words(CONTEXT + 0x100, BigInt(L4) | 1n, 0x1000102n), 0x1000n, 0x0b, 'context-reserved'],
  ['context width', (b) => b.words(CONTEXT + 0x100, BigInt(L4) | 1n, 0x103n), 0x1000n, 0x03, 'context-valid'],
  ['context type', (b) => b.words(CONTEXT + 0x100, BigInt(L4) | 0xdn, 0x102n), 0x1000n, 0x03, 'context-valid'],
  ['top table outside', (b) => b.words(CONTEXT + 0x100, 0x1000001n, 0x102n), 0x1000n, 0x03, 'context-valid'],
  ['address too wide', () => undefined, 1n << 48n, 0x04, 'input-width'],
  ['table outside', (b) => b.words(L2, 0x1000003n), 0x1000n, 0x07, 'table-access'],
  ['reserved in a table entry', (b) => b.words(L4, BigInt(L2) | 0x83n), 0x1000n, 0x0c, 'paging-reserved'],
  ['large page misaligned', (b) => b.words(L2, 0x1083n), 0x1000n, 0x0c, 'paging-reserved'],
  ['into the interrupt range', (b) => b.words(L1 + 8, 0xfee00003n), 0x1000n, 0x0e, 'interrupt-output'],
];
test.each(cases)('%s', (_name, spoil, at, reason, slug) => {
  const good = bench();
  legacyOn(good, spoil);
  good.dmaWrite(at, 'blocked');
  good.read(FRCD + 8, record(reason, 0x10, false), 8);
  expect(good.findings).toEqual([]);
  expect(good.tally(`vt-d.walk.${slug}`).kept).toBe(1);
  expect(good.tally(`vt-d.fault.reason-${slug}`).kept).toBe(1);
  const bad = bench();
  legacyOn(bad, spoil);
  bad.dmaWrite(at, 'completed');
  expect(bad.news()).toEqual([`vt-d.walk.${slug}`]);
  const other = bench();
  legacyOn(other, spoil);
  other.dmaWrite(at, 'blocked');
  other.read(FRCD + 8, record(0x77, 0x10, false), 8);
  expect(other.news()).toEqual([`vt-d.fault.reason-${slug}`]);
});
