// Proof that a process has nothing left to do: all its threads asleep, seen twice with no thread having run in between.
// proc(5), /proc/PID/task/TID/status: State and the counts of voluntary and involuntary context switches.

import fs from 'node:fs';

const asleep = /^State:\s+S/m;
const switches = /^(?:voluntary|nonvoluntary)_ctxt_switches:\s+\d+/gm;

/** Which threads there are and how often each has been switched; undefined while any is not asleep. */
function sleepers(pid: number): string | undefined {
  const tasks = `/proc/${pid}/task`;
  let seen = '';
  for (const id of fs.readdirSync(tasks)) {
    const status = fs.readFileSync(`${tasks}/${id}/status`, 'latin1');
    if (!asleep.test(status)) return undefined;
    seen += `${id} ${status.match(switches)?.join(' ')};`;
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
