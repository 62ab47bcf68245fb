// The VT-d spec on scalable mode, interrupt remapping, device TLBs and functions: what a good unit answers is kept, wrong answers are named.
// Each topic is shown to hold and to fail.

import { expect, test } from 'vitest';
import type { Iova } from '../../spec/units.ts';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, DIRECTORY, ECAP, ECAP_FULL, PASIDS, ROOT, scalableOn, TABLE, written } from './spec-bench.ts';

const FRCD = 0x220;
const record = (reason: number): bigint => (1n << 63n) | (BigInt(reason) << 32n) | 0x10n;
type Case = readonly [slug: string, spoil: (b: Bench) => void, at: bigint, reason: number];
const cases: readonly Case[] = [
  ['sm-root-present', (b) => b.words(ROOT, 0n), 0x1000n, 0x39],
  ['sm-root-reserved', (b) => b.words(ROOT, BigInt(CONTEXT) | 3n), 0x1000n, 0x3a],
  ['sm-context-access', (b) => b.words(ROOT, 0x1000001n), 0x1000n, 0x40],
  ['sm-context-present', (b) => b.words(CONTEXT + 0x200, 0n), 0x1000n, 0x41],
  ['sm-context-reserved', (b) => b.words(CONTEXT + 0x200, BigInt(DIRECTORY) | 0x29n), 0x1000n, 0x42],
  ['directory-access', (b) => b.words(CONTEXT + 0x200, 0x1000001n), 0x1000n, 0x50],
  ['directory-present', (b) => b.words(DIRECTORY, 0n), 0x1000n, 0x51],
  ['directory-reserved', (b) => b.words(DIRECTORY, BigInt(PASIDS) | 5n), 0x1000n, 0x52],
  ['pasid-access', (b) => b.words(DIRECTORY, 0x1000001n), 0x1000n, 0x58],
  ['pasid-present', (b) => b.words(PASIDS, 0x40n), 0x1000n, 0x59],
  ['pasid-reserved', (b) => b.words(PASIDS, 0x441n), 0x1000n, 0x5a],
  ['pasid-valid', (b) => b.words(PASIDS, 0x141n), 0x1000n, 0x5b],
  ['fs-present', () => undefined, 0x5000n, 0x71],
  ['fs-reserved', (b) => b.words(TABLE, BigInt(TABLE + 0x1000) | 0x87n), 0x1000n, 0x72],
  ['fs-access', (b) => b.words(TABLE, 0x1000007n), 0x1000n, 0x70],
  ['fs-top-access', (b) => b.words(PASIDS + 16, 0x1000000n), 0x1000n, 0x73],
  ['fs-canonical', () => undefined, 1n << 48n, 0x80],
  ['fs-user', () => undefined, 0x3000n, 0x81],
  ['fs-write', () => undefined, 0x2000n, 0x85],
  ['sm-interrupt-output', (b) => b.words(TABLE + 0x3008, 0xfee00007n), 0x1000n, 0x87],
];
test.each(cases)('scalable: %s', (slug, spoil, at, reason) => {
  const b = bench(CAP, ECAP_FULL);
  scalableOn(b, spoil);
  b.dmaWrite(at, 'blocked');
  b.read(FRCD + 8, record(reason), 8);
  expect(b.news()).toEqual([]);
  expect(b.tally(`vt-d.walk.${slug}`).kept).toBe(1);
  expect(b.tally(`vt-d.fault.reason-${slug}`).kept).toBe(1);
  b.dmaWrite(at, 'completed');
  expect(b.news()).toEqual([`vt-d.walk.${slug}`]);
});
test('accessed and dirty flags', () => {
  const b = bench(CAP, ECAP_FULL);
  scalableOn(b);
  b.dmaWrite(0x1000, 'completed', 0x10000);
  b.settle();
  expect(b.news()).toEqual(Array.from({ length: 1 }, () => 'vt-d.walk.accessed').concat('vt-d.walk.dirty'));
  b.see({ do: 'dma.read', requester: 0, at: 0x1000n as Iova, length: 4 });
  b.see({ saw: 'memory.changed', writes: [{ at: BigInt(TABLE) as never, bytes: Uint8Array.of(0x27) }] });
  expect(b.news()).toEqual([]);
  b.see({ saw: 'memory.changed', writes: [{ at: BigInt(TABLE) as never, bytes: Uint8Array.of(0x2f) }] });
  expect(b.news()).toEqual(['vt-d.isolation.memory']);
});
const IRT = 0xb000;
const interruptTable = (b: Bench): void => {
  b.words(IRT + 16, 0x00000500_00410001n, 0x40010n);
  b.words(IRT + 32, 0x00000500_00420001n, 0x40018n);
  b.words(IRT + 48, 0x00000500_00431001n, 0n);
  b.words(IRT + 64, 0n, 0n);
};
const interruptsOn = (b: Bench, spoil: (b: Bench) => void = () => undefined): void => {
  written(b, interruptTable, spoil);
  b.write(0xb8, BigInt(IRT) | 3n, 8);
  b.command(0x01000000, 0x01000000);
  b.command(0x02000000, 0x03000000);
};
const send = (b: Bench, address: number, data = 0): void => b.see({ do: 'msi.send', requester: 0, address: BigInt(address), data });
const arrive = (b: Bench, vector: number, destination = 5): void => {
  b.see({ saw: 'apic.interrupt', vector, delivery: 0, destination, logical: false, level: false, redirectionHint: false });
};
const handle = (n: number): number => (0xfee00010 | (n << 5)) >>> 0;
test('a remapped interrupt arrives as its entry says', () => {
  const b = bench();
  interruptsOn(b);
  send(b, handle(1));
  arrive(b, 0x41);
  b.settle();
  send(b, handle(0) + 8, 1);
  arrive(b, 0x41);
  b.settle();
  expect(b.news()).toEqual([]);
  send(b, handle(1));
  arrive(b, 0x55);
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.fields']);
  send(b, handle(1));
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.delivered']);
  arrive(b, 0x41);
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.asked-for']);
});
const refusals: readonly (readonly [slug: string, address: number, data: number, reason: number])[] = [
  ['source', handle(2), 0, 0x26],
  ['reserved', handle(3), 0, 0x24],
  ['present', handle(4), 0, 0x22],
  ['index', handle(16), 0, 0x21],
  ['request-reserved', handle(1) + 8, 0x10000, 0x20],
  ['compatibility', 0xfee05000, 0x41, 0x25],
];
test.each(refusals)('an interrupt is blocked: %s', (slug, address, data, reason) => {
  const b = bench();
  interruptsOn(b);
  send(b, address, data);
  b.settle();
  b.read(FRCD + 8, record(reason), 8);
  expect(b.news()).toEqual([]);
  expect(b.tally(`vt-d.interrupt.${slug}`).kept).toBe(1);
  expect(b.tally(`vt-d.fault.reason-interrupt-${slug}`).kept).toBe(1);
  send(b, address, data);
  arrive(b, 0x41);
  b.settle();
  expect(b.news()).toEqual([`vt-d.interrupt.${slug}`]);
});
test('entries of a table that many others replaced may be cached until they are invalidated', () => {
  const b = bench();
  interruptsOn(b);
  send(b, handle(1));
  arrive(b, 0x41);
  b.settle();
  for (let n = 0; n < 5; n++) {
    const at = 0x10000 + 0x1000 * n;
    b.words(at + 16, 0x00000500_00550001n, 0x40010n);
    b.write(0xb8, BigInt(at) | 3n, 8);
    b.command(0x03000000, 0x03000000);
  }
  for (const vector of [0x41, 0x55]) {
    send(b, handle(1));
    arrive(b, vector);
    b.settle();
  }
  expect(b.news()).toEqual([]);
  b.words(0xe000, 4n, 0n);
  b.write(0x90, 0xe000, 8);
  b.command(0x06000000, 0x07000000);
  b.write(0x88, 16, 8);
  b.settle();
  b.read(0x34, 0);
  send(b, handle(1));
  arrive(b, 0x55);
  b.settle();
  expect(b.news()).toEqual([]);
  send(b, handle(1));
  arrive(b, 0x41);
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.fields']);
});
test('a posted interrupt sets its bit and notifies once', () => {
  const b = bench(CAP | (1n << 59n));
  interruptsOn(b, (t) => t.words(IRT + 16, ((0xc000n >> 6n) << 38n) | 0x00418001n, 0n));
  b.words(0xc000 + 32, (0x500n << 32n) | 0xf20000n);
  send(b, handle(1));
  b.see({
    saw: 'memory.changed',
    writes: [
      { at: 0xc008n as never, bytes: Uint8Array.of(2) },
      { at: 0xc020n as never, bytes: Uint8Array.of(1) },
    ],
  });
  arrive(b, 0xf2);
  b.settle();
  expect(b.news()).toEqual([]);
  expect(b.tally('vt-d.interrupt.posted').kept).toBe(1);
  b.words(0xc000, 0n, 0n, 0n, 0n, (0x500n << 32n) | 0xf20000n);
  send(b, handle(1));
  b.settle();
  expect(b.news()).toEqual(['vt-d.interrupt.delivered', 'vt-d.interrupt.posted']);
});
test('a function that may not master the bus, or does not exist, reaches nothing', () => {
  const b = bench();
  b.see({ do: 'function.config.write', requester: 0, at: 4, width: 2, value: 0 });
  b.dmaWrite(0x3000, 'blocked');
  expect(b.news()).toEqual([]);
  b.dmaWrite(0x3000, 'completed', 0x3000);
  expect(b.news()).toContain('vt-d.isolation.bus-master');
  b.see({ do: 'function.config.read', requester: 0, at: 0x100, width: 4 });
  b.see({ saw: 'function.config', requester: 0, at: 0x100, width: 4, value: 0x10010 });
  b.dmaWrite(0x3000, 'completed', 0x3000, 2);
  expect(b.news()).toContain('vt-d.sriov.absent-requests');
});
test('translation completions give what the tables give', () => {
  const b = bench(CAP, ECAP);
  b.words(ROOT, BigInt(CONTEXT) | 1n, 0n);
  b.words(CONTEXT + 0x100, 0x3005n, 0x102n);
  b.words(0x3000, 0x4003n);
  b.words(0x4000, 0x5003n);
  b.words(0x5000, 0x6003n);
  b.words(0x6008, 0x10001n);
  b.write(0x20, ROOT, 8);
  b.command(0x40000000, 0x40000000);
  b.command(0x80000000, 0xc0000000);
  const entry = {
    size: 4096n,
    read: true,
    write: false,
    execute: false,
    privileged: false,
    global: false,
    untranslatedOnly: false,
    noSnoop: false,
  };
  const ask = (address: bigint, write: boolean): void => {
    b.see({ do: 'ats.request', requester: 0, at: 0x1000n as Iova, pages: 1 });
    b.see({ saw: 'ats.completion', requester: 0, status: 'success', entries: [{ ...entry, address, write }] });
  };
  ask(0x10000n, false);
  expect(b.news()).toEqual([]);
  ask(0x10000n, true);
  ask(0x11000n, false);
  expect(b.news()).toEqual(['vt-d.ats.rights', 'vt-d.ats.address']);
});
