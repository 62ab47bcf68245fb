// The state that a program starts from in each mode, and small edits of it. Everything an instruction can depend on is explicit, hidden parts
// included, and is what loading the furniture's own tables gives.

import type { CpuMachine, CpuState, Segment } from '../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../spec/units.ts';
import { descriptorOf, loaded, loaded8086, unusable } from './descriptors.ts';
import * as at from './layout.ts';

/** SDM volume 3, Control Registers: PE 0, MP 1, ET 4, NE 5, WP 16, AM 18, PG 31. */
const PE = 1n;
const ET_NE = 0x30n;
const WP = 1n << 16n;
const AM = 1n << 18n;
const PG = 1n << 31n;
/** CR4: DE 3, PSE 4, PAE 5, PGE 7, OSFXSR 9, LA57 12. */
const PSE = 1n << 4n;
const PAE = 1n << 5n;
const OSFXSR = 1n << 9n;
const LA57 = 1n << 12n;
/** IA32_EFER: SCE 0, LME 8, LMA 10, NXE 11. SDM volume 3, Extended Feature Enable Register. */
const SCE = 1n;
const LME_LMA = 0x500n;
const NXE = 1n << 11n;
/** RFLAGS: bit 1 is always 1; IF 9; VM 17. */
const VM = 1n << 17n;
const IF = 1n << 9n;

const imageAt = (machine: MachineConfig, where: number, length: number): Uint8Array => {
  for (const piece of machine.image ?? []) {
    const start = where - Number(piece.at);
    if (start >= 0 && start + length <= piece.bytes.length) return piece.bytes.subarray(start, start + length);
  }
  throw new Error(`no furniture stands at ${where.toString(16)}H`);
};
/** The segment that loading `selector` gives, from the image's GDT or LDT. */
export const segmentOf = (machine: MachineConfig, selector: number): Segment => {
  if ((selector & 0xfffc) === 0) return unusable(selector);
  const table = (selector & 4) === 0 ? at.gdt : at.ldt;
  return loaded(selector, descriptorOf(imageAt(machine, table + (selector & 0xfff8), 8)));
};

/** Code, stack and data selectors by mode and level. */
const flatSelectors = (mode: CpuMachine['mode'], cpl: number): { readonly cs: number; readonly ss: number; readonly ds: number } => {
  const s = at.selectors;
  if (mode === 'prot16')
    return cpl === 0
      ? { cs: s.kernelCode16, ss: s.kernelData16, ds: s.kernelData16 }
      : { cs: s.userCode16 | 3, ss: s.userData16 | 3, ds: s.userData16 | 3 };
  if (cpl === 1) return { cs: s.code1 | 1, ss: s.data1 | 1, ds: s.data1 | 1 };
  if (cpl === 2) return { cs: s.code2 | 2, ss: s.data2 | 2, ds: s.data2 | 2 };
  if (cpl === 0) return { cs: mode === 'long64' ? s.kernelCode64 : s.kernelCode32, ss: s.kernelData, ds: s.kernelData };
  return { cs: (mode === 'long64' ? s.userCode64 : s.userCode32) | 3, ss: s.userData | 3, ds: s.userData | 3 };
};

/** Levels that a mode has besides 0 and 3: 16-bit furniture has no rings 1 and 2. */
export const levelsOf = (mode: CpuMachine['mode']): readonly number[] => {
  if (mode === 'real') return [0];
  if (mode === 'v86') return [3];
  return mode === 'prot16' ? [0, 3] : [0, 1, 2, 3];
};

const general = {
  rax: 0x11n,
  rcx: 0x2n,
  rdx: 0x3f8n,
  rbx: BigInt(at.data + 0x100),
  rbp: BigInt(at.data + 0x800),
  rsi: BigInt(at.data + 0x200),
  rdi: BigInt(at.data + 0x400),
  r8: 0x8n,
  r9: 0x9n,
  r10: 0xan,
  r11: 0xbn,
  r12: BigInt(at.data + 0x300),
  r13: BigInt(at.data + 0x500),
  r14: 0x7fffffffffffffffn,
  r15: 0xf000000000000001n,
} as const;

/** Where a program's code starts, as RIP. */
export const entryOf = (mode: CpuMachine['mode']): bigint =>
  mode === 'real' || mode === 'v86' || mode === 'prot16' ? 0n : BigInt(at.code);

/** Kernel stacks start below what the TSS names, so that a stack switch is told from none. */
const stackTop = (cpl: number, in16: boolean): number => {
  if (in16) return at.stackTop16;
  const { user, ring0, ring1, ring2 } = at.stackTops;
  return [ring0 - 0x800, ring1 - 0x100, ring2 - 0x100, user][cpl] ?? user;
};

const starts = new WeakMap<MachineConfig, CpuState[]>();
/** The state of a fresh program at privilege level `cpl`. Interrupts are enabled in ring 3, as on a running system.
 *  Worked out once a machine: it costs more than the judging of a case. */
export const startState = (machine: MachineConfig, cpl: number): CpuState => {
  let known = starts.get(machine);
  if (known === undefined) starts.set(machine, (known = []));
  return (known[cpl] ??= freshState(machine, cpl));
};
const freshState = (machine: MachineConfig, cpl: number): CpuState => {
  const cpu = machine.cpu as CpuMachine;
  const { mode, paging } = cpu;
  const old = mode === 'real' || mode === 'v86';
  const long = mode === 'long64' || mode === 'compat';
  const flat = flatSelectors(mode, cpl);
  const pick = (selector: number, in8086: number): Segment => (old ? loaded8086(in8086, mode === 'v86') : segmentOf(machine, selector));
  const in16 = old || mode === 'prot16';
  // 16-bit code addresses 64 KiB from its segment base.
  const near = (value: bigint): bigint => (in16 ? value & 0xffffn : value);
  const upper = (value: bigint): bigint => (mode === 'long64' ? value : 0n);
  const top = stackTop(cpl, in16);
  const has = (feature: string): boolean => (cpu.features as readonly string[]).includes(feature);
  // All parts in the order of the vocabulary: a record of another shape would make every reader of states slow.
  return {
    rax: near(general.rax),
    rcx: near(general.rcx),
    rdx: near(general.rdx),
    rbx: near(general.rbx),
    rsp: BigInt(top),
    rbp: near(general.rbp),
    rsi: near(general.rsi),
    rdi: near(general.rdi),
    r8: upper(general.r8),
    r9: upper(general.r9),
    r10: upper(general.r10),
    r11: upper(general.r11),
    r12: upper(general.r12),
    r13: upper(general.r13),
    r14: upper(general.r14),
    r15: upper(general.r15),
    rip: entryOf(mode),
    rflags: 2n | (cpl === 3 ? IF : 0n) | (mode === 'v86' ? VM : 0n),
    cs: pick(flat.cs, at.code >> 4),
    ss: pick(flat.ss, at.code >> 4),
    ds: pick(flat.ds, at.code >> 4),
    es: pick(flat.ds, at.code >> 4),
    fs: pick(flat.ds, at.code >> 4),
    gs: pick(flat.ds, at.code >> 4),
    ldtr: mode === 'real' ? { selector: 0, base: 0n, limit: 0xffff, access: 0x82 } : segmentOf(machine, at.selectors.ldt),
    tr: mode === 'real' ? { selector: 0, base: 0n, limit: 0xffff, access: 0x8b } : segmentOf(machine, at.selectors.tss),
    gdtr: { base: BigInt(at.gdt), limit: at.gdtLimit },
    idtr:
      mode === 'real'
        ? { base: BigInt(at.ivt), limit: 4 * at.lastGate + 3 }
        : { base: BigInt(at.idt), limit: (long ? 16 : 8) * (at.lastGate + 1) - 1 },
    cr0: ET_NE | (mode === 'real' ? 0n : PE) | (paging === 'none' ? 0n : PG | WP | AM),
    cr2: 0n,
    cr3: BigInt(
      paging === '5-level'
        ? at.pml5
        : paging === '4-level'
          ? at.pml4
          : paging === 'pae'
            ? at.pdpt
            : paging === '32-bit'
              ? at.pageDirectory
              : 0,
    ),
    cr4:
      OSFXSR | (paging === 'pae' || long ? PAE : 0n) | (paging === '32-bit' && has('pse') ? PSE : 0n) | (paging === '5-level' ? LA57 : 0n),
    cr8: 0n,
    efer: (long ? LME_LMA : 0n) | (has('nx') ? NXE : 0n) | (long && has('syscall') ? SCE : 0n),
    dr0: 0n,
    dr1: 0n,
    dr2: 0n,
    dr3: 0n,
    dr6: 0xffff0ff0n,
    dr7: 0x400n,
    // SYSCALL to kernelCode64, SYSRET to userCode64 by way of userCode32 (SDM volume 3, Fast System Calls in 64-Bit Mode).
    star: (BigInt(at.selectors.userCode32 | 3) << 48n) | (BigInt(at.selectors.kernelCode64) << 32n),
    lstar: at.stops.at + 16n * 200n,
    cstar: at.stops.at + 16n * 201n,
    sfmask: 0x700n,
    kernelGsBase: BigInt(at.data),
    sysenterCs: BigInt(long ? at.selectors.kernelCode64 : at.selectors.kernelCode32),
    sysenterEsp: BigInt(at.stackTops.ring0),
    sysenterEip: at.stops.at + 16n * 202n,
    tscAux: 0n,
    shadow: 'none',
  };
};
