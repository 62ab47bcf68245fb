// Recipes in blocks behind those of tasks: what a new task starts with — the debug trap flag, TF, virtual-8086 mode, segments that cannot be loaded —
// where an instruction goes to it, and where an event does through a gate of the IDT.

import fc from 'fast-check';
import { at, below, called, edits, type Entry, far, KERNEL, named, topics, tweak, undisturbed, USER, within } from './recipe.ts';

/** Of 32 and of 16 bits, of any level. */
const anyTask = tweak('new-task', below(64), below(8));
/** Those that start in code, not at a stop: an agent would be single-stepped there. */
const inCode = tweak('new-task', within(2, 3, 4, 5, 6, 10, 20, 11), below(8));
const inCode32 = tweak('new-task', within(2, 4, 6, 10, 20), below(8));
/** User code, and ring 1: their faults are handled on another stack. */
const userTask = tweak('new-task', within(2, 3, 10, 6, 7), below(8));
/** Supervisor code. */
const kernelTask = tweak('new-task', within(4, 5, 0, 1, 20), below(8));
/** Where a handler may start and be told. */
const atStop = tweak('new-task', within(0, 0, 8, 16, 24, 1, 9), below(8));
const odd = tweak('odd-task', below(22));
/** Stack and code are good. */
const oddData = tweak('odd-task', within(0, 1, 6, 7, 8, 10, 20));
const begins = (...list: readonly number[]): ReturnType<typeof tweak> => tweak('task-flags', within(...list), below(16));
const [TRAP, STEP, STEP_NOP, VIRTUAL, VIRTUAL_TRAP, STEP_TRAP, PAST, VIRTUAL_STEP, FULL] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;
const third = tweak('third-task', within(0, 0, 1), below(3));
const thirdForAll = tweak('third-task', 0, below(3));
const gateOf = (...vectors: readonly number[]): ReturnType<typeof tweak> => tweak('task-gate', within(...vectors), below(8));
const flags = tweak('flag', within(7, 9, 10, 2, 11));
const plainFar = { level: KERNEL, prefix: 0, size: 0, place: 0, selector: named('otherTss', 'otherTss', 'taskGate'), rpl: 0 } as const;
const plainReturn = { level: KERNEL, prefix: 0, size: 0, place: 0, selector: 0, rpl: 0, value2: 0, count: 0 } as const;
const byEvent = { prefix: 0, level: within(USER, USER, KERNEL) } as const;
const nested = tweak('flag', 4);
const open = tweak('iopl', 3);

export const switchRecipes: readonly Entry[] = [
  // By instructions.
  [far, { ...plainFar, tweaks: edits(anyTask, begins(TRAP), flags) }, 5],
  [far, { ...plainFar, tweaks: edits(inCode, begins(STEP, STEP, STEP_NOP, STEP_NOP, STEP_TRAP), flags) }, 6],
  [far, { ...plainFar, tweaks: edits(inCode32, begins(VIRTUAL, VIRTUAL, VIRTUAL, VIRTUAL_TRAP, VIRTUAL_STEP)) }, 8],
  [far, { ...plainFar, tweaks: edits(inCode32, begins(PAST)) }, 2],
  [far, { ...plainFar, tweaks: edits(kernelTask, odd, third) }, 8],
  [far, { ...plainFar, tweaks: edits(userTask, odd, third) }, 3],
  [called('IRET'), { ...plainReturn, tweaks: edits(inCode, begins(TRAP, STEP, STEP_NOP, VIRTUAL, VIRTUAL_TRAP, PAST), nested) }, 6],
  [called('IRET'), { ...plainReturn, tweaks: edits(kernelTask, odd, nested, third) }, 4],
  // By events: software interrupts; faults with and without an error code; external interrupts; a double fault.
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(gateOf(0), atStop, begins(TRAP, TRAP, VIRTUAL_TRAP), open) }, 5],
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(gateOf(0), userTask, odd, open) }, 5],
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(gateOf(0), kernelTask, odd, third, open) }, 3],
  [called('UD2'), { ...byEvent, tweaks: edits(gateOf(2), atStop, begins(TRAP, TRAP, VIRTUAL_TRAP)) }, 4],
  [called('UD2'), { ...byEvent, tweaks: edits(gateOf(2), userTask, odd, flags) }, 5],
  [called('UD2'), { ...byEvent, tweaks: edits(gateOf(2), kernelTask, odd, third) }, 3],
  [called('HLT', 'CLTS'), { ...byEvent, level: within(USER, 1), tweaks: edits(gateOf(3), atStop, begins(TRAP, TRAP, VIRTUAL_TRAP)) }, 3],
  [called('HLT', 'CLTS'), { ...byEvent, level: within(USER, 1), tweaks: edits(gateOf(3), userTask, oddData) }, 3],
  [called('HLT'), { ...byEvent, level: within(USER, 1), tweaks: edits(thirdForAll, gateOf(3), kernelTask, oddData) }, 3],
  [called('HLT'), { ...byEvent, level: USER, tweaks: edits(gateOf(5), userTask, oddData, tweak('gate', 1, within(0, 3, 6))) }, 2],
  [
    called('MOV', 'ADD', 'PUSH', 'POP'),
    { ...byEvent, memory: true, place: at('absent', 'not mapped', 'into absent'), tweaks: edits(gateOf(6), userTask, oddData) },
    3,
  ],
  [called('HLT', 'CLTS'), { ...byEvent, level: within(USER, 1), tweaks: edits(gateOf(3), userTask, begins(FULL)) }, 3],
  [called('INT'), { ...byEvent, imm: 2, tweaks: edits(gateOf(0), inCode32, begins(PAST), open) }, 2],
  [called('UD2'), { ...byEvent, tweaks: edits(gateOf(2), inCode32, begins(PAST)) }, 2],
  [
    called('MOV', 'ADD', 'CMP'),
    {
      ...byEvent,
      level: USER,
      size: 0,
      memory: true,
      place: at('unaligned'),
      tweaks: fc.oneof(edits(tweak('flag', 3), gateOf(12), userTask, odd), edits(tweak('flag', 3), gateOf(12), userTask, begins(FULL))),
    },
    6,
  ],
  [called('DIV'), { ...byEvent, value: 1, tweaks: edits(gateOf(8), userTask, odd) }, 2],
  [topics('alu', 'move'), { ...undisturbed, memory: false, tweaks: edits(gateOf(4), atStop, begins(TRAP), tweak('interrupt', 0)) }, 3],
  [topics('alu', 'move'), { ...undisturbed, memory: false, tweaks: edits(gateOf(4), userTask, odd, tweak('interrupt', 0)) }, 4],
];
