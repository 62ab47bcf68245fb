// The status of a thread as the kernel tells it, read with as few calls as it takes: proofs of stillness read many of them.
// proc(5), /proc/PID/task/TID/status.

import { closeSync, openSync, readSync } from 'node:fs';

/** A status is some 1500 bytes long. */
const page = Buffer.alloc(8192);

/** Throws with `code` ENOENT or ESRCH where the thread ended. */
export const threadStatus = (pid: number, thread: string): string => {
  const fd = openSync(`/proc/${pid}/task/${thread}/status`, 'r');
  try {
    return page.toString('latin1', 0, readSync(fd, page, 0, page.length, null));
  } finally {
    closeSync(fd);
  }
};
/** From the counts of voluntary and involuntary context switches on: they stand last, and only ever grow. */
export const switchesIn = (status: string): string => {
  const at = status.indexOf('voluntary_ctxt_switches');
  if (at < 0) throw new Error('a thread status without context switch counts');
  return status.slice(at);
};
