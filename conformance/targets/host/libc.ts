// The few libc calls that the adapters need, typed once; a failed call throws an Error whose `code` is the errno's name.
// Constants are those of the Linux uapi headers for x86-64 (asm-generic/fcntl.h, linux/memfd.h, sys/mman.h, linux/un.h).

export interface Libc {
  readonly close: (fd: number) => void;
  /** An anonymous file of `size` bytes, close-on-exec. */
  readonly memfd: (name: string, size: number) => number;
  readonly ftruncate: (fd: number, size: number) => void;
  /** A non-blocking counter, close-on-exec. */
  readonly eventfd: () => number;
  /** Bytes read, or undefined where nothing is there yet. */
  readonly read: (fd: number, into: Buffer) => number | undefined;
  readonly write: (fd: number, from: Buffer) => number;
  /** Fills `revents` of struct pollfd records (8 bytes each) in place; the number of ready ones. An interrupted call is 0. */
  readonly poll: (records: Buffer, count: number, milliseconds: number) => number;
  /** Shared, readable and writable. */
  readonly map: (fd: number, size: number) => bigint;
  /** Private zero pages over a mapping, in place. */
  readonly blank: (address: bigint, size: number) => void;
  readonly unmap: (address: bigint, size: number) => void;
  readonly view: (address: bigint, size: number) => ArrayBuffer;
  readonly address: (of: Buffer) => bigint;
  /** SIGKILL comes when the thread that started this process ends. */
  readonly diesWithParent: () => void;
  readonly socket: () => number;
  /** Both ends of a stream, close-on-exec. */
  readonly socketpair: () => readonly [number, number];
  readonly connect: (fd: number, sockaddr: Buffer, length: number) => void;
  readonly bind: (fd: number, sockaddr: Buffer, length: number) => void;
  readonly listen: (fd: number, backlog: number) => void;
  /** Fills `sockaddr`; its length. */
  readonly getsockname: (fd: number, sockaddr: Buffer) => number;
  readonly getsockopt: (fd: number, option: number, into: Buffer) => void;
  readonly setsockopt: (fd: number, option: number, from: Buffer) => void;
  readonly sendmsg: (fd: number, msghdr: Buffer) => number;
  /** Several in one call: how many were sent; each record of 64 bytes ends in how many of its bytes were. */
  readonly sendmmsg: (fd: number, mmsghdrs: Buffer, count: number) => number;
  /** Bytes received, 0 at the end of the stream, undefined where nothing is there (yet, or before the socket's timeout). */
  readonly recv: (fd: number, into: Buffer, wait: boolean) => number | undefined;
}

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const MFD_CLOEXEC = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const PROT_READ_WRITE = 1 | 2;
const MAP_SHARED = 1;
const MAP_PRIVATE_ANONYMOUS_FIXED_NORESERVE = 2 | 0x20 | 0x10 | 0x4000;

const bound = async (): Promise<Libc> => {
  const { default: koffi } = await import('koffi');
  const libc = koffi.load('libc.so.6');
  const { EAGAIN, EINTR, ...others } = koffi.os.errno; // EWOULDBLOCK is another name of EAGAIN
  const names = new Map(Object.entries({ ...others, EAGAIN, EINTR }).map(([name, value]) => [value, name]));
  const failed = (call: string): Error & { code: string } => {
    const code = names.get(koffi.errno()) ?? String(koffi.errno());
    return Object.assign(new Error(`${call}: ${code}`), { code });
  };
  /** The call's value, or an Error where it is negative. */
  const checked =
    (call: string, fn: (...args: never[]) => number | bigint) =>
    (...args: readonly unknown[]): number => {
      const value = (fn as (...args: readonly unknown[]) => number | bigint)(...args);
      if (value < 0) throw failed(call);
      return Number(value);
    };
  const declared = (call: string, result: string, parameters: readonly string[]): ((...args: readonly unknown[]) => number) =>
    checked(call, libc.func(call, result, [...parameters]));

  const close = declared('close', 'int', ['int']);
  const memfdCreate = declared('memfd_create', 'int', ['str', 'uint']);
  const ftruncate = declared('ftruncate', 'int', ['int', 'int64']);
  const eventfd = declared('eventfd', 'int', ['uint', 'int']);
  const read = libc.func('read', 'int64', ['int', 'void *', 'size_t']);
  const write = declared('write', 'int64', ['int', 'void *', 'size_t']);
  const poll = libc.func('poll', 'int', ['void *', 'ulong', 'int']);
  const mmap = libc.func('mmap', 'int64', ['uint64', 'size_t', 'int', 'int', 'int', 'int64']);
  const munmap = declared('munmap', 'int', ['uint64', 'size_t']);
  const prctl = declared('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
  const socket = declared('socket', 'int', ['int', 'int', 'int']);
  const socketpair = declared('socketpair', 'int', ['int', 'int', 'int', 'void *']);
  const connect = declared('connect', 'int', ['int', 'void *', 'uint32']);
  const bind = declared('bind', 'int', ['int', 'void *', 'uint32']);
  const listen = declared('listen', 'int', ['int', 'int']);
  const getsockname = declared('getsockname', 'int', ['int', 'void *', 'void *']);
  const getsockopt = declared('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);
  const setsockopt = declared('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint32']);
  const sendmsg = declared('sendmsg', 'int64', ['int', 'void *', 'int']);
  const sendmmsg = declared('sendmmsg', 'int', ['int', 'void *', 'uint', 'int']);
  const recv = libc.func('recv', 'int64', ['int', 'void *', 'size_t', 'int']);

  const mapped = (address: bigint, size: number, flags: number, fd: number): bigint => {
    const got = BigInt(mmap(address, size, PROT_READ_WRITE, flags, fd, 0));
    if (got === -1n) throw failed('mmap');
    return got;
  };
  const lengthOf = (buffer: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(buffer.length);
    return length;
  };
  return {
    close: (fd) => void close(fd),
    memfd: (name, size) => {
      const fd = memfdCreate(name, MFD_CLOEXEC);
      ftruncate(fd, size);
      return fd;
    },
    ftruncate: (fd, size) => void ftruncate(fd, size),
    eventfd: () => eventfd(0, O_CLOEXEC | O_NONBLOCK),
    read: (fd, into) => {
      const got = Number(read(fd, into, into.length));
      if (got >= 0) return got;
      if (koffi.errno() === EAGAIN || koffi.errno() === EINTR) return undefined;
      throw failed('read');
    },
    write: (fd, from) => write(fd, from, from.length),
    poll: (records, count, milliseconds) => {
      const ready = poll(records, count, milliseconds);
      if (ready >= 0) return ready;
      if (koffi.errno() === EINTR) return 0;
      throw failed('poll');
    },
    map: (fd, size) => mapped(0n, size, MAP_SHARED, fd),
    blank: (address, size) => void mapped(address, size, MAP_PRIVATE_ANONYMOUS_FIXED_NORESERVE, -1),
    unmap: (address, size) => void munmap(address, size),
    view: (address, size) => koffi.view(address, size),
    address: (of) => koffi.address(of),
    diesWithParent: () => void prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0),
    socket: () => socket(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0),
    socketpair: () => {
      const ends = Buffer.alloc(8);
      socketpair(AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, ends);
      return [ends.readInt32LE(0), ends.readInt32LE(4)];
    },
    connect: (fd, sockaddr, length) => void connect(fd, sockaddr, length),
    bind: (fd, sockaddr, length) => void bind(fd, sockaddr, length),
    listen: (fd, backlog) => void listen(fd, backlog),
    getsockname: (fd, sockaddr) => {
      const length = lengthOf(sockaddr);
      getsockname(fd, sockaddr, length);
      return length.readUInt32LE();
    },
    getsockopt: (fd, option, into) => void getsockopt(fd, SOL_SOCKET, option, into, lengthOf(into)),
    setsockopt: (fd, option, from) => void setsockopt(fd, SOL_SOCKET, option, from, from.length),
    sendmsg: (fd, msghdr) => sendmsg(fd, msghdr, MSG_NOSIGNAL),
    sendmmsg: (fd, mmsghdrs, count) => sendmmsg(fd, mmsghdrs, count, MSG_NOSIGNAL),
    recv: (fd, into, wait) => {
      const got = Number(recv(fd, into, into.length, wait ? 0 : MSG_DONTWAIT));
      if (got >= 0) return got;
      if (koffi.errno() === EAGAIN) return undefined;
      throw failed('recv');
    },
  };
};

let once: Promise<Libc> | undefined;
/** libc through koffi, loaded at the first call; rejects where `probeHost` says no. */
export const loadLibc = (): Promise<Libc> => {
  once ??= bound();
  return once;
};
