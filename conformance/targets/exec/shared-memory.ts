// Guest memory as a file that an adapter maps: we write into it, and see what the other side changed by comparing with what we know.
// Every changed byte is reported, no unchanged one; a write of the value that was there cannot be seen.

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { Gpa, MachineConfig } from '../../../spec/units.ts';
import type { MemoryChanged } from '../../../spec/vocabulary.ts';

export interface SharedMemory {
  /** Starts anew: every byte is `fill`, but for those of `image`. */
  clear(size: number, fill: number, image?: MachineConfig['image']): void;
  /** False when a byte lies outside memory; then nothing was written. */
  write(at: bigint, bytes: Uint8Array): boolean;
  /** What the other side changed since the last look, in ascending order. */
  changes(): MemoryChanged['writes'];
  close(): void;
}

const block = 256;

/** Runs of bytes in which `now` differs from `before`. Both have the same length. */
export const differences = (before: Buffer, now: Buffer): MemoryChanged['writes'] => {
  const writes: { at: Gpa; bytes: Uint8Array }[] = [];
  if (before.equals(now)) return writes;
  let start = -1;
  const end = (at: number): void => {
    if (start >= 0) writes.push({ at: BigInt(start) as Gpa, bytes: Uint8Array.from(now.subarray(start, at)) });
    start = -1;
  };
  for (let from = 0; from < now.length; from += block) {
    const to = Math.min(from + block, now.length);
    if (now.compare(before, from, to, from, to) === 0) {
      end(from);
      continue;
    }
    for (let at = from; at < to; at++) {
      if (now[at] === before[at]) end(at);
      else if (start < 0) start = at;
    }
  }
  end(now.length);
  return writes;
};

export const shareMemory = (path: string): SharedMemory => {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  let known = Buffer.alloc(0);
  let now = Buffer.alloc(0);
  const whole = (io: (at: number) => number): void => {
    for (let at = 0; at < known.length; ) {
      const n = io(at);
      if (n === 0) throw new Error(`${path} became shorter than guest memory: somebody truncated it`);
      at += n;
    }
  };
  return {
    clear: (size, fill, image = []) => {
      if (known.length !== size) {
        known = Buffer.alloc(size);
        now = Buffer.alloc(size);
        if (fstatSync(fd).size < size) ftruncateSync(fd, size); // it never shrinks under somebody's map
      }
      known.fill(fill);
      for (const { at, bytes } of image) known.set(bytes, Number(at));
      whole((at) => writeSync(fd, known, at, size - at, at));
    },
    write: (at, bytes) => {
      if (at + BigInt(bytes.length) > BigInt(known.length)) return false;
      const start = Number(at);
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, start + done);
      known.set(bytes, start);
      return true;
    },
    changes: () => {
      whole((at) => readSync(fd, now, at, now.length - at, at));
      const writes = differences(known, now);
      if (writes.length > 0) [known, now] = [now, known];
      return writes;
    },
    close: () => closeSync(fd),
  };
};
