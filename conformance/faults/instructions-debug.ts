// Seeded faults of virtual interrupts, breakpoints in the debug registers, and task switches.
// One for each rule, from the rules alone.

import type { Fault } from './fault.ts';

export const instructionDebugFaults: readonly Fault[] = [
  {
    id: 'insn-sti-vip',
    origin: 'rule',
    file: 'processor/flag-ops.ts',
    swap: ['    if ((c.flags & VIP) !== 0) gp();\n', ''],
    killedBy: 'instructions.flag.virtual',
    story: 'STI sets VIF while VIP is set',
  },
  {
    id: 'insn-redirect-vif',
    origin: 'rule',
    file: 'processor/software-interrupt.ts',
    swap: ['(iopl3 ? IF : VIF)', 'IF'],
    killedBy: 'instructions.interrupt.flags',
    story: 'a redirected interrupt clears IF in place of VIF',
  },
  {
    id: 'insn-redirect-image',
    origin: 'rule',
    file: 'processor/software-interrupt.ts',
    swap: ['((flags & VIF) !== 0 ? IF : 0);', '((flags & VIF) !== 0 ? 0 : IF);'],
    killedBy: 'instructions.interrupt.stores',
    story: 'a redirected interrupt pushes VIF inverted',
  },
  {
    id: 'insn-redirect-target',
    origin: 'rule',
    file: 'processor/software-interrupt.ts',
    swap: ['through8086(c, 4 * vector, shown)', 'through8086(c, 4 * (vector ^ 1), shown)'],
    killedBy: 'instructions.interrupt.target',
    story: 'a redirected interrupt goes to its neighbour’s vector',
  },
  {
    id: 'insn-breakpoint-rf',
    origin: 'rule',
    file: 'processor/debug.ts',
    swap: ['  debugStatus(c, hit);\n  raiseWithoutResume(DB);', '  debugStatus(c, hit);\n  if (hit !== 8) raiseWithoutResume(DB);'],
    killedBy: 'instructions.debug.code',
    story: 'instruction breakpoints in DR3 are missed',
  },
  {
    id: 'insn-breakpoint-length',
    origin: 'rule',
    file: 'processor/debug.ts',
    swap: ['const LENGTHS = [1, 2, 8, 4] as const;', 'const LENGTHS = [1, 2, 8, 2] as const;'],
    killedBy: 'instructions.debug.data',
    story: 'data breakpoints of four bytes watch two',
  },
  {
    id: 'insn-breakpoint-port',
    origin: 'rule',
    file: 'processor/debug.ts',
    swap: ['if (port < at + lengthOf(c, i) && at < port + width) {', 'if (port === at) {'],
    killedBy: 'instructions.debug.port',
    story: 'an I/O breakpoint watches its first port alone',
  },
  {
    id: 'insn-general-detect',
    origin: 'rule',
    file: 'processor/control.ts',
    swap: ['  if ((c.dr7 & (1 << 13)) !== 0) {\n', '  if ((c.dr7 & (1 << 13)) !== 0 && which < 6) {\n'],
    killedBy: 'instructions.debug.detect',
    story: 'DR7.GD does not guard DR6 and DR7',
  },
  {
    id: 'insn-task-busy',
    origin: 'rule',
    file: 'processor/task.ts',
    swap: ["  if (((type & 2) !== 0) !== (how === 'iret')) raise(bad, error);\n", ''],
    killedBy: 'instructions.task.refused',
    story: 'a task that is busy is switched to, and one that is not is returned to',
  },
  {
    id: 'insn-task-ts',
    origin: 'rule',
    file: 'processor/task.ts',
    swap: ['  c.cr0 |= CR0_TS;\n', ''],
    killedBy: 'instructions.far.system',
    story: 'a task switch leaves CR0.TS',
  },
];
