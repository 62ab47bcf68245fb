// Somebody's unmodified virtual machine monitor as a target: the agent is the image that COMMAND boots, results come over its serial port, which is
// the command's standard output. Firmware may talk before the agent's mark; death and silence are answers.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Target } from '../../../spec/units.ts';
import { type ElfClass, elf, elfRoom } from '../../agents/elf.ts';
import { mark } from '../../agents/serial.ts';
import type { Ran, Runner } from '../agent/batch.ts';
import { workFolder } from '../agent/process.ts';
import { agentTarget } from '../agent/target.ts';
import { activity, lookMs, silence } from './silence.ts';

/** Milliseconds until the first word, firmware included. */
const patience = 20_000;
/** Firmware that talks more than this is not going to boot us. */
const chatter = 1 << 20;
const placeholders: readonly (readonly [name: string, width: ElfClass])[] = [
  ['{image}', 32],
  ['{image64}', 64],
];

interface Heard {
  /** Whole results, one after the other, and how many. */
  readonly results: Buffer;
  readonly finished: number;
  readonly spoke: boolean;
  /** Silence, death, a second start; KVM that cannot emulate an instruction. */
  readonly ended: 'silent' | 'died' | 'again' | 'all' | 'refused';
  readonly said: string;
}
/** Splits what came over the line: how many whole results stand in `bytes` from `from`, and where they end. */
export const whole = (bytes: Buffer, from: number, most: number): { readonly count: number; readonly end: number } => {
  let end = from;
  let count = 0;
  while (count < most && end + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(end);
    if (size < 16 || size > 4 << 20) break;
    if (end + size > bytes.length) break;
    end += size;
    count++;
  }
  return { count, end };
};

const listen = (command: string, cwd: string, cases: number, signal: AbortSignal): Promise<Heard> =>
  new Promise((resolve, reject) => {
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', `exec ${command}`], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    const abort = (): void => end('died');
    signal.addEventListener('abort', abort, { once: true });
    let bytes = Buffer.alloc(0);
    let start = -1;
    let at = { count: 0, end: 0 };
    let stderr = '';
    let over: Heard['ended'] | undefined;
    const end = (ended: Heard['ended']): void => {
      over ??= ended;
      clearTimeout(timer);
      clearInterval(looking);
      child.kill('SIGKILL');
    };
    const silent = (): void => end('silent');
    const timer = setTimeout(silent, patience);
    const quiet = silence();
    let words = 0;
    let known = 0;
    const looking = setInterval(() => {
      if (words === known) {
        if (start >= 0 && child.pid !== undefined && quiet.hangs(activity(child.pid))) silent();
      } else quiet.heard();
      known = words;
    }, lookMs);
    child.stderr.on('data', (b: Buffer) => {
      if (stderr.length < 4096) stderr += b.toString('latin1');
      // QEMU keeps running after this, with the processor stopped.
      if (stderr.includes('KVM internal error')) end('refused');
    });
    child.stdout.on('data', (b: Buffer) => {
      if (over !== undefined) return;
      bytes = Buffer.concat([bytes, b]);
      words++;
      if (start < 0) {
        const found = bytes.indexOf(mark);
        if (found < 0) {
          if (bytes.length > chatter) silent();
          return;
        }
        start = found + mark.length;
        at = { count: 0, end: start };
      }
      clearTimeout(timer);
      const more = whole(bytes, at.end, cases - at.count);
      at = { count: at.count + more.count, end: more.end };
      if (at.count === cases) end('all');
      else if (bytes.indexOf(mark, at.end) >= 0) end('again');
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      clearInterval(looking);
      reject(error);
    });
    child.on('close', () => {
      clearTimeout(timer);
      clearInterval(looking);
      signal.removeEventListener('abort', abort);
      resolve({
        results: start < 0 ? Buffer.alloc(0) : bytes.subarray(start, at.end),
        finished: at.count,
        spoke: start >= 0,
        ended: over ?? 'died',
        said: `${bytes.subarray(0, 200).toString('latin1')} ${stderr.trim().slice(-300)}`.trim(),
      });
    });
  });

const runnerOf = (command: string, folder: string, over = new AbortController()): Runner => ({
  room: elfRoom,
  abort: () => over.abort(),
  run: async (machine, cases): Promise<Ran> => {
    let filled = command;
    for (const [name, width] of placeholders) {
      if (!command.includes(name)) continue;
      const file = join(folder, `agent${width}`);
      writeFileSync(file, elf(machine, cases, width));
      filled = filled.replaceAll(name, file);
    }
    const heard = await listen(filled, folder, cases.length, over.signal);
    if (!heard.spoke)
      throw new Error(
        `the agent never spoke over the serial port on standard output (${heard.ended === 'died' ? 'the command ended' : 'silence'}): ${heard.said}`,
      );
    if (heard.ended === 'refused')
      return { finished: heard.finished, results: heard.results, ended: { unsupported: 'KVM internal error: emulation failure' } };
    // A second start, or an end, in the middle of a case is what shutdown does to a machine.
    return { finished: heard.finished, results: heard.results, ended: heard.ended === 'silent' ? 'hang' : 'shutdown' };
  },
});

/** `command`: a shell command; {image} is a 32-bit ELF file with multiboot header and PVH note, {image64} a 64-bit one. */
export const guestTarget = async (command: string): Promise<Target> => {
  if (!placeholders.some(([name]) => command.includes(name)))
    throw new Error(`the command does not say where the image goes: write {image}, as in 'guest:my-vmm -serial stdio -kernel {image}'`);
  const folder = workFolder('guest');
  try {
    return await agentTarget({
      name: 'guest',
      version: command
        .split(/\s+/)
        .slice(0, 40)
        .join(' ')
        .replaceAll(/\/[^\s]*\//g, ''),
      runner: runnerOf(command, folder.path),
      atOnce: 2048,
      close: folder.remove,
    });
  } catch (error) {
    folder.remove();
    throw error;
  }
};
