// The cases that a process of some host can have, for targets without `cpu.system`: code of ring 3 in flat segments, among tables, control registers
// and gates that are not the program's to choose. What a case has beyond that is taken out of it, and what only the kernel answers is not drawn.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { drawn, type Form, forms } from '../../spec/instructions/index.ts';
import type { Case, Tweak } from './choice.ts';
import { latePlaces, places } from './edges.ts';
import type { SelectorName } from './layout.ts';
import { type Entry, type Fields, indexOf, over, USER } from './recipe.ts';
import { executionRecipes } from './recipes-execution.ts';
import { lateRecipes } from './recipes-late.ts';
import { laterRecipes } from './recipes-later.ts';
import { transferRecipes } from './recipes-transfers.ts';

/** They show descriptor tables, or a number that the kernel gives the processor; or lead to the kernel. */
const kernels: ReadonlySet<string> = new Set(['SGDT', 'SIDT', 'SLDT', 'STR', 'SMSW', 'RDTSCP', 'RDPID']);
const own = (f: Form): boolean => f.topic !== 'call' && f.topic !== 'far' && !kernels.has(f.mnemonic);
/** RDFSBASE and its like exist where CR4.FSGSBASE is set. */
const based = (f: Form | undefined): boolean => f !== undefined && /^(RD|WR)[FG]SBASE$/.test(f.mnemonic);
const fsgsbase: Tweak = { kind: 'cr4', a: 8, b: 0 };

/** Pages that the kernel's page tables can have as the guest's: those of the user, and none. */
const owned: ReadonlySet<string> = new Set([
  'data',
  'unaligned',
  'page end',
  'across pages',
  'code page',
  'read-only',
  'absent',
  'into absent',
  'into read-only',
  'not mapped',
  'below canonical hole',
  'into canonical hole',
  'non-canonical',
  'before absent',
  'end before absent',
]);
const ownPlace = (n: number): boolean => owned.has((latePlaces[n - places.length] ?? places[n])?.kind ?? '');
const reached32 = places.filter((p) => p.only64 !== true);

/** Descriptors that Linux has in the same places. */
const shared: readonly number[] = (
  ['null', 'kernelCode32', 'kernelCode64', 'kernelData', 'userCode32', 'userData', 'userCode64'] as const satisfies readonly SelectorName[]
).map(indexOf);
const sharedSelector = (selector: number): number => {
  if (selector === 0 || shared.includes(selector - 1)) return selector;
  return 1 + (shared[selector % shared.length] ?? 0);
};

/** The edit as it can be had: flags but IF, VIF and VIP; a null selector of all segments; code that does not run into the supervisor's page. */
const edit = (t: Tweak): readonly Tweak[] => {
  switch (t.kind) {
    case 'flag':
      return [1, 13, 14].includes(t.a % 15) ? [] : [t];
    case 'segment':
      return [{ ...t, a: indexOf('null') }];
    case 'code':
      return t.a % 6 === 3 ? [] : [t];
    case 'stack':
    case 'register':
    case 'frame':
    case 'wide':
    case 'long':
      return [t];
    default:
      return [];
  }
};
const fitted = (c: Case): Case => {
  const form = forms[c.form];
  const tweaks = c.tweaks.flatMap(edit);
  // The destination of a string instruction goes by `reg` and `imm` (lay.ts).
  const elsewhere = c.reg > 8 && (form?.topic === 'string' || form?.topic === 'io');
  const reachable = owned.has(reached32[c.imm % reached32.length]?.kind ?? '');
  return {
    ...c,
    level: USER,
    place: ownPlace(c.place) ? c.place : 0,
    reg: elsewhere && !reachable ? c.reg % 9 : c.reg,
    selector: sharedSelector(c.selector),
    tweaks: based(form) ? [...tweaks, fsgsbase] : tweaks,
  };
};

const entries: readonly Entry[] = [...executionRecipes, ...transferRecipes, ...lateRecipes, ...laterRecipes].flatMap(
  ([from, recipe, weight = 2]): readonly Entry[] => {
    const left = from.filter(own);
    return left.length === 0 ? [] : [[left, recipe, weight]];
  },
);
/** One case in seven by chance alone. */
const byChance: Entry = [forms.slice(0, drawn).filter(own), {}, Math.ceil(entries.reduce((sum, [, , weight = 2]) => sum + weight, 0) / 6)];
/** Of these fields, as ring 3 can have them. */
export const ring3Case = (fields: Fields): Arbitrary<Case> => fc.oneof(...over([byChance, ...entries], fields)).map(fitted);
