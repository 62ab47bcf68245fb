// Decides that the reference's remapping unit does what a reader can work out by hand from the manual's layouts: legacy mode, faults, registers,
// invalidation by register and by queue, interrupts. Expectations are computed from the documents.

import { describe, expect, test } from 'vitest';
import { createMachine, refusal } from '../../reference/machine.ts';
import type { Iova } from '../../spec/units.ts';
import { bench, ENDPOINT, enable, legacyTables, type ProfileOf, QEMU, QEMU48 } from './reference-words.ts';

const legacy = (profile: Parameters<typeof bench>[0] = QEMU, levels: 3 | 4 = 3, flags = 3n): ReturnType<typeof bench> => {
  const b = bench(profile);
  legacyTables(b, levels, flags);
  enable(b);
  return b;
};
/** QEMU's profile with other capability bits. */
const withCap = (bits: bigint): ProfileOf => ({ ...QEMU, cap: QEMU.cap | bits });

describe('profiles', () => {
  test.each([
    [QEMU.cap, 0xf0_0f4an],
    [QEMU48.cap, 0xf0_0f4an],
    [QEMU.cap, 0xf0_0f4en],
    [QEMU48.cap, 0x4800_80f0_0f4an],
    [QEMU48.cap, 0x8800_00f0_0f4an],
  ])('QEMU %s %s is accepted', (cap, ecap) => {
    expect(
      refusal({ memory: 4096, fill: 0, bus: 'none', vtd: { cap, ecap, hostAddressWidth: 39, requesters: [ENDPOINT] } }),
    ).toBeUndefined();
  });
  test.each([
    ['ECAP.IR without ECAP.QI', QEMU.cap, 0xf0_0f48n],
    ['ECAP.NEST without ECAP.FLTS and ECAP.SLTS', QEMU.cap, 0x8800_04f0_0f4an],
    ['CAP.SAGAW 0', QEMU.cap & ~0x200n, 0xf0_0f4an],
    ['CAP.FRO and ECAP.IRO overlap', QEMU.cap, 0xf0_224an],
  ])('%s is refused', (why, cap, ecap) => {
    const config = { memory: 4096, fill: 0, bus: 'none', vtd: { cap, ecap, hostAddressWidth: 39, requesters: [ENDPOINT] } } as const;
    expect(refusal(config)).toBe(why);
    expect(() => createMachine(config)).toThrow(RangeError);
  });
});

describe('registers', () => {
  test('reset values, halves, and what cannot be written', () => {
    const b = bench(QEMU);
    expect(b.read(0x00, 4)).toBe(0x10n);
    expect(b.read(0x08)).toBe(QEMU.cap);
    expect(b.read(0x0c, 4)).toBe(QEMU.cap >> 32n);
    expect(b.read(0x38, 4)).toBe(0x8000_0000n);
    expect(b.read(0xa0, 4)).toBe(0x8000_0000n);
    b.write(0x08, 0n);
    expect(b.read(0x08)).toBe(QEMU.cap);
    b.write(0x20, 0xffff_ffff_ffff_ffffn);
    expect(b.read(0x20)).toBe(0xffff_ffff_ffff_fc00n);
    b.write(0x44, 0xffff_ffffn, 4);
    expect(b.read(0x44, 4)).toBe(0n); // FEUADDR without EIM
    expect(b.read(0x4000)).toBe(0n);
  });
  test('GCMD reads 0 and GSTS follows; persistent bits need repeating', () => {
    const b = legacy();
    expect(b.read(0x18, 4)).toBe(0n);
    expect(b.read(0x1c, 4)).toBe(0xc000_0000n);
    b.write(0x18, 0n);
    expect(b.read(0x1c, 4)).toBe(0x4000_0000n);
  });
  test('reset of the unit clears it', () => {
    const b = legacy();
    b.go({ do: 'vtd.reset' });
    expect(b.read(0x1c, 4)).toBe(0n);
    expect(b.dma(0x8000n, 'write')).toBe('completed');
  });
});

describe('legacy mode', () => {
  test('translates the page and reports the bytes at their host address', () => {
    const b = legacy();
    const seen = b.go({ do: 'dma.write', requester: 0, at: 0x8ffen as Iova, bytes: Uint8Array.of(7, 8) });
    expect(seen).toEqual([
      { saw: 'memory.changed', writes: [{ at: 0x9ffen, bytes: Uint8Array.of(7, 8) }] },
      { saw: 'dma.done', requester: 0, outcome: 'completed' },
    ]);
  });
  test('stops a request of several pages at the first fault', () => {
    const b = legacy();
    const seen = b.go({ do: 'dma.write', requester: 0, at: 0x8ffen as Iova, bytes: Uint8Array.of(7, 8, 9) });
    expect(seen.map((o) => o.saw)).toEqual(['memory.changed', 'dma.done']);
    expect(seen[1]).toMatchObject({ outcome: 'blocked' });
    expect(b.read(0x220)).toBe(0x9000n);
    // F, no T, reason 5, source ID.
    expect(b.read(0x228)).toBe(0x8000_0005_0000_0010n);
  });
  type Edit = (b: ReturnType<typeof bench>) => void;
  const edits: readonly (readonly [reason: string, name: string, edit: Edit, at?: bigint])[] = [
    ['read 1', 'root not present', (b) => b.put(0x1000, 0x2000n)],
    ['read a', 'root reserved bit 1', (b) => b.put(0x1000, 0x2003n)],
    ['read a', 'root reserved bit 64', (b) => b.put(0x1008, 1n)],
    ['read a', 'context table above the host address width', (b) => b.put(0x1000, 0x80_0000_2001n)],
    ['read 9', 'context table where no memory is', (b) => b.put(0x1000, 0x4000_0001n)],
    ['read 2', 'context not present', (b) => b.put(0x2100, 0x3000n)],
    ['none', 'context not present, FPD', (b) => b.put(0x2100, 0x3002n)],
    ['read b', 'context reserved bit 4', (b) => b.put(0x2100, 0x3011n)],
    ['read b', 'context reserved bit 71', (b) => b.put(0x2108, 0x181n)],
    ['read b', 'context reserved bit 88', (b) => b.put(0x2108, 0x100_0101n)],
    ['read 3', 'TT 11b', (b) => b.put(0x2100, 0x300dn)],
    ['read 3', 'TT 01b without DT', (b) => b.put(0x2100, 0x3005n)],
    ['read 3', 'AW of 4 levels', (b) => b.put(0x2108, 0x102n)],
    ['read 3', 'top table where no memory is', (b) => b.put(0x2100, 0x4000_0001n)],
    ['read 4', 'address of 40 bits', () => undefined, 0x80_0000_0000n],
    ['read 6', 'not mapped', () => undefined, 0x9000n],
    ['read 6', 'W only', (b) => b.put(0x5040, 0x9002n)],
    ['read 6', 'R clear at level 2', (b) => b.put(0x4000, 0x5002n)],
    ['read 7', 'table where no memory is', (b) => b.put(0x4000, 0x4000_0003n)],
    ['read c', 'SNP without SC', (b) => b.put(0x5040, 0x9803n)],
    ['read c', 'bit 62 without DT', (b) => b.put(0x5040, 0x4000_0000_0000_9003n)],
    ['read c', 'address above the host address width', (b) => b.put(0x5040, 0x80_0000_9003n)],
    ['read c', '2 MiB page misaligned', (b) => b.put(0x4000, 0x1083n)],
    ['none', 'FPD silences what follows', (b) => (b.put(0x2100, 0x3003n), b.put(0x5040, 0n))],
    ['read e', 'output in the interrupt range', (b) => b.put(0x5040, 0xfee0_0003n)],
  ];
  test.each(edits.map(([reason, name, edit, at = 0x8000n]) => ({ reason, name, edit, at })))('$reason: $name', ({ reason, edit, at }) => {
    const b = legacy();
    edit(b);
    expect(b.dma(at, 'read')).toBe('blocked');
    expect(b.fault()).toBe(reason);
    expect(b.read(0x34, 4) & 3n).toBe(0n);
  });
  test.each([
    ['2 MiB', 0x4000, 0x0000_0083n, 0x8123n],
    ['1 GiB', 0x3000, 0x0000_0083n, 0x8123n],
    ['bit 7 of a last-level entry', 0x5040, 0x0000_8083n, 0x8123n],
    ['ignored bits', 0x5040, 0xbff0_0000_0000_8703n, 0x8123n],
  ])('%s is legal', (_name, at, entry, host) => {
    const b = legacy();
    b.put(at, entry);
    expect(b.go({ do: 'dma.write', requester: 0, at: 0x8123n as Iova, bytes: Uint8Array.of(1) })[0]).toMatchObject({
      writes: [{ at: host }],
    });
  });
  test('walks 4 levels and passes through', () => {
    const b = legacy(QEMU48, 4);
    expect(b.dma(0x8000n, 'read')).toBe('completed');
    b.write(0x28, 0xa000_0000_0000_0000n);
    b.put(0x2100, 0x9n); // TT 10b
    expect(b.dma(0x7_0000n, 'write')).toBe('completed');
    expect(b.dma(0x80_0000_0000n, 'write')).toBe('blocked');
    expect(b.fault()).toBe('write 4');
  });
  test('an atomic operation needs both permissions and gives the former value', () => {
    const b = legacy();
    b.go({ do: 'memory.write', at: 0x9008n as never, bytes: Uint8Array.of(255, 0, 0, 0) });
    const seen = b.go({ do: 'dma.atomic', requester: 0, at: 0x8008n as Iova, width: 4, operand: 2n });
    expect(seen[0]).toMatchObject({ writes: [{ at: 0x9008n, bytes: Uint8Array.of(1, 1, 0, 0) }] });
    expect(seen[1]).toMatchObject({ outcome: 'completed', bytes: Uint8Array.of(255, 0, 0, 0) });
    const readOnly = legacy(QEMU, 3, 1n);
    readOnly.go({ do: 'dma.atomic', requester: 0, at: 0x8008n as Iova, width: 4, operand: 2n });
    expect(readOnly.fault()).toBe('read 5'); // T1 and T2 name an atomic operation
  });
  test('a read of length 0 of a page that is only written needs ZLR', () => {
    expect(legacy(QEMU, 3, 2n).dma(0x8000n, 'read', { length: 0 })).toBe('blocked');
    expect(legacy(withCap(1n << 22n), 3, 2n).dma(0x8000n, 'read', { length: 0 })).toBe('completed');
  });
});

describe('fault recording', () => {
  test('one record, overflow, and the event once', () => {
    const b = legacy();
    b.write(0x3c, 0x41n, 4);
    b.write(0x40, 0xfee0_1000n, 4);
    b.write(0x38, 0n);
    const first = b.go({ do: 'dma.read', requester: 0, at: 0x9000n as Iova, length: 1 });
    expect(first[0]).toMatchObject({ saw: 'apic.interrupt', event: 'fault', vector: 0x41, destination: 1 });
    expect(b.dma(0xa000n, 'read')).toBe('blocked');
    expect(b.read(0x34, 4)).toBe(3n); // PFO and PPF
    expect(b.read(0x220)).toBe(0x9000n);
    expect(b.fault()).toBe('read 6');
    expect(b.read(0x34, 4)).toBe(1n);
    expect(b.dma(0xa000n, 'read')).toBe('blocked');
    expect(b.fault()).toBe('none');
    b.write(0x34, 1n);
    expect(b.dma(0xb000n, 'read')).toBe('blocked');
    expect(b.fault()).toBe('read 6');
  });
  test('a masked event is pending, and gone once serviced or sent', () => {
    const b = legacy();
    b.write(0x40, 0xfee0_0000n, 4);
    b.dma(0x9000n, 'read');
    expect(b.read(0x38, 4)).toBe(0xc000_0000n);
    expect(b.write(0x38, 0n)).toMatchObject([{ saw: 'apic.interrupt', event: 'fault' }]);
    expect(b.read(0x38, 4)).toBe(0n);
    b.write(0x38, 0x8000_0000n);
    b.fault();
    b.dma(0x9000n, 'read');
    b.fault();
    expect(b.read(0x38, 4)).toBe(0x8000_0000n);
  });
  test('records go round', () => {
    const b = legacy({ ...QEMU, cap: QEMU.cap | (2n << 40n) }); // 3 records
    for (let i = 0; i < 3; i += 1) b.dma(0x9000n + BigInt(i) * 0x1000n, 'read');
    expect([0, 1, 2].map((n) => b.read(0x220 + 16 * n))).toEqual([0x9000n, 0xa000n, 0xb000n]);
    expect(b.fault(0)).toBe('read 6');
    b.dma(0xc000n, 'write');
    expect(b.read(0x220)).toBe(0xc000n);
    expect(b.read(0x34, 4)).toBe(2n);
  });
});

describe('caches', () => {
  test('an entry is used until it is invalidated; unmapped pages are not kept', () => {
    const b = legacy();
    expect(b.dma(0x9000n, 'read')).toBe('blocked');
    b.put(0x5048, 0xa003n);
    expect(b.dma(0x9000n, 'read')).toBe('completed');
    b.put(0x5048, 0n);
    expect(b.dma(0x9000n, 'read')).toBe('completed');
    b.write(0xf8, 0xa000_0002_0000_0000n); // domain 2
    expect(b.dma(0x9000n, 'read')).toBe('completed');
    b.write(0xf0, 0x8000n); // page-selective, another page of domain 1
    b.write(0xf8, 0xb000_0001_0000_0000n);
    expect(b.read(0xf8) >> 57n).toBe(0b0011011n); // IVT clear, IIRG 11b, IAIG 11b
    expect(b.dma(0x9000n, 'read')).toBe('completed');
    b.write(0xf0, 0x8001n); // two pages
    b.write(0xf8, 0xb000_0001_0000_0000n);
    expect(b.dma(0x9000n, 'read')).toBe('blocked');
  });
  test('AM above MAMV does nothing and says so', () => {
    const b = legacy();
    b.write(0xf0, 19n);
    b.write(0xf8, 0xb000_0001_0000_0000n);
    expect((b.read(0xf8) >> 57n) & 3n).toBe(0n);
  });
  test('contexts: device-selective with a function mask, domain-selective', () => {
    const b = legacy();
    const forget = (command: bigint): string => {
      b.put(0x2100, 0x3001n);
      b.write(0x28, 0xa000_0000_0000_0000n);
      b.dma(0x8000n, 'read');
      b.put(0x2100, 0n);
      b.write(0x28, command);
      return b.dma(0x8000n, 'read');
    };
    expect(forget(0xe000_0000_0011_0000n)).toBe('completed'); // function 1 alone
    expect(forget(0xe000_0003_0011_0000n)).toBe('blocked'); // functions 0 to 7
    b.fault();
    expect(forget(0xc000_0000_0000_0002n)).toBe('completed');
    expect(forget(0xc000_0000_0000_0001n)).toBe('blocked');
    expect(b.read(0x28) >> 59n).toBe(0b01010n); // ICC clear, CIRG 10b, CAIG 10b
  });
  test('caching mode keeps what is not present', () => {
    const b = legacy(withCap(1n << 7n));
    expect(b.dma(0x9000n, 'read')).toBe('blocked');
    b.put(0x5048, 0xa003n);
    expect(b.dma(0x9000n, 'read')).toBe('blocked');
    b.write(0xf8, 0xa000_0001_0000_0000n);
    expect(b.dma(0x9000n, 'read')).toBe('completed');
  });
});
