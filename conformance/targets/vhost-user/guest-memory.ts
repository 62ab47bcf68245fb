// Guest memory that we own and the back end maps: the driver's stores, and what the back end changed since the last look.
// A torn look must accuse nobody: a copy counts only when memory still equals it. Every byte then held its value between the
// two reads, so an index that the back end published after its element is never seen without it (stores are ordered on x86).

import type { Gpa } from '../../../spec/units.ts';
import type { MemoryChanged } from '../../../spec/vocabulary.ts';
import type { Libc } from '../host/libc.ts';
import { shareMemory } from '../host/shared-memory.ts';

type Changes = MemoryChanged['writes'];

export interface GuestMemory {
  readonly fd: number;
  readonly size: number;
  readonly fill: (value: number) => void;
  /** False where a byte lies outside. Naturally aligned 2 and 4 bytes are one store. */
  readonly write: (at: bigint, bytes: Uint8Array) => boolean;
  /** The u16 at an address as it is now; undefined outside. */
  readonly word: (at: bigint) => number | undefined;
  /** Ranges that differ from the last look, ascending; undefined where memory would not stand still. */
  readonly changes: () => Changes | undefined;
  readonly retire: () => void;
}

const looksMax = 1000;
/** Compared whole first: the call costs more than what is compared, and most of memory is as it was. */
const stretchSize = 16384;
const blockSize = 512;

export const guestMemory = (libc: Libc, size: number): GuestMemory => {
  const shared = shareMemory(libc, 'guest-memory', size);
  const { bytes } = shared;
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, size >> 1);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, size >> 2);
  let known = Buffer.alloc(size);
  let copy = Buffer.alloc(size);

  const fits = (at: bigint, length: number): boolean => at >= 0n && at + BigInt(length) <= BigInt(size);
  const copied = (): boolean => {
    for (let look = 0; look < looksMax; look++) {
      copy.set(bytes);
      if (bytes.equals(copy)) return true;
    }
    return false;
  };
  const differences = (): Changes => {
    const found: { at: Gpa; bytes: Uint8Array }[] = [];
    let from = -1;
    const end = (at: number): void => {
      if (from >= 0) found.push({ at: BigInt(from) as Gpa, bytes: new Uint8Array(copy.subarray(from, at)) });
      from = -1;
    };
    for (let far = 0; far < size; far += stretchSize) {
      const edge = Math.min(far + stretchSize, size);
      if (copy.compare(known, far, edge, far, edge) === 0) {
        end(far);
        continue;
      }
      for (let block = far; block < edge; block += blockSize) {
        const stop = Math.min(block + blockSize, edge);
        if (copy.compare(known, block, stop, block, stop) === 0) {
          end(block);
          continue;
        }
        for (let i = block; i < stop; i++) {
          if (copy[i] === known[i]) end(i);
          else if (from < 0) from = i;
        }
      }
    }
    end(size);
    return found;
  };
  return {
    fd: shared.fd,
    size,
    fill: (value) => {
      bytes.fill(value);
      known.fill(value);
    },
    write: (at, what) => {
      if (!fits(at, what.length)) return false;
      const offset = Number(at);
      const [b0 = 0, b1 = 0, b2 = 0, b3 = 0] = what;
      if (what.length === 2 && offset % 2 === 0) Atomics.store(halves, offset >> 1, b0 | (b1 << 8));
      else if (what.length === 4 && offset % 4 === 0) Atomics.store(words, offset >> 2, (b0 | (b1 << 8) | (b2 << 16) | (b3 << 24)) >>> 0);
      else bytes.set(what, offset);
      known.set(what, offset);
      return true;
    },
    word: (at) => {
      if (!fits(at, 2)) return undefined;
      const offset = Number(at);
      return offset % 2 === 0 ? Atomics.load(halves, offset >> 1) : bytes.readUInt16LE(offset);
    },
    changes: () => {
      if (bytes.equals(known)) return [];
      if (!copied()) return undefined;
      const found = differences();
      [known, copy] = [copy, known];
      return found;
    },
    retire: shared.retire,
  };
};
