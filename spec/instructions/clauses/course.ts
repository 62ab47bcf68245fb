// Several instructions in a row leave what each of them leaves to the next: where the run ends, registers, flags, memory, ports, system registers, frame.
// Each finds what the one before left: SDM volume 2, Operation and Flags Affected of the pages, one after the other.

import type { Clause, Harm, Judged } from '../../clause.ts';
import { sdm } from '../../sources.ts';
import type { Capability } from '../../units.ts';
import { low, statusFlags } from '../bits.ts';
import type { Ending, InstructionsGhost, Kind } from '../ghost.ts';
import { clause, missedOf, type Seen, without } from './clause.ts';

const pointer = sdm('Volume 1, Basic Execution Environment, Instruction Pointer');
const operation = sdm('Volume 2, Interpreting the Instruction Reference Pages, Operation Section');
const flagsAffected = sdm('Volume 2, Interpreting the Instruction Reference Pages, Flags Affected Section');
const frames = sdm('Volume 3, Interrupt and Exception Handling, Exception- or Interrupt-Handler Procedures');
const ended = (m: Seen, more: (e: Ending) => boolean): boolean => {
  const { courseMet: met } = m.before;
  return met !== undefined && met.by !== 'shutdown' && more(met);
};
const always = (): boolean => true;
/** Which register shows it depends on the instructions that follow the wrong one, and which system flags on what stands in their place. */
const ofOne = new Set(['rflags', 'status', 'RF']);
const coarse = (kind: string): string =>
  kind.startsWith('rflags ') && !kind.split(' ').every((word) => ofOne.has(word)) ? 'rflags system' : kind;
interface Text {
  readonly name: string;
  readonly says: string;
  readonly cite?: typeof operation;
  readonly kinds: readonly Kind[];
  readonly when?: (e: Ending) => boolean;
  readonly needs?: readonly Capability[];
  readonly harm?: Harm;
}
const same = ({ name, says, cite = operation, kinds, when = always, needs, harm = 'wrong-data' }: Text): Clause<InstructionsGhost> =>
  clause({
    id: `instructions.course.${name}`,
    cite,
    level: 'must',
    binds: 'cpu',
    says: `of several instructions in a row ${says}`,
    on: ['cpu.outcome'],
    ...(needs === undefined ? {} : { needs }),
    harm,
    when: (m) => ended(m, when),
    holds: (m): Judged => {
      const judged = without(m.before.courseDifferences, kinds);
      if (judged === true || !('kind' in judged)) return judged;
      return { ...judged, kind: name === 'registers' ? 'register' : coarse(judged.kind) };
    },
  });
export const courseClauses: readonly Clause<InstructionsGhost>[] = [
  clause({
    id: 'instructions.course.ends',
    cite: pointer,
    level: 'must',
    binds: 'cpu',
    says: 'several instructions in a row are executed in the order of the program, up to the event or the stop that ends it',
    on: ['cpu.outcome'],
    harm: 'dies',
    when: ({ before }) => before.expected.course !== undefined,
    holds: (m): Judged => m.before.courseMet !== undefined || missedOf(m.event, m.before.expected.course?.endings ?? []),
  }),
  same({ name: 'registers', says: 'each finds in the registers what the one before left', kinds: ['result', 'kept', 'rip'] }),
  same({
    name: 'flags',
    says: 'each finds the flags that the one before left',
    cite: flagsAffected,
    kinds: ['flags', 'flags.kept', 'flags.silent'],
    when: (e) => (statusFlags & ~low(e.open.get('rflags') ?? 0n)) !== 0,
  }),
  same({
    name: 'stores',
    says: 'each finds in memory what the one before stored',
    kinds: ['store', 'accessed', 'descriptor', 'task'],
    when: (e) => e.stores.size > 0,
    needs: ['memory.seen'],
  }),
  same({ name: 'memory', says: 'none stores elsewhere', kinds: ['stray'], needs: ['memory.seen'], harm: 'stray-write' }),
  same({ name: 'ports', says: 'ports are accessed as they name them, and no others', kinds: ['port'], needs: ['cpu.port'] }),
  same({
    name: 'system',
    says: 'segment, control, debug and model-specific registers are as the last of them left them',
    kinds: ['segment', 'segment.kept', 'hidden', 'system', 'system.kept', 'cr2', 'dr6'],
    needs: ['cpu.system'],
  }),
  same({
    name: 'frame',
    says: 'the event that ends them saves the state at that place',
    cite: frames,
    kinds: ['frame.error', 'frame.rip', 'frame.flags', 'frame.selector', 'frame.stack', 'handler'],
    when: (e) => e.frame !== undefined,
    needs: ['cpu.system', 'memory.seen'],
  }),
];
