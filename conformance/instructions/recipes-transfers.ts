// Recipes for what MOV SS holds back, far transfers, task switches, events, breakpoints and system registers: each is there for a rule that
// uniform draws left untested, or for a seeded fault that they let live.

import fc from 'fast-check';
import {
  KERNEL,
  USER,
  anySelector,
  below,
  called,
  edits,
  far,
  fromControl,
  gates,
  indexOf,
  named,
  onMemory,
  toControl,
  toDebug,
  toStack,
  topics,
  tweak,
  undisturbed,
  within,
  type Entry,
} from './recipe.ts';

// Indices of tweak.ts: flags TF 0, IF 1, AC 3, NT 4, RF 5, VIF 13, VIP 14; CR0 WP 0, AM 1, TS 2, MP 4; CR4 in the order of its table.
export const transferRecipes: readonly Entry[] = [
  // What MOV SS and POP SS hold back: a single-step trap, an interrupt, a breakpoint.
  [
    toStack,
    {
      ...undisturbed,
      level: within(KERNEL, USER),
      selector: 0,
      rpl: 0,
      reg: within(2, 9),
      tweaks: fc.oneof(
        edits(tweak('flag', 0)),
        edits(tweak('interrupt', below(4)), tweak('flag', 1)),
        edits(tweak('breakpoint', below(4), below(16))),
      ),
    },
    4,
  ],
  [
    [...topics('alu'), ...called('NOP', 'CLI', 'STI')],
    { prefix: 0, memory: false, tweaks: edits(tweak('shadow', below(2)), tweak('interrupt', below(4)), tweak('flag', within(0, 1, 1, 2))) },
    3,
  ],
  // Far transfers and gates.
  [far, { level: within(KERNEL, USER, 1), selector: anySelector, rpl: below(4) }, 6],
  [far, { level: within(KERNEL, USER, 1), selector: gates, rpl: below(4), tweaks: edits(tweak('call-gate', below(4), below(16))) }, 6],
  [far, { level: USER, selector: gates, rpl: 0, prefix: 0, tweaks: edits(tweak('tss', below(64))) }],
  [
    called('CALLF'),
    {
      level: USER,
      selector: named('callGate3'),
      rpl: 0,
      prefix: 0,
      memory: true,
      size: 0,
      tweaks: edits(tweak('tss', within(0, 1, 2, 3, 4, 5, 13, 21, 29))),
    },
  ],
  [
    called('CALLF'),
    {
      level: USER,
      selector: named('callGate3'),
      rpl: 0,
      prefix: 0,
      memory: true,
      size: 0,
      tweaks: edits(tweak('call-gate', 0, 4), tweak('tss', within(32, 33, 34, 35, 35, 36, 37, 45, 53, 61))),
    },
    4,
  ],
  [
    far,
    {
      level: within(KERNEL, USER),
      selector: named('absentCode', 'absentCode', 'unaccessed', 'codeLongAndBig', 'executeOnly', 'conforming0'),
      rpl: 0,
      prefix: 0,
    },
    4,
  ],
  [far, { level: USER, selector: gates, rpl: 0, prefix: 0, tweaks: edits(tweak('call-gate', 3, below(16)), tweak('stack', below(12))) }],
  [
    [...far, ...called('RETF')],
    {
      selector: named('userCode32', 'userCode64', 'conforming3', 'code1', 'executeOnly'),
      tweaks: edits(
        tweak(
          'descriptor',
          within(...(['userCode32', 'userCode64', 'conforming3', 'code1'] as const).map(indexOf)),
          within(8, 12, 9, 10, 0, 2),
        ),
      ),
    },
    8,
  ],
  [called('RETF', 'IRET'), { level: KERNEL, selector: 0, rpl: 3, prefix: 0, value2: within(0, 0, 21, 22, 23, 24, 25) }],
  [
    called('RETF', 'IRET'),
    { level: KERNEL, selector: 0, rpl: within(0, 3), prefix: 0, size: within(0, 2), tweaks: edits(tweak('frame', below(64), below(16))) },
  ],
  [
    called('RETF', 'IRET'),
    {
      level: KERNEL,
      selector: 0,
      rpl: 3,
      prefix: 0,
      tweaks: edits(tweak('segment', within(indexOf('kernelData'), indexOf('data1'), indexOf('conforming0')), 8)),
    },
  ],
  [called('RETF', 'IRET'), { selector: anySelector, rpl: below(4) }],
  [
    called('RETF', 'IRET'),
    {
      level: KERNEL,
      selector: 0,
      rpl: 3,
      prefix: 0,
      size: within(0, 2),
      tweaks: edits(tweak('frame', within(33, 34, 38, 39, 3, 4, 1), below(16))),
    },
  ],
  [called('IRET'), { tweaks: edits(tweak('flag', 4)) }],
  // Task switches.
  [
    far,
    {
      level: within(KERNEL, KERNEL, USER),
      selector: named('otherTss', 'otherTss', 'otherTss', 'taskGate', 'taskGate', 'busyTss'),
      rpl: 0,
      prefix: 0,
      size: 0,
      place: 0,
      tweaks: edits(tweak('task', below(64), below(16))),
    },
    8,
  ],
  [
    far,
    {
      level: KERNEL,
      selector: named('otherTss', 'taskGate'),
      rpl: 0,
      prefix: 0,
      place: 0,
      tweaks: edits(tweak('task', below(64), below(9)), tweak('flag', within(4, 2, 7, 3))),
    },
    3,
  ],
  [
    called('IRET'),
    { level: within(KERNEL, KERNEL, USER), prefix: 0, tweaks: edits(tweak('flag', 4), tweak('task', below(64), below(16))) },
    5,
  ],
  // Interrupts and exceptions.
  [
    called('INT', 'INT3', 'INTO', 'UD2', 'INT1'),
    { prefix: 0, imm: within(0, 0, 1, 2, 3, 4, 6, 8), tweaks: edits(tweak('gate', within(0, 3, 4, 6, 7), below(16))) },
  ],
  [called('INT', 'INT3', 'UD2', 'DIV', 'HLT'), { level: within(USER, 1), prefix: 0, tweaks: edits(tweak('tss', below(64))) }],
  [called('INT', 'INT3', 'UD2', 'HLT'), { prefix: 0, tweaks: edits(tweak('table', 1, below(16))) }],
  [called('INT'), { prefix: 0, imm: below(13), tweaks: edits(tweak('iopl', below(4))) }],
  [
    [...topics('alu'), ...called('STI', 'CLI', 'POPF', 'NOP')],
    { prefix: 0, tweaks: edits(tweak('interrupt', below(4)), tweak('flag', within(1, 2))) },
  ],
  [[...topics('alu', 'string'), ...called('MOV', 'POPSS', 'POPF', 'INT', 'SYSCALL', 'STI')], { tweaks: edits(tweak('flag', 0)) }],
  [topics('alu', 'move', 'string', 'stack'), { tweaks: edits(tweak('flag', within(0, 5)), tweak('flag', within(5, 4, 2))) }],
  // Breakpoints.
  [
    onMemory,
    {
      ...undisturbed,
      level: within(USER, KERNEL),
      memory: true,
      place: within(0, 0, 1),
      tweaks: edits(tweak('breakpoint', below(64), within(1, 2, 3, 4, 5, 6))),
    },
    5,
  ],
  [
    topics('alu', 'move', 'stack', 'branch', 'flag', 'string'),
    { ...undisturbed, tweaks: edits(tweak('breakpoint', below(64), below(16)), tweak('flag', within(0, 5, 5, 2))) },
    4,
  ],
  [
    called('IN', 'OUT', 'INS', 'OUTS', 'INSB', 'OUTSB'),
    { prefix: 0, level: KERNEL, value: below(13), imm: within(0, 1, 4), tweaks: edits(tweak('breakpoint', below(64), within(7, 8, 9, 8))) },
    4,
  ],
  [toDebug, { level: KERNEL, prefix: 0, tweaks: edits(tweak('breakpoint', below(64), 15)) }],
  // Tables, control, debug and model-specific registers.
  [called('LLDT', 'LTR'), { level: KERNEL, selector: anySelector, rpl: below(4), prefix: 0 }, 4],
  [
    called('LLDT', 'LTR'),
    {
      level: KERNEL,
      selector: named('otherTss', 'ldt', 'null', 'absentLdt', 'busyTss'),
      rpl: 0,
      prefix: 0,
      tweaks: edits(tweak('descriptor', within(indexOf('otherTss'), indexOf('ldt')), below(16))),
    },
  ],
  [called('LGDT', 'LIDT'), { level: KERNEL, prefix: 0, value: within(3, 7, 0), place: within(0, 1, 2) }],
  [toControl, { level: KERNEL, prefix: 0 }],
  [toControl, { level: KERNEL, prefix: 0, reg: 4, value: below(30), imm: within(0, 1, 2, 4, 5) }, 2],
  [fromControl, { level: KERNEL, prefix: 0, reg: below(5) }, 3],
  [toControl, { level: KERNEL, prefix: 0, reg: 0, imm: within(4, 4, 2, 1, 4), value: within(28, 28, 29) }],
  [toControl, { level: KERNEL, prefix: 0, reg: 3, imm: 1, value: within(4, 11, 16, 3, 14, 19) }, 4],
  [toControl, { level: KERNEL, prefix: 0, reg: 2, value: below(30), imm: within(1, 2, 4, 5, 7, 8, 28) }, 10],
  [toControl, { level: KERNEL, prefix: 0, reg: within(0, 3), imm: within(1, 2, 4, 5), value: below(30) }],
  [called('LMSW', 'CLTS'), { level: KERNEL, prefix: 0, tweaks: edits(tweak('cr0', within(2, 3, 4))) }],
  [called('INVPCID', 'INVLPG'), { level: KERNEL, prefix: 0, value2: below(6), value: below(8) }],
  [toDebug, { level: KERNEL, prefix: 0 }],
  [toDebug, { level: KERNEL, prefix: 0, reg: within(1, 2), value: within(0, 3, 3, 5, 5, 2) }],
  [toDebug, { level: KERNEL, prefix: 0, reg: within(4, 5), tweaks: edits(tweak('cr4', 5)) }],
  [called('CPUID'), { ...undisturbed, value: below(8), count: 0 }, 5],
  [called('WRMSR', 'RDMSR'), { level: KERNEL, prefix: 0 }],
  [
    called('WRMSR', 'RDMSR'),
    { level: KERNEL, prefix: 0, value: within(12, 12, 13), value2: within(1, 5, 6, 7, 8), imm: within(0, 5, 5, 6) },
    2,
  ],
  [called('WRMSR'), { level: KERNEL, prefix: 0, value: within(1, 2, 5, 7, 8, 9), imm: within(2, 3, 4, 0), value2: below(5) }],
  [called('WRMSR'), { level: KERNEL, prefix: 0, value: within(3, 16), imm: within(0, 1), value2: below(6) }],
  [called('SYSRET', 'SYSCALL'), { level: KERNEL, prefix: 0, size: within(0, 2, 2), value: within(0, 4, 10) }],
  [called('SYSRET', 'SYSEXIT'), { level: KERNEL, prefix: 0, size: 2, value: 4 }],
  [
    called('SYSENTER', 'SYSEXIT'),
    { level: KERNEL, prefix: 0, size: within(0, 2), value: within(0, 4, 10), tweaks: edits(tweak('table', 2, below(4))) },
  ],
  [called('SYSENTER', 'SYSEXIT'), { level: within(KERNEL, USER), prefix: 0, size: within(0, 2), value: within(0, 1) }],
];
