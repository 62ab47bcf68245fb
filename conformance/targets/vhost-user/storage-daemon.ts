// qemu-storage-daemon as a child with a disk that we own: both the disk and its log are anonymous files, the socket's name is
// the kernel's, and the child dies with us (prctl PR_SET_PDEATHSIG by setpriv), so that nothing can be left behind.

import { spawn, spawnSync } from 'node:child_process';
import { fstatSync, openSync, readSync } from 'node:fs';
import { once } from 'node:events';
import type { Libc } from '../host/libc.ts';
import { shareMemory } from '../host/shared-memory.ts';
import { listenUnnamed, type SocketAddress } from '../host/unix-socket.ts';

export const program = 'qemu-storage-daemon';

export interface DiskShape {
  /** Capacity in 512-byte sectors. */
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly blockSize: number;
  readonly queues: number;
}
export interface StorageDaemon {
  readonly address: SocketAddress;
  readonly pid: number;
  /** Puts the pattern back: each 16-bit little-endian word of the disk holds its own index modulo 65536. */
  readonly restore: () => void;
  /** What it said so far, one line. */
  readonly log: () => string;
  readonly close: () => Promise<void>;
}

/** '7.2.22', or why there is none. */
export const versionOf = (): { readonly version: string } | { readonly reason: string } => {
  const ran = spawnSync(program, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  if (ran.error !== undefined) return { reason: `${program} cannot be run: ${ran.error.message}` };
  const version = /version (\S+)/.exec(ran.stdout)?.[1];
  return version === undefined ? { reason: `${program} --version says ${JSON.stringify(ran.stdout.slice(0, 80))}` } : { version };
};

const pattern = (size: number): Buffer => {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size / 2; i++) bytes.writeUInt16LE(i % 65536, 2 * i);
  return bytes;
};

/** Bytes of log kept: hostile rings make it talk. */
const logMax = 1 << 20;
/** Restorations between looks at how long it is. */
const trimming = 64;
/** File descriptors in the child. */
const listener = 3;
const image = 4;

/** The last words of a log. */
const said = (log: number): string => {
  const text = Buffer.alloc(1000);
  const length = readSync(log, text, 0, text.length, Math.max(0, fstatSync(log).size - text.length));
  return text.toString('latin1', 0, length).trim().replaceAll('\n', '; ');
};

/** Starts it; that it serves shows when the first request is answered. Throws where the program cannot be started at all. */
export const startStorageDaemon = (libc: Libc, shape: DiskShape): StorageDaemon => {
  const size = shape.sectors * 512;
  const original = pattern(size);
  const disk = shareMemory(libc, 'disk', size);
  const log = libc.memfd('log', 0);
  const appended = openSync(`/proc/self/fd/${log}`, 'a');
  disk.bytes.set(original);
  const socket = listenUnnamed(libc);
  const child = spawn(
    'setpriv',
    [
      '--pdeathsig',
      'KILL',
      program,
      '--blockdev',
      `driver=file,node-name=disk,filename=/proc/self/fd/${image},discard=unmap,detect-zeroes=off,aio=threads`,
      '--export',
      `type=vhost-user-blk,id=export,node-name=disk,addr.type=fd,addr.str=${listener},writable=${shape.readOnly ? 'off' : 'on'}` +
        `,logical-block-size=${shape.blockSize},num-queues=${shape.queues}`,
    ],
    { stdio: ['ignore', appended, appended, socket.fd, disk.fd] },
  );
  const exited = once(child, 'exit').catch((error: unknown) => error);
  child.unref();
  libc.close(socket.fd);
  libc.close(appended);
  const { pid } = child;
  if (pid === undefined) {
    disk.retire();
    libc.close(log);
    throw new Error('setpriv (util-linux) cannot be run');
  }
  let restored = 0;
  return {
    address: socket.address,
    pid,
    restore: () => {
      if (!disk.bytes.equals(original)) disk.bytes.set(original);
      if (++restored % trimming === 0 && fstatSync(log).size > logMax) libc.ftruncate(log, 0);
    },
    log: () => said(log),
    close: async () => {
      child.ref();
      child.kill('SIGKILL');
      await exited;
      disk.retire();
      libc.close(log);
    },
  };
};
