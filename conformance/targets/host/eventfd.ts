// eventfd counters and poll(2): how a notification is sent, seen, taken, and seen without taking it.
// eventfd(2): a write adds to the counter, a read takes it whole, readable means that it is not zero.

import type { Libc } from './libc.ts';

export interface EventFd {
  readonly fd: number;
  readonly signal: () => void;
  /** Whether it was signalled since the last take; resets it. */
  readonly take: () => boolean;
  readonly close: () => void;
}

const one = Buffer.alloc(8);
one.writeBigUInt64LE(1n);

export const openEventFd = (libc: Libc): EventFd => {
  const fd = libc.eventfd();
  const taken = Buffer.alloc(8);
  return {
    fd,
    signal: () => void libc.write(fd, one),
    take: () => libc.read(fd, taken) !== undefined,
    close: () => libc.close(fd),
  };
};

const POLLIN = 1;

/** Whether one of the descriptors becomes readable (or hangs up) within that time; 0 only looks. */
export const readable = (libc: Libc, fds: readonly number[], milliseconds: number): boolean => {
  const records = Buffer.alloc(8 * fds.length);
  fds.forEach((fd, i) => {
    records.writeInt32LE(fd, 8 * i);
    records.writeInt16LE(POLLIN, 8 * i + 4);
  });
  return libc.poll(records, fds.length, milliseconds) > 0;
};
