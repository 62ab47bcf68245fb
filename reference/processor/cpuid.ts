// Decides what CPUID says: the vendor's name, and each feature that this processor has, at the bit the manual gives it.
// SDM volume 2, CPUID. Basic leaves beyond the last give the last one's data, as Intel processors do.

import { CR4_OSXSAVE } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { PHYSICAL_BITS } from './paging.ts';

type Leaf = readonly [eax: number, ebx: number, ecx: number, edx: number];
const bits = (...positions: readonly number[]): number => positions.reduce((sum, n) => sum | (1 << n), 0);

const MAX_BASIC = 0xd;
const MAX_EXTENDED = 0x8000_0008;
/** "GenuineIntel" in EBX, EDX, ECX. */
const vendor: Leaf = [MAX_BASIC, 0x756e_6547, 0x6c65_746e, 0x4965_6e69];
/** ECX: MONITOR 3, CMPXCHG16B 13, PCID 17, MOVBE 22, POPCNT 23. EDX: FPU 0, VME 1, DE 2, PSE 3, TSC 4, MSR 5, PAE 6, MCE 7, CX8 8, APIC 9, SEP 11, PGE 13, CMOV 15, PAT 16,
 *  PSE-36 17, CLFSH 19, FXSR 24, SSE 25, SSE2 26. Family 6. */
const features = (c: Cpu): Leaf => [
  0x0005_0654,
  0x0001_0800,
  bits(3, 13, 17, 22, 23) | ((c.cr4 & CR4_OSXSAVE) !== 0 ? bits(27) : 0),
  bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 24, 25, 26),
];
/** Leaf 7. EBX: FSGSBASE 0, BMI1 3, SMEP 7, BMI2 8, ERMS 9, INVPCID 10, ADX 19, SMAP 20. ECX: UMIP 2, LA57 16, RDPID 22. */
const structured: Leaf = [0, bits(0, 3, 7, 8, 9, 10, 19, 20), bits(2, 16, 22), 0];
const none: Leaf = [0, 0, 0, 0];
/** ECX: LAHF 0, LZCNT 5, PREFETCHW 8. EDX: SYSCALL 11 (in 64-bit mode), NX 20, 1-GByte pages 26, RDTSCP 27, Intel 64 29. */
const extended = (c: Cpu): Leaf => [0, 0, bits(0, 5, 8), bits(20, 26, 27, 29) | (c.code === 64 ? bits(11) : 0)];
const ascii = (text: string, at: number): number => {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = (word << 8) | (text.charCodeAt(at + i) || 0);
  return word;
};
const BRAND = 'vmm-conformance reference processor';
const brand = (n: number): Leaf => [ascii(BRAND, 16 * n), ascii(BRAND, 16 * n + 4), ascii(BRAND, 16 * n + 8), ascii(BRAND, 16 * n + 12)];

export const cpuid = (c: Cpu, leaf: number, subleaf: number): Leaf => {
  const n = leaf >>> 0;
  if (n >= 0x8000_0000 && n <= MAX_EXTENDED) {
    if (n === 0x8000_0000) return [MAX_EXTENDED | 0, 0, 0, 0];
    if (n === 0x8000_0001) return extended(c);
    if (n >= 0x8000_0002 && n <= 0x8000_0004) return brand(n - 0x8000_0002);
    // Invariant TSC.
    if (n === 0x8000_0007) return [0, 0, 0, bits(8)];
    return n === 0x8000_0008 ? [PHYSICAL_BITS | (57 << 8), 0, 0, 0] : none;
  }
  if (n === 0) return vendor;
  if (n === 1) return features(c);
  if (n === 7) return subleaf === 0 ? structured : none;
  return none;
};
