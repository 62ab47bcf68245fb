// Which features CPUID declares, by their names here. Intel SDM volume 2, CPUID; AMD64 APM volume 3, appendix E.
// Leaves are as KVM lists them: function, index, flags, EAX, EBX, ECX, EDX.

import type { CpuFeature, GrantedCpu } from '../../../spec/instructions/vocabulary.ts';

export type Leaf = readonly number[];
type Register = 'eax' | 'ebx' | 'ecx' | 'edx';
const column: Readonly<Record<Register, number>> = { eax: 3, ebx: 4, ecx: 5, edx: 6 };

const bits: Readonly<Record<CpuFeature, readonly [leaf: number, subleaf: number, register: Register, bit: number]>> = {
  umip: [7, 0, 'ecx', 2],
  smep: [7, 0, 'ebx', 7],
  smap: [7, 0, 'ebx', 20],
  nx: [0x8000_0001, 0, 'edx', 20],
  pcid: [1, 0, 'ecx', 17],
  pge: [1, 0, 'edx', 13],
  pse: [1, 0, 'edx', 3],
  pae: [1, 0, 'edx', 6],
  la57: [7, 0, 'ecx', 16],
  fsgsbase: [7, 0, 'ebx', 0],
  syscall: [0x8000_0001, 0, 'edx', 11],
  sep: [1, 0, 'edx', 11],
  rdtscp: [0x8000_0001, 0, 'edx', 27],
  rdpid: [7, 0, 'ecx', 22],
  invpcid: [7, 0, 'ebx', 10],
  tsd: [1, 0, 'edx', 4],
  de: [1, 0, 'edx', 2],
  vme: [1, 0, 'edx', 1],
  monitor: [1, 0, 'ecx', 3],
  xsave: [1, 0, 'ecx', 26],
  sse2: [1, 0, 'edx', 26],
  gbpages: [0x8000_0001, 0, 'edx', 26],
  pku: [7, 0, 'ecx', 3],
  lam: [7, 1, 'eax', 26],
  popcnt: [1, 0, 'ecx', 23],
  lahf: [0x8000_0001, 0, 'ecx', 0],
  lzcnt: [0x8000_0001, 0, 'ecx', 5],
  movbe: [1, 0, 'ecx', 22],
  cx16: [1, 0, 'ecx', 13],
  bmi1: [7, 0, 'ebx', 3],
  bmi2: [7, 0, 'ebx', 8],
  adx: [7, 0, 'ebx', 19],
};

export type CpuFacts = Pick<GrantedCpu, 'has' | 'physicalBits' | 'vendor'>;
export const factsOf = (leaves: readonly Leaf[]): CpuFacts => {
  const value = (leaf: number, subleaf: number, register: Register): number =>
    leaves.find((l) => l[0] === leaf && l[1] === subleaf)?.[column[register]] ?? 0;
  const has = (Object.keys(bits) as CpuFeature[]).filter((feature) => {
    const [leaf, subleaf, register, bit] = bits[feature];
    return ((value(leaf, subleaf, register) >>> bit) & 1) === 1;
  });
  const ebx = value(0, 0, 'ebx');
  // "Genu" and "Auth": the first four letters of the vendor's twelve.
  const vendor = ebx === 0x756e_6547 ? 'intel' : ebx === 0x6874_7541 ? 'amd' : 'other';
  return { has, physicalBits: value(0x8000_0008, 0, 'eax') & 0xff || 36, vendor };
};

/** What a processor lacks for a machine, or undefined. */
export const missing = (facts: CpuFacts, features: readonly CpuFeature[], paging: string): string | undefined => {
  const wanted = [...new Set(paging === '5-level' ? [...features, 'la57' as const] : features)];
  const lacks = wanted.filter((f) => !facts.has.includes(f));
  return lacks.length === 0 ? undefined : `the processor has no ${lacks.join(', ')}`;
};
