// What is known of a block device: offered and negotiated features, configuration, capacity, the disk as a set, requests in flight.
// Facts only; the rules stand in the files of their sections.

import type { Granted } from '../../units.ts';
import type { Chain } from '../vocabulary.ts';
import type { Content, Disk } from './disk.ts';
import { newDisk } from './disk.ts';
import type { FeatureName, FieldName } from './layout.ts';
import { configSize, field, includes, unmapFlag } from './layout.ts';
import type { Range, Request } from './request.ts';

/** A request between its submission and its completion. */
export interface Flight {
  readonly request: Request;
  /** Tick of its submission. */
  readonly submitted: number;
  /** Whether it keeps every duty; undefined: a limit it must respect was never read. */
  readonly legal: boolean | undefined;
  /** Feature of its type negotiated; true for types that need none. */
  readonly negotiated: boolean | undefined;
  /** What it may have put on the disk, and where: whole sectors inside capacity. */
  readonly effects: readonly { readonly content: Content; readonly from: number; readonly count: number; readonly range: Range }[];
  /** Its mark on the whole disk, where its effects cannot be told or are too large to follow. */
  readonly wild?: Disk['wild'][number];
  /** The host changed the capacity while it was in flight. */
  resized: boolean;
  /** The driver or another request had a hand in its buffers: their bytes tell nothing. */
  disturbed: boolean;
  /** The target was seen changing bytes of its data. */
  touched: boolean;
}

export interface BlkGhost {
  /** Counts observed events: the clock of the disk. */
  tick: number;
  /** Feature bits the device was seen offering, and those now negotiated. */
  offered: bigint | undefined;
  features: bigint | undefined;
  live: boolean;
  /** Configuration bytes last read; -1 where not known. */
  readonly config: Int16Array;
  /** Bytes of the configuration that the driver wrote since reset. */
  readonly written: Uint8Array;
  /** What the driver last wrote to `writeback`, if a legal value; 'other' after anything else. */
  writeback: 0 | 1 | 'other' | undefined;
  /** Capacities it may have now; more than one between a host.resize and the next settle. Empty: not known. */
  capacities: readonly number[];
  /** The capacity that the driver was last told of: by its own reads before DRIVER_OK, by a notification, or by rest. */
  told: number | undefined;
  /** A live device saw its capacity change and has not yet had time to say so. */
  notice: 'none' | 'owed' | 'given';
  /** The program touches registers itself: a line that it did not acknowledge shows no new notification. */
  raw: boolean;
  readonly disk: Disk;
  readonly flights: Map<number, Flight>;
  /** The first ID string it returned. */
  id: Uint8Array | undefined;
}

export const initial = (granted: Granted): BlkGhost => {
  const blk = granted.virtio?.blk;
  return {
    tick: 0,
    offered: undefined,
    features: undefined,
    live: false,
    config: new Int16Array(configSize).fill(-1),
    written: new Uint8Array(configSize),
    writeback: undefined,
    capacities: blk === undefined ? [] : [blk.sectors],
    told: blk?.sectors,
    notice: 'none',
    raw: false,
    disk: newDisk(blk?.disk === 'pattern' ? blk.sectors : 0),
    flights: new Map(),
    id: undefined,
  };
};

/** A head has 16 bits. */
export const keyOf = (chain: Chain): number => chain.queue * 0x10000 + chain.head;
const scopes: readonly string[] = Array.from({ length: 64 }, (_, queue) => `device:0/queue:${queue}`);
export const queueScope = (queue: number): string => scopes[queue] ?? `device:0/queue:${queue}`;

/** Whether a feature is negotiated, offered; undefined where not known. */
export const negotiated = (g: BlkGhost, name: FeatureName): boolean | undefined =>
  g.features === undefined ? undefined : includes(g.features, name);
export const offers = (g: BlkGhost, name: FeatureName): boolean | undefined =>
  g.offered !== undefined ? includes(g.offered, name) : negotiated(g, name) === true ? true : undefined;

/** A configuration field as last read, or undefined. capacity is eight bytes, still exact below 2^53. */
export const fieldOf = (g: BlkGhost, name: FieldName): number | undefined => valueAt(g.config, field[name][0], field[name][1]);
export const valueAt = (config: Int16Array, at: number, width: number): number | undefined => {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) {
    const byte = config[at + i] ?? -1;
    if (byte < 0) return undefined;
    value = value * 256 + byte;
  }
  return value;
};

/** Read-only holds when RO is offered; a read-only disk behind a device that does not offer RO is nobody's rule. */
export const readOnly = (g: BlkGhost, granted: Granted): boolean | undefined => {
  const ro = offers(g, 'RO');
  if (ro === true) return true;
  return granted.virtio?.blk.readOnly === true ? undefined : (ro ?? (granted.virtio === undefined ? undefined : false));
};

/** Whether a range ends inside the capacity: true or false when that is sure. */
export const inside = (g: BlkGhost, r: Range): boolean | undefined => {
  if (g.capacities.length === 0) return undefined;
  const end = r.sector + BigInt(r.count);
  if (end <= BigInt(Math.min(...g.capacities))) return true;
  return end > BigInt(Math.max(...g.capacities)) ? false : undefined;
};

/** Flags that a segment of this type may not have: every unknown one, and unmap except in write zeroes. */
export const badFlags = (request: Request, range: Range): boolean => (request.type === 13 ? range.flags & ~unmapFlag : range.flags) !== 0;
export const hasBadFlags = (request: Request): boolean => request.ranges?.some((r) => badFlags(request, r)) ?? false;
