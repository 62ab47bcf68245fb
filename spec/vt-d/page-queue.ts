// The page request queue: what each request of a device makes of it, and when it is full.
// VT-d 4.1, Page Request Queue; Page Request Descriptor.

import type { VtdGhost } from './ghost.ts';
import { stored64 } from './ghost.ts';
import { field, PQA } from './layout.ts';

interface Refused {
  readonly requester: number;
  readonly group: number;
  readonly pasid: number | undefined;
  readonly last: boolean;
}
/** Where the next descriptor goes; undefined: not known. */
export interface PageQueue {
  tail: number | undefined;
  /** Requests that need not stand in the queue yet. */
  behind: number;
  /** Requests that the unit may answer itself, since it was at rest. */
  refused: Refused[];
}
export const newPageQueue = (): PageQueue => ({ tail: 0, behind: 0, refused: [] });

/** Response Failure may end a group at any time; what else answers it does so once, for its last request. PCI Express Base, PRG Response. */
const failure = 0xf;
const codes: readonly number[] = [0, 1, failure];
/** Takes the request that a response of the unit's own answers; false: none that it may. */
export const answered = (
  q: PageQueue,
  e: { readonly requester: number; readonly group: number; readonly code: number; readonly pasid?: number },
): boolean => {
  const i = q.refused.findIndex(
    (r) =>
      r.requester === e.requester &&
      r.group === e.group &&
      (e.pasid === undefined || r.pasid === e.pasid) &&
      codes.includes(e.code) &&
      (r.last || e.code === failure),
  );
  if (i >= 0) q.refused.splice(i, 1);
  return i >= 0;
};

/** By how many requests a tail that was read is behind; undefined: it is not where it may be. */
export const behindBy = (g: VtdGhost, value: number): number | undefined => {
  const { tail = 0, behind } = g.pageQueue;
  const size = 128 << field(stored64(g, PQA), 2, 0);
  const n = (tail - ((value & 0x7ffe0) >> 5) + size) % size;
  return (value & 0x7ffe0) >> 5 < size && n <= behind ? n : undefined;
};

export interface PageRequest {
  readonly sourceId: number;
  readonly pasid: number | undefined;
  readonly at: bigint;
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  readonly last: boolean;
  readonly group: number;
}
/** The 32 bytes of a descriptor; private data is zero. */
export const pageDescriptor = (p: PageRequest): Uint8Array => {
  const flag = (x: boolean, n: number): bigint => (x ? 1n << BigInt(n) : 0n);
  const lo =
    1n |
    flag(p.pasid !== undefined, 8) |
    (BigInt(p.sourceId) << 16n) |
    (BigInt(p.pasid ?? 0) << 32n) |
    flag(p.execute, 52) |
    flag(p.privileged, 53);
  const hi = flag(p.read, 0) | flag(p.write, 1) | flag(p.last, 2) | (BigInt(p.group & 0x1ff) << 3n) | (p.at & ~0xfffn);
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setBigUint64(0, lo, true);
  new DataView(bytes.buffer).setBigUint64(8, BigInt.asUintN(64, hi), true);
  return bytes;
};
