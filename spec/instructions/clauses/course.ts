// Several instructions in a row leave what each of them leaves to the next: where the run ends, registers, flags, memory, system registers, the frame.
// Intel SDM volume 1, Instruction Pointer; volume 2, Operation and Flags Affected of the pages.

import type { Clause, Harm, Judged } from '../../clause.ts';
import { sdm } from '../../sources.ts';
import type { Capability } from '../../units.ts';
import { flagsOfEnding } from '../course.ts';
import type { Ending, InstructionsGhost, Kind } from '../ghost.ts';
import { clause, missedOf, type Seen, without } from './clause.ts';

const cite = sdm('Volume 1, Basic Execution Environment, Instruction Pointer');
const ended = (m: Seen, more: (e: Ending) => boolean = () => true): boolean => {
  const { courseMet: met } = m.before;
  return met !== undefined && met.by !== 'shutdown' && more(met);
};
const same = (
  name: string,
  says: string,
  kinds: readonly Kind[],
  when: (e: Ending) => boolean,
  options: { readonly needs?: readonly Capability[]; readonly harm?: Harm } = {},
): Clause<InstructionsGhost> =>
  clause({
    id: `instructions.course.${name}`,
    cite,
    level: 'must',
    binds: 'cpu',
    says: `of several instructions in a row ${says}`,
    on: ['cpu.outcome'],
    ...(options.needs === undefined ? {} : { needs: options.needs }),
    harm: options.harm ?? 'wrong-data',
    when: (m) => ended(m, when),
    holds: (m): Judged => {
      const judged = without(m.before.courseDifferences, kinds);
      // Which register shows it depends on the instructions that follow the wrong one.
      return name === 'registers' && judged !== true && 'kind' in judged ? { ...judged, kind: 'register' } : judged;
    },
  });
const seen: readonly Capability[] = ['memory.seen'];
const own: readonly Capability[] = ['cpu.system'];
export const courseClauses: readonly Clause<InstructionsGhost>[] = [
  clause({
    id: 'instructions.course.ends',
    cite,
    level: 'must',
    binds: 'cpu',
    says: 'several instructions in a row are executed in the order of the program, up to the event or the stop that ends it',
    on: ['cpu.outcome'],
    harm: 'dies',
    when: ({ before }) => before.expected.course !== undefined,
    holds: (m): Judged => {
      const endings = m.before.expected.course?.endings ?? [];
      return m.before.courseMet !== undefined || missedOf(m.event, endings);
    },
  }),
  same('registers', 'each finds in the registers what the one before left', ['result', 'kept', 'rip'], () => true),
  same('flags', 'each finds the flags that the one before left', ['flags', 'flags.kept', 'flags.silent'], (e) => flagsOfEnding(e) !== 0),
  same(
    'stores',
    'each finds in memory what the one before stored, and ports are accessed in their order',
    ['store', 'accessed', 'descriptor', 'task', 'port'],
    (e) => e.stores.size > 0 || e.ports.length > 0,
    { needs: seen },
  ),
  same('memory', 'none stores elsewhere', ['stray'], () => true, { needs: seen, harm: 'stray-write' }),
  same(
    'system',
    'segment, control, debug and model-specific registers are as the last of them left them',
    ['segment', 'segment.kept', 'hidden', 'system', 'system.kept', 'cr2', 'dr6'],
    () => true,
    { needs: own },
  ),
  same(
    'frame',
    'the event that ends them saves the state at that place',
    ['frame.error', 'frame.rip', 'frame.flags', 'frame.selector', 'frame.stack', 'handler'],
    (e) => e.frame !== undefined,
    { needs: [...own, ...seen] },
  ),
];
