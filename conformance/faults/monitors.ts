// Seeded faults of the monitors: each lets a guest tell that it is not on the bare processor, and the equivalence property must find a guest that does.
// From the rules of each technique. Those that show in one instruction die by a clause and stand in the catalogue; the others take a longer guest.

import type { Monitor } from '../../spec/instructions/vocabulary.ts';
import type { Fault } from './fault.ts';

export interface MonitorFault extends Omit<Fault, 'killedBy'> {
  readonly monitor: Monitor;
  /** Absent: no guest of one instruction shows it. */
  readonly killedBy?: string;
}
const binary = 'binary-translation';
const para = 'paravirtual';
export const monitorFaults: readonly MonitorFault[] = [
  {
    id: 'monitor-stale-translation',
    origin: 'rule',
    file: 'monitors/translate.ts',
    swap: ['  if (host.versions[page] === t.version) return true;\n', '  if (host.versions[page]! >= 0) return true;\n'],
    killedBy: 'instructions.frame.rip',
    monitor: binary,
    story: 'translated code survives that the guest has stored over it',
  },
  {
    id: 'monitor-store-in-block',
    origin: 'rule',
    file: 'monitors/native.ts',
    swap: ['c.attention === 0 && !host.codeChanged) {\n        const op', 'c.attention === 0) {\n        const op'],
    monitor: binary,
    story: 'a block goes on after a store into its own code',
  },
  {
    id: 'monitor-rip-not-mapped',
    origin: 'rule',
    file: 'monitors/native.ts',
    swap: ['      c.ipLo = c.op.lo;\n', ''],
    monitor: binary,
    story: 'an exception in a block is reported at its start',
  },
  {
    id: 'monitor-real-flags',
    origin: 'rule',
    file: 'monitors/deprivilege.ts',
    swap: ['  v.flags = (v.flags & KEPT) | (c.flags & ~KEPT);\n', '  v.flags = c.flags;\n'],
    killedBy: 'instructions.frame.flags',
    monitor: binary,
    story: 'the real IF and IOPL leak into the guest',
  },
  {
    id: 'monitor-popf-native',
    origin: 'rule',
    file: 'monitors/sensitive.ts',
    swap: ["'Pushfq', 'Popf', 'Popfd', 'Popfq'", "'Pushfq'"],
    monitor: binary,
    story: 'POPF drops IF in silence',
  },
  {
    id: 'monitor-smsw-native',
    origin: 'rule',
    file: 'monitors/sensitive.ts',
    swap: ["'Str', 'Smsw']", "'Str']"],
    monitor: binary,
    story: 'SMSW shows the real CR0',
  },
  {
    id: 'monitor-segment-native',
    origin: 'rule',
    file: 'monitors/sensitive.ts',
    swap: ["  insn.ops.some((o) => o.kind === 'segment') ||\n", ''],
    monitor: para,
    story: 'MOV from CS shows ring 3',
  },
  {
    id: 'monitor-write-protection',
    origin: 'rule',
    file: 'monitors/shadow.ts',
    swap: ['const writable = (grant & 2) !== 0 && ', 'const writable = '],
    killedBy: 'instructions.page.write',
    monitor: binary,
    story: 'shadow entries let the guest store to its read-only pages',
  },
  {
    id: 'monitor-time-stands',
    origin: 'rule',
    file: 'monitors/deprivilege.ts',
    swap: ['  v.done = c.done;\n', ''],
    killedBy: 'instructions.interrupt.taken',
    monitor: binary,
    story: 'RDTSC does not count what ran natively',
  },
  {
    id: 'monitor-ports-open',
    origin: 'rule',
    file: 'monitors/world.ts',
    swap: ['  host.view.setUint16(own + TSS_PAGE * PAGE + 102, 0xffff, true);\n', ''],
    killedBy: 'machine.alive',
    monitor: para,
    story: 'the real TSS permits every port',
  },
  {
    id: 'monitor-hypercall-clobbers',
    origin: 'rule',
    file: 'monitors/rewrite.ts',
    swap: ['      write(w, (p) => p.bytes[0]!);\n', '      write(w, (p) => p.bytes[0]!);\n      w.v.r[2] = 0;\n'],
    killedBy: 'instructions.unchanged.registers',
    monitor: para,
    story: 'a hypercall loses ECX',
  },
  {
    id: 'monitor-rewritten-writable',
    origin: 'rule',
    file: 'monitors/rewrite.ts',
    swap: ['readOnly: (_, frame) => pages.has(frame >>> 12)', 'readOnly: () => false'],
    monitor: para,
    story: 'stores to rewritten code go unseen',
  },
];
/** The catalogue's part. */
export const instructionMonitorFaults: readonly Fault[] = monitorFaults.flatMap(({ id, origin, file, swap, killedBy, story }) =>
  killedBy === undefined ? [] : [{ id, origin, file, swap, killedBy, story }],
);
