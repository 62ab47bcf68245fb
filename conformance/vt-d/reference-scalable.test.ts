// Decides that the reference's scalable mode, ATS, page requests and virtual functions do what can be worked out by hand from the manual's layouts.

import { describe, expect, test } from 'vitest';
import type { Iova } from '../../spec/units.ts';
import type { Requester } from '../../spec/vt-d/vocabulary.ts';
import { type Bench, bench, ENDPOINT, enable, legacyTables, type ProfileOf, QEMU, QEMU48 } from './reference-words.ts';

/** SMTS, SLTS, FLTS, NEST, PASID of 20 bits, RPS, ERS, SRS, SLADS, DT, PRS; FL1GP, 5-level first stage. */
const FULL: ProfileOf = {
  cap: QEMU48.cap | (1n << 56n) | (1n << 60n),
  ecap: 0xf0_0f4an | (1n << 2n) | (1n << 26n) | (7n << 29n) | (19n << 35n) | (1n << 40n) | (1n << 43n) | (7n << 45n) | (1n << 49n),
  hostAddressWidth: 46,
};
/** PASID 1 uses the second stage, 2 the first, 3 both, 4 passes through; all in domain 9. */
const P1 = 0x1_2040;
const P2 = 0x1_2080;
const P3 = 0x1_20c0;
const P4 = 0x1_2100;
const scalable = (edit: (b: Bench) => void = () => undefined, profile = FULL): Bench => {
  const b = bench(profile);
  legacyTables(b, 4);
  b.put(0x1_0000, 0x1_1001n, 0x1_3001n);
  // P, DTE, PASIDE, PRE, PDTS 0; RID_PASID 1.
  b.put(0x1_1000 + 0x10 * 32, 0x1_401dn, 1n, 0n, 0n);
  b.put(0x1_4000, 0x1_2001n);
  b.put(P1, 0x3000n | (2n << 6n) | (2n << 2n) | 1n, 9n);
  b.put(P2, (1n << 6n) | 1n, 9n, 0x2_0003n); // ERE, SRE
  b.put(P3, 0x3000n | (3n << 6n) | (2n << 2n) | 1n, 9n, 0x2_8000n);
  b.put(P4, (4n << 6n) | 1n, 9n);
  // First stage of 4 levels: page 8000H to C000H, user, writable.
  b.put(0x2_0000, 0x2_1007n);
  b.put(0x2_1000, 0x2_2007n);
  b.put(0x2_2000, 0x2_3007n);
  b.put(0x2_3040, 0xc007n);
  // Nested: its tables at 28000H to 2B000H of the second stage's input, which maps them to themselves, and C000H to D000H.
  for (let page = 0x28; page <= 0x2b; page += 1) b.put(0x5000 + 8 * page, (BigInt(page) << 12n) | 3n);
  b.put(0x5000 + 8 * 0xc, 0xd003n);
  b.put(0x2_8000, 0x2_9007n);
  b.put(0x2_9000, 0x2_a007n);
  b.put(0x2_a000, 0x2_b007n);
  b.put(0x2_b040, 0xc007n);
  edit(b);
  enable(b, 0x1_0400n); // TTM 01b
  return b;
};
/** Host address that a one-byte write reached. */
const reached = (b: Bench, pasid?: number, at = 0x8123n): unknown => {
  const seen = b.go({ do: 'dma.write', requester: 0, at: at as Iova, bytes: Uint8Array.of(1), ...(pasid === undefined ? {} : { pasid }) });
  const last = seen.at(-2);
  return last?.saw === 'memory.changed' ? last.writes[0]?.at : seen;
};

describe('scalable mode', () => {
  test('each kind of translation', () => {
    expect(reached(scalable())).toBe(0x9123n);
    expect(reached(scalable(), 1)).toBe(0x9123n);
    expect(reached(scalable(), 2)).toBe(0xc123n);
    expect(reached(scalable(), 3)).toBe(0xd123n);
    expect(reached(scalable(), 4)).toBe(0x8123n);
  });
  type Case = readonly [expected: string, what: string, edit: (b: Bench) => void, more?: object, at?: bigint];
  const user = { pasid: 2 };
  const cases: readonly Case[] = [
    ['read 39', 'root half not present', (b) => b.put(0x1_0000, 0x1_1000n)],
    ['read 3a', 'root reserved bit 1', (b) => b.put(0x1_0000, 0x1_1003n)],
    ['read 40', 'context table without memory', (b) => b.put(0x1_0000, 0x4000_0001n)],
    ['read 41', 'context not present', (b) => b.put(0x1_1200, 0x1_401cn)],
    ['read 42', 'context reserved bit 5', (b) => b.put(0x1_1200, 0x1_403dn)],
    ['read 42', 'context reserved bit 128', (b) => b.put(0x1_1210, 1n)],
    ['read 45', 'PASIDE 0', (b) => b.put(0x1_1200, 0x1_4015n), user],
    ['read 46', 'PASID past the directory', () => undefined, { pasid: 0x2000 }],
    ['read 48', 'RID_PASID past the directory', (b) => b.put(0x1_1208, 0x2000n)],
    ['read 44', 'translated request with DTE 0', (b) => b.put(0x1_1200, 0x1_4019n), { translated: true }],
    ['read 50', 'directory without memory', (b) => b.put(0x1_1200, 0x4000_001dn), user],
    ['read 51', 'directory entry not present', (b) => b.put(0x1_4000, 0x1_2000n), user],
    ['none', 'directory entry not present, FPD', (b) => b.put(0x1_4000, 0x1_2002n), user],
    ['read 52', 'directory reserved bit 2', (b) => b.put(0x1_4000, 0x1_2005n), user],
    ['read 58', 'PASID table without memory', (b) => b.put(0x1_4000, 0x4000_0001n), user],
    ['read 59', 'PASID entry not present', (b) => b.put(P2, 0n), user],
    ['read 5a', 'PASID entry reserved bit 10', (b) => b.put(P2, 0x441n), user],
    ['read 5b', 'PGTT 0', (b) => b.put(P2, 1n), user],
    ['read 5b', 'FLPM 10b', (b) => b.put(P2 + 16, 0x2_000bn), user],
    ['read 5c', 'ERE 0', (b) => b.put(P2 + 16, 0x2_0001n), { pasid: 2, execute: true }],
    ['read 5d', 'SRE 0', (b) => b.put(P2 + 16, 0x2_0002n), { pasid: 2, privileged: true }],
    ['read 73', 'first-stage top table without memory', (b) => b.put(P2 + 16, 0x4000_0003n), user],
    ['read 70', 'first-stage table without memory', (b) => b.put(0x2_1000, 0x4000_0007n), user],
    ['read 71', 'first-stage entry not present', (b) => b.put(0x2_1000, 0x2_2006n), user],
    ['read 72', 'PS at level 4', (b) => b.put(0x2_0000, 0x2_1087n), user],
    ['read 72', 'misaligned 2 MiB page', (b) => b.put(0x2_2000, 0x2087n), user],
    ['read 80', 'address not canonical', () => undefined, user, 0x8000_0000_0000n],
    ['read 81', 'user access to a supervisor page', (b) => b.put(0x2_1000, 0x2_2003n), user],
    ['write 85', 'write without R/W', (b) => b.put(0x2_2000, 0x2_3005n), user],
    ['write 85', 'supervisor write, WPE', (b) => (b.put(P2 + 16, 0x2_0013n), b.put(0x2_3040, 0xc005n)), { pasid: 2, privileged: true }],
    ['read 82', 'execute, XD', (b) => (b.put(P2 + 16, 0x2_0023n), b.put(0x2_3040, 0x8000_0000_0000_c007n)), { pasid: 2, execute: true }],
    ['read 82', 'SMEP', (b) => b.put(P2 + 16, 0x2_0043n), { pasid: 2, privileged: true, execute: true }],
    ['read 87', 'output in the interrupt range', (b) => b.put(0x2_3040, 0xfee0_0007n), user],
    ['read 87', 'pass-through to the interrupt range', () => undefined, { pasid: 4 }, 0xfee0_0000n],
    ['read 7b', 'second-stage table without memory', (b) => b.put(P1, 0x4000_0000n | (2n << 6n) | (2n << 2n) | 1n), { pasid: 1 }],
    ['read 79', 'second stage without R', (b) => b.put(0x5040, 0x9002n), { pasid: 1 }],
    ['read 7a', 'second-stage reserved bit', (b) => b.put(0x5040, 0x9803n), { pasid: 1 }],
    ['read 84', 'second-stage input beyond MGAW', () => undefined, { pasid: 1 }, 0x1_0000_0000_0000n],
    ['read 75', 'nested, top table not readable', (b) => b.put(0x5140, 0x2_8002n), { pasid: 3 }],
    ['read 76', 'nested, table not readable', (b) => b.put(0x5150, 0x2_a002n), { pasid: 3 }],
    ['read 77', 'nested, table not writable', (b) => b.put(0x5158, 0x2_b001n), { pasid: 3 }],
    ['read 79', 'nested, page not readable', (b) => b.put(0x5060, 0xd002n), { pasid: 3 }],
    ['read 74', 'nested, table beyond the second stage', (b) => b.put(0x2_9000, 0x1_0000_0000_0007n), { pasid: 3 }],
  ];
  const named = cases.map(([expected, what, edit, more = {}, at = 0x8000n]) => ({ expected, what, edit, more, at }));
  test.each(named)('$expected: $what', ({ expected, edit, more, at }) => {
    const b = scalable(edit);
    expect(b.dma(at, expected.startsWith('write') ? 'write' : 'read', more)).toBe('blocked');
    expect(b.fault()).toBe(expected);
  });
  test('a record names the PASID', () => {
    const b = scalable((x) => x.put(P2, 0n));
    b.dma(0x8000n, 'read', { pasid: 2, privileged: true });
    // F, T1, PASID 2, reason 59H, PP, PRIV, source ID.
    expect(b.read(0x228)).toBe(0xc000_0259_a000_0010n);
  });
  test('accessed in every entry, dirty in the leaf on a write', () => {
    const b = scalable();
    b.dma(0x8000n, 'read', { pasid: 2 });
    b.write(0x18, 0n);
    expect([0x2_0000, 0x2_1000, 0x2_2000, 0x2_3040].map((at) => b.peek(at) & 0x60n)).toEqual([0x20n, 0x20n, 0x20n, 0x20n]);
    b.write(0x18, 0x8000_0000n);
    b.dma(0x8000n, 'write', { pasid: 2 });
    b.write(0x18, 0n);
    expect([0x2_2000, 0x2_3040].map((at) => b.peek(at) & 0x60n)).toEqual([0x20n, 0x60n]);
  });
  test('second-stage flags with SLADE', () => {
    const b = scalable((x) => x.put(P1, 0x3000n | (1n << 9n) | (2n << 6n) | (2n << 2n) | 1n));
    b.dma(0x8000n, 'write', { pasid: 1 });
    b.write(0x18, 0n);
    expect([0x3000, 0x6000, 0x4000, 0x5040].map((at) => b.peek(at) & 0x300n)).toEqual([0x100n, 0x100n, 0x100n, 0x300n]);
  });
  test('PASID invalidations forget what they name', () => {
    const b = scalable();
    const stale = (pasid: number, clear: () => void, ...descriptor: readonly bigint[]): unknown => {
      b.dma(0x8123n, 'read', { pasid });
      clear();
      b.put(0x3_0000, ...descriptor, 0n, 0n);
      b.write(0x18, 0x8000_0000n);
      b.write(0x88, 0n);
      b.write(0x90, 0x3_0800n);
      b.write(0x18, 0x8400_0000n);
      b.write(0x88, 0x20n);
      return b.dma(0x8123n, 'read', { pasid });
    };
    const leaf = (): void => b.put(0x2_3040, 0n);
    expect(stale(2, leaf, 0x0009_0026n | (3n << 32n), 0n)).toBe('completed'); // PASID 3
    expect(stale(2, leaf, 0x0008_0026n | (2n << 32n), 0n)).toBe('completed'); // domain 8
    expect(stale(2, leaf, 0x0009_0036n | (2n << 32n), 0x9000n)).toBe('completed'); // another page
    expect(stale(2, leaf, 0x0009_0036n | (2n << 32n), 0x8000n)).toBe('blocked');
    b.fault();
    // Masks above MAMV, which bounds those of the second stage only.
    b.put(0x2_3040, 0xc007n);
    expect(stale(2, leaf, 0x0009_0036n | (2n << 32n), 0x8000_0013n)).toBe('completed');
    expect(stale(2, leaf, 0x0009_0036n | (2n << 32n), 0x8000_0034n)).toBe('blocked');
    b.fault();
    expect(stale(1, () => b.put(P1, 0n), 0x0009_0017n | (2n << 32n), 0n)).toBe('completed'); // PASID 2
    expect(stale(1, () => b.put(P1, 0n), 0x0009_0017n | (1n << 32n), 0n)).toBe('blocked');
    expect(b.fault()).toBe('read 59');
  });
  test('modes: reserved, unsupported, PASID in legacy mode', () => {
    const b = bench(FULL);
    legacyTables(b, 4);
    for (const [root, more, reason] of [
      [0x1800n, {}, 'read 30'],
      [0x1c00n, {}, 'read 30'], // abort mode without ADMS
      [0x1000n, { pasid: 1 }, 'read 31'],
    ] as const) {
      enable(b, root);
      expect(b.dma(0x8000n, 'read', more)).toBe('blocked');
      expect(b.fault()).toBe(reason);
    }
    const c = bench({ ...FULL, ecap: FULL.ecap | (1n << 52n) });
    enable(c, 0x1c00n);
    expect(c.dma(0x8000n, 'read')).toBe('blocked');
    expect(c.fault()).toBe('none');
  });
});

describe('ATS and page requests', () => {
  const ask = (b: Bench, at: bigint, more: object = {}): object | undefined =>
    b.go({ do: 'ats.request', requester: 0, at: at as Iova, pages: 1, ...more })[0];
  test('a translation, none, and a refusal', () => {
    const b = bench({ ...QEMU, ecap: QEMU.ecap | 4n });
    legacyTables(b);
    b.put(0x2100, 0x3005n); // TT 01b
    enable(b);
    expect(ask(b, 0x8000n)).toMatchObject({ status: 'success', entries: [{ address: 0x9000n, size: 4096n, read: true, write: true }] });
    expect(ask(b, 0xa000n)).toMatchObject({ status: 'success', entries: [{ read: false, write: false }] });
    expect(b.fault()).toBe('none');
    expect(b.dma(0x9000n, 'write', { translated: true })).toBe('completed');
    b.put(0x2100, 0x3001n);
    b.write(0x28, 0xa000_0000_0000_0000n);
    expect(ask(b, 0x8000n)).toMatchObject({ status: 'unsupported-request', entries: [] });
    expect(b.fault()).toBe('read d');
    expect(b.dma(0x9000n, 'write', { translated: true })).toBe('blocked');
  });
  test('a page request is queued, told of, answered; a full queue answers itself', () => {
    const b = scalable();
    b.write(0xd0, 0x4_0000n);
    const request = (more: object = {}): readonly object[] =>
      b.go({ do: 'pri.request', requester: 0, at: 0x7000n as Iova, pasid: 2, read: true, write: false, last: true, group: 5, ...more });
    expect(request()).toHaveLength(1);
    expect(b.read(0xc8)).toBe(0x20n);
    expect(b.read(0xdc, 4)).toBe(1n);
    expect(b.read(0xe0, 4)).toBe(0xc000_0000n);
    b.write(0x18, 0n);
    // Type 1, PASID present, source ID, PASID; R, LPIG, group 5, address.
    expect([b.peek(0x4_0000), b.peek(0x4_0008)]).toEqual([0x2_0010_0101n, 0x702dn]);
    b.write(0x18, 0x8000_0000n);
    b.write(0xc0, 0x40n);
    expect(request()).toMatchObject([{ saw: 'pri.response', code: 0, group: 5, pasid: 2 }]);
    expect(b.read(0xdc, 4)).toBe(3n);
    expect(request({ last: false })).toEqual([]);
    b.put(0x3_0000, 0x0010_0019n | (2n << 32n), 0x2cn, 0n, 0n); // type 9
    b.write(0x90, 0x3_0800n);
    b.write(0x18, 0x8400_0000n);
    expect(b.write(0x88, 0x20n)).toEqual([{ saw: 'pri.response', requester: 0, group: 5, code: 0, pasid: 2 }]);
  });
});

describe('functions', () => {
  const can: Requester['can'] = ['read', 'read.bytes', 'write', 'config'];
  const pf: Requester = { sourceId: 0x100, kind: 'endpoint', can };
  const vf = (sourceId: number): Requester => ({ sourceId, kind: 'endpoint', can, physical: 0 });
  const functions = [pf, vf(0x180), vf(0x182)];
  const config = (b: Bench, requester: number, at: number, width: 1 | 2 | 4): number => {
    const [seen] = b.go({ do: 'function.config.read', requester, at, width });
    return seen?.saw === 'function.config' ? seen.value : -1;
  };
  const set = (b: Bench, requester: number, at: number, value: number): void =>
    void b.go({ do: 'function.config.write', requester, at, width: 2, value });
  test('virtual functions come, go, and have numbers of their own', () => {
    const b = bench(QEMU, functions);
    expect(config(b, 0, 0x100, 4) & 0xffff).toBe(0x10);
    expect([0x10c, 0x10e, 0x114, 0x116].map((at) => config(b, 0, at, 2))).toEqual([2, 2, 0x80, 2]);
    expect(config(b, 1, 0, 4)).toBe(0xffff_ffff);
    set(b, 0, 0x110, 1);
    set(b, 0, 0x108, 9);
    set(b, 0, 0x110, 2);
    expect(config(b, 0, 0x110, 2)).toBe(1);
    set(b, 1, 4, 6);
    expect(config(b, 1, 4, 2)).toBe(4); // no memory space enable
    set(b, 2, 4, 4);
    expect(config(b, 2, 4, 2)).toBe(0xffff);
    // Untranslated: the one that exists and is a master reaches memory.
    expect([0, 1, 2].map((requester) => b.dma(0x5000n, 'write', { requester }))).toEqual(['blocked', 'completed', 'blocked']);
    set(b, 0, 0x108, 0);
    expect(b.dma(0x5000n, 'write', { requester: 1 })).toBe('blocked');
    set(b, 0, 0x110, 3);
    set(b, 0, 0x108, 1);
    expect(config(b, 1, 4, 2)).toBe(0xffff); // more than TotalVFs
  });
  test('a reset of the physical function takes its virtual functions away', () => {
    const b = bench(QEMU, functions);
    set(b, 0, 0x110, 2);
    set(b, 0, 0x108, 1);
    set(b, 2, 4, 4);
    expect(b.dma(0x5000n, 'write', { requester: 2 })).toBe('completed');
    b.go({ do: 'function.reset', requester: 0 });
    expect(b.dma(0x5000n, 'write', { requester: 2 })).toBe('blocked');
    expect(config(b, 0, 0x110, 2)).toBe(0);
  });
  test('a number that does not fit is refused', () => {
    expect(() => bench(QEMU, [pf, vf(0x180), vf(0x182), vf(0x183)])).toThrow(RangeError);
    expect(() => bench(QEMU, [ENDPOINT, ENDPOINT])).toThrow('two requesters with source ID 16');
  });
});
