// The judge's copy of guest memory: what the driver wrote and the target was seen to change, and which bytes are certain.
// One buffer is reused from program to program; nothing outside this file writes to it.

import type { Memory } from '../spec/clause.ts';
import type { Granted, MachineConfig } from '../spec/units.ts';
import { numberOf } from './numbers.ts';

export interface JudgedMemory extends Memory {
  reset(granted: Granted['memory'], image?: MachineConfig['image']): void;
  write(at: bigint, bytes: Uint8Array): void;
}

/** Largest guest memory a judge keeps, bytes. A trace that declares more is refused by its reader. */
export const memoryLimit: number = 64 * 1024 * 1024;

const top = 1n << 64n;
/** Past 64 bits there is no memory. */
const addressOf = (at: bigint): number => (at < 0n || at >= top ? Number.MAX_VALUE : numberOf(at));

export const judgedMemory = (): JudgedMemory => {
  let bytes = new Uint8Array(0);
  let view = new DataView(bytes.buffer);
  let certain: Uint8Array | undefined; // one byte a byte, only where the fill is unknown
  let size = 0;
  /** What the bytes were reset to, and where they were written since: the next program of the same machine costs what this one wrote. */
  let pristine: Uint8Array | undefined;
  let like: { readonly size: number; readonly fill: number; readonly image: MachineConfig['image'] } | undefined;
  const touched: number[] = [];
  const inside = (at: bigint | number, length: number): number => {
    // Exact below 2^53; what is rounded lies far outside.
    const start = typeof at === 'number' ? at : addressOf(at);
    return start >= 0 && start + length <= size ? start : -1;
  };
  /** Bytes `from` to `end` of `source`. Most are a word or an instruction: a call for each costs more than they do. */
  const put = (start: number, source: Uint8Array, from: number, end: number): void => {
    if (end - from > 32) bytes.set(source.subarray(from, end), start);
    else for (let i = from; i < end; i++) bytes[start + i - from] = source[i] as number;
  };
  const write = (at: bigint, data: Uint8Array): void => {
    const start = addressOf(at);
    if (start >= size) return;
    const kept = start + data.length > size ? data.subarray(0, size - start) : data;
    put(start, kept, 0, kept.length);
    if (pristine !== undefined) touched.push(start, start + kept.length);
    certain?.fill(1, start, start + kept.length);
  };
  return {
    get size() {
      return size;
    },
    reset(granted, image = []) {
      if (pristine !== undefined && granted.size === like?.size && granted.fill === like.fill && image === like.image && image.length > 0) {
        for (let i = 0; i < touched.length; i += 2) {
          const start = touched[i] as number;
          put(start, pristine, start, touched[i + 1] as number);
        }
        touched.length = 0;
        return;
      }
      size = Math.min(granted.size, memoryLimit);
      if (bytes.length < size) {
        bytes = new Uint8Array(size);
        view = new DataView(bytes.buffer);
      }
      bytes.fill(granted.fill === 'unknown' ? 0 : granted.fill, 0, size);
      certain = granted.fill === 'unknown' ? new Uint8Array(size) : undefined;
      for (const piece of image) write(piece.at, piece.bytes);
      touched.length = 0;
      // Only machines with an image are reset again and again without a change.
      pristine = granted.fill === 'unknown' || image.length === 0 ? undefined : bytes.slice(0, size);
      like = granted.fill === 'unknown' ? undefined : { size: granted.size, fill: granted.fill, image };
    },
    write,
    read(at, length) {
      const start = inside(at, length);
      return start < 0 ? undefined : bytes.slice(start, start + length);
    },
    u8(at) {
      const start = inside(at, 1);
      return start < 0 ? undefined : bytes[start];
    },
    u16(at) {
      const start = inside(at, 2);
      return start < 0 ? undefined : view.getUint16(start, true);
    },
    u32(at) {
      const start = inside(at, 4);
      return start < 0 ? undefined : view.getUint32(start, true);
    },
    u64(at) {
      const start = inside(at, 8);
      return start < 0 ? undefined : view.getBigUint64(start, true);
    },
    known(at, length) {
      const start = inside(at, length);
      if (start < 0) return false;
      if (certain === undefined) return true;
      for (let i = start; i < start + length; i++) if (certain[i] === 0) return false;
      return true;
    },
  };
};
