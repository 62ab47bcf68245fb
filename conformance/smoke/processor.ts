// Whether a processor can be driven: a machine of the suite is granted, and three instructions do there what they do everywhere.
// Intel SDM volume 2, MOV, PUSH, INT3: the same bytes in every mode of operation.

import { deskOf, put, stimuliOf } from '../instructions/desk.ts';
import { entryOf, levelsOf, startState } from '../instructions/state.ts';
import { limit, machines } from '../instructions/suite.ts';
import type { CpuMachine } from '../../spec/instructions/vocabulary.ts';
import type { Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation } from '../../spec/vocabulary.ts';
import type { ExecTarget } from '../targets/exec/exec.ts';
import { type Claim, failing, memoryOffers, red, shown } from './claim.ts';

const value = 0x5a;
/** MOV AL, 5AH; PUSH rAX; INT3. */
const code = Uint8Array.of(0xb0, value, 0x50, 0xcc, 0xcc);
const BP = 3;

export const processor = (target: () => ExecTarget): readonly Claim[] => {
  let machine: MachineConfig | undefined;
  let granted: Granted | undefined;
  let seen: readonly Observation[] = [];
  const stopped = (): Extract<Observation, { saw: 'cpu.stopped' }> | undefined => {
    const last = seen.at(-1);
    return last?.saw === 'cpu.stopped' ? last : undefined;
  };
  return [
    {
      check: 'a machine with a processor is granted',
      run: () => {
        const refused: string[] = [];
        for (const wanted of machines) {
          const { mode, paging } = wanted.cpu as CpuMachine;
          const got = target().reset(wanted);
          if (!('granted' in got)) {
            refused.push(`${mode}, paging ${paging}: ${'unsupported' in got ? got.unsupported : got.broke}`);
            continue;
          }
          machine ??= wanted;
          granted ??= got.granted;
          const wrong = memoryOffers(got.granted);
          if (wrong !== undefined) return wrong;
        }
        if (machine === undefined) return red(`none was: ${refused.join('; ')}`, 'grant at least one of the modes of operation');
        return `${machines.length - refused.length} of ${machines.length} modes`;
      },
    },
    {
      check: 'three instructions run to the stop of INT3',
      run: () => {
        if (machine === undefined) return red('there is no machine', 'grant one');
        const got = target().reset(machine);
        if (!('granted' in got)) return red(`the second reset was answered ${shown(got)}`, 'grant the same machine as often as asked');
        const { mode } = machine.cpu as CpuMachine;
        const cpl = levelsOf(mode).at(-1) ?? 0;
        const desk = deskOf(machine, granted as Granted, startState(machine, cpl), cpl);
        put(desk, entryOf(mode), code);
        desk.s.rip = BigInt(entryOf(mode)) - desk.s.cs.base;
        const stimuli = stimuliOf(desk, limit);
        const answers = target().applyAll(stimuli);
        const wrong = failing(stimuli, answers, 'a processor');
        if (wrong !== undefined) return wrong;
        const last = answers.at(-1);
        seen = last !== undefined && 'saw' in last ? last.saw : [];
        const end = stopped();
        const fix = 'end cpu.run with {"saw":"cpu.stopped","by":"stop","stop":3,…}: gate 3 of the interrupt table leads to stop 3';
        if (end === undefined) return red(`cpu.run was answered ${shown(last)}`, fix);
        const there = end.by === 'stop' && (end.stop === BP || seen.some((o) => o.saw === 'cpu.exception' && o.vector === BP));
        return there ? 'by #BP' : red(`it stopped by ${end.by}${end.stop === undefined ? '' : ` ${end.stop}`}`, fix);
      },
    },
    {
      check: 'the register that was loaded is seen',
      run: () => {
        const { rax } = stopped()?.state ?? {};
        if (rax === undefined) return red('the state has no rax', 'tell at least the general registers, rip and rflags');
        return (rax & 0xffn) === BigInt(value)
          ? `rax ${rax.toString(16)}H`
          : red(`al is ${shown(rax & 0xffn)}`, 'load "state" before running');
      },
    },
    {
      check: 'the bytes that were pushed are seen',
      run: () => {
        const writes = seen.flatMap((o) => (o.saw === 'memory.changed' ? o.writes : []));
        if (granted?.memory.seen === 'unseen') return 'memory is unseen';
        return writes.some((w) => w.bytes.includes(value))
          ? `${writes.length} places changed`
          : red(
              'no changed byte is 5AH',
              'let the guest use the file named in reset as its memory, or report memory.changed before cpu.stopped',
            );
      },
    },
  ];
};
