// When a machine that says nothing is taken to hang: once it has burnt more processor time than many cases take, firmware in between, or sleeps and nothing
// wakes it. The time that passes decides only for one that sleeps; where the work is done elsewhere (ssh, a daemon) that is all that there is to see.

import { readdirSync, readFileSync } from 'node:fs';

/** A command and all that it started, at one moment. */
export interface Activity {
  /** Processor time used so far, in milliseconds. */
  readonly used: number;
  /** Whether anything of it runs, or waits for nothing but a processor or a disk. */
  readonly awake: boolean;
}
/** Milliseconds between looks. */
export const lookMs = 100;
/** A case takes about a millisecond, firmware that a reset goes through again some hundred. */
const burnt = 3000;
/** Looks in a row at which it sleeps. */
const asleep = 50;

/** A listener for one machine; to be called at each look at which nothing was heard since the one before. */
export const silence = (): { readonly heard: () => void; readonly hangs: (now: Activity) => boolean } => {
  let since: number | undefined;
  let slept = 0;
  return {
    heard: () => {
      since = undefined;
      slept = 0;
    },
    hangs: ({ used, awake }) => {
      since ??= used;
      slept = awake ? 0 : slept + 1;
      return used - since > burnt || slept >= asleep;
    },
  };
};

interface Process {
  readonly parent: number;
  readonly state: string;
  readonly used: number;
}
/** proc(5): state and parent, then utime and stime, in ticks of 10 ms, after a name in parentheses that may hold any byte. */
const processOf = (stat: string): Process => {
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return { parent: Number(fields[1]), state: fields[0] ?? '', used: 10 * (Number(fields[11]) + Number(fields[12])) };
};
const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined; // it ended meanwhile
  }
};
/** Whether one of its threads is awake: the state of a process is its first thread's, which in QEMU is not the one that runs the guest. */
const anyAwake = (pid: number): boolean => {
  let threads: readonly string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch {
    return false;
  }
  return threads.some((thread) => /^[RD]/.test(processOf(read(`/proc/${pid}/task/${thread}/stat`) ?? ') S').state));
};
/** What a process and its descendants are doing; where nothing can be seen, it sleeps. */
export const activity = (root: number): Activity => {
  const all = new Map<number, Process>();
  let names: readonly string[] = [];
  try {
    names = readdirSync('/proc');
  } catch {
    // Somebody else's files may be hidden, or none more be opened.
  }
  for (const name of names) {
    const stat = /^\d+$/.test(name) ? read(`/proc/${name}/stat`) : undefined;
    if (stat !== undefined) all.set(Number(name), processOf(stat));
  }
  const ours = (pid: number): boolean => {
    const up = new Set<number>();
    for (let at = pid; !up.has(at); at = all.get(at)?.parent ?? 0) {
      if (at === root) return true;
      if (at === 0) return false;
      up.add(at);
    }
    return false;
  };
  let used = 0;
  let awake = false;
  for (const [pid, one] of all)
    if (ours(pid)) {
      used += one.used;
      awake ||= anyAwake(pid);
    }
  return { used, awake };
};
