// What the tests of the block spec judge with: a driver that talks to virtio.blk without a ring, and what disks and requests hold.
// Submissions and completions are handed to the judge through a stub area that derives what the ring would.

import { blk } from '../../spec/virtio/blk/index.ts';
import type { Area } from '../../spec/clause.ts';
import type { Gpa, Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import type { Chain, Segment } from '../../spec/virtio/vocabulary.ts';
import { createJudge } from '../judge.ts';

export const gpa = (n: number): Gpa => BigInt(n) as Gpa;
const bit = (n: number): bigint => 1n << BigInt(n);
export const SEG_MAX: bigint = bit(2);
export const RO: bigint = bit(5);
export const FLUSH: bigint = bit(9);
const DISCARD = bit(13);
export const WRITE_ZEROES: bigint = bit(14);
export const all: bigint = FLUSH | DISCARD | WRITE_ZEROES;

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
export const pattern = (sector: number): Uint8Array => Uint8Array.from({ length: 512 }, (_, i) => (i % 2 ? sector % 256 : i / 2));
export const filled = (value: number, length = 512): Uint8Array => new Uint8Array(length).fill(value);
export const u32s = (...values: number[]): Uint8Array => {
  const out = new Uint8Array(values.length * 4);
  values.forEach((v, i) => new DataView(out.buffer).setUint32(i * 4, v, true));
  return out;
};

export interface BlkBench {
  readonly see: (event: Event) => void;
  /** What the ring would derive from one event. */
  readonly feed: (...events: readonly Event[]) => void;
  /** A request in a slot: its data, or how many bytes the device may write. */
  readonly submit: (slot: number, type: number, sector: number, data?: Uint8Array | number, entries?: number) => void;
  readonly complete: (slot: number, status: number, data?: Uint8Array, length?: number) => void;
  /** A read of a sector that returns this. */
  readonly read: (sector: number, data: Uint8Array) => void;
  /** Ids of the clauses that objected. */
  readonly findings: string[];
  readonly applied: (id: string) => number;
}
/** A judge of virtio.blk and a driver that talks to it without a ring; slot n owns 4 KiB at (n + 1) · 4096. */
export const bench = (features: bigint, options: { readOnly?: boolean; read?: boolean } = {}): BlkBench => {
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
  const chainOf = (slot: number, out: number, into: number, entries: number): Chain => {
    const at = (slot + 1) * 4096;
    const segment = (from: number, length: number): Segment => ({ at: gpa(at + from), length });
    return {
      queue: 0,
      head: slot,
      readable: out > 0 ? [segment(0, 16), segment(16, out)] : [segment(0, 5), segment(5, 11)],
      writable: into > 0 ? [segment(2048, into), segment(4095, 1)] : [segment(4095, 1)],
      entries,
      indirect: false,
      mixed: false,
    };
  };
  const open = new Map<number, Chain>();
  const submit = (slot: number, type: number, sector: number, data: Uint8Array | number = 0, entries = 4): void => {
    const at = (slot + 1) * 4096;
    const out = typeof data === 'number' ? new Uint8Array(0) : data;
    see({ do: 'memory.write', at: gpa(at), bytes: new Uint8Array([...u32s(type, 0, sector, 0), ...out]) });
    see({ do: 'memory.write', at: gpa(at + 2048), bytes: filled(0xee, 2048) });
    const chain = chainOf(slot, out.length, typeof data === 'number' ? data : 0, entries);
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
  return { see, feed, submit, complete, read, findings, applied: (id: string) => judge.tallies.get(id)?.applied ?? 0 };
};
export const segment = (sector: number, count: number, flags: number): Uint8Array => u32s(sector, 0, count, flags);
