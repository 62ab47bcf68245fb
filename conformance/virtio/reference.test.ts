// Decides that the reference runs: one request on each bus, the rings' corners, hostile rings, recovery.
// What it must keep in full is the clauses' business; here stand the few programs a reader can follow by hand.

import { describe, expect, test } from 'vitest';
import { createMachine, type Machine } from '../../reference/machine.ts';
import type { Gpa, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';

const DESC = 0x1000;
const AVAIL = 0x2000;
const USED = 0x3000;
const HEADER = 0x4000;
const DATA = 0x5000;
const STATUS = 0x6000;
const TABLE = 0x7001;
const [NEXT, WRITE, INDIRECT] = [1, 2, 4];
const VERSION_1 = 1n << 32n;
const INDIRECT_DESC = 1n << 28n;
const EVENT_IDX = 1n << 29n;

const config = (bus: MachineConfig['bus'], readOnly = false): MachineConfig => ({
  memory: 0x10000,
  fill: 0xa5,
  bus,
  virtio: {
    device: 'blk',
    offer: 0xffff_ffff_ffffn,
    queueSizeMax: 8,
    queues: 2,
    blk: { disk: 'pattern', sectors: 64, readOnly, blockSize: 512, serial: 'serial' },
  },
});

const seen = (machine: Machine, stimulus: Stimulus): readonly Observation[] => {
  const answer = machine.apply(stimulus);
  if (!('saw' in answer)) throw new Error(JSON.stringify(answer));
  return answer.saw;
};
const poke = (machine: Machine, at: number, ...bytes: readonly number[]): void => {
  seen(machine, { do: 'memory.write', at: BigInt(at) as Gpa, bytes: Uint8Array.from(bytes) });
};
const little = (value: number, width: number): number[] => Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);
const descriptor = (machine: Machine, at: number, addr: number, len: number, flags: number, next = 0): void =>
  poke(machine, at, ...little(addr, 8), ...little(len, 4), ...little(flags, 2), ...little(next, 2));
const header = (machine: Machine, type: number, sector: number): void =>
  poke(machine, HEADER, ...little(type, 4), 0, 0, 0, 0, ...little(sector, 8));

const clearRings = (machine: Machine): void => poke(machine, DESC, ...Array.from({ length: USED + 0x100 - DESC }, () => 0));
const start = (machine: Machine, features: bigint, base = 0): void => {
  clearRings(machine);
  poke(machine, AVAIL + 2, ...little(base, 2));
  poke(machine, USED + 2, ...little(base, 2));
  for (const value of [0, 1, 3]) seen(machine, { do: 'virtio.status.write', value });
  seen(machine, { do: 'virtio.features.write', accepted: features });
  seen(machine, { do: 'virtio.status.write', value: 11 });
  expect(status(machine)).toBe(11);
  const [desc, avail, used] = [DESC, AVAIL, USED].map((at) => BigInt(at) as Gpa) as [Gpa, Gpa, Gpa];
  seen(machine, { do: 'virtq.set', queue: 0, size: 8, desc, avail, used, base });
  seen(machine, { do: 'virtio.status.write', value: 15 });
};
const status = (machine: Machine): number | undefined => {
  const [saw] = seen(machine, { do: 'virtio.status.read' });
  return saw?.saw === 'virtio.status' ? saw.value : undefined;
};
const offer = (machine: Machine, idx: number, head: number): void => {
  poke(machine, AVAIL + 4 + 2 * (idx % 8), ...little(head, 2));
  poke(machine, AVAIL + 2, ...little((idx + 1) % 65536, 2));
};
const kick = (machine: Machine): readonly string[] => seen(machine, { do: 'virtq.notify', queue: 0 }).map(told);
const told = (saw: Observation): string => {
  if (saw.saw === 'interrupt') return `interrupt ${saw.from}`;
  if (saw.saw !== 'memory.changed') return saw.saw;
  return saw.writes
    .map(({ at, bytes }) => `${at.toString(16)}: ${bytes.length > 8 ? `${bytes.length} bytes` : [...bytes].join(' ')}`)
    .join();
};
/** Header, data and status in three descriptors. */
const request = (machine: Machine, dataFlag: number, length = 512): void => {
  descriptor(machine, DESC, HEADER, 16, NEXT, 1);
  descriptor(machine, DESC + 16, DATA, length, NEXT | dataFlag, 2);
  descriptor(machine, DESC + 32, STATUS, 1, WRITE);
};

describe('bare queue', () => {
  test('a write, then a read of what it wrote', () => {
    const machine = createMachine(config('none'));
    start(machine, VERSION_1);
    poke(machine, DATA, ...new Uint8Array(512).fill(7));
    header(machine, 1, 3);
    request(machine, 0);
    offer(machine, 0, 0);
    expect(kick(machine)).toEqual(['6000: 0', '3004: 0 0 0 0 1 0 0 0', '3002: 1 0', 'interrupt queue']);
    header(machine, 0, 3);
    request(machine, WRITE);
    offer(machine, 1, 0);
    const [data] = seen(machine, { do: 'virtq.notify', queue: 0 });
    expect(data?.saw === 'memory.changed' && data.writes[0]?.bytes).toEqual(new Uint8Array(512).fill(7));
    expect(kick(machine)).toEqual([]);
  });

  test('indices wrap at 65536, and EVENT_IDX asks for the interrupt there', () => {
    const machine = createMachine(config('none'));
    start(machine, VERSION_1 | EVENT_IDX, 65535);
    header(machine, 8, 0);
    request(machine, WRITE, 20);
    poke(machine, AVAIL + 4 + 16, ...little(0, 2));
    offer(machine, 65535, 0);
    expect(kick(machine).slice(-2)).toEqual(['3002: 0 0', '3044: 0 0']);
    offer(machine, 0, 0);
    expect(kick(machine).slice(-3)).toEqual(['3002: 1 0', '3044: 1 0', 'interrupt queue']);
  });

  test('a direct descriptor, then an unaligned indirect table whose descriptor says WRITE', () => {
    const machine = createMachine(config('none'));
    start(machine, VERSION_1 | INDIRECT_DESC);
    header(machine, 0, 63);
    descriptor(machine, DESC, HEADER, 15, NEXT, 7);
    descriptor(machine, DESC + 7 * 16, TABLE, 48, INDIRECT | WRITE);
    descriptor(machine, TABLE, HEADER + 15, 1, NEXT, 2);
    descriptor(machine, TABLE + 32, DATA, 513, WRITE);
    offer(machine, 0, 0);
    expect(kick(machine)).toEqual(['5000: 512 bytes', '5200: 0', '3004: 0 0 0 0 1 2 0 0', '3002: 1 0', 'interrupt queue']);
  });

  test('read-only and out of range: IOERR, and no len for a status behind untouched data', () => {
    const machine = createMachine(config('none', true));
    start(machine, VERSION_1 | (1n << 5n));
    header(machine, 1, 0);
    request(machine, 0);
    offer(machine, 0, 0);
    expect(kick(machine)[0]).toBe('6000: 1');
    header(machine, 0, 64);
    request(machine, WRITE);
    offer(machine, 1, 0);
    expect(kick(machine).slice(0, 2)).toEqual(['6000: 1', '300c: 0 0 0 0 0 0 0 0']);
  });

  test.each<[string, (machine: Machine) => void]>([
    ['a loop', (m) => descriptor(m, DESC + 16, DATA, 512, NEXT | WRITE, 1)],
    ['a loop in an indirect table', (m) => (descriptor(m, DESC, TABLE, 16, INDIRECT), descriptor(m, TABLE, HEADER, 16, NEXT, 0))],
    ['a nested table', (m) => (descriptor(m, DESC, TABLE, 16, INDIRECT), descriptor(m, TABLE, TABLE, 16, INDIRECT))],
    ['next outside the table', (m) => descriptor(m, DESC + 16, DATA, 512, NEXT | WRITE, 8)],
    ['a buffer past the end', (m) => descriptor(m, DESC + 16, 0xfff0, 17, NEXT | WRITE, 2)],
    ['a buffer that wraps', (m) => poke(m, DESC + 16, 0xf8, 255, 255, 255, 255, 255, 255, 255)],
    ['readable after writable', (m) => descriptor(m, DESC + 32, STATUS, 1, 0)],
    ['no status', (m) => descriptor(m, DESC, HEADER, 16, 0)],
    ['a head outside the table', (m) => poke(m, AVAIL + 4, 8, 0)],
    ['an index too far ahead', (m) => poke(m, AVAIL + 2, 9, 0)],
  ])('%s needs a reset, and a reset helps', (_, spoil) => {
    const machine = createMachine(config('none'));
    start(machine, VERSION_1 | INDIRECT_DESC);
    header(machine, 0, 0);
    request(machine, WRITE);
    offer(machine, 0, 0);
    spoil(machine);
    expect(kick(machine)).toEqual(['interrupt config']);
    expect(status(machine)).toBe(79);
    expect(kick(machine)).toEqual([]);
    start(machine, VERSION_1);
    request(machine, WRITE);
    offer(machine, 0, 0);
    expect(kick(machine)[0]).toBe('5000: 512 bytes');
  });

  test('features it cannot agree to leave FEATURES_OK unset', () => {
    const machine = createMachine(config('none'));
    for (const accepted of [0n, VERSION_1 | 1n, VERSION_1 | (1n << 34n)]) {
      for (const value of [0, 1, 3]) seen(machine, { do: 'virtio.status.write', value });
      seen(machine, { do: 'virtio.features.write', accepted });
      seen(machine, { do: 'virtio.status.write', value: 11 });
      expect(status(machine)).toBe(3);
    }
  });
});

describe('mmio', () => {
  test('initialises and answers one request', () => {
    const machine = createMachine(config('mmio'));
    const write = (at: number, value: number): readonly Observation[] => seen(machine, { do: 'mmio.write', at, width: 4, value });
    const read = (at: number): number => {
      const saw = seen(machine, { do: 'mmio.read', at, width: 4 }).find((o) => o.saw === 'mmio');
      return saw?.value ?? Number.NaN;
    };
    clearRings(machine);
    expect([read(0), read(4), read(8), read(0x100), read(0x34)]).toEqual([0x74726976, 2, 2, 64, 8]);
    for (const value of [0, 1, 3]) write(0x70, value);
    write(0x24, 1);
    write(0x20, 1);
    write(0x70, 11);
    for (const [at, value] of [
      [0x38, 8],
      [0x80, DESC],
      [0x90, AVAIL],
      [0xa0, USED],
      [0x44, 1],
      [0x70, 15],
    ] as const)
      write(at, value); // prettier-ignore
    expect(read(0x70)).toBe(15);
    header(machine, 0, 0);
    request(machine, WRITE);
    offer(machine, 0, 0);
    expect(write(0x50, 0).map(told).slice(-2)).toEqual(['3002: 1 0', 'interrupt queue']);
    expect(read(0x60)).toBe(1);
    write(0x64, 1);
    expect(read(0x60)).toBe(0);
    write(0x70, 0);
    expect([read(0x70), read(0x44)]).toEqual([0, 0]);
  });
});

describe('pci', () => {
  const access = (machine: Machine) => ({
    config: (at: number, width: 1 | 2 | 4): number => {
      const saw = seen(machine, { do: 'pci.config.read', at, width }).find((o) => o.saw === 'pci.config');
      return saw?.value ?? Number.NaN;
    },
    setConfig: (at: number, width: 1 | 2 | 4, value: number) => seen(machine, { do: 'pci.config.write', at, width, value }),
    bar: (bar: number, at: number, width: 1 | 2 | 4): number => {
      const saw = seen(machine, { do: 'pci.bar.read', bar, at, width }).find((o) => o.saw === 'pci.bar');
      return saw?.value ?? Number.NaN;
    },
    setBar: (bar: number, at: number, width: 1 | 2 | 4, value: number) => seen(machine, { do: 'pci.bar.write', bar, at, width, value }),
  });

  test('the capability list ends and names each structure; BARs tell their size', () => {
    const pci = access(createMachine(config('pci')));
    expect(pci.config(0, 4)).toBe(0x10421af4);
    const found: number[][] = [];
    for (let at = pci.config(0x34, 1); at !== 0; at = pci.config(at + 1, 1)) found.push([pci.config(at, 1), pci.config(at + 3, 1)]);
    expect(found).toEqual([
      [9, 1],
      [9, 2],
      [9, 3],
      [9, 4],
      [9, 5],
      [0x11, 0],
    ]); // prettier-ignore
    pci.setConfig(0x10, 4, 0xffff_ffff);
    expect(pci.config(0x10, 4)).toBe(0xffff_c004);
  });

  test('one request by ISR, then one by a message, then the window', () => {
    const machine = createMachine(config('pci'));
    const pci = access(machine);
    clearRings(machine);
    pci.setConfig(4, 2, 6);
    for (const value of [0, 1, 3]) pci.setBar(0, 20, 1, value);
    pci.setBar(0, 8, 4, 1);
    pci.setBar(0, 12, 4, 1);
    pci.setBar(0, 20, 1, 11);
    for (const [at, value] of [
      [32, DESC],
      [40, AVAIL],
      [48, USED],
    ] as const)
      pci.setBar(0, at, 4, value); // prettier-ignore
    pci.setBar(0, 28, 2, 1);
    pci.setBar(0, 20, 1, 15);
    expect(pci.bar(0, 20, 1)).toBe(15);
    header(machine, 0, 0);
    request(machine, WRITE);
    offer(machine, 0, 0);
    expect(pci.setBar(0, 0x3000, 2, 0).map(told).slice(-1)).toEqual(['interrupt queue']);
    expect(pci.config(6, 2) & 8).toBe(8);
    expect([pci.bar(0, 0x1000, 1), pci.bar(0, 0x1000, 1)]).toEqual([1, 0]);
    expect(pci.config(6, 2) & 8).toBe(0);

    pci.setBar(0, 26, 2, 9);
    expect(pci.bar(0, 26, 2)).toBe(0xffff);
    pci.setBar(0, 26, 2, 2);
    for (const [at, value] of [
      [32, 0x8000],
      [36, 0],
      [40, 0x1234],
    ] as const)
      pci.setBar(2, at, 4, value); // prettier-ignore
    pci.setConfig(0x9a, 2, 0x8000);
    offer(machine, 1, 0);
    expect(pci.setBar(0, 0x3000, 2, 0).map(told).slice(-1)).toEqual(['3002: 2 0']);
    expect(pci.bar(2, 0x800, 4)).toBe(4);
    expect(pci.setBar(2, 44, 4, 0).map(told)).toEqual(['8000: 52 18 0 0']);
    expect(pci.bar(2, 0x800, 4)).toBe(0);

    pci.setConfig(0x84 + 8, 4, 20);
    pci.setConfig(0x84 + 12, 4, 1);
    expect(pci.config(0x84 + 16, 1)).toBe(15);
    pci.setConfig(0x84 + 16, 1, 0);
    expect(pci.bar(0, 20, 1)).toBe(0);
  });
});
