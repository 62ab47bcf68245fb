// A thread that kills QEMU when one answer takes too long, because the thread that waits for it is blocked in a read.
// It counts ticks of its own instead of reading a clock, so that a starved machine is given more time, not less.

import { Worker } from 'node:worker_threads';

const TURN = 0; // counts waits
const PID = 1; // whom we wait for, 0: nobody
const LIMIT = 2; // ticks allowed
const KILLED = 3; // last process killed
const STOP = 4;
const tick = 50; // ms

const source = `
const { cells } = require('node:worker_threads').workerData;
let turn = -1, ticks = 0;
while (Atomics.wait(cells, ${STOP}, 0, ${tick}) === 'timed-out') {
  const pid = Atomics.load(cells, ${PID}), now = Atomics.load(cells, ${TURN});
  if (pid === 0 || now !== turn) { turn = now; ticks = 0; continue; }
  if (++ticks < Atomics.load(cells, ${LIMIT})) continue;
  Atomics.store(cells, ${KILLED}, pid);
  try { process.kill(pid, 'SIGKILL'); } catch (e) { if (e.code !== 'ESRCH') throw e; }
  ticks = 0;
}`;

export interface Watchdog {
  /** Runs a blocking read of what process `pid` should answer within `ms`. */
  wait<T>(pid: number, ms: number, read: () => T): T;
  /** Whether the process ended because it did not answer. */
  killed(pid: number): boolean;
  close(): void;
}

export function startWatchdog(): Watchdog {
  const cells = new Int32Array(new SharedArrayBuffer(5 * 4));
  const worker = new Worker(source, { eval: true, execArgv: [], workerData: { cells } });
  worker.unref();
  return {
    wait: (pid, ms, read) => {
      Atomics.add(cells, TURN, 1);
      Atomics.store(cells, LIMIT, Math.ceil(ms / tick));
      Atomics.store(cells, PID, pid);
      try {
        return read();
      } finally {
        Atomics.store(cells, PID, 0);
      }
    },
    killed: (pid) => Atomics.load(cells, KILLED) === pid,
    close: () => {
      Atomics.store(cells, STOP, 1);
      Atomics.notify(cells, STOP);
    },
  };
}
