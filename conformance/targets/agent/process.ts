// One run of an emulator as a child process: in a folder of its own, with a deadline, dead when we are. Nothing of it outlives the call but files.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Ended {
  /** Undefined: a signal ended it. */
  readonly code: number | undefined;
  /** The deadline ended it. */
  readonly late: boolean;
  /** It burnt processor time without progress. */
  readonly hung: boolean;
  readonly stderr: string;
  /** It could not be started. */
  readonly error?: string;
}
export interface WorkFolder {
  readonly path: string;
  readonly remove: () => void;
}
/** A folder in shared memory where there is some: guest memory lives in files. A guardian removes it however this process ends: its input ends then. */
export const workFolder = (name: string): WorkFolder => {
  const path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `vmmc-${name}-${process.pid}-`));
  const guardian = spawn('sh', ['-c', 'read _; rm -rf "$1"', 'sh', path], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  guardian.on('error', () => {});
  guardian.stdin.on('error', () => {});
  guardian.unref();
  (guardian.stdin as unknown as { unref?: () => void }).unref?.();
  const remove = (): void => {
    process.off('exit', remove);
    rmSync(path, { recursive: true, force: true });
    guardian.stdin.end();
  };
  process.once('exit', remove);
  return { path, remove };
};

/** Milliseconds of processor time that a process has used. proc(5): utime and stime, in ticks of 10 ms. */
const processorTime = (pid: number | undefined): number => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return 0;
  }
};
/** How often progress is asked for. */
const lookMs = 50;
/** Runs to the end or the deadline, in milliseconds; `polite` is tried first, SIGKILL a second later. */
export const runProcess = (
  command: string,
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly deadline: number;
    readonly polite: 'SIGINT' | 'SIGTERM' | 'SIGKILL';
    readonly env?: Readonly<Record<string, string>>;
    /** How far it is. Processor time burnt without a change of this is a hang: `stuck`, in milliseconds. */
    readonly progress?: () => number;
    readonly stuck?: number;
    /** Ends it at once. */
    readonly signal?: AbortSignal;
  },
): Promise<Ended> =>
  new Promise((resolve) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], {
      cwd: options.cwd,
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...options.env },
      killSignal: 'SIGKILL',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let late = false;
    let hung = false;
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => {
      if (stderr.length < 4096) stderr += bytes.toString('latin1');
    });
    const over = (): boolean => child.exitCode !== null || child.signalCode !== null;
    // What came while this thread was busy is heard first: a child that has ended in time is not late.
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (over()) return;
        late = true;
        child.kill(options.polite);
        setTimeout(() => child.kill('SIGKILL'), 1000).unref();
      });
    }, options.deadline);
    const { progress, stuck = 0 } = options;
    let mark = { at: -1, cpu: 0 };
    const looking = setInterval(() => {
      const at = progress?.() ?? 0;
      const cpu = processorTime(child.pid);
      if (at !== mark.at) mark = { at, cpu };
      else if (at >= 0 && cpu - mark.cpu > stuck) {
        late = true;
        hung = true;
        child.kill('SIGKILL');
      }
    }, lookMs);
    if (progress === undefined) clearInterval(looking);
    let failed: string | undefined;
    const resolved = (code: number | null): void => {
      clearInterval(looking);
      clearTimeout(timer);
      resolve({ code: code ?? undefined, late, hung, stderr, ...(failed === undefined ? {} : { error: failed }) });
    };
    child.on('error', (error) => {
      failed = error.message;
      // One that runs still, as when it is told to end at once, is waited for.
      if (child.pid === undefined) resolved(null);
    });
    child.on('close', resolved);
  });
