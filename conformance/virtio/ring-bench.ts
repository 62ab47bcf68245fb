// What the tests of the basic and split specs judge with: a driver at queue level with one queue of 8, and a device whose every step is written down.
// Addresses are fixed, so that a history can be read without a table of them.

import type { Area } from '../../spec/clause.ts';
import type { Gpa, Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { basic } from '../../spec/virtio/basic/index.ts';
import { blk } from '../../spec/virtio/blk/index.ts';
import { split } from '../../spec/virtio/split/index.ts';
import { createJudge } from '../judge.ts';

const gpa = (n: number): Gpa => BigInt(n) as Gpa;
export const DESC = 0x1000;
export const AVAIL = 0x1100;
export const USED = 0x1200;
const SIZE = 8;
export const USED_EVENT: number = AVAIL + 4 + 2 * SIZE;
export const AVAIL_EVENT: number = USED + 4 + 8 * SIZE;
/** Header, status byte and data of request n. */
export const headerAt = (n: number): number => 0x2000 + 0x1000 * n;
export const statusAt = (n: number): number => headerAt(n) + 0x100;
export const dataAt = (n: number): number => headerAt(n) + 0x200;

export const EVENT_IDX: bigint = 1n << 29n;
export const IN_ORDER: bigint = 1n << 35n;
export const plain: bigint = 1n << 32n;
/** The value in `width` bytes, little-endian. */
export const le = (value: number, width: number): number[] => Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) % 256);
const pattern = (sector: number): number[] => Array.from({ length: 512 }, (_, i) => (i % 2 === 1 ? sector % 256 : i / 2));

export interface RingBench {
  readonly see: (...events: readonly Event[]) => void;
  /** The driver's writes to memory and to status, and what status then reads. */
  readonly poke: (at: number, ...bytes: readonly number[]) => void;
  readonly status: (value: number) => void;
  readonly reads: (value: number) => void;
  /** Writes of the device, in one answer. */
  readonly changed: (...writes: readonly (readonly [at: number, bytes: readonly number[]])[]) => void;
  readonly interrupt: (from?: 'queue' | 'config') => void;
  readonly settle: (by?: 'sync' | 'bound') => void;
  readonly config: (at: number, ...bytes: readonly number[]) => void;
  /** Reset, negotiation and the queue; DRIVER_OK is `status(15)`. */
  readonly init: (features?: bigint) => void;
  /** Reads of sector n at head 3n, published together and notified. */
  readonly submit: (...requests: readonly number[]) => void;
  /** Data and status of request n, its used element in that slot, and used idx. */
  readonly answer: (n: number) => readonly (readonly [at: number, bytes: readonly number[]])[];
  readonly element: (slot: number, n: number) => readonly [at: number, bytes: readonly number[]];
  readonly index: (value: number) => readonly [at: number, bytes: readonly number[]];
  readonly findings: string[];
  readonly kept: (id: string) => number;
  readonly breaches: () => readonly string[];
}

export const ringBench = (offered: bigint = plain | EVENT_IDX, seen: 'ordered' | 'compared' = 'ordered'): RingBench => {
  const granted: Granted = {
    memory: { size: 0x10000, fill: 0xa5, seen },
    level: 'queue',
    reset: 'device',
    offers: [
      'memory.seen',
      ...(seen === 'ordered' ? (['memory.order'] as const) : []),
      'virtio.blk',
      'virtio.status',
      'virtio.generation',
      'virtio.interrupt.queue',
      'host.resize',
      'disk.seen',
    ],
    virtio: {
      device: 'blk',
      offer: offered,
      queueSizeMax: SIZE,
      queues: 1,
      blk: { disk: 'pattern', sectors: 64, readOnly: false, blockSize: 512, serial: 'serial' },
    },
  };
  const judge = createJudge([basic, split, blk].map((a) => a as unknown as Area<never>));
  judge.reset(granted);
  const findings: string[] = [];
  const see = (...events: readonly Event[]): void => {
    for (const event of events) for (const f of judge.see(event)) findings.push(f.clause);
  };
  const poke = (at: number, ...bytes: readonly number[]): void => see({ do: 'memory.write', at: gpa(at), bytes: Uint8Array.from(bytes) });
  const status = (value: number): void => see({ do: 'virtio.status.write', value });
  const reads = (value: number): void => see({ do: 'virtio.status.read' }, { saw: 'virtio.status', value });
  let published = 0;
  const init = (features = plain): void => {
    status(0);
    reads(0);
    status(1);
    status(3);
    see({ do: 'virtio.features.read' }, { saw: 'virtio.features', offered }, { do: 'virtio.features.write', accepted: features });
    status(11);
    reads(11);
    for (const [at, length] of [
      [AVAIL, 4],
      [USED, 4],
      [USED_EVENT, 2],
      [AVAIL_EVENT, 2],
    ] as const)
      poke(at, ...le(0, length));
    see({ do: 'virtq.set', queue: 0, size: SIZE, desc: gpa(DESC), avail: gpa(AVAIL), used: gpa(USED) });
    published = 0;
  };
  const descriptor = (i: number, at: number, length: number, flags: number): number[] => [
    ...le(at, 8),
    ...le(length, 4),
    ...le(flags, 2),
    ...le((flags & 1) === 0 ? 0 : i + 1, 2),
  ];
  const submit = (...requests: readonly number[]): void => {
    for (const n of requests) {
      poke(headerAt(n), ...le(0, 8), ...le(n, 8));
      const parts = [
        [headerAt(n), 16, 1],
        [dataAt(n), 512, 3],
        [statusAt(n), 1, 2],
      ] as const;
      poke(DESC + 48 * n, ...parts.flatMap(([at, length, flags], i) => descriptor(3 * n + i, at, length, flags)));
      poke(AVAIL + 4 + 2 * (published++ % SIZE), ...le(3 * n, 2));
    }
    poke(AVAIL + 2, ...le(published, 2));
    see({ do: 'virtq.notify', queue: 0 });
  };
  return {
    see,
    poke,
    status,
    reads,
    changed: (...writes) =>
      see({ saw: 'memory.changed', writes: writes.map(([at, bytes]) => ({ at: gpa(at), bytes: Uint8Array.from(bytes) })) }),
    interrupt: (from = 'queue') => see(from === 'queue' ? { saw: 'interrupt', from, queue: 0 } : { saw: 'interrupt', from }),
    settle: (by = 'sync') => see({ do: 'settle' }, { saw: 'settled', by }),
    config: (at, ...bytes) =>
      see(
        { do: 'virtio.config.read', at, width: bytes.length as 1 | 2 | 4 | 8 },
        { saw: 'virtio.config', at, bytes: Uint8Array.from(bytes) },
      ),
    init,
    submit,
    answer: (n) => [
      [dataAt(n), pattern(n)],
      [statusAt(n), [0]],
    ],
    element: (slot, n) => [USED + 4 + 8 * slot, [...le(3 * n, 4), ...le(513, 4)]],
    index: (value) => [USED + 2, le(value, 2)],
    findings,
    kept: (id) => judge.tallies.get(id)?.kept ?? 0,
    breaches: () => judge.breaches.map((x) => x.duty),
  };
};
