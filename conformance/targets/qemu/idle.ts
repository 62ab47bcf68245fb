// Proof that a process has nothing left to do: all its threads asleep, seen twice with no thread having run in between.
// proc(5), /proc/PID/task/TID/status: State and the counts of voluntary and involuntary context switches.

import fs from 'node:fs';
import { switchesIn, threadStatus } from '../host/thread-status.ts';

const asleep = '\nState:\tS';

/** Which threads there are and how often each has been switched; undefined while any is not asleep. */
function sleepers(pid: number): string | undefined {
  let seen = '';
  for (const id of fs.readdirSync(`/proc/${pid}/task`)) {
    const status = threadStatus(pid, id);
    if (!status.includes(asleep)) return undefined;
    seen += `${id} ${switchesIn(status)};`;
  }
  return seen;
}

/** Whether every thread slept from the first look to the second: then only a stimulus can wake the process again. */
export function idle(pid: number): boolean {
  try {
    const first = sleepers(pid);
    return first !== undefined && first === sleepers(pid);
  } catch (error) {
    // A thread or the process ended between listing and reading: not idle, and the next round trip says what happened.
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return false;
    throw error;
  }
}
