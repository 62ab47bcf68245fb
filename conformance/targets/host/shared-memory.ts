// Memory shared with another process: a memfd, or a file that is there, and a view of it, retired so that a late access reads zeros and cannot crash.
// Node cannot detach an external ArrayBuffer, hence zero pages over the range now and munmap when the view is collected.

import type { Libc } from './libc.ts';

export interface SharedMemory {
  readonly fd: number;
  readonly size: number;
  readonly bytes: Buffer;
  /** Closes the file and retires the view; harmless when repeated. */
  readonly retire: () => void;
}

/** `koffi.view` over 4 GiB aborts the process. */
const sizeMax = 2 ** 32;

const mappings: FinalizationRegistry<() => void> = new FinalizationRegistry((unmap) => unmap());

/** A view of the first `size` bytes of an open file, which keeps that length; the file stays the caller's to close. */
export const viewFile = (libc: Libc, fd: number, size: number): Pick<SharedMemory, 'bytes' | 'retire'> => {
  if (!(size > 0 && size <= sizeMax)) throw new RangeError(`a shared memory of ${size} bytes: 1 to ${sizeMax} are possible`);
  const address = libc.map(fd, size);
  const buffer = libc.view(address, size);
  mappings.register(buffer, () => libc.unmap(address, size));
  let live = true;
  return {
    bytes: Buffer.from(buffer),
    retire: () => {
      if (!live) return;
      live = false;
      libc.blank(address, size);
    },
  };
};

/** `size` bytes of zeros. */
export const shareMemory = (libc: Libc, name: string, size: number): SharedMemory => {
  if (!(size > 0 && size <= sizeMax)) throw new RangeError(`a shared memory of ${size} bytes: 1 to ${sizeMax} are possible`);
  const fd = libc.memfd(name, size);
  const { bytes, retire } = viewFile(libc, fd, size);
  let live = true;
  return {
    fd,
    size,
    bytes,
    retire: () => {
      if (live) libc.close(fd);
      live = false;
      retire();
    },
  };
};
