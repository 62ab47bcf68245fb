// What each form is to a monitor: privileged, sensitive to control or behaviour, or innocuous, by mode and by the bits that change the answer.
// Popek and Goldberg 1974, Formal Requirements for Virtualizable Third Generation Architectures; Robin and Irvine 2000; SDM volume 3, Privileged Instructions.

import type { Form } from './forms/index.ts';
import { forms } from './forms/index.ts';
import type { CpuMode } from './vocabulary.ts';

/** What the answer depends on. */
export interface Setting {
  readonly mode: CpuMode;
  readonly umip: boolean;
  /** CR4.TSD. */
  readonly tsd: boolean;
  /** CR4.PCE. */
  readonly pce: boolean;
  /** IOPL while user code runs; the I/O bitmap permits nothing. */
  readonly iopl: 0 | 1 | 2 | 3;
}
export interface Class {
  /** Executed with least privilege it traps whatever its operands are; with most privilege it does not for want of privilege. */
  readonly privileged: boolean;
  /** It can change mode, relocation or resources. */
  readonly control: boolean;
  /** What it yields depends on privilege, location or real resources. */
  readonly behaviour: boolean;
}
export type Kind = 'privileged' | 'control-sensitive' | 'behaviour-sensitive' | 'innocuous';
export const kindOf = (c: Class): Kind =>
  c.privileged ? 'privileged' : c.control ? 'control-sensitive' : c.behaviour ? 'behaviour-sensitive' : 'innocuous';
/** A hole for trap-and-emulate: sensitive, and no trap. */
export const isHole = (c: Class): boolean => !c.privileged && (c.control || c.behaviour);

type Traps = (s: Setting) => boolean;
const always: Traps = () => true;
const never: Traps = () => false;
const below3: Traps = (s) => s.iopl < 3;
/** IOPL-sensitive in virtual-8086 mode alone. */
const below3In8086: Traps = (s) => s.mode === 'v86' && s.iopl < 3;
const withUmip: Traps = (s) => s.umip;
const inProtected = (s: Setting): boolean => s.mode !== 'real' && s.mode !== 'v86';

interface Entry {
  readonly topic: Form['topic'];
  readonly names: readonly string[];
  readonly sensitive: 'control' | 'behaviour' | 'both';
  readonly traps: Traps;
  /** Sensitive only there; elsewhere innocuous. */
  readonly where?: (s: Setting) => boolean;
  /** Only forms whose first operand stands there. */
  readonly first?: Form['operands'][number]['at'];
}
const entries: readonly Entry[] = [
  { topic: 'table', names: ['LGDT', 'LIDT', 'LLDT', 'LTR'], sensitive: 'control', traps: always },
  { topic: 'table', names: ['SGDT', 'SIDT', 'SLDT', 'STR'], sensitive: 'behaviour', traps: withUmip },
  { topic: 'control', names: ['SMSW'], sensitive: 'behaviour', traps: withUmip },
  { topic: 'control', names: ['LMSW', 'CLTS', 'HLT'], sensitive: 'control', traps: always },
  { topic: 'control', names: ['MOV'], first: 'C', sensitive: 'control', traps: always },
  { topic: 'control', names: ['MOV'], first: 'R', sensitive: 'behaviour', traps: always },
  { topic: 'debug', names: ['MOV'], first: 'D', sensitive: 'control', traps: always },
  { topic: 'debug', names: ['MOV'], first: 'R', sensitive: 'behaviour', traps: always },
  { topic: 'msr', names: ['WRMSR', 'XSETBV'], sensitive: 'control', traps: always },
  { topic: 'msr', names: ['RDMSR'], sensitive: 'behaviour', traps: always },
  { topic: 'msr', names: ['XGETBV'], sensitive: 'behaviour', traps: never },
  { topic: 'cache', names: ['INVD', 'WBINVD', 'INVLPG', 'INVPCID', 'MONITOR', 'MWAIT'], sensitive: 'control', traps: always },
  { topic: 'cache', names: ['WAIT'], sensitive: 'behaviour', traps: never },
  { topic: 'segment', names: ['SWAPGS'], sensitive: 'control', traps: always },
  { topic: 'segment', names: ['MOV'], sensitive: 'behaviour', traps: never, where: inProtected },
  { topic: 'segment', names: ['PUSHCS', 'PUSHSS'], sensitive: 'behaviour', traps: never, where: inProtected },
  {
    topic: 'segment',
    names: ['POPES', 'POPSS', 'POPDS', 'POPFS', 'POPGS', 'LES', 'LDS', 'LSS', 'LFS', 'LGS'],
    sensitive: 'behaviour',
    traps: never,
    where: inProtected,
  },
  { topic: 'flag', names: ['CLI', 'STI'], sensitive: 'control', traps: below3 },
  { topic: 'flag', names: ['CLAC', 'STAC'], sensitive: 'control', traps: always },
  { topic: 'flag', names: ['PUSHF'], sensitive: 'behaviour', traps: below3In8086 },
  { topic: 'flag', names: ['POPF'], sensitive: 'both', traps: below3In8086 },
  { topic: 'io', names: ['IN', 'OUT', 'INS', 'INSB', 'OUTS', 'OUTSB'], sensitive: 'control', traps: (s) => s.mode === 'v86' || s.iopl < 3 },
  { topic: 'probe', names: ['LAR', 'LSL', 'VERR', 'VERW'], sensitive: 'behaviour', traps: never },
  { topic: 'far', names: ['CALLF', 'JMPF', 'RETF'], sensitive: 'both', traps: never, where: inProtected },
  { topic: 'far', names: ['IRET'], sensitive: 'both', traps: below3In8086 },
  { topic: 'interrupt', names: ['INT'], sensitive: 'both', traps: below3In8086 },
  { topic: 'interrupt', names: ['INT3', 'INTO', 'INT1'], sensitive: 'control', traps: never },
  { topic: 'call', names: ['SYSCALL', 'SYSENTER'], sensitive: 'control', traps: never },
  { topic: 'call', names: ['SYSRET', 'SYSEXIT'], sensitive: 'control', traps: always },
  { topic: 'time', names: ['RDTSC', 'RDTSCP'], sensitive: 'behaviour', traps: (s) => s.tsd },
  { topic: 'time', names: ['RDPMC'], sensitive: 'behaviour', traps: (s) => !s.pce },
  { topic: 'time', names: ['CPUID', 'RDPID'], sensitive: 'behaviour', traps: never },
];
const innocuous: Class = { privileged: false, control: false, behaviour: false };
const entryOf = (form: Form): Entry | undefined =>
  entries.find(
    (e) => e.topic === form.topic && e.names.includes(form.mnemonic) && (e.first === undefined || e.first === form.operands[0]?.at),
  );
/** Whether the mode has the form at all; where it has not, it is #UD at every level and of no class. */
export const exists = (form: Form, mode: CpuMode): boolean =>
  form.topic !== 'undefined' &&
  (form.modes === 'all' ||
    (form.modes === 'not64' ? mode !== 'long64' : form.modes === 'only64' ? mode === 'long64' : mode !== 'real' && mode !== 'v86')) &&
  !((form.mnemonic === 'ARPL' || form.mnemonic === 'SALC') && mode === 'long64');

/** The declared class. In real-address mode there is one level: nothing traps for want of privilege. Undefined: the mode has no such form. */
export const classOf = (form: Form, setting: Setting): Class | undefined => {
  if (!exists(form, setting.mode)) return undefined;
  // SYSCALL and SYSRET outside 64-bit mode, and SYSENTER and SYSEXIT in real-address mode, are refused at every level.
  if ((form.mnemonic === 'SYSCALL' || form.mnemonic === 'SYSRET') && setting.mode !== 'long64') return undefined;
  if (form.topic === 'call' && setting.mode === 'real') return undefined;
  const entry = entryOf(form);
  if (entry === undefined || entry.where?.(setting) === false) return innocuous;
  return {
    privileged: setting.mode !== 'real' && entry.traps(setting),
    control: entry.sensitive !== 'behaviour',
    behaviour: entry.sensitive !== 'control',
  };
};

/** The seventeen of Robin and Irvine, section 3, as they count them: VERR and VERW are one page of the manual; IRET is not among them. */
export interface Hole {
  readonly name: string;
  readonly forms: readonly Form[];
}
const named = (name: string, topic: Form['topic'], ...mnemonics: readonly string[]): Hole => ({
  name,
  forms: forms.filter((f) => f.topic === topic && mnemonics.includes(f.mnemonic)),
});
export const robinIrvine: readonly Hole[] = [
  named('SGDT', 'table', 'SGDT'),
  named('SIDT', 'table', 'SIDT'),
  named('SLDT', 'table', 'SLDT'),
  named('SMSW', 'control', 'SMSW'),
  named('PUSHF', 'flag', 'PUSHF'),
  named('POPF', 'flag', 'POPF'),
  named('LAR', 'probe', 'LAR'),
  named('LSL', 'probe', 'LSL'),
  named('VERR/VERW', 'probe', 'VERR', 'VERW'),
  named('POP', 'segment', 'POPES', 'POPSS', 'POPDS', 'POPFS', 'POPGS'),
  named('PUSH', 'segment', 'PUSHCS', 'PUSHSS'),
  named('CALL', 'far', 'CALLF'),
  named('JMP', 'far', 'JMPF'),
  named('INT n', 'interrupt', 'INT'),
  named('RET', 'far', 'RETF'),
  named('STR', 'table', 'STR'),
  named('MOV', 'segment', 'MOV'),
];
