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
  cx8: [1, 0, 'edx', 8],
  cmov: [1, 0, 'edx', 15],
  clflush: [1, 0, 'edx', 19],
  sse: [1, 0, 'edx', 25],
  lahf: [0x8000_0001, 0, 'ecx', 0],
  lzcnt: [0x8000_0001, 0, 'ecx', 5],
  movbe: [1, 0, 'ecx', 22],
  cx16: [1, 0, 'ecx', 13],
  bmi1: [7, 0, 'ebx', 3],
  bmi2: [7, 0, 'ebx', 8],
  adx: [7, 0, 'ebx', 19],
};

export type CpuFacts = Pick<GrantedCpu, 'has' | 'physicalBits' | 'vendor'>;
const EXTENDED = 0x8000_0000;
const reading =
  (leaves: readonly Leaf[]) =>
  (leaf: number, subleaf: number, register: Register): number =>
    leaves.find((l) => l[0] === leaf && l[1] === subleaf)?.[column[register]] ?? 0;
/** Leaves of the processor's name, sixteen characters each. */
export const nameLeaves: readonly number[] = [0x8000_0002, 0x8000_0003, 0x8000_0004];
/** The processor's name as CPUID tells it; undefined where it does not. */
export const nameOf = (leaves: readonly Leaf[]): string | undefined => {
  const read = reading(leaves);
  if (read(EXTENDED, 0, 'eax') >>> 0 < 0x8000_0004) return undefined;
  const text = Buffer.alloc(48);
  for (const [i, leaf] of nameLeaves.entries())
    for (const [k, register] of (['eax', 'ebx', 'ecx', 'edx'] as const).entries())
      text.writeUInt32LE(read(leaf, 0, register) >>> 0, 16 * i + 4 * k);
  // Whatever a guest's processor says must not end up in a line of a trace as anything but text, or as another part of a list with commas.
  const name = text
    .toString('latin1')
    .split('\0', 1)[0]
    ?.replaceAll(/[^\x20-\x7e]|,/g, ' ')
    .replaceAll(/ +/g, ' ')
    .trim();
  return name === '' ? undefined : name;
};
export const factsOf = (leaves: readonly Leaf[]): CpuFacts => {
  const read = reading(leaves);
  const top = read(0, 0, 'eax');
  const topExtended = read(EXTENDED, 0, 'eax') >>> 0;
  /** Past the last leaf processors answer with what another one holds. A list without the number of the last is taken as it is. */
  const exists = (leaf: number): boolean => (leaf < EXTENDED ? top === 0 || leaf <= top : topExtended < EXTENDED || leaf <= topExtended);
  const value = (leaf: number, subleaf: number, register: Register): number => (exists(leaf) ? read(leaf, subleaf, register) : 0);
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
