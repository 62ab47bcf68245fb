// One run of an emulator as a child process: in a folder of its own, with a deadline, dead when we are. Nothing of it outlives the call but files.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Ended {
  /** Undefined: a signal ended it. */
  readonly code: number | undefined;
  /** The deadline ended it. */
  readonly late: boolean;
  readonly stderr: string;
  /** It could not be started. */
  readonly error?: string;
}
/** A folder in shared memory where there is some: guest memory lives in files. */
export const workFolder = (name: string): string =>
  mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `vmmc-${name}-${process.pid}-`));

/** Runs to the end or the deadline, in milliseconds; `polite` is tried first, SIGKILL a second later. */
export const runProcess = (
  command: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly deadline: number;
    readonly polite: 'SIGINT' | 'SIGTERM' | 'SIGKILL';
    readonly env?: Readonly<Record<string, string>>;
  },
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      cwd: options.cwd,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    let late = false;
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => {
      if (stderr.length < 4096) stderr += bytes.toString('latin1');
    });
    const timer = setTimeout(() => {
      late = true;
      child.kill(options.polite);
      setTimeout(() => child.kill('SIGKILL'), 1000).unref();
    }, options.deadline);
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ code: undefined, late, stderr, error: error.message });
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? undefined, late, stderr });
    });
  });
