// The life of one QEMU process: a directory in shared memory, FIFO pairs for qtest and QMP, and a guardian shell.
// The guardian holds a pipe from us: however we end, it sees end of file, kills QEMU and removes the directory.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { haltingFirmware } from './firmware.ts';
import { openPipe, type Pipe } from './pipe.ts';
import type { Watchdog } from './watchdog.ts';

// $1 is the directory, the rest the command. `ended` keeps a process id that may have been reused from being killed;
// `EXIT` on qtest.out comes last, so that whoever has read it may remove the directory.
const guardian = `
dir=$1; shift
exec 3<&0 </dev/null
"$@" 2>>"$dir/stderr" 3<&- &
child=$!
echo "PID $child" 1<>"$dir/qtest.out"
( cat >/dev/null; [ -e "$dir/ended" ] || kill -KILL $child ) <&3 &
wait $child; code=$?
: >"$dir/ended"
printf '\\nEXIT %s\\n' $code 1<>"$dir/qmp.out"
printf '\\nEXIT %s\\n' $code 1<>"$dir/qtest.out"
exec 3<&-
wait
rm -rf "$dir"`;

export const answerLimit = 2_000; // ms
const startLimit = 20_000; // ms

export interface Running {
  readonly pid: number;
  readonly dir: string;
  readonly qtest: Pipe;
  readonly qmp: Pipe;
  /** Why it is no longer running. */
  ended(): string | undefined;
  /** A new life of the machine: what was said before is no diagnosis of its end, and is forgotten when it is much. */
  renew(): void;
  close(): void;
}

/** Shared memory where there is some: guest memory, disk and FIFOs all live in files. */
const root = (): string => (fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir());

const diedAs = (code: number, pid: number, watchdog: Watchdog, stderr: string): string => {
  // Said at each start where the qtest accelerator is not built in; it is no reason.
  const lines = stderr.split('\n').filter((line) => line !== '' && !/-accel qtest: invalid|falling back to tcg/.test(line));
  const tail = lines.slice(-3).join(' | ');
  return `${watchdog.killed(pid) ? 'hang: no answer in 2 s, killed; ' : ''}QEMU exited ${code}${tail === '' ? '' : `: ${tail}`}`;
};

/** Starts `binary` with the arguments for its directory. The files named are made before it starts. */
export function launch(
  binary: string,
  files: Readonly<Record<string, number>>,
  args: (dir: string) => readonly string[],
  watchdog: Watchdog,
  firmware: Uint8Array = haltingFirmware(),
): Running {
  const dir = fs.mkdtempSync(path.join(root(), `vmmc-qemu-${process.pid}-`));
  const at = (name: string): string => path.join(dir, name);
  execFileSync('mkfifo', ['qtest.in', 'qtest.out', 'qmp.in', 'qmp.out'].map(at));
  fs.writeFileSync(at('firmware'), firmware);
  for (const [name, size] of Object.entries(files)) {
    fs.writeFileSync(at(name), '');
    fs.truncateSync(at(name), size);
  }
  let pid = 0;
  let limit = startLimit;
  let death: string | undefined;
  /** Bytes that were said in earlier lives. */
  let said = 0;
  const stderr = (): string => fs.readFileSync(at('stderr'), 'latin1').slice(said);
  /** Whether the end of qtest.out was read: nobody writes to the directory any more. */
  let over = false;
  const watched = (read: () => number): number => watchdog.wait(pid, limit, read);
  // Before anybody writes: what is in a FIFO that nobody holds open is lost.
  const qtest = openPipe(at('qtest'), watched);
  const qmp = openPipe(at('qmp'), watched);
  const common = ['-nodefaults', '-no-user-config', '-display', 'none', '-bios', at('firmware')];
  const control = ['-qtest', `pipe:${at('qtest')}`, '-qtest-log', 'none', '-chardev', `pipe,id=qmp,path=${at('qmp')}`];
  const command = ['setpriv', '--pdeathsig', 'KILL', binary, ...common, ...control, '-mon', 'chardev=qmp,mode=control', ...args(dir)];
  const shell = spawn('sh', ['-c', guardian, 'vmmc-qemu', dir, ...command], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  if (shell.pid === undefined) throw new Error('cannot start sh');
  shell.unref();
  const lifeline = shell.stdin as typeof shell.stdin & { unref?: () => void };
  lifeline.unref?.();

  const living = (pipe: Pipe): Pipe => ({
    ...pipe,
    holds: (lines) => death !== undefined || pipe.holds(lines),
    next: () => {
      if (death !== undefined) throw new Error(death);
      const line = pipe.next();
      if (!line.startsWith('EXIT ')) {
        limit = answerLimit;
        return line;
      }
      if (pipe === qtest) over = true;
      death = diedAs(Number(line.slice(5)), pid, watchdog, stderr());
      throw new Error(death);
    },
  });
  pid = Number(qtest.next().replace('PID ', ''));
  return {
    pid,
    dir,
    qtest: living(qtest),
    qmp: living(qmp),
    ended: () => death,
    renew: () => {
      const { size } = fs.statSync(at('stderr'));
      if (size > 1 << 20) fs.truncateSync(at('stderr'));
      said = size > 1 << 20 ? 0 : size;
    },
    close: () => {
      lifeline.destroy();
      while (!over) if (qtest.next().startsWith('EXIT ')) over = true;
      death ??= 'closed';
      qtest.close();
      qmp.close();
      fs.rmSync(dir, { recursive: true, force: true });
    },
  };
}
