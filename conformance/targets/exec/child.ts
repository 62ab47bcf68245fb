// One child process over blocking pipes: send a line, receive a line, or learn that it is gone and how. No waiting without a deadline.
// Lines are bounded: one that is longer is a flood, and whatever follows it is lost.

import { spawn } from 'node:child_process';
import { closeSync, readFileSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { openRoom } from './room.ts';
import { controlWords, type Watchdog, word } from './watchdog.ts';

export type Heard = { readonly line: string } | { readonly gone: string } | { readonly flood: string };
export interface Child {
  /** Path of the guest's memory file; made and sized by the caller. */
  readonly memory: string;
  /** Writes whole lines. A child that does not read shows in the next `receive`. */
  send(lines: string): void;
  receive(): Heard;
  /** Something came that nobody waits for. */
  unasked(): string | undefined;
  /** The end of its stderr. */
  stderr(): string;
  /** Waits for its end without asking for more; false when the deadline came first. */
  ended(): boolean;
  /** Ends the process group and clears the room. */
  close(): void;
}

const tailBytes = 64 * 1024;
export const longestLine: number = 16 * 1024 * 1024;

const signalName = (n: number): string => Object.entries(constants.signals).find(([, value]) => value === n)?.[0] ?? `signal ${n}`;

/** How a process ended, while it is a zombie: field 52 of /proc/PID/stat is its wait status (proc(5)). */
const endOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] !== 'Z') return undefined;
    const status = Number(fields[52 - 3]);
    const code = status >> 8;
    if ((status & 0x7f) !== 0) return `was ended by ${signalName(status & 0x7f)}`;
    return code > 128 ? `exited with status ${code} (a shell's word for ${signalName(code - 128)})` : `exited with status ${code}`;
  } catch {
    return 'exited'; // reaped already
  }
};

const nap = new Int32Array(new SharedArrayBuffer(4));
/** How it ended, with patience for the moment between closing its pipes and being dead. */
const endSoon = (pid: number): string => {
  for (let i = 0; i < 50; i++) {
    const end = endOf(pid);
    if (end !== undefined) return end;
    Atomics.wait(nap, 0, 0, 5);
  }
  return 'closed its standard output';
};

export const startChild = (command: string, watchdog: Watchdog, deadlineMs: number): Child => {
  const room = openRoom();
  const [stdin, stdout, stderr] = [room.pipe('stdin'), room.pipe('stdout'), room.pipe('stderr')];
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: [stdin.read, stdout.write, stderr.write] });
  for (const theirs of [stdin.read, stdout.write, stderr.write]) closeSync(theirs);
  const { pid } = child;
  if (pid === undefined) throw new Error('/bin/sh cannot be started');
  child.unref();
  room.guard(pid);

  const control = new Int32Array(new SharedArrayBuffer(4 * controlWords));
  const tail = new Uint8Array(new SharedArrayBuffer(tailBytes));
  watchdog.watch({
    pid,
    deadlineMs,
    stdin: stdin.path,
    stdout: stdout.path,
    stderr: stderr.read,
    control: control.buffer,
    tail: tail.buffer,
  });

  let waits = 0;
  const arm = (): void => {
    waits = (waits + 1) & 0x3fff_ffff || 1;
    Atomics.store(control, word.armed, waits);
  };
  const disarm = (): void => {
    Atomics.store(control, word.armed, 0);
  };
  const chunk = Buffer.alloc(64 * 1024);
  let have: Buffer[] = []; // of the line that is being received
  let left = chunk.subarray(0, 0); // read, but after the last line taken
  let gone: string | undefined;
  let closed = false;

  const goneHow = (): string => {
    const verdict = Atomics.load(control, word.verdict);
    gone ??= verdict === 1 ? `did not answer within ${deadlineMs / 1000} s` : endSoon(pid);
    return gone;
  };
  const takeLine = (): string | undefined => {
    const newline = left.indexOf(10);
    if (newline < 0) return undefined;
    have.push(left.subarray(0, newline));
    left = left.subarray(newline + 1);
    const line = have.length === 1 ? (have[0] as Buffer).toString('utf8') : Buffer.concat(have).toString('utf8');
    have = [];
    return line;
  };
  /** False at the end of its output. */
  const readMore = (): boolean => {
    if (left.length > 0) have.push(Buffer.from(left));
    const n = readSync(stdout.read, chunk);
    left = chunk.subarray(0, n);
    return n > 0 && Atomics.load(control, word.verdict) === 0;
  };
  const receive = (): Heard => {
    if (gone !== undefined) return { gone };
    let length = 0;
    for (;;) {
      const line = takeLine();
      if (line !== undefined) return { line };
      length += left.length;
      if (length > longestLine) return { flood: `a line of more than ${longestLine} bytes` };
      if (!readMore()) return { gone: goneHow() };
    }
  };
  const waiting = <T>(body: () => T): T => {
    arm();
    try {
      return body();
    } finally {
      disarm();
    }
  };
  return {
    memory: room.memory,
    send: (lines) => {
      if (gone !== undefined) return;
      const bytes = Buffer.from(lines);
      waiting(() => {
        try {
          for (let at = 0; at < bytes.length; ) at += writeSync(stdin.write, bytes, at);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error; // EPIPE: receive tells how it ended
        }
      });
    },
    receive: () => waiting(receive),
    unasked: () => (left.length > 0 ? left.toString('utf8') : undefined),
    stderr: () => {
      if (gone !== undefined || closed) Atomics.wait(control, word.ended, 0, 200);
      const written = Atomics.load(control, word.written);
      const at = written % tailBytes;
      const bytes = written <= tailBytes ? tail.slice(0, written) : Buffer.concat([tail.slice(at), tail.slice(0, at)]);
      return Buffer.from(bytes).toString('utf8');
    },
    ended: () =>
      waiting(() => {
        while (readMore()) left = chunk.subarray(0, 0);
        return Atomics.load(control, word.verdict) !== 1;
      }),
    close: () => {
      if (closed) return;
      closed = true;
      try {
        process.kill(-pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // nobody left in it
      }
      gone ??= 'was closed';
      for (const ours of [stdin.write, stdout.read]) closeSync(ours);
      room.close();
    },
  };
};
