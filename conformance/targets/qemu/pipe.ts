// A pair of FIFOs as a synchronous line protocol: send text, read the next line, blocking.
// The guardian shell writes `EXIT n` into the answering FIFO when the process ends, so that a read always ends.

import fs from 'node:fs';

export interface Pipe {
  send(text: string): void;
  /** The next line that is not empty. */
  next(): string;
  close(): void;
}

/** Opens PATH.in and PATH.out read-write, so that neither open nor write ever blocks; `wait` wraps each blocking read. */
export function openPipe(path: string, wait: (read: () => number) => number): Pipe {
  const to = fs.openSync(`${path}.in`, 'r+');
  const from = fs.openSync(`${path}.out`, 'r+');
  const chunk = Buffer.allocUnsafe(1 << 16);
  let lines: string[] = [];
  let next = 0;
  let rest = '';
  return {
    send: (text) => {
      fs.writeSync(to, text);
    },
    next: () => {
      for (;;) {
        const line = lines[next++];
        if (line === undefined) {
          const length = wait(() => fs.readSync(from, chunk, 0, chunk.length, null));
          lines = (rest + chunk.toString('latin1', 0, length)).split('\n');
          rest = lines.pop() ?? '';
          next = 0;
        } else if (line.trim() !== '') return line;
      }
    },
    close: () => {
      fs.closeSync(to);
      fs.closeSync(from);
    },
  };
}
