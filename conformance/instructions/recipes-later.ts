// Recipes drawn in blocks behind the late ones, for the same reason. Each is there for a mutant of the reference that lived without it, and for all
// that are like it: ways of addressing, operands around 4 GBytes, tables with odd halves, events held off, comparisons that match.

import fc from 'fast-check';
import { forms } from '../../spec/instructions/index.ts';
import { latePlaces, operands, places } from './edges.ts';
import {
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
  toControl,
  topics,
  toStack,
  tweak,
  undisturbed,
  USER,
  within,
} from './recipe.ts';

const late = (...kinds: readonly string[]): fc.Arbitrary<number> =>
  within(...kinds.map((k) => places.length + latePlaces.findIndex((p) => p.kind === k)));
const beyond = (count: number): fc.Arbitrary<number> => fc.integer({ min: operands.length, max: operands.length + count - 1 });
const addressed = within(6, 7, 8, 9, 10, 12, 13);

export const laterRecipes: readonly Entry[] = [
  // Addressing.
  [onMemory, { memory: true, prefix: within(0, 0, 0, 9, 10), addressing: addressed, count: below(4), place: within(0, 1, 2, 4) }, 8],
  [onMemory, { memory: true, prefix: 4, addressing: within(6, 7, 8, 9, 10, 11, 11), count: below(4), place: within(0, 1, 4) }, 6],
  [
    called('LEA'),
    { memory: true, prefix: within(0, 4), addressing: addressed, count: below(4), place: within(0, 1, 2), size: below(3) },
    3,
  ],
  [
    onMemory,
    {
      memory: true,
      prefix: within(5, 6, 8, 9, 10),
      addressing: within(0, 1, 4, 6, 9),
      place: within(0, 0, 3),
      tweaks: edits(tweak('segment', within(...(['userData16', 'expandDown', 'small', 'conforming3'] as const).map(indexOf)), below(5))),
    },
    3,
  ],
  // Strings by FS and GS, whose bases count in 64-bit mode too, and by the others.
  [
    called('MOVS', 'MOVSB', 'CMPS', 'CMPSB', 'LODS', 'LODSB', 'OUTS', 'OUTSB', 'XLAT', 'STOS', 'SCASB'),
    {
      prefix: within(8, 9, 10, 5),
      level: within(USER, KERNEL),
      place: 0,
      count: within(0, 2, 3),
      tweaks: edits(tweak('segment', within(...(['userData16', 'userData', 'small'] as const).map(indexOf)), within(2, 3, 2, 3, 1))),
    },
    5,
  ],
  [topics('string'), { prefix: 4, place: 0, value2: below(30), count: within(0, 2, 3, 5), size: below(3) }, 4],
  // Around 4 GBytes, and to the last byte before a page that is absent.
  [
    onMemory,
    {
      memory: true,
      level: within(USER, USER, KERNEL),
      prefix: within(0, 0, 0, 9),
      addressing: within(0, 1, 2, 3, 6, 7, 8, 12),
      place: late('across 4 GBytes', 'end at 4 GBytes', 'from 4 GBytes'),
      tweaks: edits(tweak('four-gigabyte', 0)),
    },
    6,
  ],
  [
    [...far, ...called('LSS', 'LFS', 'LGDT', 'SGDT', 'CMPXCHG16B', 'CMPXCHG8B')],
    {
      memory: true,
      prefix: 0,
      level: KERNEL,
      place: late('across 4 GBytes'),
      addressing: within(0, 6),
      size: below(3),
      tweaks: edits(tweak('four-gigabyte', 0)),
    },
    3,
  ],
  [
    topics('alu', 'move', 'branch', 'flag', 'stack', 'shift', 'bit'),
    { prefix: within(0, 0, 8), memory: false, tweaks: edits(tweak('four-gigabyte', 1, below(10))) },
    6,
  ],
  [
    onMemory,
    { memory: true, prefix: 0, addressing: within(5, 5, 0), place: within(0, 4), tweaks: edits(tweak('four-gigabyte', 1, below(10))) },
    3,
  ],
  [onMemory, { memory: true, prefix: 0, size: below(3), place: late('end before absent'), addressing: within(0, 6) }, 5],
  [
    [...far, ...called('LSS', 'LES', 'LGDT', 'LIDT', 'BOUND', 'CMPXCHG8B', 'CMPXCHG16B', 'INVPCID', 'SGDT', 'SIDT', 'ENTER')],
    { memory: true, prefix: 0, level: within(KERNEL, USER), size: below(3), place: late('end before absent') },
    4,
  ],
  [
    called('CMPXCHG8B', 'CMPXCHG16B', 'BOUND', 'LES', 'LSS', 'SGDT', 'SIDT', 'MOVBE', 'INVPCID'),
    {
      memory: true,
      size: below(3),
      prefix: within(7, 9),
      place: at('small limit', 'past small limit', 'page end'),
      tweaks: edits(tweak('segment', indexOf('small'), within(2, 4))),
    },
    4,
  ],
  // Comparisons that match, and such as do so in half.
  [called('CMPXCHG8B'), { ...undisturbed, memory: true, size: within(0, 1), value: 0, value2: within(0, 0, 1), imm: within(1, 1, 0) }, 3],
  [
    called('CMPXCHG16B', 'CMPXCHG8B'),
    { ...undisturbed, memory: true, size: 2, value: within(0, 3), value2: within(0, 3), imm: below(3) },
    3,
  ],
  [
    called('CMPXCHG', 'XADD'),
    { ...undisturbed, memory: fc.boolean(), size: below(3), value: within(0, 3, 4), value2: within(0, 3, 4), imm: within(0, 3, 4) },
    3,
  ],
  [
    called('BZHI'),
    { ...undisturbed, size: within(0, 2), count: within(3, 5, 5, 2, 4), imm: within(0, 8), reg: within(1, 2), rm: within(1, 3) },
    2,
  ],
  [
    called('BEXTR', 'BZHI', 'SARX', 'SHLX', 'SHRX', 'RORX', 'PDEP', 'PEXT', 'ANDN', 'MULX'),
    {
      ...undisturbed,
      memory: fc.boolean(),
      size: within(0, 2),
      value: below(30),
      value2: below(30),
      count: below(8),
      imm: below(30),
      reg: within(1, 2, 9),
      rm: within(3, 10),
    },
    4,
  ],
  // Breakpoints that are not enabled.
  [
    [...onMemory, ...topics('stack', 'alu', 'string')],
    { ...undisturbed, memory: true, place: within(0, 0, 1), tweaks: edits(tweak('idle-breakpoint', below(64), below(16))) },
    4,
  ],
  // What holds events off does so once.
  [
    toStack,
    {
      ...undisturbed,
      level: within(KERNEL, USER),
      selector: 0,
      rpl: 0,
      reg: within(2, 9),
      tweaks: fc.oneof(
        edits(tweak('shadow', below(2)), tweak('flag', 0)),
        edits(tweak('shadow', below(2)), tweak('interrupt', below(4)), tweak('flag', 1)),
      ),
    },
    4,
  ],
  [
    called('STI', 'NOP', 'CLI', 'POPF', 'HLT'),
    { ...undisturbed, level: KERNEL, tweaks: edits(tweak('shadow', below(2)), tweak('interrupt', below(4)), tweak('flag', within(1, 2))) },
    3,
  ],
  // Tables.
  [
    called('LAR', 'LSL', 'VERR', 'VERW'),
    {
      ...undisturbed,
      memory: false,
      level: within(KERNEL, USER),
      selector: named('callGate3', 'otherTss', 'ldt', 'callGate0', 'tss'),
      rpl: 0,
      tweaks: edits(tweak('upper-half', below(4), below(8))),
    },
    3,
  ],
  [
    called('LLDT', 'LTR'),
    {
      prefix: 0,
      level: KERNEL,
      memory: false,
      selector: named('otherTss', 'ldt'),
      rpl: 0,
      tweaks: edits(tweak('upper-half', below(2), below(8))),
    },
    2,
  ],
  [
    [...far, ...called('INT', 'INT3', 'UD2', 'DIV', 'HLT', 'NOP')],
    { level: within(USER, 1), prefix: 0, selector: gates, rpl: 0, imm: below(4), tweaks: edits(tweak('inner-stack', below(3), below(16))) },
    6,
  ],
  [called('INT', 'INT3', 'UD2'), { prefix: 0, imm: within(2, 3, 0), tweaks: edits(tweak('gate-target', below(6), below(12))) }, 4],
  ...(
    [
      ['RETF', 0],
      ['IRET', 1],
    ] as const
  ).flatMap(([name, which]): readonly Entry[] =>
    ([1, 2] as const).map((level) => [
      called(name),
      {
        prefix: 0,
        level: KERNEL,
        selector: named(level === 1 ? 'code1' : 'code2'),
        rpl: level,
        size: within(0, 2),
        value2: 0,
        count: 0,
        tweaks: edits(tweak('null-stack', which, below(8))),
      },
      2,
    ]),
  ),
  [
    called('RETF', 'IRET'),
    {
      prefix: 0,
      level: KERNEL,
      selector: 0,
      rpl: 3,
      size: within(0, 2),
      value2: 0,
      count: 0,
      tweaks: edits(tweak('null-stack', below(2), below(8))),
    },
    2,
  ],
  // Handlers of ring 1 whose stack is odd: what delivery runs into is told on the good stack of ring 0.
  [called('UD2'), { level: USER, prefix: 0, tweaks: edits(tweak('gate', 3, 8), tweak('inner-stack', 1, below(16))) }, 3],
  [
    topics('alu'),
    {
      ...undisturbed,
      level: USER,
      memory: false,
      tweaks: edits(tweak('gate', 7, 8), tweak('inner-stack', 1, below(16)), tweak('interrupt', 1)),
    },
    3,
  ],
  [
    topics('io'),
    {
      prefix: 0,
      level: USER,
      value: below(13),
      imm: below(7),
      tweaks: edits(tweak('io-map', 0, below(8)), tweak('task-limit', 0, within(0, 1, 2, 3, 11))),
    },
    4,
  ],
  [topics('io'), { prefix: 0, level: USER, value: below(13), imm: below(7), tweaks: edits(tweak('io-map', 0, below(8))) }, 2],
  // System instructions.
  [
    called('INVPCID'),
    { ...undisturbed, memory: true, level: KERNEL, value: beyond(5), value2: within(0, 1, 2, 4, 16), reg: within(1, 2) },
    3,
  ],
  [called('MONITOR'), { prefix: within(0, 4), level: KERNEL, tweaks: edits(tweak('register', 0, below(7))) }, 2],
  [toControl, { level: KERNEL, prefix: 0, reg: 0, imm: 2, value: within(29, 29, 28), tweaks: edits(tweak('lme', 0)) }, 2],
  [toControl, { ...undisturbed, level: KERNEL, reg: 0, imm: 2, value: 29 }],
  // Bits 32 to 63.
  [toControl, { ...undisturbed, level: KERNEL, reg: within(0, 2, 2, 3, 4), imm: within(32, 34, 35), value: below(30) }, 3],
  [
    called('SLDT', 'STR', 'SMSW'),
    { prefix: 0, memory: false, size: below(3), level: within(USER, KERNEL), tweaks: edits(tweak('wide', 255, below(6))) },
    3,
  ],
  [
    topics('string'),
    { prefix: within(7, 5, 8), size: below(3), count: within(0, 2), tweaks: edits(tweak('wide', within(16, 32, 48), 2)) },
    3,
  ],
  [toControl, { level: KERNEL, prefix: 0, reg: within(0, 3), imm: within(1, 2, 4, 5), value: below(30) }, 3],
  [called('RDMSR', 'WRMSR'), { level: KERNEL, prefix: 0, value: below(14), value2: below(9), imm: below(7) }, 4],
  [called('RDMSR', 'RDTSCP', 'RDPID', 'SWAPGS', 'RDFSBASE', 'RDGSBASE'), { ...undisturbed, level: KERNEL, value: below(14) }, 3],
  [topics('cache'), { ...undisturbed, memory: true }, 2],
  [
    forms.filter((f) => f.topic === 'probe' || f.topic === 'table'),
    { ...undisturbed, memory: fc.boolean(), size: below(3), level: within(KERNEL, USER) },
    3,
  ],
];
