// Ends a child that keeps a blocked reader waiting: a worker thread counts the deadline, because the reading thread sleeps in read(2).
// The same thread empties the child's stderr, so that a flood there neither blocks the child nor fills a disk.

import { Worker } from 'node:worker_threads';

/** What the worker watches. Both buffers are shared; `control` holds the words that `word` names. */
export interface Watch {
  readonly pid: number;
  readonly deadlineMs: number;
  /** FIFOs of the child's stdin and stdout, for unblocking whoever sleeps on them. */
  readonly stdin: string;
  readonly stdout: string;
  /** Descriptor to read stderr from; the worker owns it. */
  readonly stderr: number;
  readonly control: SharedArrayBuffer;
  readonly tail: SharedArrayBuffer;
}
/** armed: number of the wait, 0 for none. verdict: 0 none, 1 silent, 2 dead. written: bytes of stderr so far. ended: stderr is closed. */
export const word = { armed: 0, verdict: 1, written: 2, ended: 3 } as const;
export const controlWords = 4;

export interface Watchdog {
  watch(orders: Watch): void;
  close(): void;
}

/** Runs in the worker from its source text: it may use nothing from outside. */
const patrol = (): void => {
  const fs = process.getBuiltinModule('node:fs');
  const net = process.getBuiltinModule('node:net');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  const tickMs = 20;
  let orders: Watch | undefined;
  let stderr: import('node:net').Socket | undefined;
  let waiting = { armed: 0, since: 0, deadTicks: 0 };
  let drain = -1;

  const dead = (pid: number): boolean => {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
      return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) === 'Z';
    } catch {
      return true; // reaped
    }
  };
  const unblock = (watch: Watch): void => {
    const { O_WRONLY, O_RDONLY, O_NONBLOCK } = fs.constants;
    try {
      const out = fs.openSync(watch.stdout, O_WRONLY | O_NONBLOCK);
      fs.writeSync(out, '\n');
      fs.closeSync(out);
    } catch {
      // nobody reads, or the pipe is full: then nobody sleeps in it
    }
    try {
      drain = fs.openSync(watch.stdin, O_RDONLY | O_NONBLOCK);
    } catch {
      drain = -1; // the room is gone already
    }
  };
  const empty = (): void => {
    try {
      while (fs.readSync(drain, Buffer.alloc(65536)) > 0);
    } catch {
      // EAGAIN: empty for now
    }
  };
  const tick = (): void => {
    if (orders === undefined) return;
    if (drain >= 0) empty();
    const control = new Int32Array(orders.control);
    const armed = Atomics.load(control, 0);
    if (armed === 0 || Atomics.load(control, 1) !== 0) return;
    if (armed !== waiting.armed) {
      waiting = { armed, since: performance.now(), deadTicks: 0 };
      return;
    }
    const late = performance.now() - waiting.since > orders.deadlineMs;
    waiting.deadTicks = dead(orders.pid) ? waiting.deadTicks + 1 : 0;
    if (!late && waiting.deadTicks < 3) return;
    Atomics.store(control, 1, late ? 1 : 2);
    try {
      process.kill(-orders.pid, 'SIGKILL');
    } catch {
      // the whole group is gone
    }
    unblock(orders);
  };
  const keep = (watch: Watch, chunk: Buffer): void => {
    const tail = new Uint8Array(watch.tail);
    const control = new Int32Array(watch.control);
    const end = chunk.subarray(Math.max(0, chunk.length - tail.length));
    let written = Atomics.load(control, 2);
    for (const byte of end) {
      tail[written % tail.length] = byte;
      written = written + 1 < 0x4000_0000 ? written + 1 : tail.length + ((written + 1) % tail.length);
    }
    Atomics.store(control, 2, written);
  };
  parentPort?.on('message', (next: Watch) => {
    stderr?.destroy();
    if (drain >= 0) fs.closeSync(drain);
    drain = -1;
    waiting = { armed: 0, since: 0, deadTicks: 0 };
    orders = next;
    stderr = new net.Socket({ fd: next.stderr, readable: true, writable: false });
    stderr.on('data', (chunk: Buffer) => keep(next, chunk));
    const ended = (): void => {
      Atomics.store(new Int32Array(next.control), 3, 1);
      Atomics.notify(new Int32Array(next.control), 3);
    };
    stderr.on('error', ended);
    stderr.on('close', ended);
  });
  setInterval(tick, tickMs);
};

export const startWatchdog = (): Watchdog => {
  // `__name` is what some compilers wrap around functions to keep their names
  const worker = new Worker(`const __name = (f) => f; (${patrol.toString()})();`, { eval: true, execArgv: [] });
  worker.unref();
  return {
    watch: (orders) => worker.postMessage(orders),
    close: () => void worker.terminate(),
  };
};
