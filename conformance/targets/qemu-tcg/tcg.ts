// QEMU's own translator as a processor: our ROM in place of a BIOS, guest memory in a shared file, out through the debug-exit device.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineConfig, Target } from '../../../spec/units.ts';
import { emulated, rom, romRoom } from '../../agents/image.ts';
import { control, controlAt, controlSize, magic, ramSize, results } from '../../agents/map.ts';
import type { Ran, Runner } from '../agent/batch.ts';
import { runProcess, workFolder } from '../agent/process.ts';
import { agentTarget } from '../agent/target.ts';

const install = 'apt-get install -y --no-install-recommends qemu-system-x86';
/** In milliseconds: a hundred times what it takes on an idle machine. */
const deadline = (cases: number): number => 10_000 + 20 * cases;
const debugExitPort = 0x8900;

const versionOf = (binary: string): string | undefined => {
  const ran = spawnSync(binary, ['--version'], { encoding: 'latin1', timeout: 20_000 });
  return ran.status === 0 ? /version (.+)/.exec(ran.stdout)?.[1] : undefined;
};
export const probeTcg = ():
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly install: string } => {
  const version = versionOf('qemu-system-x86_64');
  return version === undefined
    ? { available: false, reason: 'qemu-system-x86_64: not found', install }
    : { available: true, detail: `qemu-system-x86_64 ${version}, TCG, -cpu max` };
};

/** What the shared memory says after the machine has ended. Of 64 MiB only the control block and the results are read. */
const readRan = (file: string, given: number, late: boolean, broke: string | undefined, hung: boolean): Ran => {
  const fd = openSync(file, 'r');
  try {
    const read = (at: number, length: number): Buffer => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, at));
    };
    const said = read(control, controlSize);
    if (said.length < controlSize) return { finished: 0, results: undefined, ended: { broke: broke ?? 'QEMU ended before it had memory' } };
    const done = said.readUInt32LE(controlAt.done) === 1;
    const end = done ? Math.min(Math.max(said.readUInt32LE(controlAt.resultsEnd), results), ramSize) : ramSize;
    const found = {
      finished: done ? given : said.readUInt32LE(controlAt.progress),
      ...(done ? {} : { verified: said.readUInt32LE(controlAt.verified) }),
      results: read(results, end - results),
    };
    if (done) return { ...found, ended: 'shutdown' };
    return { ...found, ended: broke !== undefined ? { broke, ...(hung ? { hung } : {}) } : late ? 'hang' : 'shutdown' };
  } finally {
    closeSync(fd);
  }
};

/** Milliseconds of processor time without progress that are a hang: the watchdog ends each case within 0.4 ms of guest time, 27,000 instructions. */
const stuck = 250;
/** Cases finished so far: the agent's mark in the shared memory. Below 0 until the agent is there: starting is no case. */
const progressOf = (file: string): number => {
  const said = Buffer.alloc(controlSize);
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    readSync(fd, said, 0, controlSize, control);
  } catch {
    return -1;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  return said.readUInt32LE(controlAt.magic) === magic ? said.readUInt32LE(controlAt.progress) : -1;
};
const runnerOf = (binary: string, folder: string): Runner => {
  const over = new AbortController();
  return {
    room: romRoom,
    watched: true,
    abort: () => over.abort(),
    run: async (machine: MachineConfig, cases, how) => {
      const at = (name: string): string => join(folder, name);
      writeFileSync(at('run.rom'), rom(machine, cases, emulated[how]));
      rmSync(at('ram'), { force: true });
      const ended = await runProcess(
        binary,
        [
          '-nodefaults',
          '-no-user-config',
          '-display',
          'none',
          '-bios',
          at('run.rom'),
          '-object',
          `memory-backend-file,id=ram0,size=${ramSize},mem-path=${at('ram')},share=on`,
          '-m',
          `${ramSize >> 20}M`,
          '-machine',
          'q35,memory-backend=ram0',
          '-accel',
          'tcg,tb-size=16',
          '-icount',
          'shift=4,sleep=off',
          '-cpu',
          'max,la57=off',
          '-device',
          `isa-debug-exit,iobase=${debugExitPort},iosize=4`,
        ],
        {
          cwd: folder,
          deadline: deadline(cases.length),
          polite: 'SIGTERM',
          progress: () => progressOf(at('ram')),
          stuck,
          signal: over.signal,
        },
      );
      if (ended.error !== undefined) return { finished: 0, results: undefined, ended: { broke: ended.error } };
      // 1 is the debug-exit device's (0 << 1 | 1). A signal is a death of QEMU's own.
      const died =
        !ended.late && ended.code !== 0 && ended.code !== 1
          ? `QEMU exited ${ended.code ?? 'by a signal'}: ${ended.stderr.trim().slice(-300)}`
          : undefined;
      // The agent's watchdog ends whatever a guest does: where nothing does, it is QEMU that hangs.
      const hung = ended.hung ? `QEMU hangs: ${stuck} ms of processor time without progress` : undefined;
      if (!existsSync(at('ram'))) return { finished: 0, results: undefined, ended: { broke: died ?? 'QEMU ended before it had memory' } };
      return readRan(at('ram'), cases.length, ended.late, died ?? hung, died === undefined && ended.hung);
    },
  };
};

export const tcgTarget = async (binary = 'qemu-system-x86_64'): Promise<Target> => {
  const version = versionOf(binary);
  if (version === undefined) throw new Error(`${binary} is not installed; ${install}`);
  const folder = workFolder('tcg');
  try {
    return await agentTarget({
      name: 'qemu-tcg',
      version: `${version}, TCG`,
      runner: runnerOf(binary, folder.path),
      atOnce: 16_384,
      overlaps: true,
      close: folder.remove,
    });
  } catch (error) {
    folder.remove();
    throw error;
  }
};
