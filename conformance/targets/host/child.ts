// A child's side of `startWorker`: the shared memory, and rounds of work asked for by a byte on the socket.
// The kernel ends the child with the thread that started it (prctl(2), PR_SET_PDEATHSIG); the closed socket tells it too.

import { childFd } from './worker.ts';
import { loadLibc } from './libc.ts';

export interface Rounds {
  readonly shared: Buffer;
  /** Sleeps until a round is asked for; false when nobody will ask again. */
  readonly next: () => boolean;
  readonly answer: () => void;
}

export const bindChild = async (sharedBytes: number): Promise<Rounds> => {
  const libc = await loadLibc();
  libc.diesWithParent();
  const shared = Buffer.from(libc.view(libc.map(childFd.memory, sharedBytes), sharedBytes));
  const byte = Buffer.alloc(1);
  const looksMax = 40;
  return {
    shared,
    next: () => {
      for (let look = 0; ; look++) {
        try {
          const got = libc.recv(childFd.socket, byte, look >= looksMax);
          if (got !== undefined) return got === 1;
        } catch (error) {
          if ((error as { code?: unknown }).code !== 'EINTR') return false;
        }
      }
    },
    answer: () => void libc.write(childFd.socket, byte),
  };
};
