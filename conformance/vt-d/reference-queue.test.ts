// Decides that the reference's invalidation queue and interrupt remapping do what can be worked out by hand from the manual's layouts.

import { describe, expect, test } from 'vitest';
import type { Iova } from '../../spec/units.ts';
import type { Requester } from '../../spec/vt-d/vocabulary.ts';
import { type Bench, bench, ENDPOINT, enable, legacyTables, type ProfileOf, QEMU } from './reference-words.ts';

const QUEUE = 0x2_0000n;
const WAIT = (0x1234n << 32n) | 0x25n; // status write
const STATUS = 0x3_0000n;
const withEcap = (bits: bigint, cap = 0n): ProfileOf => ({ ...QEMU, cap: QEMU.cap | cap, ecap: QEMU.ecap | bits });
const TE_QIE = 0x8400_0000n;

const queued = (profile: ProfileOf = QEMU): Bench => {
  const b = bench(profile);
  legacyTables(b);
  enable(b);
  b.write(0x90, QUEUE);
  b.write(0x18, TE_QIE);
  return b;
};
/** Puts descriptors at the tail and moves it. */
const submit = (b: Bench, ...words: readonly bigint[]): readonly { readonly saw: string }[] => {
  const tail = b.read(0x88);
  b.put(Number(QUEUE + tail), ...words);
  return b.write(0x88, tail + BigInt(words.length * 8));
};

describe('the queue', () => {
  test('runs to the tail and writes the status after what comes before', () => {
    const b = queued();
    b.dma(0x8000n, 'read');
    b.put(0x5040, 0n);
    expect(b.dma(0x8000n, 'read')).toBe('completed');
    const seen = submit(b, 0x12n, 0n, WAIT, STATUS); // IOTLB, global
    expect(seen).toMatchObject([{ saw: 'memory.changed', writes: [{ at: STATUS, bytes: Uint8Array.of(0x34, 0x12, 0, 0) }] }]);
    expect(b.read(0x80)).toBe(0x20n);
    expect(b.dma(0x8000n, 'read')).toBe('blocked');
  });
  const stops = (descriptor: readonly bigint[], error: bigint, profile = QEMU): void => {
    const b = queued(profile);
    submit(b, 0x11n, 0n, ...descriptor, WAIT, STATUS);
    expect(b.read(0x34, 4)).toBe(0x10n);
    expect(b.read(0xb0)).toBe(error);
    expect(b.read(0x80)).toBe(0x10n);
    // Mended and cleared, it goes on from the head.
    b.put(Number(QUEUE) + 0x10, 0x12n, 0n);
    expect(b.write(0x34, 0x10n)).toMatchObject([{ saw: 'memory.changed' }]);
    expect(b.read(0x80)).toBe(0x30n);
  };
  test.each([
    ['type 0', [0n, 0n], 3n],
    ['type 10', [0xan, 0n], 3n],
    ['type bits 6:4', [0x211n, 0n], 3n],
    ['type 3 without DT', [3n, 0n], 3n],
    ['type 6 without SMTS', [0x26n, 0n], 3n],
    ['context cache G 00b', [0x01n, 0n], 4n],
    ['context cache reserved bit 6', [0x51n, 0n], 4n],
    ['context cache reserved bit 64', [0x11n, 1n], 4n],
    ['IOTLB G 00b', [0x02n, 0n], 4n],
    ['IOTLB AM above MAMV', [0x32n, 19n], 4n],
    ['IOTLB reserved bit 71', [0x32n, 0x80n], 4n],
    ['IEC reserved bit 12', [0x1004n, 0n], 4n],
    ['wait reserved bit 65', [0x25n, 2n], 4n],
    ['wait PD without PDS', [0xa5n, 0n], 4n],
  ] as const)('stops at %s', (_name, descriptor, error) => stops(descriptor, error));
  test('stops at an index mask above MHMV', () => stops([0x2800_0014n, 0n], 4n, { ...QEMU, ecap: QEMU.ecap & ~0xb0_0000n }));

  test('a page-selective IOTLB invalidation without PSI drops its domain, whatever its mask', () => {
    const b = queued({ ...QEMU, cap: QEMU.cap & ~((1n << 39n) | (0x3fn << 48n)) });
    b.dma(0x8000n, 'read');
    b.put(0x5040, 0n);
    submit(b, 0x22n | (0x99n << 16n), 0n, WAIT, STATUS);
    expect(b.dma(0x8000n, 'read')).toBe('completed');
    submit(b, 0x32n | (1n << 16n), 0x1_0001n, WAIT, STATUS);
    expect(b.read(0x34, 4)).toBe(0n);
    expect(b.dma(0x8000n, 'read')).toBe('blocked');
  });
  test('a tail past the end, a queue without memory', () => {
    const b = queued();
    b.write(0x88, 0x1000n);
    expect(b.read(0xb0)).toBe(1n);
    const c = bench(QEMU);
    c.write(0x90, 0x4000_0000n);
    c.write(0x18, 0x0400_0000n);
    c.write(0x88, 0x10n);
    expect(c.read(0xb0)).toBe(2n);
    expect(c.read(0x80)).toBe(0n);
  });
  test('wraps, and disabling resets the head', () => {
    const b = queued();
    for (let at = 0x2_0000; at < 0x2_1000; at += 16) b.put(at, 0x12n, 0n);
    b.write(0x88, 0xff0n);
    expect(b.read(0x80)).toBe(0xff0n);
    b.write(0x88, 0x10n);
    expect(b.read(0x80)).toBe(0x10n);
    b.write(0x18, 0x8000_0000n);
    expect(b.read(0x80)).toBe(0n);
    expect(b.read(0x1c, 4)).toBe(0xc000_0000n);
  });
  test('raises the completion event once until IWC is cleared', () => {
    const b = queued();
    b.write(0xa4, 0x55n, 4);
    b.write(0xa8, 0xfee0_2000n, 4);
    b.write(0xa0, 0n, 4);
    expect(submit(b, 0x15n, 0n)).toMatchObject([{ saw: 'apic.interrupt', event: 'completion', vector: 0x55, destination: 2 }]);
    expect(submit(b, 0x15n, 0n)).toEqual([]);
    b.write(0x9c, 1n, 4);
    expect(submit(b, 0x15n, 0n)).toMatchObject([{ saw: 'apic.interrupt' }]);
  });
  test('register-based invalidation does nothing while the queue is enabled', () => {
    const b = queued();
    b.dma(0x8000n, 'read');
    b.put(0x5040, 0n);
    b.write(0xf8, 0x9000_0000_0000_0000n);
    expect((b.read(0xf8) >> 57n) & 3n).toBe(0n);
    expect(b.dma(0x8000n, 'read')).toBe('completed');
  });
  test('device-TLB invalidations: sizes, silence, and going on', () => {
    const b = queued(withEcap(4n));
    const at = (address: bigint): object | undefined => submit(b, (0x10n << 32n) | 3n, address)[0];
    expect(at(0x5000n)).toMatchObject({ saw: 'ats.invalidation', requester: 0, at: 0x5000n, pages: 1n });
    expect(at(0x7001n)).toMatchObject({ at: 0n, pages: 16n }); // page number 0111b: three ones
    expect(at(0x4001n)).toMatchObject({ at: 0x4000n, pages: 2n });
    expect(at(0xffff_ffff_ffff_f001n)).toMatchObject({ at: 0n, pages: 0n });
    b.go({ do: 'ats.answers', requester: 0, answers: false });
    const seen = submit(b, (0x10n << 32n) | 3n, 0x5000n, WAIT, STATUS);
    expect(seen.map((o) => o.saw)).toEqual(['ats.invalidation']);
    expect(b.read(0x34, 4)).toBe(0x40n);
    expect(b.read(0xb0)).toBe(0x10n << 32n);
    expect(submit(b, WAIT, STATUS)).toEqual([]);
    expect(b.write(0x34, 0x40n)).toMatchObject([{ saw: 'memory.changed' }]);
  });
});

const IRTE = 0x4_0000;
/** Index 1: present, vector 61H, destination 5. */
const remapping = (
  low = (5n << 40n) | 0x61_0001n,
  high = 0n,
  irta = BigInt(IRTE) | 1n,
  profile = QEMU,
  requesters: readonly Requester[] = [ENDPOINT],
): Bench => {
  const b = bench(profile, requesters);
  b.put(IRTE + 16, low, high);
  b.write(0xb8, irta);
  b.write(0x18, 0x0100_0000n);
  b.write(0x18, 0x0200_0000n);
  return b;
};
const send = (b: Bench, address: bigint, data = 0): readonly object[] => b.go({ do: 'msi.send', requester: 0, address, data });
const reason = (b: Bench): string => {
  const high = b.read(0x228);
  return high >> 63n === 0n ? 'none' : `${((high >> 32n) & 0xffn).toString(16)} ${(b.read(0x220) >> 48n).toString(16)}`;
};

describe('interrupt remapping', () => {
  test('delivers what the entry says', () => {
    const b = remapping((5n << 40n) | 0x61_00fdn); // DM, RH, TM, DLM 111b
    expect(send(b, 0xfee0_0030n)).toEqual([
      { saw: 'apic.interrupt', vector: 0x61, delivery: 7, destination: 5, logical: true, level: true, redirectionHint: true },
    ]);
  });
  test('a 4-byte write is a request too; any other access dies', () => {
    const b = remapping();
    expect(b.go({ do: 'dma.write', requester: 0, at: 0xfee0_0030n as Iova, bytes: new Uint8Array(4) })[0]).toMatchObject({ vector: 0x61 });
    expect(b.go({ do: 'dma.write', requester: 0, at: 0xfee0_0030n as Iova, bytes: new Uint8Array(8) })).toMatchObject([
      { outcome: 'blocked' },
    ]);
    expect(b.dma(0xfee0_0030n, 'read')).toBe('blocked');
  });
  test('subhandles', () => {
    const b = remapping();
    expect(send(b, 0xfee0_0018n, 1)).toMatchObject([{ vector: 0x61 }]);
    send(b, 0xfee0_0018n, 4);
    expect(reason(b)).toBe('21 4');
  });
  const cases: readonly (readonly [what: string, expected: string, low: bigint, high: bigint, address?: bigint, data?: number])[] = [
    ['compatibility format', '25 0', 1n, 0n, 0xfee0_0000n],
    ['data bits 31:16 with SHV', '20 0', 1n, 0n, 0xfee0_0018n, 0x1_0000],
    ['index past the table', '21 4', 1n, 0n, 0xfee0_0090n],
    ['handle bit 15', '21 8001', 1n, 0n, 0xfee0_0034n],
    ['not present', '22 1', 0n, 0n],
    ['not present, FPD', 'none', 2n, 0n],
    ['reserved bit 12', '24 1', 0x1001n, 0n],
    ['reserved bit 24', '24 1', 0x0100_0001n, 0n],
    ['reserved bit 32 without EIME', '24 1', 0x1_0000_0001n, 0n],
    ['reserved bit 84', '24 1', 1n, 0x10_0000n],
    ['IM without PI', '24 1', 0x8001n, 0n],
    ['another source', '26 1', 1n, 0x4_0011n],
    ['another source, FPD', 'none', 3n, 0x4_0011n],
    ['buses 1 to 2', '26 1', 1n, 0x8_0102n],
  ];
  const named = cases.map(([what, expected, low, high, address = 0xfee0_0030n, data = 0]) => ({
    what,
    expected,
    low,
    high,
    address,
    data,
  }));
  test.each(named)('$what: $expected', ({ expected, low, high, address, data }) => {
    const b = remapping(low, high);
    expect(send(b, address, data)).toEqual([]);
    expect(reason(b)).toBe(expected);
  });
  test.each([
    ['the source itself', 0x4_0010n],
    ['function bit 2 ignored', 0x5_0014n],
    ['function bits 2:1 ignored', 0x6_0016n],
    ['function ignored', 0x7_0017n],
    ['buses 0 to 0', 0x8_0000n],
    ['none checked', 0x3_ffffn],
  ])('accepts %s', (_name, high) => {
    expect(send(remapping(1n, high), 0xfee0_0030n)).toHaveLength(1);
  });
  test('compatibility format passes with CFIS, and never with EIME', () => {
    const b = remapping();
    b.write(0x18, 0x0280_0000n);
    expect(send(b, 0xfee0_5000n, 0x33)).toMatchObject([{ vector: 0x33, destination: 5 }]);
    const x = remapping(0x1234_5678_0061_0001n, 0n, BigInt(IRTE) | 0x801n, withEcap(0x10n));
    expect(send(x, 0xfee0_0030n)).toMatchObject([{ destination: 0x1234_5678 }]);
    x.write(0x18, 0x0280_0000n);
    expect(send(x, 0xfee0_5000n, 0x33)).toEqual([]);
  });
  test('an entry is used until the interrupt entry cache is invalidated', () => {
    const b = remapping();
    send(b, 0xfee0_0030n);
    b.put(IRTE + 16, (5n << 40n) | 0x62_0001n);
    expect(send(b, 0xfee0_0030n)).toMatchObject([{ vector: 0x61 }]);
    b.write(0x90, QUEUE);
    b.write(0x18, 0x0600_0000n);
    submit(b, 0x14n | (2n << 32n), 0n); // index 2
    expect(send(b, 0xfee0_0030n)).toMatchObject([{ vector: 0x61 }]);
    submit(b, 0x0800_0014n, 0n); // indices 0 and 1
    expect(send(b, 0xfee0_0030n)).toMatchObject([{ vector: 0x62 }]);
  });
  test('posts to a descriptor and notifies once', () => {
    const pi = withEcap(0n, 1n << 59n);
    // PDA 5_0040H, vector 21H, IM.
    const b = remapping((0x5_0040n << 32n) | 0x21_8001n, 0n, BigInt(IRTE) | 1n, pi);
    b.put(0x5_0060, (0x700n << 32n) | (0xe1n << 16n));
    const [stored, notified] = send(b, 0xfee0_0030n);
    expect(stored).toMatchObject({ saw: 'memory.changed', writes: [{ at: 0x5_0040n }] });
    expect(notified).toMatchObject({ saw: 'apic.interrupt', vector: 0xe1, destination: 7 });
    expect(b.peek(0x5_0040)).toBe(1n << 0x21n);
    expect(b.peek(0x5_0060)).toBe((0x700n << 32n) | 0xe1_0001n);
    expect(send(b, 0xfee0_0030n)).toHaveLength(1); // ON is set
    b.put(0x5_0060, (0x700n << 32n) | 0xe1_0002n); // SN
    expect(send(b, 0xfee0_0030n)).toHaveLength(1);
    b.put(0x5_0068, 1n);
    expect(send(b, 0xfee0_0030n)).toEqual([]);
    expect(reason(b)).toBe('28 1');
  });
});
