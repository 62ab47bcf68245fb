// The frame that an event pushes and the context its handler starts in; single steps.
// Intel SDM volume 3, Exception- or Interrupt-Handler Procedures; Error Code; Debug Status Register (DR6).

import type { Clause } from '../../clause.ts';
import { type InstructionsGhost, type Kind, wordOf } from '../ghost.ts';
import { clause, sdm, type Seen, without } from './clause.ts';

const procedures = sdm('Volume 3, Interrupt and Exception Handling, Exception- or Interrupt-Handler Procedures');
const delivered = (m: Seen): boolean => m.before.met?.frame !== undefined;
const jumps = new Set(['branch', 'far', 'call']);
const ownsTarget = (m: Seen): boolean =>
  m.before.met?.fault === false && jumps.has(m.before.expected.instruction?.form.topic ?? 'move') && m.before.changes.target;

const of = (
  id: string,
  says: string,
  kinds: readonly Kind[],
  when: (m: Seen) => boolean,
  cite: typeof procedures = procedures,
): Clause<InstructionsGhost> =>
  clause({
    id: `instructions.${id}`,
    cite,
    level: 'must',
    binds: 'cpu',
    says,
    on: ['cpu.outcome'],
    needs: ['cpu.system'],
    harm: 'wrong-data',
    when,
    holds: (m) => without(m.before.differences, kinds),
  });
export const frameClauses: readonly Clause<InstructionsGhost>[] = [
  of(
    'frame.rip',
    'the saved RIP is the faulting instruction after a fault, the next one after a trap',
    ['frame.rip'],
    (m) => delivered(m) && !ownsTarget(m),
  ),
  of(
    'frame.flags',
    'the saved RFLAGS are those before the event, with RF set for faults and between iterations',
    ['frame.flags'],
    delivered,
    sdm('Volume 3, Debug, Instruction-Breakpoint Exception Condition'),
  ),
  of(
    'frame.selectors',
    'the saved CS, and the data selectors of virtual-8086 mode, are those before the event',
    ['frame.selector'],
    delivered,
  ),
  of(
    'frame.stack',
    'SS and RSP are saved where the level changes, and always in 64-bit mode',
    ['frame.stack'],
    (m) => wordOf(m.before.met?.frame, 'rsp') !== undefined,
  ),
  of(
    'frame.error',
    'the error code is pushed as a whole word, with 0 where it is null and in bits 63:32',
    ['frame.error'],
    (m) => wordOf(m.before.met?.frame, 'error') !== undefined,
    sdm('Volume 3, Interrupt and Exception Handling, Error Code'),
  ),
  of(
    'deliver.handler',
    'the handler starts at its gate’s target, on its stack, with TF, NT, RF and VM clear and IF as the gate says',
    ['handler'],
    delivered,
  ),
  of(
    'deliver.hidden',
    'CS and SS of the handler have the hidden parts of their descriptors',
    ['hidden'],
    (m) => delivered(m) && (m.before.met?.fault === true || !m.before.changes.segments),
  ),
  of(
    'deliver.task',
    'an event through a task gate saves the old task in its TSS, stays linked to it and busy, and starts the new one from its TSS, with NT and CR0.TS set',
    ['task'],
    (m) => m.before.met?.switched === true,
    sdm('Volume 3, Task Management, Task Switching; Interrupt and Exception Handling, Interrupt Tasks'),
  ),
  of(
    'step.dr6',
    'DR6 says why: BS after a single-step trap, BT after a switch to a task with the debug trap flag, B0 to B3 for the breakpoints that were met, BD for a debug register that was accessed',
    ['dr6'],
    (m) => (m.before.met?.rule === 'step.trap' || m.before.met?.rule.startsWith('debug.') === true) && m.event.state.dr6 !== undefined,
    sdm('Volume 3, Debug, Debug Status Register (DR6)'),
  ),
];
