// Recipes beside the later ones, for rules of system instructions that seeded faults survived: what MONITOR reads, INVPCID of an address,
// addresses in model-specific registers, and the combinations of CR0, CR3, CR4 and EFER that need a state of their own.

import { edits, type Entry, below, called, indexOf, KERNEL, toControl, tweak, undisturbed, within } from './recipe.ts';

export const systemRecipes: readonly Entry[] = [
  // An address of each kind, and an extension.
  [called('MONITOR'), { prefix: within(0, 0, 4), level: KERNEL, tweaks: edits(tweak('register', 0, below(7))) }, 2],
  [called('MONITOR', 'MWAIT'), { prefix: 0, level: KERNEL, tweaks: edits(tweak('register', 1, below(5))) }, 2],
  [
    called('MONITOR'),
    {
      prefix: within(0, 5, 9),
      level: KERNEL,
      tweaks: edits(tweak('segment', indexOf('small'), 0), tweak('register', 0, within(1, 3, 4, 6))),
    },
    2,
  ],
  // A stack beyond 4 GBytes, and one that is not canonical.
  [called('SYSENTER'), { ...undisturbed, tweaks: edits(tweak('lme', 4)) }, 2],
  [called('SYSEXIT'), { ...undisturbed, level: KERNEL, size: 2, value: 0, tweaks: edits(tweak('register', 1, 5)) }, 2],
  // Of one address; a type above 32 bits.
  [called('INVPCID'), { ...undisturbed, memory: true, level: KERNEL, value: 0, value2: within(1, 1, 16, 0), reg: within(1, 2) }, 2],
  // Not canonical with 57 bits either, in each of those that hold an address; LMA; the upper halves of those of 32 bits.
  [called('WRMSR'), { level: KERNEL, prefix: 0, value: within(1, 2, 5, 7, 8, 9, 9), value2: below(5), imm: within(5, 6) }, 2],
  [called('WRMSR'), { level: KERNEL, prefix: 0, value: within(3, 3, 6, 0), value2: within(0, 1, 2), imm: within(0, 0, 5) }, 2],
  // CR0.PG, cleared under CR4.PCIDE, or set where IA-32e mode cannot be activated; bit 63 of CR3; CR4.PCIDE with low bits in CR3.
  [toControl, { ...undisturbed, level: KERNEL, reg: 0, imm: 2, value: 29, tweaks: edits(tweak('lme', within(0, 1, 2))) }, 3],
  [toControl, { ...undisturbed, level: KERNEL, reg: 2, imm: 34, value: 29, tweaks: edits(tweak('lme', within(0, 1))) }, 2],
  [toControl, { ...undisturbed, level: KERNEL, reg: 3, imm: 1, value: 16, tweaks: edits(tweak('lme', within(0, 1, 2))) }, 2],
];
