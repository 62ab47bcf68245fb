// Everything else stays: registers, segments, system registers, flags and memory, after completion and after a fault; and the priority of faults.
// Intel SDM volume 3, Exception Classifications; Priority Among Concurrent Events.

import type { Clause, Judged } from '../../clause.ts';
import type { Capability } from '../../units.ts';
import type { InstructionsGhost, Kind } from '../ghost.ts';
import { remapped, strays } from '../contain.ts';
import { clause, judgeEnd, sdm, type Seen, without } from './clause.ts';

const classes = sdm('Volume 3, Interrupt and Exception Handling, Exception Classifications');
const operation = sdm('Volume 2, Interpreting the Instruction Reference Pages, Operation Section');
const done = (m: Seen): boolean => m.before.met !== undefined && !m.before.met.fault && m.before.met.by !== 'shutdown';
const silent = new Set(['POPF', 'IRET']);
const faulted = (m: Seen): boolean => m.before.met?.fault === true && m.before.met.by !== 'shutdown';

const keeps = (
  name: string,
  says: string,
  when: (m: Seen) => boolean,
  kinds: readonly Kind[],
  options: { readonly needs?: readonly Capability[]; readonly harm?: 'stray-write' } = {},
): Clause<InstructionsGhost> =>
  clause({
    id: `instructions.${name}`,
    cite: name.startsWith('fault') ? classes : operation,
    level: 'must',
    binds: 'cpu',
    says,
    on: ['cpu.outcome'],
    ...(options.needs === undefined ? {} : { needs: options.needs }),
    harm: options.harm ?? 'wrong-data',
    when,
    holds: (m): Judged => without(m.before.differences, kinds),
  });
export const restClauses: readonly Clause<InstructionsGhost>[] = [
  keeps('unchanged.registers', 'general registers that an instruction does not write stay', done, ['kept']),
  keeps('unchanged.flags', 'flags that an instruction does not write stay', done, ['flags.kept']),
  keeps(
    'flag.silent',
    'flags that POPF and IRET may not change at their level stay without a fault',
    (m) => done(m) && silent.has(m.before.expected.instruction?.form.mnemonic ?? ''),
    ['flags.silent'],
  ),
  keeps('unchanged.segments', 'segment registers that an instruction does not load stay', (m) => m.before.ring3 && done(m), [
    'segment.kept',
  ]),
  keeps(
    'unchanged.system',
    'control, debug, table and model-specific registers that an instruction does not write stay',
    done,
    ['system.kept'],
    { needs: ['cpu.system'] },
  ),
  keeps('unchanged.memory', 'no byte changes that an instruction does not store to', done, ['stray'], {
    needs: ['memory.seen'],
    harm: 'stray-write',
  }),
  keeps(
    'unchanged.ports',
    'no port is accessed but those an instruction names',
    (m) => done(m) && m.before.met?.ports.length === 0,
    ['port'],
    { needs: ['cpu.port'] },
  ),
  keeps(
    'fault.registers',
    'a fault leaves general registers and status flags as they were before the instruction',
    (m) => faulted(m) && !m.before.changes.registers,
    ['kept', 'flags.kept', 'flags'],
  ),
  keeps('fault.segments', 'a fault leaves segment registers as they were', (m) => m.before.ring3 && faulted(m), [
    'segment.kept',
    'segment',
  ]),
  keeps(
    'fault.system',
    'a fault leaves control, debug, table and model-specific registers as they were, CR2 apart',
    faulted,
    ['system.kept', 'system'],
    { needs: ['cpu.system'] },
  ),
  keeps('fault.memory', 'an instruction that faults stores nothing but what it had completed before', faulted, ['stray', 'store'], {
    needs: ['memory.seen'],
    harm: 'stray-write',
  }),
  keeps('fault.ports', 'an instruction that faults accesses no port', (m) => faulted(m) && m.before.met?.ports.length === 0, ['port'], {
    needs: ['cpu.port'],
  }),
  keeps(
    'string.progress',
    'a repeated string instruction that faults leaves count and pointers after the iterations that completed',
    (m) => faulted(m) && m.before.changes.registers,
    ['kept', 'result', 'flags.kept', 'flags'],
  ),
  clause({
    id: 'instructions.priority.permitted',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Priority Among Concurrent Events'),
    level: 'must',
    binds: 'cpu',
    says: 'where several faults apply, one of those that the priorities permit is reported',
    on: ['cpu.outcome'],
    harm: 'wrong-data',
    when: ({ before }) => {
      const { endings, loud } = before.expected;
      return loud === true || (endings.length > 1 && endings.some((e) => e.rule !== endings[0]?.rule));
    },
    holds: (m) => (m.before.expected.loud === true ? { unknown: m.before.expected.unknown ?? 'the case' } : judgeEnd(m)),
  }),
  clause({
    id: 'instructions.memory.contained',
    cite: sdm('Volume 3, Paging, Access Rights'),
    level: 'must',
    binds: 'cpu',
    says: 'a program at CPL 3, however long, changes no byte of a page that it may only read or that is not mapped',
    on: ['cpu.outcome'],
    needs: ['memory.seen'],
    harm: 'stray-write',
    always: true,
    when: ({ before }) =>
      // Where the end was foretold, every byte is judged already.
      before.ring3 &&
      before.expected.endings.length === 0 &&
      before.written.length > 0 &&
      before.state !== undefined &&
      (before.state.cr0 & 0x80000000n) !== 0n &&
      before.userStart,
    holds: (m) => {
      const stray = strays(m.before, m.memory, m.granted);
      if (stray === undefined) return true;
      if (remapped(m.before, m.memory)) return { unknown: 'paging structures that the run has changed' };
      return { kind: 'page written', expected: 'no write to the page', saw: stray };
    },
  }),
];
