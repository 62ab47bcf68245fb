// Recipes drawn in blocks of their own, after all others: whoever adds one here leaves every earlier program as it is, and with it all that real
// processors were seen to do with those. Each is there for a seeded fault that lives, or hardly dies, without it.

import fc from 'fast-check';
import { forms } from '../../spec/instructions/index.ts';
import { places } from './edges.ts';
import {
  anySelector,
  at,
  below,
  called,
  edits,
  type Entry,
  far,
  gates,
  indexOf,
  KERNEL,
  named,
  onMemory,
  topics,
  tweak,
  undisturbed,
  USER,
  within,
} from './recipe.ts';

export const lateRecipes: readonly Entry[] = [
  // Results.
  [topics('shift'), { ...undisturbed, memory: fc.boolean(), size: within(0, 2), count: below(8) }, 6],
  [topics('bit'), { ...undisturbed, memory: fc.boolean(), value: below(30) }, 4],
  [topics('multiply'), { ...undisturbed, memory: fc.boolean(), value: below(30), value2: below(30) }, 4],
  [forms.filter((f) => f.mnemonic.startsWith('CMOV')), { ...undisturbed, size: within(0, 2) }, 4],
  [topics('branch'), { ...undisturbed, prefix: within(0, 4), value: below(30), count: below(8) }, 4],
  [topics('time'), { ...undisturbed, level: KERNEL }],
  [called('POP', 'PUSH'), { ...undisturbed, memory: true, value: below(30), value2: below(30) }, 4],
  [
    topics('string'),
    { prefix: within(2, 3), place: at('before absent', 'into absent', 'page end', 'fresh'), count: within(4, 5, 6, 7) },
    4,
  ],
  [
    called('MUL', 'IMUL', 'MULX'),
    { ...undisturbed, memory: fc.boolean(), size: within(0, 1, 2, 2), value: below(30), value2: below(30) },
    6,
  ],
  [
    called('DIV', 'IDIV'),
    { ...undisturbed, memory: fc.boolean(), size: within(0, 1, 2), value: below(30), value2: below(30), imm: below(30) },
    3,
  ],
  [
    forms.filter((f) => f.map >= 3 || ['ADCX', 'ADOX'].includes(f.mnemonic)),
    {
      ...undisturbed,
      memory: fc.boolean(),
      size: within(0, 2),
      value: below(30),
      value2: below(30),
      count: below(8),
      tweaks: edits(tweak('flag', within(7, 10)), tweak('flag', within(7, 8, 9, 10, 11))),
    },
    6,
  ],
  [topics('alu'), { ...undisturbed, value: below(30), value2: below(30), imm: below(30), tweaks: edits(tweak('flag', within(7, 12))) }, 6],
  [
    topics('shift'),
    { ...undisturbed, size: within(0, 1, 2), value: below(30), count: below(8), tweaks: edits(tweak('flag', within(7, 10))) },
    6,
  ],
  // Operands of 64 bits: two machines in nine have them, and of their programs one in three.
  [
    topics('alu', 'shift', 'bit', 'move', 'multiply'),
    { ...undisturbed, memory: fc.boolean(), size: 2, value: below(30), value2: below(30), imm: below(30), count: below(8) },
    16,
  ],
  [topics('shift'), { ...undisturbed, memory: fc.boolean(), size: 2, value: below(30), imm: below(10), count: below(8) }, 10],
  [called('BSF', 'BSR', 'TZCNT', 'LZCNT', 'POPCNT', 'IMUL', 'MUL'), { ...undisturbed, size: 2, value: below(30), value2: below(30) }, 5],
  [topics('string', 'stack'), { ...undisturbed, prefix: within(0, 3), size: 2, value: below(30), value2: below(30), count: below(8) }, 4],
  [
    called('DAA', 'DAS', 'AAA', 'AAS', 'AAM', 'AAD'),
    {
      ...undisturbed,
      value2: below(30),
      imm: within(0, 2, 5, 8, 9),
      tweaks: edits(tweak('flag', within(7, 12)), tweak('flag', within(7, 12, 8))),
    },
    5,
  ],
  [called('ENTER', 'LEAVE', 'PUSHA', 'POPA', 'CBW', 'CWD'), { ...undisturbed, size: below(3), count: below(8), value2: below(30) }, 5],
  // Counters, pointers and addresses with more above them than the address size looks at.
  [
    [...topics('string', 'io'), ...called('JCXZ', 'LOOP', 'LOOPE', 'LOOPNE')],
    { prefix: 4, size: within(0, 1, 2), count: below(4), place: within(0, 1, 2), tweaks: edits(tweak('wide', below(256), below(6))) },
    8,
  ],
  [
    [...topics('string'), ...called('JCXZ', 'LOOP', 'LOOPE', 'LOOPNE')],
    { prefix: within(0, 2, 3), count: below(4), place: 0, tweaks: edits(tweak('wide', within(2, 16, 32, 50), below(6))) },
    5,
  ],
  [onMemory, { memory: true, prefix: 4, place: within(0, 1, 4), tweaks: edits(tweak('wide', below(256), below(6))) }, 4],
  [topics('stack', 'branch'), { prefix: within(0, 4), tweaks: edits(tweak('wide', within(128, 64, 192, 2), within(3, 4, 5))) }, 4],
  // A page that is read before it is written, and one that may only be read.
  [
    called('MOVS', 'MOVSB', 'CMPS', 'CMPSB', 'STOS', 'STOSB'),
    { prefix: within(0, 3), place: within(5, 9, 10, 11, 12), reg: 9, imm: within(5, 9, 10, 11, 12), count: within(0, 2, 3, 4) },
    5,
  ],
  [
    called('PUSH', 'POP', 'CALL'),
    { prefix: 0, memory: true, place: at('fresh', 'edited page', 'data'), tweaks: edits(tweak('page', within(0, 4, 6), below(12))) },
    4,
  ],
  // Fetch: code at each end of a page and of a segment.
  [
    topics('alu', 'move', 'bit', 'stack', 'flag'),
    { prefix: 0, level: within(USER, KERNEL), tweaks: edits(tweak('code', below(64), below(15))) },
    6,
  ],
  [
    called('SYSEXIT', 'SYSRET', 'SGDT', 'SIDT'),
    { prefix: 0, level: within(USER, KERNEL), tweaks: edits(tweak('code', below(64), below(15))) },
    4,
  ],
  // Operands and pages.
  [onMemory, { memory: true, prefix: 0, place: at('second parent'), tweaks: edits(tweak('upper', 1, below(16))) }, 4],
  [
    onMemory,
    {
      level: within(USER, USER, KERNEL),
      memory: true,
      prefix: 0,
      place: at('second parent'),
      tweaks: edits(tweak('upper', 1, within(2, 3, 6))),
    },
    6,
  ],
  [
    onMemory,
    {
      level: within(USER, USER, KERNEL),
      memory: true,
      prefix: 0,
      place: at('read-only', 'into read-only', 'supervisor read-only'),
      tweaks: fc.oneof(edits(tweak('cr0', 0)), edits()),
    },
    5,
  ],
  [onMemory, { memory: true, prefix: 0, place: at('large page'), tweaks: edits(tweak('upper', 0, below(16))) }, 3],
  [onMemory, { memory: true, prefix: 0, place: at('gigabyte page'), tweaks: edits(tweak('upper', 2, below(16))) }, 3],
  // System instructions that few forms are of.
  [
    called('PUSHF', 'POPF', 'IRET', 'INT', 'CLI', 'STI'),
    {
      prefix: 0,
      level: USER,
      size: within(0, 0, 1),
      value: below(14),
      imm: below(13),
      tweaks: edits(
        tweak('cr4', within(6, 6, 7)),
        tweak('iopl', within(0, 0, 1, 3)),
        tweak('redirect', below(13), below(16)),
        tweak('flag', within(13, 14, 1, 0, 4)),
      ),
    },
    6,
  ],
  [called('STAC', 'CLAC'), { prefix: 0, level: within(KERNEL, KERNEL, USER), tweaks: edits(tweak('cr4', 4), tweak('flag', within(3, 1))) }],
  [called('SWAPGS'), { ...undisturbed, level: within(KERNEL, KERNEL, USER) }],
  [called('INVPCID'), { ...undisturbed, level: KERNEL, value: below(4), value2: below(8) }, 4],
  [called('SYSRET', 'SYSEXIT', 'SYSCALL', 'SYSENTER'), { ...undisturbed, level: KERNEL, size: within(0, 2), value: within(0, 1, 4) }, 4],
  [called('MONITOR', 'MWAIT'), { prefix: 0, level: KERNEL, tweaks: edits(tweak('register', within(0, 1), below(7))) }],
  [called('LAR', 'LSL', 'VERR', 'VERW'), { ...undisturbed, memory: false, selector: anySelector, rpl: below(4) }, 4],
  [
    called('LLDT', 'LTR', 'LAR', 'LSL'),
    {
      prefix: 0,
      level: KERNEL,
      memory: false,
      selector: named('otherTss', 'ldt', 'callGate3'),
      rpl: 0,
      tweaks: edits(tweak('descriptor', within(...(['otherTss', 'ldt', 'callGate3'] as const).map(indexOf)), below(14))),
    },
    4,
  ],
  [topics('cache'), { prefix: 0, memory: true, place: below(places.length) }, 4],
  // Far transfers and events.
  [called('RETF', 'IRET'), { ...undisturbed, level: KERNEL, size: within(0, 1), value2: within(22, 28) }, 4],
  [called('RETF', 'IRET'), { prefix: 0, level: below(4), selector: anySelector, rpl: below(4), value2: 0 }, 6],
  [topics('far'), { prefix: 0, selector: anySelector, rpl: below(4) }, 4],
  [
    called('RETF', 'IRET'),
    {
      prefix: 0,
      level: KERNEL,
      selector: named('code1', 'code2'),
      rpl: within(1, 2),
      size: within(0, 2),
      value2: 0,
      count: 0,
      tweaks: edits(tweak('frame', within(3, 4), within(0, 1, 2)), tweak('frame', within(33, 34, 38, 39), within(3, 9))),
    },
    3,
  ],
  [
    called('IRET'),
    {
      prefix: 0,
      level: below(4),
      selector: 0,
      rpl: within(0, 0, 3),
      size: below(3),
      imm: below(8),
      value2: 0,
      count: 0,
      tweaks: edits(tweak('iopl', below(4)), tweak('flag', below(15)), tweak('flag', below(15))),
    },
    6,
  ],
  [
    called('RETF', 'IRET'),
    {
      prefix: 0,
      level: within(KERNEL, 1, 2),
      selector: 0,
      rpl: 3,
      size: within(0, 2),
      value2: 0,
      count: 0,
      tweaks: edits(
        tweak(
          'segment',
          within(...(['kernelData', 'data1', 'data2', 'userData', 'conforming0', 'code1'] as const).map(indexOf)),
          within(8, 9, 10, 11),
        ),
        tweak('segment', within(...(['kernelData', 'data1', 'data2', 'conforming3', 'null'] as const).map(indexOf)), within(8, 9, 10, 11)),
      ),
    },
    5,
  ],
  [
    far,
    {
      level: USER,
      prefix: 0,
      memory: true,
      selector: gates,
      rpl: 0,
      tweaks: edits(
        tweak('call-gate', within(0, 2), below(16)),
        tweak('call-gate', within(0, 2), within(4, 5, 10, 12)),
        tweak('tss', below(64)),
      ),
    },
    5,
  ],
  [
    called('CALLF'),
    {
      level: USER,
      prefix: 0,
      memory: true,
      size: 0,
      selector: named('callGate3'),
      rpl: 0,
      tweaks: edits(
        tweak('call-gate', 0, within(4, 4, 12)),
        tweak('tss', within(37, 45, 53, 61, 32, 35)),
        tweak('task-limit', 0, below(14)),
      ),
    },
    6,
  ],
  [
    [...far, ...called('INT', 'INT3', 'UD2')],
    { level: USER, prefix: 0, selector: gates, rpl: 0, tweaks: edits(tweak('task-limit', 0, below(14))) },
    4,
  ],
  [
    [...far, ...called('IRET')],
    {
      level: KERNEL,
      prefix: 0,
      size: 0,
      place: 0,
      selector: named('otherTss', 'taskGate', 'busyTss'),
      rpl: 0,
      tweaks: edits(tweak('task', below(64), below(16)), tweak('flag', within(4, 4, 7, 9, 10, 2))),
    },
    6,
  ],
  [
    topics('io'),
    { prefix: 0, level: USER, value: below(13), imm: below(7), tweaks: edits(tweak('task-limit', 0, within(0, 1, 2, 12, 13))) },
    3,
  ],
  [called('INT', 'INT3', 'INTO', 'UD2'), { prefix: 0, tweaks: edits(tweak('gate', below(64), below(16))) }, 4],
];
