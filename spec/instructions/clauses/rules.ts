// The faults that segment loads, far transfers, gates, system registers, I/O and flags demand: one clause a rule.
// Intel SDM volume 2, the exception lists of the pages; volume 3, Protection.

import type { Clause } from '../../clause.ts';
import type { InstructionsGhost } from '../ghost.ts';
import { type RuleText, ruleClause, sdm } from './clause.ts';

const page = (mnemonic: string): ReturnType<typeof sdm> => sdm(`Volume 2, ${mnemonic}`);
const data = sdm('Volume 3, Protection, Privilege Level Checking When Accessing Data Segments');
const codeRules = sdm('Volume 3, Protection, Privilege Level Checking When Transferring Program Control Between Code Segments');
const callGates = sdm('Volume 3, Protection, Accessing a Code Segment Through a Call Gate');
const crs = page('MOV—Move to/from Control Registers');
const drs = page('MOV—Move to/from Debug Registers');
const wrmsr = page('WRMSR—Write to Model Specific Register');
const iret = page('IRET/IRETD/IRETQ—Interrupt Return');
const jumps = page('JMP—Jump');

const rules: readonly RuleText[] = [
  { rule: 'divide.de', cite: page('DIV—Unsigned Divide'), says: 'division by 0, or a quotient that does not fit, is #DE' },
  { rule: 'branch.limit', cite: jumps, says: 'a near branch beyond the limit of CS is #GP(0)' },
  { rule: 'branch.canonical', cite: jumps, says: 'a near branch to an address that is not canonical is #GP(0)', harm: 'dies' },
  { rule: 'branch.bound', cite: page('BOUND—Check Array Index Against Bounds'), says: 'an index outside the bounds is #BR' },
  { rule: 'ud.register', cite: crs, says: 'a segment, control or debug register that does not exist, and CS as destination, is #UD' },

  { rule: 'segment.null', cite: data, says: 'a null selector into SS is #GP(0), except in 64-bit mode below CPL 3 with RPL equal to CPL' },
  { rule: 'segment.limit', cite: data, says: 'a selector beyond the limit of its table is #GP(selector)' },
  { rule: 'segment.type', cite: data, says: 'a segment register refuses descriptors of another type with #GP(selector)' },
  { rule: 'segment.privilege', cite: data, says: 'a segment whose DPL is below CPL or RPL, or for SS differs, is #GP(selector)' },
  { rule: 'segment.present', cite: data, says: 'a segment that is not present is #NP(selector), or #SS(selector) for SS' },
  {
    rule: 'segment.base',
    cite: page('WRFSBASE/WRGSBASE—Write FS/GS Segment Base'),
    says: 'a base that is not canonical is #GP(0)',
    harm: 'dies',
  },

  { rule: 'far.null', cite: jumps, says: 'a far transfer to a null selector is #GP(0)' },
  { rule: 'far.limit', cite: codeRules, says: 'a far transfer to a selector beyond its table is #GP(selector)' },
  {
    rule: 'far.type',
    cite: codeRules,
    says: 'a far transfer to what is no code segment or gate, or to a segment with L and D, is #GP(selector)',
  },
  { rule: 'far.privilege', cite: codeRules, says: 'a direct far transfer to another privilege level is #GP(selector)', harm: 'dies' },
  { rule: 'far.present', cite: codeRules, says: 'a far transfer to a code segment that is not present is #NP(selector)' },
  {
    rule: 'task.refused',
    cite: sdm('Volume 3, Task Management, Task Switching', 'Exception Conditions Checked During a Task Switch'),
    says: 'a switch to a TSS that is not available, not in the GDT, not present or too small is #GP, #NP or #TS with its selector; of IRET #TS for #GP',
  },
  {
    rule: 'task.segments',
    cite: sdm('Volume 3, Task Management, Task Switching', 'Exception Conditions Checked During a Task Switch'),
    says: 'a segment or LDT of the new task that cannot be loaded is #TS, #NP or #SS with its selector, in the new task before its first instruction',
  },
  {
    rule: 'far.offset',
    cite: jumps,
    says: 'a far transfer beyond the limit of the new segment, or to an address that is not canonical, is #GP(0)',
  },
  { rule: 'gate.privilege', cite: callGates, says: 'a gate whose DPL is below CPL or RPL is #GP(selector of the gate)', harm: 'dies' },
  { rule: 'gate.present', cite: callGates, says: 'a gate that is not present is #NP(selector of the gate)' },
  {
    rule: 'gate.target',
    cite: callGates,
    says: 'a gate to a segment that is null, no code, of wrong privilege or absent is #GP or #NP with that selector',
  },
  {
    rule: 'gate.stack',
    cite: sdm('Volume 3, Protection, Stack Switching'),
    says: 'a stack of the TSS that cannot be used for an inner call is #TS or #SS',
  },
  { rule: 'return.privilege', cite: iret, says: 'a return to an inner level, or with RPL and DPL at odds, is #GP(selector)', harm: 'dies' },
  {
    rule: 'return.stack',
    cite: iret,
    says: 'a return with a stack segment that does not fit the new level is #GP or #SS with its selector',
  },
  { rule: 'return.nested', cite: iret, says: 'IRET with NT set in IA-32e mode is #GP(0)' },

  {
    rule: 'interrupt.dpl',
    cite: page('INT n/INTO/INT3/INT1—Call to Interrupt Procedure'),
    says: 'INT n through a gate with DPL below CPL is #GP(vector * 8 + 2)',
    harm: 'dies',
  },
  {
    rule: 'interrupt.iopl',
    cite: page('INT n/INTO/INT3/INT1—Call to Interrupt Procedure'),
    says: 'INT n in virtual-8086 mode below IOPL 3 is #GP(0)',
  },
  {
    rule: 'interrupt.taken',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Masking Maskable Hardware Interrupts'),
    says: 'a pending interrupt is delivered after the instruction where IF is set, and one instruction later where STI or a load of SS holds it back',
  },
  {
    rule: 'deliver.limit',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Interrupt Descriptor Table (IDT)'),
    says: 'a vector beyond the limit of the IDT is #GP(vector * 8 + 2 + EXT)',
  },
  {
    rule: 'deliver.type',
    cite: sdm('Volume 3, Interrupt and Exception Handling, IDT Descriptors'),
    says: 'an IDT entry that is no gate is #GP(vector * 8 + 2 + EXT)',
  },
  {
    rule: 'deliver.present',
    cite: sdm('Volume 3, Interrupt and Exception Handling, IDT Descriptors'),
    says: 'a gate that is not present is #NP(vector * 8 + 2 + EXT)',
  },
  {
    rule: 'deliver.code',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Exception- or Interrupt-Handler Procedures'),
    says: 'a gate to a segment that cannot be the handler’s is #GP or #NP with its selector and EXT',
  },
  {
    rule: 'deliver.stack',
    cite: sdm('Volume 3, Interrupt and Exception Handling, Exception- or Interrupt-Handler Procedures'),
    says: 'a handler’s stack that cannot be used is #TS or #SS',
  },

  {
    rule: 'flag.iopl',
    cite: sdm('Volume 3, 8086 Emulation, Sensitive Instructions'),
    says: 'CLI and STI above IOPL, and PUSHF, POPF and IRET in virtual-8086 mode below IOPL 3, are #GP(0)',
  },
  {
    rule: 'flag.virtual',
    cite: sdm(
      'Volume 3, 8086 Emulation, Class 2—Maskable Hardware Interrupt Handling in Virtual-8086 Mode Using the Virtual Interrupt Mechanism',
    ),
    says: 'where VIF stands for IF, setting it while VIP is set, and loading TF by POPF, is #GP(0)',
  },
  { rule: 'flag.smap', cite: page('CLAC—Clear AC Flag in EFLAGS Register'), says: 'CLAC and STAC above CPL 0 are #UD' },
  {
    rule: 'umip.gp',
    cite: sdm('Volume 3, System Architecture Overview, Control Registers', 'CR4.UMIP'),
    says: 'with CR4.UMIP, SGDT, SIDT, SLDT, SMSW and STR above CPL 0 are #GP(0)',
  },
  {
    rule: 'time.tsd',
    cite: sdm('Volume 3, System Architecture Overview, Control Registers', 'CR4.TSD'),
    says: 'with CR4.TSD, RDTSC and RDTSCP above CPL 0 are #GP(0)',
  },
  {
    rule: 'time.pce',
    cite: sdm('Volume 3, System Architecture Overview, Control Registers', 'CR4.PCE'),
    says: 'without CR4.PCE, RDPMC above CPL 0 is #GP(0)',
  },
  {
    rule: 'io.bitmap',
    cite: sdm('Volume 1, Input/Output, I/O Permission Bit Map'),
    says: 'a port that neither IOPL nor the bitmap of the TSS permits is #GP(0), whole ranges at once',
    harm: 'dies',
  },

  { rule: 'table.null', cite: page('LTR—Load Task Register'), says: 'LTR of a null selector is #GP(0)' },
  {
    rule: 'table.selector',
    cite: page('LLDT—Load Local Descriptor Table Register'),
    says: 'LLDT and LTR of a selector of the LDT or beyond the GDT are #GP(selector)',
  },
  {
    rule: 'table.type',
    cite: page('LTR—Load Task Register'),
    says: 'LLDT wants an LDT and LTR an available TSS; anything else is #GP(selector)',
  },
  {
    rule: 'table.present',
    cite: page('LLDT—Load Local Descriptor Table Register'),
    says: 'LLDT and LTR of a descriptor that is not present are #NP(selector)',
  },
  {
    rule: 'table.base',
    cite: page('LGDT/LIDT—Load Global/Interrupt Descriptor Table Register'),
    says: 'LGDT and LIDT of a base that is not canonical are #GP(0)',
  },
  { rule: 'control.reserved', cite: crs, says: 'setting a reserved bit of a control register is #GP(0)', harm: 'dies' },
  {
    rule: 'control.combination',
    cite: crs,
    says: 'combinations of PG, PE, NW, CD, PAE, LME, LA57 and PCIDE that do not go together are #GP(0)',
    harm: 'dies',
  },
  {
    rule: 'control.pdpte',
    cite: sdm('Volume 3, Paging, PDPTE Registers'),
    says: 'loading a present PDPTE with reserved bits set is #GP(0)',
  },
  { rule: 'debug.de', cite: drs, says: 'with CR4.DE, DR4 and DR5 are #UD' },
  { rule: 'debug.reserved', cite: drs, says: 'setting bits 63:32 of DR6 or DR7 is #GP(0)' },
  { rule: 'msr.reserved', cite: wrmsr, says: 'setting a reserved bit of a model-specific register is #GP(0)' },
  {
    rule: 'msr.canonical',
    cite: wrmsr,
    says: 'a model-specific register that holds an address refuses one that is not canonical with #GP(0)',
    harm: 'dies',
  },
  {
    rule: 'msr.lme',
    cite: sdm('Volume 3, Paging, Paging-Mode Enabling'),
    says: 'changing EFER.LME while paging is on is #GP(0)',
  },
  {
    rule: 'call.enabled',
    cite: page('SYSCALL—Fast System Call'),
    says: 'SYSCALL and SYSRET are #UD without EFER.SCE, and outside 64-bit mode',
  },
  {
    rule: 'call.canonical',
    cite: page('SYSRET—Return From Fast System Call'),
    says: 'a 64-bit return to an address that is not canonical is #GP(0)',
    harm: 'dies',
  },
  {
    rule: 'call.sysenter',
    cite: page('SYSENTER—Fast System Call'),
    says: 'SYSENTER and SYSEXIT with a null IA32_SYSENTER_CS, or in real-address mode, are #GP(0)',
  },
  {
    rule: 'cache.invpcid',
    cite: page('INVPCID—Invalidate Process-Context Identifier'),
    says: 'INVPCID of an unknown type or a descriptor with reserved bits is #GP(0)',
  },
  { rule: 'cache.nm', cite: page('WAIT/FWAIT—Wait'), says: 'WAIT with CR0.MP and CR0.TS is #NM' },
  {
    rule: 'debug.code',
    cite: sdm('Volume 3, Debug, Instruction-Breakpoint Exception Condition'),
    says: 'an enabled breakpoint on an instruction is #DB before it, with RF of the image clear',
  },
  {
    rule: 'debug.data',
    cite: sdm('Volume 3, Debug, Data Memory and I/O Breakpoint Exception Conditions'),
    says: 'an instruction that accesses bytes of an enabled data breakpoint is followed by #DB',
  },
  {
    rule: 'debug.port',
    cite: sdm('Volume 3, Debug, Data Memory and I/O Breakpoint Exception Conditions'),
    says: 'an instruction that accesses a port of an enabled I/O breakpoint is followed by #DB',
  },
  {
    rule: 'debug.detect',
    cite: sdm('Volume 3, Debug, General-Detect Exception Condition'),
    says: 'with DR7.GD set, MOV of a debug register is #DB before it',
  },
  {
    rule: 'debug.task',
    cite: sdm('Volume 3, Debug, Task-Switch Exception Condition'),
    says: 'a switch to a task whose TSS has the debug trap flag set is followed by #DB before its first instruction',
  },
  {
    rule: 'step.trap',
    cite: sdm('Volume 3, Debug, Single-Step Exception Condition'),
    says: 'with TF set before it, an instruction is followed by #DB, but not MOV or POP to SS',
  },
];
/** Rules that a ring-3 program of a host can meet without knowing the host's tables. */
const anywhere = new Set([
  'divide.de',
  'branch.limit',
  'branch.canonical',
  'branch.bound',
  'ud.register',
  'flag.iopl',
  'flag.smap',
  'step.trap',
  'segment.type',
  'segment.privilege',
  'segment.base',
  'far.null',
  'far.type',
  'far.privilege',
  'return.privilege',
  'time.pce',
  'io.bitmap',
]);
export const ruleClauses: readonly Clause<InstructionsGhost>[] = rules.map((r) =>
  ruleClause(anywhere.has(r.rule) ? r : { ...r, needs: ['cpu.system'] }),
);
