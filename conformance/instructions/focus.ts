// Cases that chance alone hardly ever brings about: for each, the forms it is about and the fields that make it, the rest by chance as everywhere.
// Each recipe is there for a rule that uniform draws left untested, or for a seeded fault that they let live.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { type Form, forms } from '../../spec/instructions/index.ts';
import type { Case, Tweak, TweakKind } from './choice.ts';
import { loadable, oddSelectors, places } from './edges.ts';
import type { SelectorName } from './layout.ts';

type Fields = { readonly [K in keyof Case]: Arbitrary<Case[K]> };
type Recipe = { readonly [K in Exclude<keyof Case, 'op' | 'form'>]?: Arbitrary<Case[K]> | Case[K] };

const KERNEL = 3;
const USER = 0;
const within = (...values: readonly number[]): Arbitrary<number> => fc.constantFrom(...values);
const below = (count: number): Arbitrary<number> => fc.nat({ max: count - 1 });
const tweak = (kind: TweakKind, a: Arbitrary<number> | number, b: Arbitrary<number> | number = 0): Arbitrary<Tweak> =>
  fc.record(
    { kind: fc.constant(kind), a: typeof a === 'number' ? fc.constant(a) : a, b: typeof b === 'number' ? fc.constant(b) : b },
    { noNullPrototype: true },
  );
const edits = (...list: readonly Arbitrary<Tweak>[]): Arbitrary<readonly Tweak[]> => fc.tuple(...list);
const indexOf = (name: SelectorName): number => loadable.indexOf(name);
/** As `selector`: 0 is the plain one. */
const named = (...names: readonly SelectorName[]): Arbitrary<number> => within(...names.map((n) => 1 + indexOf(n)));
const anySelector = below(1 + loadable.length + oddSelectors.length);
const at = (...kinds: readonly string[]): Arbitrary<number> => within(...kinds.map((k) => places.findIndex((p) => p.kind === k)));
const topics = (...list: readonly Form['topic'][]): readonly Form[] => forms.filter((f) => list.includes(f.topic));
const called = (...list: readonly string[]): readonly Form[] => forms.filter((f) => list.includes(f.mnemonic));
const onMemory = forms.filter(
  (f) => f.mod !== 'register' && f.operands.some((o) => (o.at === 'E' || o.at === 'M') && o.width !== 'n') && f.topic !== 'far',
);
const loads = forms.filter((f) => f.topic === 'segment' && (f.operands[0]?.at === 'S' || /^(POP|L)/.test(f.mnemonic)));
const toControl = forms.filter((f) => f.topic === 'control' && f.operands[0]?.at === 'C');
const fromControl = forms.filter((f) => f.topic === 'control' && f.operands[1]?.at === 'C');
/** MOV to SS and POP SS. */
const toStack = called('MOV', 'POPSS').filter((f) => f.topic === 'segment' && f.operands[0]?.at !== 'E');
const toDebug = topics('debug');
const undisturbed = { prefix: 0, place: within(0, 0, 0, 1, 3), tweaks: fc.constant<readonly Tweak[]>([]) } as const;
const far = called('CALLF', 'JMPF');
const gates = named('callGate3', 'callGate0', 'callGate16');

// Indices of tweak.ts: flags TF 0, IF 1, AC 3, NT 4, RF 5, VIF 13, VIP 14; CR0 WP 0, AM 1, TS 2, MP 4; CR4 in the order of its table.
const recipes: readonly (readonly [from: readonly Form[], recipe: Recipe, weight?: number])[] = [
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

const numbers = (list: readonly Form[]): Arbitrary<number> => fc.constantFrom(...list.map((f) => forms.indexOf(f)));
/** The recipes as arbitraries over the fields of a case. */
export const focused = (fields: Fields): readonly { readonly weight: number; readonly arbitrary: Arbitrary<Case> }[] =>
  recipes.map(([from, recipe, weight = 2]) => {
    const fixed = Object.fromEntries(
      Object.entries(recipe).map(([name, v]) => [name, typeof v === 'object' ? v : fc.constant(v)]),
    ) as Partial<Fields>;
    return { weight, arbitrary: fc.record({ ...fields, ...fixed, form: numbers(from) }, { noNullPrototype: true }) };
  });
