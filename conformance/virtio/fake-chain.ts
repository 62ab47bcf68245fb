// How the scripted block device follows a chain and reads a request, complaining about every rule that the driver breaks in them.
// VIRTIO 1.4, The Virtqueue Descriptor Table; Block Device, Device Operation.

import { F, INDIRECT, NEXT, WRITE } from './bits.ts';
import { get16, get32, get64 } from './bytes.ts';

/** One descriptor's buffer. */
export interface Piece {
  readonly at: number;
  readonly length: number;
  readonly write: boolean;
}
interface Chained {
  readonly pieces: Piece[];
  readonly slots: number[];
  readonly entries: number;
}
/** The device around it. */
interface Around {
  readonly memory: Uint8Array;
  readonly config: Uint8Array;
  readonly has: (feature: number) => boolean;
  readonly complain: (why: string) => void;
  /** It has complained: nothing more is done until a reset. */
  readonly dead: () => boolean;
  /** Receives each request, as `type:bytes readable/bytes writable`. */
  readonly completed: string[];
}
interface Queue {
  readonly size: number;
  readonly desc: number;
}

export const fakeChains = ({
  memory,
  config,
  has,
  complain,
  dead,
  completed,
}: Around): {
  readonly follow: (q: Queue, head: number) => Chained;
  readonly checkRequest: (pieces: readonly Piece[]) => void;
} => {
  const follow = (q: Queue, head: number): Chained => {
    const pieces: Piece[] = [];
    const slots: number[] = [];
    let entries = 0;
    const one = (table: number, i: number, limit: number, nested: boolean): number => {
      if (i >= limit) complain('a descriptor index out of range');
      if (dead()) return -1;
      entries++;
      const e = table + 16 * i;
      if (e + 16 > memory.length) complain('a table outside memory');
      if (dead()) return -1;
      const at = get64(memory, e);
      const length = get32(memory, e + 8);
      const flags = get16(memory, e + 12);
      if (at + length > memory.length) complain('a descriptor outside memory');
      if (length === 0) complain('an empty descriptor');
      if ((flags & INDIRECT) !== 0) {
        if (nested) complain('a nested table');
        if (!has(F.INDIRECT_DESC)) complain('an indirect table that was not negotiated');
        if ((flags & NEXT) !== 0) complain('INDIRECT with NEXT');
        if (length % 16 !== 0) complain('a table of odd length');
        if (length / 16 > q.size) complain('a table longer than the queue');
        let k = 0;
        for (let n = 0; n <= length / 16; n++) {
          const next = one(at, k, length / 16, true);
          if (next < 0) return -1;
          if (has(F.IN_ORDER) && next !== k + 1) complain('table entries out of order');
          k = next;
        }
        complain('a loop in a table');
        return -1;
      }
      const write = (flags & WRITE) !== 0;
      if (!write && pieces.some((p) => p.write)) complain('readable after writable');
      pieces.push({ at, length, write });
      return (flags & NEXT) !== 0 ? get16(memory, e + 14) : -1;
    };
    for (let i = head; i >= 0 && !dead(); ) {
      if (slots.includes(i)) complain('a loop');
      if (dead()) break;
      slots.push(i);
      const next = one(q.desc, i, q.size, false);
      if (next >= 0 && has(F.IN_ORDER) && next !== (i + 1) % q.size) complain('descriptors out of order');
      i = next;
    }
    if (entries > q.size) complain('a chain longer than the queue');
    return { pieces, slots, entries };
  };
  const checkRequest = (pieces: readonly Piece[]): void => {
    const stream: number[] = [];
    let writable = 0;
    for (const p of pieces) {
      if (p.write) writable += p.length;
      else for (let i = 0; i < p.length; i++) stream.push(memory[p.at + i] as number);
    }
    const bytes = Uint8Array.from(stream);
    if (bytes.length < 16) complain('a short header');
    if (writable < 1) complain('no status byte');
    const type = get32(bytes, 0);
    const sector = get64(bytes, 8);
    const data = type === 0 ? writable - 1 : bytes.length - 16;
    const disk = get64(config, 0);
    if (type <= 1 && data % 512 !== 0) complain('data not in sectors');
    if (type <= 1 && sector + data / 512 > disk) complain('past the end of the disk');
    if (type > 1 && sector !== 0) complain('a sector where none belongs');
    if (type === 4 && (data !== 0 || writable !== 1)) complain('a flush with data');
    if (type === 8 && writable !== 21) complain('an id of another length');
    if (type === 11 || type === 13 || type === 14) {
      if (data % 16 !== 0 || data === 0) complain('segments of odd length');
      if (data / 16 > 2) complain('too many segments');
      for (let i = 16; i < bytes.length; i += 16) {
        if (get64(bytes, i) + get32(bytes, i + 8) > disk) complain('a segment past the end of the disk');
        if (type === 11 && (get32(bytes, i + 12) & 1) !== 0) complain('unmap in a discard');
      }
    }
    if (pieces.length > Math.max(2, 6)) complain('more segments than seg_max');
    completed.push(`${type}:${bytes.length}/${writable}`);
  };
  return { follow, checkRequest };
};
