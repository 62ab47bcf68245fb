// The medium of the reference's block device as a raw file of the user's: what was written stands in it afterwards, for other tools to look at.
// It starts with the declared pattern, and has it again at each reset, like the medium in memory.

import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { type Disk, pattern } from '../../../reference/virtio/disk.ts';

/** One file for all machines of a run, one after the other. */
export interface Medium {
  /** A disk of so many bytes, in place of the one before. */
  readonly disk: (length: number) => Disk;
  readonly close: () => void;
}
/** Whether the medium did it: what the host's file system refuses is an error of the medium, which the device reports. */
const done = (body: () => void): boolean => {
  try {
    body();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false;
    throw error;
  }
};

const exists = (file: string): Error =>
  Object.assign(new Error(`${file} exists, and would be written over: name a file that does not, or remove it`), {
    kind: 'usage' as const,
  });

/** Makes the file. Throws where there is one already, or none can be made. */
export const fileMedium = (file: string): Medium => {
  let fd: number;
  try {
    fd = openSync(file, 'wx+');
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? exists(file) : error;
  }
  let open = true;
  /** All of it, or it was not done. */
  const write = (at: number, bytes: Uint8Array): boolean => {
    let put = 0;
    const could = done(() => {
      while (open && put < bytes.length) put += writeSync(fd, bytes, put, bytes.length - put, at + put);
    });
    return could && put === bytes.length;
  };
  const read = (at: number, length: number): Uint8Array | undefined => {
    const bytes = new Uint8Array(length);
    let got = 0;
    const could = done(() => {
      if (open) got = readSync(fd, bytes, 0, length, at);
    });
    return could && got === length ? bytes : undefined;
  };
  return {
    disk: (length) => {
      const first = pattern(length);
      return {
        read,
        write,
        zero: (at, size) => write(at, new Uint8Array(size)),
        flush: () => open && done(() => fsyncSync(fd)),
        resize: (size) => ftruncateSync(fd, size),
        restore: () => {
          ftruncateSync(fd, first.length);
          if (!write(0, first))
            throw Object.assign(new Error(`${file} cannot hold the ${first.length} bytes of the disk`), { kind: 'usage' as const });
        },
      };
    },
    close: () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
};
