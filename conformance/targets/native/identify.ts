// What the processor says of itself in ring 3: CPUID, run as programs on the smallest machine. Also the target's smoke test.

import type { CpuState } from '../../../spec/instructions/vocabulary.ts';
import type { Gpa, MachineConfig } from '../../../spec/units.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import type { Batch } from '../kvm/batch.ts';
import type { Leaf } from '../kvm/features.ts';

/** No paging structures: every page is the user's. */
const machine: MachineConfig = {
  memory: 0x11000,
  fill: 0xcc,
  bus: 'none',
  cpu: { mode: 'long64', paging: 'none', features: [], stops: { at: 0n, stride: 16, count: 0 } },
};
const flat = (selector: number, access: number): CpuState['cs'] => ({ selector, base: 0n, limit: 0xffff_ffff, access });
const none = { selector: 0, base: 0n, limit: 0, access: 1 << 16 } as const;
const table = { base: 0n, limit: 0 } as const;
const zero = {
  rbx: 0n,
  rdx: 0n,
  rsp: 0n,
  rbp: 0n,
  rsi: 0n,
  rdi: 0n,
  r8: 0n,
  r9: 0n,
  r10: 0n,
  r11: 0n,
  r12: 0n,
  r13: 0n,
  r14: 0n,
  r15: 0n,
} as const;
const system = { cr2: 0n, cr3: 0n, cr4: 0n, cr8: 0n, dr0: 0n, dr1: 0n, dr2: 0n, dr3: 0n, dr6: 0n, dr7: 0n } as const;
const msrs = {
  star: 0n,
  lstar: 0n,
  cstar: 0n,
  sfmask: 0n,
  kernelGsBase: 0n,
  sysenterCs: 0n,
  sysenterEsp: 0n,
  sysenterEip: 0n,
  tscAux: 0n,
} as const;
const base: CpuState = {
  ...zero,
  ...system,
  ...msrs,
  rax: 0n,
  rcx: 0n,
  rip: 0x10000n,
  rflags: 0x202n,
  cs: flat(0x33, 0xa0fb),
  ss: flat(0x2b, 0xc0f3),
  ds: flat(0x2b, 0xc0f3),
  es: flat(0x2b, 0xc0f3),
  fs: none,
  gs: none,
  ldtr: none,
  tr: none,
  gdtr: table,
  idtr: table,
  cr0: 0x8005_0033n,
  efer: 0xd01n,
  shadow: 'none',
};
const cpuid = Uint8Array.of(0x0f, 0xa2, 0xcc);
const asked: readonly (readonly [leaf: number, subleaf: number])[] = [
  [0, 0],
  [1, 0],
  [7, 0],
  [7, 1],
  [0x8000_0000, 0],
  [0x8000_0001, 0],
  [0x8000_0008, 0],
];

/** The leaves that features are read from. Throws where the runner does not work here. */
export const leavesOf = (batch: Batch): readonly Leaf[] => {
  batch.furnish(machine);
  const programs = asked.map(([leaf, subleaf]): readonly Stimulus[] => [
    { do: 'memory.write', at: 0x10000n as Gpa, bytes: cpuid },
    { do: 'cpu.run', state: { ...base, rax: BigInt(leaf), rcx: BigInt(subleaf) }, limit: 2 },
  ]);
  return batch.runAll(programs).map((answers, i): Leaf => {
    const answer = answers[1];
    const last = answer !== undefined && 'saw' in answer ? answer.saw[answer.saw.length - 1] : undefined;
    if (last?.saw !== 'cpu.stopped' || last.stop !== 3) throw new Error(`the smoke test died: ${JSON.stringify(answer ?? answers[0])}`);
    const { rax = 0n, rbx = 0n, rcx = 0n, rdx = 0n } = last.state;
    const [leaf, subleaf] = asked[i] as readonly [number, number];
    return [leaf, subleaf, 0, ...[rax, rbx, rcx, rdx].map((value) => Number(BigInt.asUintN(32, value)))];
  });
};
