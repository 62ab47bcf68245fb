// Seeded faults of system instructions whose conditions programs once did not bring about, so that they lived.
// One for each rule, from the rules alone.

import type { Fault } from './fault.ts';

const control = { origin: 'rule', file: 'processor/control.ts' } as const;
const system = { origin: 'rule', file: 'processor/system.ts' } as const;
const registers = { origin: 'rule', file: 'processor/msr.ts' } as const;
const calls = { origin: 'rule', file: 'processor/system-call.ts' } as const;
const [combination, invpcid, monitor] = [
  'instructions.control.combination',
  'instructions.cache.invpcid',
  'instructions.privileged.monitor',
] as const;

export const instructionConditionFaults: readonly Fault[] = [
  {
    ...system,
    id: 'insn-monitor-extension',
    swap: ['    if (c.r[2] !== 0) gp();\n', ''],
    killedBy: monitor,
    story: 'MONITOR ignores ECX',
  },
  {
    ...system,
    id: 'insn-mwait-extension',
    swap: ['  if (c.cpl !== 0) ud();\n  if (c.r[2] !== 0) gp();\n};', '  if (c.cpl !== 0) ud();\n};'],
    killedBy: monitor,
    story: 'MWAIT ignores ECX',
  },
  {
    ...system,
    id: 'insn-monitor-access',
    swap: ['    read8(c, linear(c, seg, word ? c.r16[0]! : c.r[0]!, 1, READABLE));\n', ''],
    killedBy: 'instructions.page.present',
    story: 'MONITOR takes an address without looking whether it may be read',
  },
  {
    ...system,
    id: 'insn-monitor-override',
    swap: ['linear(c, seg, word', 'linear(c, 3, word'],
    killedBy: 'instructions.cache.completes',
    story: 'MONITOR ignores a segment override',
  },
  {
    ...system,
    id: 'insn-invpcid-address',
    swap: ['    if (type === 0 && !canonical(c, addressHi)) gp();\n', ''],
    killedBy: invpcid,
    story: 'INVPCID of one address takes one that is not canonical',
  },
  {
    ...system,
    id: 'insn-invpcid-wide',
    swap: ['if (high !== 0 || type >>> 0 > 3) gp();', 'if (type >>> 0 > 3) gp();'],
    killedBy: invpcid,
    story: 'INVPCID looks at the low half of its type alone',
  },
  {
    ...control,
    id: 'insn-pcide-cr3',
    swap: ['(!c.lma || (c.cr3 & 0xfffn) !== 0n)', '!c.lma'],
    killedBy: combination,
    story: 'CR4.PCIDE is set with CR3 bits 11:0 not 0',
  },
  {
    ...control,
    id: 'insn-pcide-paging',
    swap: ['      if ((c.cr4 & CR4_PCIDE) !== 0) gp();\n', ''],
    killedBy: combination,
    story: 'CR0.PG is cleared under CR4.PCIDE',
  },
  {
    ...control,
    id: 'insn-pcide-keep',
    swap: ['if (keep) value &= ~(1n << 63n);', ''],
    killedBy: 'instructions.control.completes',
    story: 'bit 63 of CR3 is reserved under CR4.PCIDE too',
  },
  {
    ...control,
    id: 'insn-activate-tss',
    swap: ['        if ((c.tr.access & 15) === 3) gp();\n', ''],
    killedBy: combination,
    story: 'IA-32e mode is activated with a TSS of 16 bits',
  },
  {
    ...control,
    id: 'insn-activate-long',
    swap: ['        if ((c.seg[CS].access & ACCESS_L) !== 0) gp();\n', ''],
    killedBy: combination,
    story: 'IA-32e mode is activated with CS.L set',
  },
  {
    ...registers,
    id: 'insn-efer-lma',
    swap: ['(next & ~EFER_LMA) | (c.efer & EFER_LMA)', 'next'],
    killedBy: 'instructions.priority.permitted',
    story: 'WRMSR changes EFER.LMA',
  },
  {
    ...registers,
    id: 'insn-fmask-half',
    swap: ['(c.sfmask = half(value))', '(c.sfmask = value >> 32n)'],
    killedBy: 'instructions.msr.system',
    story: 'WRMSR of IA32_FMASK takes EDX for EAX',
  },
  {
    ...registers,
    id: 'insn-kernel-gs',
    swap: ['(c.kernelGsBase = checkCanonical(c, value))', '(c.kernelGsBase = value)'],
    killedBy: 'instructions.msr.canonical',
    story: 'IA32_KERNEL_GS_BASE takes an address that is not canonical',
  },
  {
    ...calls,
    id: 'insn-sysenter-stack',
    swap: ['c.r[9] = lma ? high(c.sysenterEsp) : 0;', 'c.r[9] = 0;'],
    killedBy: 'instructions.call.registers',
    story: 'SYSENTER loads the low half of RSP alone',
  },
  {
    ...calls,
    id: 'insn-sysexit-stack',
    swap: ['(!canonical(c, c.r[3]!) || !canonical(c, c.r[5]!))', '!canonical(c, c.r[5]!)'],
    killedBy: 'instructions.call.canonical',
    story: 'SYSEXIT loads a stack pointer that is not canonical',
  },
];
