// Decides which instructions a monitor may not let the guest run by itself, whether they trap at CPL 3 or not.
// Popek and Goldberg 1974 (control- and behaviour-sensitive); Robin and Irvine 2000, section 3, for those of x86 that do not trap.

import type { Insn } from '../processor/insn.ts';

const NAMES: ReadonlySet<string> = new Set(
  [
    // Flags that privilege hides or guards.
    ['Pushf', 'Pushfd', 'Pushfq', 'Popf', 'Popfd', 'Popfq', 'Cli', 'Sti', 'Clac', 'Stac'],
    // Registers of the machine, read without a trap or written with one.
    ['Sgdt', 'Sidt', 'Sldt', 'Str', 'Smsw', 'Lgdt', 'Lidt', 'Lldt', 'Ltr', 'Lmsw', 'Clts'],
    // Descriptors looked at, with CPL as a party.
    ['Lar', 'Lsl', 'Verr', 'Verw', 'Les', 'Lds', 'Lss', 'Lfs', 'Lgs'],
    // Transfers that go through descriptors or gates.
    ['Int', 'Int3', 'Int1', 'Into', 'Iret', 'Iretd', 'Iretq', 'Retf', 'Syscall', 'Sysret', 'Sysretq', 'Sysenter', 'Sysexit', 'Sysexitq'],
    ['Rdmsr', 'Wrmsr', 'Rdtsc', 'Rdtscp', 'Rdpmc', 'Swapgs', 'Xsetbv', 'Hlt', 'Monitor', 'Mwait'],
    ['Invd', 'Wbinvd', 'Wbnoinvd', 'Invlpg', 'Invpcid'],
    ['In', 'Out', 'Insb', 'Insw', 'Insd', 'Outsb', 'Outsw', 'Outsd'],
  ].flat(),
);
const SPECIAL: ReadonlySet<string> = new Set(['segment', 'control', 'debug', 'test']);

export const isSensitive = (insn: Insn): boolean =>
  NAMES.has(insn.name) ||
  insn.ops.some((o) => SPECIAL.has(o.kind)) ||
  ((insn.name === 'Jmp' || insn.name === 'Call') && /_(?:m|ptr)16(?:16|32|64)$/.test(insn.form));
