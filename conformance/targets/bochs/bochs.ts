// Bochs as a processor: our ROM is the whole machine; its debugger writes control block and results out of guest memory when the agent is done.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Target } from '../../../spec/units.ts';
import { bochsrc } from '../../agents/bochsrc.ts';
import { emulated, rom, romRoom } from '../../agents/image.ts';
import { control, controlAt, ramSize, results, vars } from '../../agents/map.ts';
import type { Ran, Runner } from '../agent/batch.ts';
import { runProcess, workFolder } from '../agent/process.ts';
import { agentTarget } from '../agent/target.ts';

const install = 'apt-get install -y --no-install-recommends bochs bochs-term';
const binary = 'bochs-bin';
/** One start takes about 100 ms, a case 0.05 ms, one that hangs about 10 ms: twice that for each, were they all to hang. */
const deadline = (cases: number): number => 10_000 + 20 * cases;
/** The newest processor of Bochs 2.7 with UMIP, SMAP and the rest. */
const usualModel = 'corei7_icelake_u';
/** Past this a start's results are not relied on: halves of the cases are run again. */
const resultRoom = ramSize - results - 0x10000;
/** As many bytes as there are results, as the debugger finds it in physical memory. What a lost program may have made of the variable stays in memory. */
const resultSize = `((@0x${vars.nextResult.toString(16)} - 0x${results.toString(16)}) & 0x${(results - 1).toString(16)})`;
/** Whether the agent is not done. */
const notDone = `@0x${(control + controlAt.done).toString(16)} == 0`;
/** As many as answers may wait in memory for, twice, since the next start runs while these are judged: a start takes as long as two thousand cases. */
const atOnce = 16_384;

/** The agent's variables from `nextCase`: mapped in every program's own page tables, which the debugger reads through. */
const progressSize: number = vars.hot - vars.nextCase;

/** Bochs has no option that only prints its version; help prints it first. */
const versionOf = (): string | undefined => {
  const ran = spawnSync(binary, ['--help'], { encoding: 'latin1', timeout: 20_000, env: { ...process.env, TERM: 'xterm' } });
  return ran.error === undefined
    ? (/Bochs x86 Emulator ([\w.]+)/.exec(`${ran.stdout}${ran.stderr}`)?.[1] ?? 'of unknown version')
    : undefined;
};
export const probeBochs = ():
  | { readonly available: true; readonly detail: string }
  | { readonly available: false; readonly reason: string; readonly install: string } => {
  const version = versionOf();
  return version === undefined
    ? { available: false, reason: `${binary}: not found`, install }
    : { available: true, detail: `Bochs ${version}, ${usualModel}` };
};

/** Lines of the debugger's script that let the guest go on; those that are left over when the agent is done only ask for that. */
const lines = (cases: number): number => 16 + ((3 * cases) >> 6);
const runnerOf = (model: string, folder: string): Runner => {
  const over = new AbortController();
  const at = (name: string): string => join(folder, name);
  writeFileSync(at('vga.rom'), new Uint8Array(512));
  writeFileSync(at('bochsrc'), bochsrc(model, ramSize >> 20));
  return {
    room: romRoom,
    watched: true,
    abort: () => over.abort(),
    run: async (machine, cases, how): Promise<Ran> => {
      writeFileSync(at('run.rom'), rom(machine, cases, emulated[how]));
      for (const name of ['progress', 'results', 'run.log']) rmSync(at(name), { force: true });
      const rc = [
        // One for the end, one for each shutdown or XCHG BX, BX of a program: all stop in the debugger.
        ...Array.from({ length: lines(cases.length) }, () => `c if ${notDone}`),
        `writemem "progress" 0x${vars.nextCase.toString(16)} ${progressSize}`,
        `writemem "results" 0x${results.toString(16)} ${resultSize}`,
        'quit',
        '',
      ];
      writeFileSync(at('rc'), rc.join('\n'));
      // SIGINT stops the guest and lets the debugger go on with its script.
      const ended = await runProcess(binary, ['-q', '-f', 'bochsrc', '-rc', 'rc'], {
        cwd: folder,
        deadline: deadline(cases.length),
        polite: 'SIGINT',
        env: { TERM: 'xterm' },
        signal: over.signal,
      });
      if (ended.error !== undefined) return { finished: 0, results: undefined, ended: { broke: ended.error } };
      const said = existsSync(at('progress')) ? readFileSync(at('progress')) : undefined;
      const left = said?.length === progressSize ? said.readUInt32LE(vars.casesLeft - vars.nextCase) : undefined;
      const written = said?.length === progressSize ? said.readUInt32LE(vars.nextResult - vars.nextCase) - results : 0;
      if (written > resultRoom) return { finished: undefined, results: undefined, ended: 'lines' };
      if (left === 0) return { finished: cases.length, results: readFileSync(at('results')), ended: 'shutdown' };
      const progress = left === undefined ? undefined : cases.length - left;
      const verified = cases.length - (left === undefined ? 0 : (said?.readUInt32LE(vars.group + 16 - vars.nextCase) ?? 0));
      const log = existsSync(at('run.log')) ? readFileSync(at('run.log'), 'latin1').trim().split('\n').at(-1) : '';
      // Every line was used up by shutdowns: what is left goes on in another start.
      if (said !== undefined && progress !== undefined && progress >= lines(cases.length) - 2 && ended.code === 0 && !ended.late)
        return { finished: verified, results: existsSync(at('results')) ? readFileSync(at('results')) : undefined, ended: 'lines' };
      const broke = ended.code !== 0 && !ended.late ? { broke: `Bochs exited ${ended.code ?? 'by a signal'}: ${log}` } : undefined;
      return { finished: progress, verified, results: undefined, ended: broke ?? (ended.late ? 'hang' : 'shutdown') };
    },
  };
};

/** The processors that this Bochs has; none where it does not list them. */
const models = (): readonly string[] => {
  const ran = spawnSync(binary, ['--help', 'cpu'], { encoding: 'latin1', timeout: 20_000, env: { ...process.env, TERM: 'xterm' } });
  const listed = `${ran.stdout}\n${ran.stderr}`.split('Supported CPU models:')[1] ?? '';
  return listed.split('\n').filter((line) => /^[a-z]\w+$/.test(line));
};

/** `model`: a processor of Bochs's (`bochs -help cpu` lists them). */
export const bochsTarget = async (model: string = usualModel): Promise<Target> => {
  const version = versionOf();
  if (version === undefined) throw new Error(`${binary} is not installed; ${install}`);
  if (!/^\w+$/.test(model)) throw new Error(`${JSON.stringify(model)} is no name of a processor; write bochs:${usualModel}`);
  const known = model === usualModel ? [] : models();
  if (known.length > 0 && !known.includes(model)) throw new Error(`Bochs has no processor ${model}; it has ${known.join(', ')}`);
  const folder = workFolder('bochs');
  try {
    return await agentTarget({
      name: 'bochs',
      version: `Bochs ${version}, ${model}`,
      runner: runnerOf(model, folder.path),
      atOnce,
      overlaps: true,
      close: folder.remove,
    });
  } catch (error) {
    folder.remove();
    throw error;
  }
};
