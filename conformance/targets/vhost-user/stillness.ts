// Evidence that a process does nothing and will do nothing by itself: all of its threads asleep, none having run in between.
// proc(5), /proc/PID/task/TID/status: State and the two context switch counts, which only ever grow.

import { readdirSync } from 'node:fs';
import { switchesIn, threadStatus } from '../host/thread-status.ts';

/** 'ended' is proof of death; a fingerprint stands for one sleep of every thread; undefined: some thread is not asleep. */
type Look = { readonly asleep: string } | 'ended' | undefined;

const label = '\nState:\t';
const fieldsOf = (status: string): { readonly state: string; readonly switches: string } => {
  const at = status.indexOf(label);
  return { state: at < 0 ? '?' : (status[at + label.length] ?? '?'), switches: switchesIn(status) };
};

const missing = (error: unknown): boolean => {
  const code = (error as { code?: unknown }).code;
  return code === 'ENOENT' || code === 'ESRCH';
};

/** Looks once at every thread of a process. */
const look = (pid: number): Look => {
  let threads: readonly string[];
  try {
    threads = readdirSync(`/proc/${pid}/task`);
  } catch (error) {
    if (missing(error)) return 'ended';
    throw error;
  }
  let seen = '';
  for (const thread of threads) {
    let status: string;
    try {
      status = threadStatus(pid, thread);
    } catch (error) {
      if (missing(error)) return undefined;
      throw error;
    }
    const { state, switches } = fieldsOf(status);
    if (state === 'Z' || state === 'X') return Number(thread) === pid ? 'ended' : undefined;
    if (state !== 'S') return undefined;
    seen += `${thread} ${switches}`;
  }
  return { asleep: seen };
};

/** Whether every thread slept from a first look, over `between`, to a second one. `between` may object. */
export const still = (pid: number, between: () => boolean): boolean | 'ended' => {
  const first = look(pid);
  if (first === 'ended') return 'ended';
  if (first === undefined || !between()) return false;
  const second = look(pid);
  if (second === 'ended') return 'ended';
  return second !== undefined && second.asleep === first.asleep;
};
