// The disk under the device: a raw file that starts with the declared pattern and is put back to it at each reset.
// The host page cache is the disk's truth, so writing the file from here is what the device reads next.

import fs from 'node:fs';

export const sectorSize = 512;

/** Each 16-bit little-endian word holds its own index modulo 65536. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 2 <= size; at += 2) bytes.writeUInt16LE((at >> 1) & 0xffff, at);
  return bytes;
}

export interface Disk {
  /** The pattern again, and the length. */
  restore(): void;
  close(): void;
}

export function openDisk(file: string, sectors: number): Disk {
  const original = pattern(sectors * sectorSize);
  const now = Buffer.alloc(original.length);
  const fd = fs.openSync(file, 'r+');
  return {
    restore: () => {
      const length = fs.readSync(fd, now, 0, now.length, 0);
      if (length === now.length && now.equals(original)) return;
      fs.ftruncateSync(fd, original.length);
      fs.writeSync(fd, original, 0, original.length, 0);
    },
    close: () => fs.closeSync(fd),
  };
}
