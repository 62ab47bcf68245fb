// Guest memory as a file that QEMU maps shared: written directly, and compared with a shadow to see what the device changed.
// A snapshot counts only when two copies in a row are equal, so that one torn by a running device accuses nobody.

import fs from 'node:fs';
import type { Gpa } from '../../../spec/units.ts';
import type { MemoryChanged } from '../../../spec/vocabulary.ts';
import { loadLibc } from '../host/libc.ts';
import { probeHost } from '../host/probe.ts';
import { viewFile } from '../host/shared-memory.ts';

type Write = MemoryChanged['writes'][number];

export interface GuestMemory {
  readonly size: number;
  /** Everything becomes `fill`, and known. */
  refill(fill: number): void;
  /** False: not inside. */
  write(at: bigint, bytes: Uint8Array): boolean;
  /** What `write` would do, done by somebody else: only then the bytes are known. */
  note(at: bigint, bytes: Uint8Array): boolean;
  /** Whether the u16 words hold their values now. */
  holds(words: readonly { readonly at: Gpa; readonly value: number }[]): boolean;
  /** Takes a copy aside. */
  copy(): void;
  /** Whether memory is what the last copy says. */
  unchanged(): boolean;
  /** What the last copy has that was not known, ascending; then it is known. */
  difference(): readonly Write[];
  close(): void;
}

/** Compared whole first, the larger of the two before the smaller: most of memory is as it was. */
const page = 4096;
const block = 256;

/** Ranges of bytes that differ, never a byte more; then they are known. */
function differing(known: Buffer, now: Buffer): readonly Write[] {
  const writes: Write[] = [];
  let start = -1;
  const end = (at: number): void => {
    if (start >= 0) writes.push({ at: BigInt(start) as Gpa, bytes: Uint8Array.from(now.subarray(start, at)) });
    start = -1;
  };
  const same = (base: number, limit: number): boolean => known.compare(now, base, limit, base, limit) === 0;
  for (let base = 0; base < now.length; base += page) {
    const limit = Math.min(base + page, now.length);
    if (same(base, limit)) {
      end(base);
      continue;
    }
    for (let from = base; from < limit; from += block) {
      const to = Math.min(from + block, limit);
      if (same(from, to)) {
        end(from);
        continue;
      }
      for (let at = from; at < to; at++) {
        if (known[at] === now[at]) end(at);
        else if (start < 0) start = at;
      }
    }
  }
  end(now.length);
  for (const { at, bytes } of writes) known.set(bytes, Number(at));
  return writes;
}

/** Looking at memory needs no call where it can be mapped. */
const libc = (await probeHost()).ok ? await loadLibc() : undefined;

export function openMemory(file: string, size: number): GuestMemory {
  const fd = fs.openSync(file, 'r+');
  const view = libc === undefined ? undefined : viewFile(libc, fd, size);
  const halves = view && new Uint16Array(view.bytes.buffer, view.bytes.byteOffset, size >> 1);
  const known = Buffer.alloc(size);
  const now = Buffer.alloc(size);
  const again = Buffer.alloc(size);
  const word = Buffer.alloc(2);
  const note = (at: bigint, bytes: Uint8Array): boolean => {
    if (at < 0n || at + BigInt(bytes.length) > BigInt(size)) return false;
    known.set(bytes, Number(at));
    return true;
  };
  const readInto = (bytes: Buffer): void => {
    if (view === undefined) fs.readSync(fd, bytes, 0, size, 0);
    else bytes.set(view.bytes);
  };
  const wordAt = (at: number): number | undefined => {
    if (at < 0 || at + 2 > size) return undefined;
    if (halves !== undefined && at % 2 === 0) return Atomics.load(halves, at >> 1);
    fs.readSync(fd, word, 0, 2, at);
    return word.readUInt16LE(0);
  };
  return {
    size,
    refill: (fill) => {
      known.fill(fill);
      fs.writeSync(fd, known, 0, size, 0);
    },
    note,
    write: (at, bytes) => {
      if (!note(at, bytes)) return false;
      fs.writeSync(fd, bytes, 0, bytes.length, Number(at));
      return true;
    },
    holds: (words) => words.every(({ at, value }) => wordAt(Number(at)) === value),
    copy: () => readInto(now),
    unchanged: () => {
      if (view !== undefined) return view.bytes.equals(now);
      readInto(again);
      return again.equals(now);
    },
    difference: () => differing(known, now),
    close: () => {
      view?.retire();
      fs.closeSync(fd);
    },
  };
}

/** Message words in a file of their own, which QEMU maps as the memory BAR of an otherwise idle function. */
export function openMessages(
  file: string,
  at: bigint,
  vectors: number,
): { readonly at: bigint; readonly vectors: number; take(): readonly number[]; close(): void } {
  const fd = fs.openSync(file, 'r+');
  const bytes = Buffer.alloc(4 * vectors);
  const zero = Buffer.alloc(4);
  return {
    at,
    vectors,
    // Only words that were seen are cleared: a message that arrives meanwhile is either another vector's, or says the same again.
    take: () => {
      fs.readSync(fd, bytes, 0, bytes.length, 0);
      const seen: number[] = [];
      for (let vector = 0; vector < vectors; vector++) {
        if (bytes.readUInt32LE(4 * vector) === 0) continue;
        seen.push(vector);
        fs.writeSync(fd, zero, 0, 4, 4 * vector);
      }
      return seen;
    },
    close: () => fs.closeSync(fd),
  };
}
