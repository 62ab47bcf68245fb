// Decides which instructions a monitor may not let the guest run by itself, and which of them trap at CPL 3.
// Popek and Goldberg 1974 (control- and behaviour-sensitive); Robin and Irvine 2000, section 3, for those of x86 that do not trap.

import type { Insn } from '../processor/insn.ts';

/** Those that do what they like at CPL 3: nothing traps. */
const UNTRAPPED: ReadonlySet<string> = new Set(
  [
    // Flags that privilege guards in silence.
    ['Pushf', 'Pushfd', 'Pushfq', 'Popf', 'Popfd', 'Popfq'],
    // Registers of the machine.
    ['Sgdt', 'Sidt', 'Sldt', 'Str', 'Smsw'],
    // Descriptors, with CPL as a party.
    ['Lar', 'Lsl', 'Verr', 'Verw', 'Les', 'Lds', 'Lss', 'Lfs', 'Lgs'],
    ['Iret', 'Iretd', 'Iretq', 'Retf'],
  ].flat(),
);
/** Those that trap at CPL 3 under a monitor's IOPL, TSS, IDT, CR4 and EFER; known beforehand, they need not get so far. */
const TRAPPED: ReadonlySet<string> = new Set(
  [
    ['Cli', 'Sti', 'Clac', 'Stac', 'Lgdt', 'Lidt', 'Lldt', 'Ltr', 'Lmsw', 'Clts', 'Hlt'],
    ['Int', 'Int3', 'Int1', 'Into', 'Syscall', 'Sysret', 'Sysretq', 'Sysenter', 'Sysexit', 'Sysexitq'],
    ['Rdmsr', 'Wrmsr', 'Rdtsc', 'Rdtscp', 'Rdpmc', 'Swapgs', 'Xsetbv', 'Monitor', 'Mwait'],
    ['Invd', 'Wbinvd', 'Wbnoinvd', 'Invlpg', 'Invpcid'],
    ['In', 'Out', 'Insb', 'Insw', 'Insd', 'Outsb', 'Outsw', 'Outsd'],
  ].flat(),
);
const TRAPPED_OPERANDS: ReadonlySet<string> = new Set(['control', 'debug', 'test']);

/** Sensitive, and nothing traps: the holes of trap-and-emulate. */
export const slipsThrough = (insn: Insn): boolean =>
  UNTRAPPED.has(insn.name) ||
  insn.ops.some((o) => o.kind === 'segment') ||
  ((insn.name === 'Jmp' || insn.name === 'Call') && /_(?:m|ptr)16(?:16|32|64)$/.test(insn.form));
export const isSensitive = (insn: Insn): boolean =>
  slipsThrough(insn) || TRAPPED.has(insn.name) || insn.ops.some((o) => TRAPPED_OPERANDS.has(o.kind));
