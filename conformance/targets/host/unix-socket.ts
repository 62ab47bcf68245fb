// Unix stream sockets that carry file descriptors (SCM_RIGHTS), with a deadline on every wait.
// Layouts: sockaddr_un (unix(7)), msghdr and cmsghdr (x86-64 System V ABI), ucred (socket(7), SO_PEERCRED).

import type { Libc } from './libc.ts';

export interface UnixSocket {
  readonly fd: number;
  /** Sends all bytes; the descriptors travel with the first one. */
  readonly send: (bytes: Buffer, fds?: readonly number[]) => void;
  /** Sends them in order, in one call where they are few and short: the peer is woken once. */
  readonly sendAll: (parts: readonly Part[]) => void;
  /** What is there, at least one byte: how many; 'end' where the peer closed, 'late' where nothing came before the deadline. */
  readonly receive: (into: Buffer) => number | 'end' | 'late';
  /** The same without waiting: 0 where nothing is there. */
  readonly look: (into: Buffer) => number | 'end';
  /** Process id of the peer, 0 where it is not visible from here. */
  readonly peer: () => number;
  readonly close: () => void;
}

/** Bytes, and the descriptors that travel with the first of them. */
export interface Part {
  readonly bytes: Buffer;
  readonly fds: readonly number[];
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

/** Parts that one call sends. */
const partsMax = 8;

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
  const send: UnixSocket['send'] = (bytes, fds = []) => {
    if (bytes.length > outbox.length) return sendFrom(libc.address(bytes), bytes.length, fds);
    outbox.set(bytes);
    sendFrom(outboxAt, bytes.length, fds);
  };
  // struct mmsghdr, its struct iovec and its one descriptor's control message, for each part.
  const vector = Buffer.alloc(64 * partsMax);
  const pieces = Buffer.alloc(16 * partsMax);
  const controls = Buffer.alloc(24 * partsMax);
  for (let i = 0; i < partsMax; i++) {
    vector.writeBigUInt64LE(libc.address(pieces) + BigInt(16 * i), 64 * i + 16);
    vector.writeBigUInt64LE(1n, 64 * i + 24);
    controls.writeBigUInt64LE(20n, 24 * i);
    controls.writeInt32LE(SOL_SOCKET, 24 * i + 8);
    controls.writeInt32LE(SCM_RIGHTS, 24 * i + 12);
  }
  const controlsAt = libc.address(controls);
  const sendAll = (parts: readonly Part[]): void => {
    const total = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (parts.length < 2 || parts.length > partsMax || total > outbox.length || parts.some(({ fds }) => fds.length > 1)) {
      for (const { bytes, fds } of parts) send(bytes, fds);
      return;
    }
    let at = 0;
    for (const [i, { bytes, fds }] of parts.entries()) {
      outbox.set(bytes, at);
      pieces.writeBigUInt64LE(outboxAt + BigInt(at), 16 * i);
      pieces.writeBigUInt64LE(BigInt(bytes.length), 16 * i + 8);
      const [descriptor] = fds;
      if (descriptor !== undefined) controls.writeInt32LE(descriptor, 24 * i + 16);
      vector.writeBigUInt64LE(descriptor === undefined ? 0n : controlsAt + BigInt(24 * i), 64 * i + 32);
      vector.writeBigUInt64LE(descriptor === undefined ? 0n : 24n, 64 * i + 40);
      at += bytes.length;
    }
    const count = libc.sendmmsg(fd, vector, parts.length);
    // A full socket takes a part of them: the rest of the last one has had its descriptor.
    for (const [i, { bytes, fds }] of parts.entries()) {
      const sent = i < count ? vector.readUInt32LE(64 * i + 56) : 0;
      if (sent < bytes.length) send(bytes.subarray(sent), sent > 0 ? [] : fds);
    }
  };
  /** 0 where nothing is there, or came before the deadline. */
  const take = (into: Buffer, wait: boolean): number | 'end' | 'interrupted' => {
    try {
      const got = libc.recv(fd, into, wait);
      return got === 0 ? 'end' : (got ?? 0);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'ECONNRESET') return 'end';
      if (code !== 'EINTR') throw error;
      return 'interrupted';
    }
  };
  return {
    fd,
    send,
    sendAll,
    receive: (into) => {
      for (let looks = 0; ; looks++) {
        const wait = looks >= looksMax;
        const got = take(into, wait);
        if (got === 0 && wait) return 'late';
        if (got !== 0 && got !== 'interrupted') return got;
      }
    },
    look: (into) => {
      const got = take(into, false);
      return got === 'interrupted' ? 0 : got;
    },
    peer: () => {
      const ucred = Buffer.alloc(12);
      libc.getsockopt(fd, SO_PEERCRED, ucred);
      return ucred.readInt32LE(0);
    },
    close: () => libc.close(fd),
  };
};
