// Recipes drawn in blocks of their own, after all others: whoever adds one here leaves every earlier program as it is, and with it all that real
// processors were seen to do with those. Each is there for a seeded fault that lives, or hardly dies, without it.

import fc from 'fast-check';
import { forms } from '../../spec/instructions/index.ts';
import { places } from './edges.ts';
import { anySelector, at, below, called, edits, type Entry, KERNEL, onMemory, topics, tweak, undisturbed, USER, within } from './recipe.ts';

export const lateRecipes: readonly Entry[] = [
  // Results.
  [topics('shift'), { ...undisturbed, memory: fc.boolean(), size: within(0, 2), count: below(8) }, 6],
  [topics('bit'), { ...undisturbed, memory: fc.boolean(), value: below(30) }, 4],
  [topics('multiply'), { ...undisturbed, memory: fc.boolean(), value: below(30), value2: below(30) }, 4],
  [forms.filter((f) => f.mnemonic.startsWith('CMOV')), { ...undisturbed, size: within(0, 2) }, 4],
  [topics('branch'), { ...undisturbed, prefix: within(0, 4), value: below(30), count: below(8) }, 4],
  [topics('time'), { ...undisturbed, level: KERNEL }],
  [called('POP', 'PUSH'), { ...undisturbed, memory: true, value: below(30), value2: below(30) }, 4],
  [
    topics('string'),
    { prefix: within(2, 3), place: at('before absent', 'into absent', 'page end', 'fresh'), count: within(4, 5, 6, 7) },
    4,
  ],
  // Fetch: code at each end of a page and of a segment.
  [
    topics('alu', 'move', 'bit', 'stack', 'flag'),
    { prefix: 0, level: within(USER, KERNEL), tweaks: edits(tweak('code', below(64), below(15))) },
    6,
  ],
  [
    called('SYSEXIT', 'SYSRET', 'SGDT', 'SIDT'),
    { prefix: 0, level: within(USER, KERNEL), tweaks: edits(tweak('code', below(64), below(15))) },
    4,
  ],
  // Operands and pages.
  [onMemory, { memory: true, prefix: 0, place: at('second parent'), tweaks: edits(tweak('upper', 1, below(16))) }, 4],
  [topics('cache'), { prefix: 0, memory: true, place: below(places.length) }, 4],
  // Far transfers and events.
  [called('RETF', 'IRET'), { ...undisturbed, level: KERNEL, size: within(0, 1), value2: within(22, 28) }, 4],
  [called('RETF', 'IRET'), { prefix: 0, level: below(4), selector: anySelector, rpl: below(4), value2: 0 }, 6],
  [topics('far'), { prefix: 0, selector: anySelector, rpl: below(4) }, 4],
  [called('INT', 'INT3', 'INTO', 'UD2'), { prefix: 0, tweaks: edits(tweak('gate', below(64), below(16))) }, 4],
];
