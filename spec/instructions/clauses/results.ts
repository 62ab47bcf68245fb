// What completed instructions leave, topic by topic: that they complete, registers, flags, stores, targets, segments and system registers.
// Intel SDM volume 2, Operation and Flags Affected of the pages.

import type { Clause } from '../../clause.ts';
import { type Citation, sdm as cite } from '../../sources.ts';
import type { Capability } from '../../units.ts';
import type { Topic } from '../forms/index.ts';
import type { Changes, InstructionsGhost, Kind } from '../ghost.ts';
import { clause, completesClause, noted, ofTopic, type Seen, without } from './clause.ts';

interface TopicText {
  readonly topic: Topic;
  readonly cite: Citation;
  readonly what: string;
  /** Where `what` names only those that write. */
  readonly all?: string;
  /** What instructions of the topic write. */
  readonly writes: readonly Part[];
}
type Part = 'registers' | 'flags' | 'stores' | 'target' | 'selector' | 'hidden' | 'descriptor' | 'system' | 'ports';
const volume2 = (section: string): Citation => cite(`Volume 2, ${section}`);
const topics: readonly TopicText[] = [
  {
    topic: 'alu',
    cite: volume2('ADD—Add, and the pages of the other binary arithmetic and logical instructions'),
    what: 'arithmetic and logic',
    writes: ['registers', 'flags', 'stores'],
  },
  {
    topic: 'shift',
    cite: volume2('SAL/SAR/SHL/SHR—Shift, RCL/RCR/ROL/ROR—Rotate'),
    what: 'shifts and rotates',
    writes: ['registers', 'flags', 'stores'],
  },
  {
    topic: 'multiply',
    cite: volume2('MUL—Unsigned Multiply, and the pages of IMUL, DIV and IDIV'),
    what: 'multiplication and division',
    writes: ['registers', 'flags'],
  },
  {
    topic: 'bit',
    cite: volume2('BT—Bit Test, and the pages of BTS, BTR, BTC, BSF and BSR'),
    what: 'bit instructions',
    writes: ['registers', 'flags', 'stores'],
  },
  {
    topic: 'move',
    cite: volume2('MOV—Move, and the pages of the other data transfer instructions'),
    what: 'moves',
    writes: ['registers', 'stores'],
  },
  {
    topic: 'string',
    cite: volume2('REP/REPE/REPZ/REPNE/REPNZ—Repeat String Operation Prefix'),
    what: 'string instructions',
    writes: ['registers', 'flags', 'stores'],
  },
  { topic: 'stack', cite: volume2('PUSH, POP, ENTER and LEAVE'), what: 'stack instructions', writes: ['registers', 'stores'] },
  {
    topic: 'branch',
    cite: volume2('JMP—Jump, Jcc—Jump if Condition Is Met, CALL, RET, LOOP'),
    what: 'near branches',
    writes: ['registers', 'stores', 'target'],
  },
  {
    topic: 'far',
    cite: volume2('CALL—Call Procedure, JMP—Jump, RET, IRET'),
    what: 'far transfers',
    writes: ['registers', 'flags', 'stores', 'target', 'selector', 'hidden', 'descriptor', 'system'],
  },
  {
    topic: 'interrupt',
    cite: volume2('INT n/INTO/INT3/INT1—Call to Interrupt Procedure'),
    what: 'software interrupts that the virtual-8086 program handles itself',
    all: 'software interrupts',
    writes: ['flags', 'stores', 'target'],
  },
  {
    topic: 'flag',
    cite: volume2('PUSHF/PUSHFD/PUSHFQ, POPF/POPFD/POPFQ, STI, CLI'),
    what: 'flag instructions',
    writes: ['registers', 'flags', 'stores'],
  },
  {
    topic: 'segment',
    cite: cite('Volume 3, Protected-Mode Memory Management, Segment Registers'),
    what: 'segment-register instructions',
    writes: ['registers', 'stores', 'selector', 'hidden', 'descriptor'],
  },
  {
    topic: 'table',
    cite: volume2('SGDT, SIDT, SLDT, STR, LGDT/LIDT, LLDT, LTR'),
    what: 'descriptor-table instructions',
    writes: ['registers', 'stores', 'descriptor', 'system'],
  },
  {
    topic: 'probe',
    cite: volume2('LAR, LSL, VERR/VERW, ARPL'),
    what: 'instructions that verify selectors',
    writes: ['registers', 'flags', 'stores'],
  },
  { topic: 'io', cite: volume2('IN, OUT, INS, OUTS'), what: 'port I/O', writes: ['registers', 'stores', 'ports'] },
  {
    topic: 'control',
    cite: volume2('MOV—Move to/from Control Registers, SMSW, LMSW, CLTS, HLT'),
    what: 'control-register instructions',
    writes: ['registers', 'stores', 'system'],
  },
  { topic: 'debug', cite: volume2('MOV—Move to/from Debug Registers'), what: 'debug-register moves', writes: ['registers', 'system'] },
  { topic: 'msr', cite: volume2('RDMSR, WRMSR'), what: 'accesses to model-specific registers', writes: ['registers', 'system', 'hidden'] },
  { topic: 'time', cite: volume2('RDTSC, RDTSCP, RDPID, CPUID'), what: 'time stamps and identification', writes: ['registers'] },
  {
    topic: 'call',
    cite: volume2('SYSCALL, SYSRET, SYSENTER, SYSEXIT'),
    what: 'fast system calls',
    writes: ['registers', 'flags', 'target', 'selector', 'hidden'],
  },
  { topic: 'cache', cite: volume2('NOP, PAUSE, INVLPG, WBINVD, CLFLUSH, LFENCE'), what: 'cache, fence and empty instructions', writes: [] },
];
interface PartText {
  readonly kinds: readonly Kind[];
  readonly changed: keyof Changes;
  readonly says: (what: string) => string;
  readonly needs?: readonly Capability[];
}
const parts: Readonly<Record<Part, PartText>> = {
  registers: { kinds: ['result'], changed: 'registers', says: (what) => `${what} leave the defined results in general registers` },
  flags: { kinds: ['flags'], changed: 'flags', says: (what) => `${what} set the flags that are defined for them` },
  stores: { kinds: ['store'], changed: 'stores', says: (what) => `${what} store the defined bytes`, needs: ['memory.seen'] },
  target: { kinds: ['frame.rip', 'rip'], changed: 'target', says: (what) => `${what} go to their target` },
  selector: {
    kinds: ['segment'],
    changed: 'segments',
    says: (what) => `${what} leave the selectors they name, with the RPL that is defined`,
  },
  hidden: {
    kinds: ['hidden'],
    changed: 'segments',
    says: (what) => `${what} leave the base, limit and rights of the descriptor in the hidden part`,
    needs: ['cpu.hidden'],
  },
  descriptor: {
    kinds: ['descriptor'],
    changed: 'descriptors',
    says: (what) => `${what} set the accessed or busy flag of the descriptor they load`,
    needs: ['cpu.system', 'memory.seen'],
  },
  system: {
    kinds: ['system'],
    changed: 'system',
    says: (what) => `${what} leave the defined value in the system register`,
    needs: ['cpu.system'],
  },
  ports: {
    kinds: ['port'],
    changed: 'ports',
    says: () => 'each permitted access goes to its port once, with its width and value, in order',
    needs: ['cpu.port'],
  },
};
const harmOf: Partial<Record<Part, 'stray-write' | 'dies'>> = { stores: 'stray-write', target: 'dies' };
/** The event came after the instruction had completed. */
const completed = (m: Seen, topic: Topic): boolean => {
  const { met, expected } = m.before;
  return met !== undefined && !met.fault && expected.instruction?.form.topic === topic;
};
const partClause = (t: TopicText, part: Part): Clause<InstructionsGhost> => {
  const { kinds, changed, says, needs } = parts[part];
  const made = clause({
    id: `instructions.${t.topic}.${part}`,
    cite: t.cite,
    level: 'must',
    binds: 'cpu',
    says: says(t.what),
    on: ['cpu.outcome'],
    ...(needs === undefined ? {} : { needs }),
    harm: harmOf[part] ?? 'wrong-data',
    // Where descriptors are the host's own no selector is compared.
    when: (m) => completed(m, t.topic) && m.before.changes[changed] && (part !== 'selector' || m.before.ring3),
    holds: (m) => without(m.before.differences, kinds),
  });
  return noted(ofTopic, t.topic, made);
};
export const resultClauses: readonly Clause<InstructionsGhost>[] = topics.flatMap((t) => [
  completesClause(t.topic, t.cite, `${t.all ?? t.what} complete, or end the way their page says, where no rule demands a fault`),
  ...t.writes.map((part) => partClause(t, part)),
]);
