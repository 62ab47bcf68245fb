// Decides what the medium under the block device is: bytes in memory that start with the declared pattern, or an object the host passes in.
// The pattern: each 16-bit little-endian word holds its own index modulo 65536.

export const SECTOR = 512;

/** A medium, in bytes. The device asks only for whole sectors inside the capacity. `false` or undefined: the medium failed. */
export interface Disk {
  /** A view, valid until the next call. */
  readonly read: (at: number, length: number) => Uint8Array | undefined;
  readonly write: (at: number, bytes: Uint8Array) => boolean;
  readonly zero: (at: number, length: number) => boolean;
  /** Everything written so far is on the medium. */
  readonly flush: () => boolean;
  /** Afterwards `length` bytes long; new bytes are zero. */
  readonly resize: (length: number) => void;
  /** As it was before the first stimulus. */
  readonly restore: () => void;
}

/** The declared pattern. */
export const pattern = (length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < length; at += 2) view.setUint16(at, (at / 2) & 0xffff, true);
  return bytes;
};

export const memoryDisk = (sectors: number): Disk => {
  const first = pattern(sectors * SECTOR);
  let bytes = first.slice();
  return {
    read: (at, length) => bytes.subarray(at, at + length),
    write: (at, from) => {
      bytes.set(from, at);
      return true;
    },
    zero: (at, length) => {
      bytes.fill(0, at, at + length);
      return true;
    },
    flush: () => true,
    resize: (length) => {
      const resized = new Uint8Array(length);
      resized.set(bytes.subarray(0, length));
      bytes = resized;
    },
    restore: () => {
      if (bytes.length === first.length) bytes.set(first);
      else bytes = first.slice();
    },
  };
};
