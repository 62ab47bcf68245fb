// What CPUID must say: the vendor's name, the features that the processor is known to have, the width of addresses. The rest is the processor's own.
// Intel SDM volume 2, CPUID—CPU Identification, table Information Returned by CPUID Instruction.

import { cr4 } from './bits.ts';
import type { CpuFeature } from './vocabulary.ts';
import { has, low, type Work } from './work.ts';

type Name = 'rax' | 'rbx' | 'rcx' | 'rdx';
interface Known {
  readonly name: Name;
  /** Bits that are known, and what they are. */
  readonly mask: number;
  readonly value: number;
}
interface Bit {
  readonly name: Name;
  readonly bit: number;
  readonly feature: CpuFeature;
  /** A list of features may be older than its name: that it is not listed says nothing. */
  readonly later?: true;
}
const bit = (name: Name, n: number, feature: CpuFeature, later?: true): Bit => ({
  name,
  bit: n,
  feature,
  ...(later === undefined ? {} : { later }),
});
const EXTENDED = 0x8000_0000;
/** By leaf; leaf 7 means its sub-leaf 0. */
const announced: ReadonlyMap<number, readonly Bit[]> = new Map([
  [
    1,
    [
      ...(
        [
          ['vme', 1],
          ['de', 2],
          ['pse', 3],
          ['tsd', 4],
          ['pae', 6],
          ['sep', 11],
          ['pge', 13],
          ['sse2', 26],
        ] as const
      ).map(([f, n]) => bit('rdx', n, f)),
      ...(
        [
          ['monitor', 3],
          ['pcid', 17],
          ['xsave', 26],
        ] as const
      ).map(([f, n]) => bit('rcx', n, f)),
      ...(
        [
          ['cx16', 13],
          ['movbe', 22],
          ['popcnt', 23],
        ] as const
      ).map(([f, n]) => bit('rcx', n, f, true)),
      ...(
        [
          ['cx8', 8],
          ['cmov', 15],
          ['clflush', 19],
          ['sse', 25],
        ] as const
      ).map(([f, n]) => bit('rdx', n, f, true)),
    ],
  ],
  [
    7,
    [
      ...(
        [
          ['fsgsbase', 0],
          ['smep', 7],
          ['invpcid', 10],
          ['smap', 20],
        ] as const
      ).map(([f, n]) => bit('rbx', n, f)),
      ...(
        [
          ['bmi1', 3],
          ['bmi2', 8],
          ['adx', 19],
        ] as const
      ).map(([f, n]) => bit('rbx', n, f, true)),
      ...(
        [
          ['umip', 2],
          ['pku', 3],
          ['la57', 16],
          ['rdpid', 22],
        ] as const
      ).map(([f, n]) => bit('rcx', n, f)),
    ],
  ],
  [
    EXTENDED + 1,
    [
      ...(
        [
          ['nx', 20],
          ['gbpages', 26],
          ['rdtscp', 27],
        ] as const
      ).map(([f, n]) => bit('rdx', n, f)),
      bit('rcx', 0, 'lahf', true),
      bit('rcx', 5, 'lzcnt', true),
    ],
  ],
]);
/** "Genu", "ineI", "ntel". */
const genuine: readonly Known[] = [
  { name: 'rbx', mask: 0xffff_ffff, value: 0x756e_6547 },
  { name: 'rdx', mask: 0xffff_ffff, value: 0x4965_6e69 },
  { name: 'rcx', mask: 0xffff_ffff, value: 0x6c65_746e },
];
/** The features apart, bits of a leaf that depend on the state. */
const ofState = (w: Work, leaf: number): readonly Known[] => {
  const intel = w.cpu.vendor === 'intel';
  const wide = has(w, 'syscall');
  switch (leaf) {
    case 0:
      return intel ? genuine : [];
    case 1:
      // OSXSAVE is CR4's own bit.
      return w.system && has(w, 'xsave') ? [{ name: 'rcx', mask: 1 << 27, value: (low(w.s.cr4) & cr4.OSXSAVE) === 0 ? 0 : 1 << 27 }] : [];
    case EXTENDED:
      return wide ? [{ name: 'rax', mask: 0xffff_0000, value: EXTENDED }] : [];
    case EXTENDED + 1:
      // Intel's processors have SYSCALL in 64-bit mode alone, and say so.
      return intel || w.i.code === 64 ? [{ name: 'rdx', mask: 1 << 11, value: wide && w.i.code === 64 ? 1 << 11 : 0 }] : [];
    case EXTENDED + 8:
      return wide ? [{ name: 'rax', mask: 0xffff, value: w.cpu.physicalBits | ((has(w, 'la57') ? 57 : 48) << 8) }] : [];
    default:
      return [];
  }
};
/** Leaf 7 and 80000001H may lie past the last that the processor has, and what is said there is then another leaf's: a feature that
 *  only such a leaf tells of shows that it is there. */
const exists = (w: Work, leaf: number): boolean =>
  leaf === 1 || (leaf === EXTENDED + 1 && has(w, 'syscall')) || announced.get(leaf)?.some(({ feature }) => has(w, feature)) === true;
export const knownOf = (w: Work): readonly Known[] => {
  const leaf = low(w.s.rax);
  if (leaf === 7 && low(w.s.rcx) !== 0) return [];
  if (announced.has(leaf) && !exists(w, leaf)) return [];
  const features = (announced.get(leaf) ?? []).flatMap(({ name, bit: n, feature, later }): readonly Known[] => {
    const present = has(w, feature);
    return present || later !== true ? [{ name, mask: 1 << n, value: present ? 1 << n : 0 }] : [];
  });
  return [...features, ...ofState(w, leaf)];
};
