// A child's room: a private directory of FIFOs and guest memory, and a guard that clears it all away even when we are killed.
// The guard is a shell that sleeps on a pipe of ours; when the pipe closes it ends the process group it was last told and removes the directory.

import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Room {
  readonly directory: string;
  /** Path of the guest's memory; in shared memory where the host has it. */
  readonly memory: string;
  /** Both ends of a FIFO, and its path. Whoever opens ends closes them. */
  pipe(name: 'stdin' | 'stdout' | 'stderr'): { readonly path: string; readonly read: number; readonly write: number };
  /** From now on this process group dies with us. */
  guard(group: number): void;
  /** Removes everything but the group, which the caller has ended. */
  close(): void;
}

const bothEnds = (path: string): { readonly path: string; readonly read: number; readonly write: number } => {
  const either = openSync(path, constants.O_RDWR); // opening one end alone would block
  const read = openSync(path, constants.O_RDONLY);
  const write = openSync(path, constants.O_WRONLY);
  closeSync(either);
  return { path, read, write };
};

const guardScript = 'trap "" INT TERM HUP; g=; while read -r l; do g=$l; done; [ -n "$g" ] && kill -s KILL -- "-$g"; rm -rf -- "$1"';

export const openRoom = (): Room => {
  const directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'vmmc-'));
  const path = (name: string): string => join(directory, name);
  execFileSync('mkfifo', ['-m', '600', ...['stdin', 'stdout', 'stderr', 'guard'].map(path)]);
  const ends = bothEnds(path('guard'));
  spawn('sh', ['-c', guardScript, 'vmmc-guard', directory], { detached: true, stdio: [ends.read, 'ignore', 'ignore'] }).unref();
  closeSync(ends.read);
  return {
    directory,
    memory: path('memory'),
    pipe: (name) => bothEnds(path(name)),
    guard: (group) => void writeSync(ends.write, `${group}\n`),
    close: () => {
      writeSync(ends.write, '\n');
      closeSync(ends.write);
      rmSync(directory, { recursive: true, force: true });
    },
  };
};
