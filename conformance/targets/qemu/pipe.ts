// A pair of FIFOs as a synchronous line protocol: send text, read the next line, blocking.
// The guardian shell writes `EXIT n` into the answering FIFO when the process ends, so that a read always ends.

import fs from 'node:fs';
import os from 'node:os';
import { loadLibc } from '../host/libc.ts';
import { probeHost } from '../host/probe.ts';

/** Looks without sleep before a read that sleeps. QEMU writes each answer by itself, and waking a sleeper for each takes it longer than most commands. */
const looks = 400;
const libc = os.availableParallelism() > 1 && (await probeHost()).ok ? await loadLibc() : undefined;

export interface Pipe {
  /** Readable when more has come. */
  readonly fd: number;
  send(text: string): void;
  /** The next line that is not empty. */
  next(): string;
  /** Whether so many lines have arrived. Where that cannot be seen without waiting: yes. */
  holds(lines: number): boolean;
  close(): void;
}

/** Opens PATH.in and PATH.out read-write, so that neither open nor write ever blocks; `wait` wraps each blocking read. */
export function openPipe(path: string, wait: (read: () => number) => number): Pipe {
  const to = fs.openSync(`${path}.in`, 'r+');
  const from = fs.openSync(`${path}.out`, 'r+');
  const eager = fs.openSync(`${path}.out`, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const chunk = Buffer.allocUnsafe(1 << 16);
  const read = (): number => {
    for (let look = 0; libc !== undefined && look < looks; look++) {
      const length = libc.read(eager, chunk);
      if (length !== undefined) return length;
    }
    return wait(() => fs.readSync(from, chunk, 0, chunk.length, null));
  };
  let lines: string[] = [];
  let next = 0;
  let rest = '';
  /** Puts what was read behind the lines that are waiting. */
  const take = (length: number): void => {
    const fresh = (rest + chunk.toString('latin1', 0, length)).split('\n');
    rest = fresh.pop() ?? '';
    lines = next < lines.length ? [...lines.slice(next), ...fresh] : fresh;
    next = 0;
  };
  return {
    fd: eager,
    holds: (count) => {
      while (libc !== undefined && lines.length - next < count) {
        const length = libc.read(eager, chunk);
        if (length === undefined) return false;
        take(length);
      }
      return true;
    },
    send: (text) => {
      fs.writeSync(to, text);
    },
    next: () => {
      for (;;) {
        const line = lines[next++];
        if (line === undefined) take(read());
        else if (line.trim() !== '') return line;
      }
    },
    close: () => {
      fs.closeSync(to);
      fs.closeSync(from);
      fs.closeSync(eager);
    },
  };
}
