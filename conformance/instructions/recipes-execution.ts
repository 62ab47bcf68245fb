// Recipes for results, privilege, fetch, operands, paging and segments: each is there for a rule that uniform draws left untested,
// or for a seeded fault that they let live.

import fc from 'fast-check';
import { forms } from '../../spec/instructions/index.ts';
import { places } from './edges.ts';
import {
  KERNEL,
  USER,
  anySelector,
  at,
  below,
  called,
  edits,
  far,
  indexOf,
  loads,
  named,
  onMemory,
  toStack,
  topics,
  tweak,
  undisturbed,
  within,
  type Entry,
} from './recipe.ts';

// Indices of tweak.ts: flags TF 0, IF 1, AC 3, NT 4, RF 5, VIF 13, VIP 14; CR0 WP 0, AM 1, TS 2, MP 4; CR4 in the order of its table.
export const executionRecipes: readonly Entry[] = [
  // Results: no edit and no fault in the way.
  [topics('alu'), { ...undisturbed, memory: fc.boolean() }, 14],
  [topics('shift'), { ...undisturbed, count: below(8) }, 14],
  [called('RCL', 'RCR', 'SHLD', 'SHRD'), { ...undisturbed, imm: within(3, 5, 8, 9, 2), count: within(3, 5, 7, 4) }, 6],
  [topics('multiply'), undisturbed, 8],
  [called('DIV', 'IDIV', 'AAM'), { ...undisturbed, imm: within(0, 1, 2, 4, 13, 14), value: within(0, 2, 4, 5, 6, 7) }, 4],
  [topics('bit'), undisturbed, 10],
  [forms.filter((f) => f.map >= 3), { ...undisturbed, size: within(0, 2), count: below(8) }, 10],
  [called('POPCNT', 'TZCNT', 'LZCNT', 'MOVBE', 'ADCX', 'ADOX'), undisturbed, 6],
  [called('ADCX', 'ADOX'), { ...undisturbed, memory: false, size: within(0, 2), tweaks: edits(tweak('flag', within(7, 10))) }, 2],
  [topics('move'), undisturbed, 12],
  [
    called('CMPXCHG8B'),
    { ...undisturbed, memory: true, value: within(1, 4), value2: within(1, 4), imm: within(1, 4), size: within(0, 2) },
    3,
  ],
  [called('CMPXCHG8B', 'CMPXCHG', 'XLAT'), { ...undisturbed, size: within(0, 2) }, 4],
  [called('CWD', 'CBW', 'MOVSX', 'MOVSXD', 'BSWAP', 'XCHG', 'XLAT'), undisturbed, 6],
  [topics('string'), { ...undisturbed, prefix: within(0, 2, 3, 3, 4), count: below(8) }, 8],
  [topics('stack'), undisturbed, 8],
  [topics('branch'), { ...undisturbed, value: within(0, 1, 6), count: below(8) }, 9],
  [
    called('LOOP', 'LOOPE', 'LOOPNE', 'JCXZ', 'RET', 'BOUND'),
    { ...undisturbed, value: within(0, 1, 6), prefix: within(0, 0, 4), count: below(8) },
    5,
  ],
  [topics('flag'), { ...undisturbed, level: within(0, 0, 3) }, 8],
  [called('PUSHF', 'SAHF', 'LAHF', 'POPF'), { ...undisturbed, tweaks: edits(tweak('flag', below(15))) }, 3],
  [topics('io'), { ...undisturbed, level: within(0, 3), imm: within(0, 1, 4, 6), value: below(13) }, 5],
  [
    topics('alu', 'shift', 'branch'),
    { ...undisturbed, memory: false, value: within(0, 1, 6), tweaks: edits(tweak('flag', within(7, 7, 8, 9, 10, 11, 12))) },
    10,
  ],
  [called('ADC', 'SBB', 'AND', 'OR', 'TEST', 'CMC', 'STC'), { ...undisturbed, tweaks: edits(tweak('flag', within(7, 10))) }, 4],
  [
    forms.filter((f) => /^(SET|CMOV|J[NOBZSPL])/.test(f.mnemonic)),
    { ...undisturbed, memory: false, value: 0, tweaks: edits(tweak('flag', within(7, 8, 9, 10, 11))) },
    8,
  ],
  [topics('string'), { ...undisturbed, prefix: within(0, 3), count: below(4), tweaks: edits(tweak('flag', 2)) }, 4],
  // Privilege.
  [called('SGDT', 'SIDT'), { level: USER, prefix: 0, memory: true, place: at('supervisor', 'absent', 'read-only') }, 4],
  [called('RDFSBASE', 'RDGSBASE', 'WRFSBASE', 'WRGSBASE'), { ...undisturbed, size: within(0, 2) }],
  [called('SYSCALL'), { prefix: 0, tweaks: edits(tweak('flag', 0)) }],
  [
    called('SYSRET', 'SYSEXIT', 'SYSCALL', 'SYSENTER'),
    { ...undisturbed, level: within(KERNEL, KERNEL, USER), size: within(0, 2), value: within(0, 1) },
  ],
  [called('SGDT', 'SIDT', 'SLDT', 'STR', 'SMSW'), { level: USER, tweaks: edits(tweak('cr4', 0)) }],
  [called('RDTSC', 'RDTSCP', 'RDPMC'), { tweaks: edits(tweak('cr4', within(1, 2))) }],
  [called('CLI', 'STI', 'PUSHF', 'POPF', 'IRET', 'INT'), { tweaks: edits(tweak('iopl', below(4))) }],
  [topics('io'), { tweaks: edits(tweak('iopl', below(4)), tweak('port', below(64), below(16))) }],
  [called('IN', 'OUT', 'INS', 'OUTS'), { level: USER, imm: within(4, 6), value: within(3, 6, 9, 10, 5, 12) }],
  // Virtual interrupts: CR4.VME, CR4.PVI.
  [
    called('CLI', 'STI', 'PUSHF', 'POPF', 'IRET', 'INT', 'INT'),
    {
      prefix: 0,
      level: USER,
      size: within(0, 0, 1),
      value: within(0, 1, 5, 10, 11, 12, 3),
      imm: below(13),
      tweaks: edits(
        tweak('cr4', within(6, 6, 7)),
        tweak('iopl', within(0, 0, 1, 2, 3)),
        tweak('redirect', below(13), below(16)),
        tweak('flag', within(13, 13, 14, 14, 1, 0, 2, 4)),
      ),
    },
    16,
  ],
  [
    called('CLI', 'STI'),
    { prefix: 0, level: within(USER, 1), tweaks: edits(tweak('cr4', 7), tweak('iopl', below(4)), tweak('flag', within(13, 14))) },
    3,
  ],
  [called('IRET'), { level: KERNEL, count: 7, prefix: 0, selector: 0, size: within(0, 0, 0, 1), imm: below(8), value2: below(8) }, 6],
  [called('WAIT'), { tweaks: edits(tweak('cr0', 2), tweak('cr0', 4)) }],
  // Fetch.
  [forms, { tweaks: edits(tweak('long', below(4))) }],
  [topics('alu', 'move', 'shift'), { prefix: 0, memory: false, tweaks: edits(tweak('high', below(8))) }],
  [topics('alu', 'move', 'shift'), { prefix: 0, memory: false, tweaks: edits(tweak('code', below(8), below(16))) }],
  [topics('alu', 'move'), { level: KERNEL, memory: false, tweaks: edits(tweak('cr4', 3)) }],
  [
    forms.filter((f) => ['JMP', 'CALL'].includes(f.mnemonic) && f.operands[0]?.at === 'E'),
    { value: within(4, 4, 2, 3, 5), prefix: 0, size: within(0, 2) },
  ],
  [called('RET'), { value: within(4, 4, 2, 3, 5), prefix: 0, size: within(0, 2) }],
  [called('BOUND'), { memory: true, prefix: 0, place: within(0, 0, 1, 3), value: below(24), value2: below(24) }],
  // Operands.
  [onMemory, { memory: true, prefix: within(0, 5, 7, 8, 9, 10), tweaks: edits(tweak('segment', 0, below(5))) }],
  [
    onMemory,
    {
      memory: true,
      place: at('data', 'small limit', 'past small limit', 'page end', 'absent', 'read-only'),
      prefix: within(0, 5, 7, 8, 9, 10),
      tweaks: edits(
        tweak(
          'segment',
          within(
            ...(['readOnly', 'executeOnly', 'small', 'expandDown', 'expandDown16', 'conforming3', 'userData16'] as const).map(indexOf),
          ),
          below(16),
        ),
      ),
    },
  ],
  [
    onMemory,
    {
      level: USER,
      memory: true,
      prefix: 0,
      place: at('unaligned', 'across pages', 'data', 'into absent'),
      tweaks: edits(tweak('flag', 3)),
    },
  ],
  [topics('stack', 'string', 'branch'), { level: USER, tweaks: edits(tweak('flag', 3), tweak('stack', within(4, 3, 2, 5))) }],
  [onMemory, { level: KERNEL, memory: true, place: below(12), tweaks: edits(tweak('cr4', 4), tweak('flag', within(3, 5))) }],
  [
    onMemory,
    { level: KERNEL, memory: true, place: at('read-only', 'supervisor read-only', 'into read-only'), tweaks: edits(tweak('cr0', 0)) },
  ],
  [onMemory, { memory: true, prefix: 0, place: below(places.length) }],
  [topics('stack'), { tweaks: edits(tweak('stack', below(16))) }],
  [
    onMemory,
    {
      level: USER,
      memory: true,
      prefix: 7,
      place: at('small limit', 'past small limit', 'past small limit'),
      tweaks: edits(tweak('segment', indexOf('small'), 4)),
    },
  ],
  [called('INT', 'INT3', 'UD2', 'INTO'), { prefix: 0, tweaks: edits(tweak('stack', below(9))) }, 3],
  // Paging.
  [onMemory, { memory: true, prefix: 0, place: at('large page'), tweaks: edits(tweak('upper', 0, below(16))) }],
  [onMemory, { memory: true, prefix: 0, place: at('second parent'), tweaks: edits(tweak('upper', 1, below(16))) }],
  [onMemory, { memory: true, prefix: 0, place: at('gigabyte page'), tweaks: edits(tweak('upper', 2, below(16))) }],
  [
    onMemory,
    { memory: true, prefix: 0, place: at('second top entry'), tweaks: edits(tweak('upper', 3, within(0, 3, 6, 6, 6, 2, 4, 12, 13, 15))) },
  ],
  [onMemory, { memory: true, prefix: 0, place: at('edited page', 'fresh'), tweaks: edits(tweak('page', within(0, 6), below(12))) }],
  [onMemory, { memory: true, prefix: 0, place: at('data'), tweaks: edits(tweak('page', 1, below(12))) }],
  [topics('string'), { prefix: within(2, 3), place: at('before absent', 'into absent', 'page end', 'fresh'), count: within(4, 5, 6, 7) }],
  // Segments.
  [
    called('MOV', 'POPSS', 'LSS').filter((f) => f.topic === 'segment' && f.operands[0]?.at !== 'E'),
    { level: within(KERNEL, 1, 2), selector: named('null'), rpl: below(4), reg: within(2, 9), prefix: 0 },
    5,
  ],
  [
    [...loads, ...far],
    { level: USER, rpl: 0, prefix: 0, selector: named('userCode64', 'userCode32', 'tss'), tweaks: edits(tweak('table', 0, 1)) },
    4,
  ],
  [onMemory, { memory: true, prefix: 6, place: within(0, 1, 4) }],
  [loads, { level: within(KERNEL, USER), selector: anySelector, rpl: below(4) }, 4],
  [loads, { level: KERNEL, selector: anySelector, rpl: 0, prefix: 0 }, 4],
  [
    loads,
    {
      selector: named('userData', 'readOnly', 'data1', 'unaccessed', 'small'),
      tweaks: edits(tweak('descriptor', indexOf('userData'), below(16))),
    },
  ],
  [loads, { level: KERNEL, rpl: 0, selector: named('null', 'unaccessed', 'absentData', 'executeOnly', 'readOnly'), prefix: 0 }, 6],
  [
    called('WRFSBASE', 'WRGSBASE', 'RDFSBASE', 'RDGSBASE'),
    { value: below(8), prefix: 0, size: within(0, 2), tweaks: edits(tweak('cr4', 8)) },
  ],
  [called('WRFSBASE', 'WRGSBASE'), { value: 4, prefix: 0, size: 2, tweaks: edits(tweak('cr4', 8)) }],
  [topics('probe'), { selector: anySelector, rpl: below(4), memory: fc.boolean(), place: within(0, 0, 1, 5) }],
  [
    [...toStack, ...called('LSS')],
    {
      level: within(KERNEL, USER, 1),
      selector: named('absentData', 'readOnly', 'data1', 'kernelData'),
      rpl: 0,
      reg: within(2, 9),
      prefix: 0,
    },
  ],
];
