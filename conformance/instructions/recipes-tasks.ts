// The last recipes, in blocks behind all others for the same reason: switches of tasks, of 32 and of 16 bits, by instructions and through gates of the
// IDT, faults of the new task; and the opcode that is undefined and yet no #UD.

import fc from 'fast-check';
import { at, below, called, edits, type Entry, far, KERNEL, named, topics, tweak, undisturbed, USER, within } from './recipe.ts';

const anyTask = tweak('new-task', below(64), below(16));
/** Not at a stop: what follows is the INT3 there, pushed on the stack that the new task names. */
const userTask = tweak('new-task', within(2, 3, 10, 6, 7), below(8));
/** Where a handler may start and be told. */
const atStop = tweak('new-task', within(0, 0, 8, 16, 24, 1, 9, 7), below(16));
const gateOf = (...vectors: readonly number[]): ReturnType<typeof tweak> => tweak('task-gate', within(...vectors), below(16));
const goodGateOf = (...vectors: readonly number[]): ReturnType<typeof tweak> => tweak('task-gate', within(...vectors), below(8));
const flags = tweak('flag', within(7, 9, 10, 2, 11));
const plainFar = { level: KERNEL, prefix: 0, size: 0, place: 0, selector: named('otherTss', 'otherTss', 'taskGate'), rpl: 0 } as const;
const byEvent = { prefix: 0, level: within(USER, USER, KERNEL) } as const;
const plainReturn = { level: KERNEL, prefix: 0, size: 0, place: 0, selector: 0, rpl: 0, value2: 0, count: 0 } as const;

export const taskRecipes: readonly Entry[] = [
  // By instructions: to a task of 16 bits or of 32, from either.
  [far, { ...plainFar, tweaks: edits(anyTask, flags) }, 8],
  [far, { ...plainFar, tweaks: edits(anyTask, tweak('own-task', 0), flags) }, 6],
  [far, { ...plainFar, level: within(USER, 1, 2), selector: named('taskGate'), rpl: within(0, 3), tweaks: edits(anyTask, flags) }, 4],
  [far, { ...plainFar, tweaks: edits(userTask, tweak('odd-task', below(22))) }, 12],
  [far, { ...plainFar, tweaks: edits(userTask, tweak('own-task', 0), tweak('odd-task', below(22))) }, 3],
  [called('IRET'), { ...plainReturn, tweaks: edits(anyTask, tweak('flag', 4), flags) }, 5],
  [called('IRET'), { ...plainReturn, tweaks: edits(userTask, tweak('odd-task', below(22)), tweak('flag', 4)) }, 5],
  [called('IRET'), { ...plainReturn, tweaks: edits(anyTask, tweak('own-task', 0), tweak('flag', 4)) }, 3],
  // By events: software interrupts; faults with and without an error code; external interrupts; a double fault.
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(gateOf(0), atStop, tweak('iopl', 3)) }, 8],
  [called('INT'), { ...byEvent, imm: within(2, 3), tweaks: edits(goodGateOf(0, 9), atStop, tweak('own-task', 0), tweak('iopl', 3)) }, 3],
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(goodGateOf(0), atStop, tweak('odd-task', within(17, 18, 0)), tweak('iopl', 3)) }, 2],
  [called('INT3'), { ...byEvent, tweaks: edits(gateOf(1), atStop) }, 3],
  [called('INT1'), { ...byEvent, tweaks: edits(goodGateOf(10), atStop) }, 2],
  [called('INTO'), { ...byEvent, tweaks: edits(goodGateOf(7), atStop, tweak('flag', 10)) }, 2],
  [called('UD2'), { ...byEvent, tweaks: edits(gateOf(2), atStop, flags) }, 5],
  [called('UD2'), { ...byEvent, tweaks: edits(goodGateOf(2), atStop, tweak('own-task', 0)) }, 3],
  [called('DIV'), { ...byEvent, value: 1, tweaks: edits(goodGateOf(8), atStop, flags) }, 3],
  [called('HLT', 'CLTS'), { ...byEvent, level: within(USER, 1), tweaks: edits(gateOf(3), atStop, flags) }, 5],
  [called('HLT'), { ...byEvent, level: USER, tweaks: edits(goodGateOf(3), atStop, tweak('own-task', 0)) }, 3],
  [
    called('MOV', 'ADD', 'PUSH', 'POP'),
    { ...byEvent, memory: true, place: at('absent', 'not mapped', 'into absent'), tweaks: edits(goodGateOf(6), atStop) },
    5,
  ],
  [topics('alu', 'move'), { ...undisturbed, memory: false, tweaks: edits(gateOf(0, 4), atStop, tweak('interrupt', within(0, 1))) }, 6],
  [
    topics('alu', 'move'),
    { ...undisturbed, memory: false, tweaks: edits(goodGateOf(4), atStop, tweak('interrupt', 0), tweak('own-task', 0)) },
    3,
  ],
  [called('HLT'), { ...byEvent, level: USER, tweaks: edits(goodGateOf(5), atStop, tweak('gate', 1, within(0, 3, 6))) }, 4],
  // AL is not judged; that it is no #UD is.
  [called('SALC'), { ...undisturbed, tweaks: fc.oneof(edits(), edits(tweak('flag', within(7, 8, 11)))) }, 4],
];
