// A child process that works on memory shared with us: asked by a byte on a socket, answering by one, watched by a deadline.
// Either side sees the other's end as the end of the stream, so that a child never outlives us and its death never blocks us.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readable } from './eventfd.ts';
import type { Libc } from './libc.ts';
import { shareMemory } from './shared-memory.ts';

/** Descriptors that the child finds open: the shared memory and its end of the socket. */
export const childFd = { memory: 3, socket: 4 } as const;

export interface Worker {
  readonly shared: Buffer;
  /** Asks for one round of work and sleeps until it is done, the child is gone, or the time is up (then it is ended). */
  readonly round: (milliseconds: number) => 'done' | 'gone' | 'late';
  /** Ends it and waits for its end; harmless when repeated. */
  readonly close: () => Promise<void>;
}

const byte = Buffer.alloc(1);
/** Looks before sleeping: most rounds are short, and being woken costs more than a short round. */
const looksMax = 40;

/** `command` is a path; the program must wait for a byte on the socket first. */
export const startWorker = (libc: Libc, command: string, args: readonly string[], sharedBytes: number): Worker => {
  const memory = shareMemory(libc, 'vmmc-worker', sharedBytes);
  const [ours, theirs] = libc.socketpair();
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore', memory.fd, theirs], detached: true });
  libc.close(theirs);
  child.on('error', () => undefined); // its end of the socket closes, which `round` reports
  const ended = child.exitCode === null && child.pid !== undefined ? once(child, 'exit') : Promise.resolve([]);
  child.unref();
  let closed = false;
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  const round = (milliseconds: number): 'done' | 'gone' | 'late' => {
    if (closed) return 'gone';
    try {
      libc.write(ours, byte);
      for (let look = 0; look < looksMax; look++) {
        const got = libc.recv(ours, byte, false);
        if (got !== undefined) return got === 1 ? 'done' : 'gone';
      }
      const until = performance.now() + milliseconds;
      while (!readable(libc, [ours], Math.max(1, until - performance.now())))
        if (performance.now() >= until) {
          kill();
          return 'late';
        }
      return libc.recv(ours, byte, true) === 1 ? 'done' : 'gone';
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (code === 'EPIPE' || code === 'ECONNRESET') return 'gone';
      throw error;
    }
  };
  return {
    shared: memory.bytes,
    round,
    close: async () => {
      if (closed) return;
      closed = true;
      libc.close(ours);
      kill();
      child.ref();
      await ended;
      memory.retire();
    },
  };
};
