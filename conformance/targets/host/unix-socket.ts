// Unix stream sockets that carry file descriptors (SCM_RIGHTS), with a deadline on every wait.
// Layouts: sockaddr_un (unix(7)), msghdr and cmsghdr (x86-64 System V ABI), ucred (socket(7), SO_PEERCRED).

import type { Libc } from './libc.ts';

export interface UnixSocket {
  readonly fd: number;
  /** Sends all bytes; the descriptors travel with the first one. */
  readonly send: (bytes: Buffer, fds?: readonly number[]) => void;
  /** What is there, at least one byte: how many; 'end' where the peer closed, 'late' where nothing came before the deadline. */
  readonly receive: (into: Buffer) => number | 'end' | 'late';
  /** Process id of the peer, 0 where it is not visible from here. */
  readonly peer: () => number;
  readonly close: () => void;
}

const AF_UNIX = 1;
const SO_PEERCRED = 17;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SCM_RIGHTS = 1;
const SOL_SOCKET = 1;
const pathMax = 107;
/** Looks before sleeping: a peer that answers at once does so in fewer than 50 µs, and being woken costs as much again. */
const looksMax = 100;

/** sockaddr_un of a path, or of a name in the abstract namespace as getsockname gave it. */
export type SocketAddress = { readonly bytes: Buffer; readonly length: number };

export const addressOf = (path: string): SocketAddress => {
  const name = Buffer.from(path);
  if (name.length === 0 || name.length > pathMax) throw new RangeError(`a socket path has 1 to ${pathMax} bytes, not ${name.length}`);
  const bytes = Buffer.alloc(110);
  bytes.writeUInt16LE(AF_UNIX);
  name.copy(bytes, 2);
  return { bytes, length: 2 + name.length + 1 };
};

const timeval = (milliseconds: number): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(BigInt(Math.floor(milliseconds / 1000)), 0);
  bytes.writeBigInt64LE(BigInt((milliseconds % 1000) * 1000), 8);
  return bytes;
};

/** A listening socket with a name that the kernel chose (nothing in the file system to clean up); unix(7), autobind. */
export const listenUnnamed = (libc: Libc): { readonly fd: number; readonly address: SocketAddress } => {
  const fd = libc.socket();
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  libc.bind(fd, family, family.length);
  libc.listen(fd, 8);
  const bytes = Buffer.alloc(110);
  const length = libc.getsockname(fd, bytes);
  return { fd, address: { bytes, length } };
};

/** Throws with `code` ENOENT, ECONNREFUSED, EACCES or, where the listener's queue stays full, EAGAIN. `deadline` in milliseconds holds for each wait. */
export const connectUnix = (libc: Libc, address: SocketAddress, deadline: number): UnixSocket => {
  const fd = libc.socket();
  try {
    libc.setsockopt(fd, SO_RCVTIMEO, timeval(deadline));
    libc.setsockopt(fd, SO_SNDTIMEO, timeval(deadline));
    libc.connect(fd, address.bytes, address.length);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  const iov = Buffer.alloc(16);
  const header = Buffer.alloc(56);
  const control = Buffer.alloc(16 + 4 * 8);
  header.writeBigUInt64LE(libc.address(iov), 16);
  header.writeBigUInt64LE(1n, 24);
  // Small messages are sent from one place, whose address is worked out once.
  const outbox = Buffer.alloc(1024);
  const outboxAt = libc.address(outbox);
  const controlAt = libc.address(control);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);

  /** How many descriptors the header says that there are. */
  let attached = 0;
  const attach = (fds: readonly number[]): void => {
    fds.forEach((descriptor, i) => control.writeInt32LE(descriptor, 16 + 4 * i));
    if (fds.length === attached) return;
    attached = fds.length;
    header.writeBigUInt64LE(fds.length === 0 ? 0n : controlAt, 32);
    header.writeBigUInt64LE(fds.length === 0 ? 0n : BigInt((16 + 4 * fds.length + 7) & ~7), 40);
    control.writeBigUInt64LE(BigInt(16 + 4 * fds.length), 0);
  };
  const sendFrom = (start: bigint, length: number, fds: readonly number[]): void => {
    attach(fds);
    for (let sent = 0; sent < length; ) {
      iov.writeBigUInt64LE(start + BigInt(sent), 0);
      iov.writeBigUInt64LE(BigInt(length - sent), 8);
      sent += libc.sendmsg(fd, header);
      attach([]);
    }
  };
  return {
    fd,
    send: (bytes, fds = []) => {
      if (bytes.length > outbox.length) return sendFrom(libc.address(bytes), bytes.length, fds);
      outbox.set(bytes);
      sendFrom(outboxAt, bytes.length, fds);
    },
    receive: (into) => {
      for (let looks = 0; ; looks++) {
        const wait = looks >= looksMax;
        try {
          const got = libc.recv(fd, into, wait);
          if (got === 0) return 'end';
          if (got !== undefined) return got;
          if (wait) return 'late';
        } catch (error) {
          const code = (error as { code?: unknown }).code;
          if (code === 'ECONNRESET') return 'end';
          if (code !== 'EINTR') throw error;
        }
      }
    },
    peer: () => {
      const ucred = Buffer.alloc(12);
      libc.getsockopt(fd, SO_PEERCRED, ucred);
      return ucred.readInt32LE(0);
    },
    close: () => libc.close(fd),
  };
};
