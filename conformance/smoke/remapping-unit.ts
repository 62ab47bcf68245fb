// Whether a remapping unit can be driven: its registers are read, a write of a device lands while translation is off, and is stopped by an
// empty root table. VT-d 4.1, Register Descriptions; Legacy Mode Address Translation; Setting the Root-Table Pointer.

import type { MachineConfig } from '../../spec/units.ts';
import type { Iova } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { ExecTarget } from '../targets/exec/exec.ts';
import { bit, COMMAND, REG } from '../vt-d/bits.ts';
import { vtdMachines } from '../vt-d/machines.ts';
import { type Claim, failing, memoryOffers, type Red, red, shown } from './claim.ts';

const bytes = Uint8Array.of(0x76, 0x6d, 0x6d, 0x63);
const place = 0x5000n;
/** Where nothing was written: an empty root table. */
const root = 0x8000n;
const command = (n: number, ...still: readonly number[]): Stimulus => ({
  do: 'vtd.write',
  at: REG.GCMD,
  width: 4,
  value: [n, ...still].reduce((v, b) => v | bit(b), 0n),
});

export const remappingUnit = (target: () => ExecTarget): readonly Claim[] => {
  let machine: MachineConfig | undefined;
  let writer = 0;
  const write = (): Stimulus => ({ do: 'dma.write', requester: writer, at: place as Iova, bytes });
  const run = (stimuli: readonly Stimulus[]): readonly (readonly Observation[])[] | Red => {
    const answers = target().applyAll(stimuli);
    return failing(stimuli, answers, 'a remapping unit') ?? answers.map((a) => ('saw' in a ? a.saw : []));
  };
  const landed = (seen: readonly Observation[]): boolean =>
    seen.some((o) => o.saw === 'memory.changed' && o.writes.some((w) => w.at <= place && w.at + BigInt(w.bytes.length) > place));
  return [
    {
      check: 'a machine with a remapping unit is granted',
      run: () => {
        const refused: string[] = [];
        for (const wanted of vtdMachines) {
          const got = target().reset(wanted);
          if ('granted' in got) {
            machine ??= wanted;
            const wrong = memoryOffers(got.granted);
            if (wrong !== undefined) return wrong;
          } else refused.push(`CAP_REG ${shown(wanted.vtd?.cap)}: ${'unsupported' in got ? got.unsupported : got.broke}`);
        }
        if (machine === undefined) return red(`none was: ${refused.join('; ')}`, 'grant a unit with exactly the capabilities asked for');
        writer = Math.max(0, machine.vtd?.requesters.findIndex((r) => r.can.includes('write')) ?? 0);
        return `${vtdMachines.length - refused.length} of ${vtdMachines.length} units`;
      },
    },
    {
      check: 'its capability registers hold what was granted',
      run: () => {
        if (machine === undefined) return red('there is no machine', 'grant one');
        const got = target().reset(machine);
        if (!('granted' in got)) return red(`the second reset was answered ${shown(got)}`, 'grant the same machine as often as asked');
        const seen = run([
          { do: 'vtd.read', at: REG.CAP, width: 8 },
          { do: 'vtd.read', at: REG.ECAP, width: 8 },
        ]);
        if ('red' in seen) return seen;
        const values = seen.flat().flatMap((o) => (o.saw === 'vtd.register' ? [o.value] : []));
        const { cap, ecap } = got.granted.vtd ?? {};
        return values[0] === cap && values[1] === ecap
          ? `CAP_REG ${shown(cap)}, ECAP_REG ${shown(ecap)}`
          : red(`they hold ${shown(values)}`, `they must read ${shown([cap, ecap])}, or the reset is unsupported`);
      },
    },
    {
      check: 'a write of a device lands while translation is off',
      run: () => {
        const seen = run([write()]);
        if ('red' in seen) return seen;
        return landed(seen[0] ?? [])
          ? `at ${shown(place)}`
          : red(
              `it was answered ${shown(seen[0])}`,
              'let the device write into the file named in reset, or report memory.changed before dma.done',
            );
      },
    },
    {
      check: 'an empty root table stops the next one',
      run: () => {
        const seen = run([
          { do: 'vtd.write', at: REG.RTADDR, width: 8, value: root },
          command(COMMAND.SRTP),
          command(COMMAND.TE),
          { do: 'memory.write', at: place as never, bytes: new Uint8Array(bytes.length) },
          write(),
          { do: 'vtd.read', at: REG.FSTS, width: 4 },
        ]);
        if ('red' in seen) return seen;
        if (landed(seen[4] ?? [])) return red('it landed', 'after TE was set in GCMD_REG every request of a device goes through the unit');
        const status = seen.at(-1)?.find((o) => o.saw === 'vtd.register');
        return status !== undefined && (status.value & 2n) !== 0n
          ? 'and a fault is pending'
          : red(`FSTS_REG reads ${shown(status?.value)}`, 'set PPF, bit 1, when a fault was recorded');
      },
    },
  ];
};
