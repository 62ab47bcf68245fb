// The cases that a process of some host can have, for targets without `cpu.system`: code of ring 3 in flat segments, among tables, control registers
// and gates that are not the program's to choose. What a case has beyond that is taken out of it, and what only the kernel answers is not drawn.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { drawn, type Form, forms } from '../../spec/instructions/index.ts';
import type { Case, Tweak } from './choice.ts';
import { latePlaces, loadable, oddSelectors, places } from './edges.ts';
import type { SelectorName } from './layout.ts';
import type { Fields } from './case-arbitrary.ts';
import { type Entry, indexOf, over, USER } from './recipe.ts';
import { executionRecipes } from './recipes-execution.ts';
import { lateRecipes } from './recipes-late.ts';
import { laterRecipes } from './recipes-later.ts';
import { transferRecipes } from './recipes-transfers.ts';

/** They show descriptor tables, or a number that the kernel gives the processor; or lead to the kernel. */
const kernels: ReadonlySet<string> = new Set(['SGDT', 'SIDT', 'SLDT', 'STR', 'SMSW', 'RDTSCP', 'RDPID']);
const had = (f: Form): boolean => f.topic !== 'call' && !kernels.has(f.mnemonic);
/** They exist where CR4.FSGSBASE is set. */
const basing: ReadonlySet<string> = new Set(['RDFSBASE', 'RDGSBASE', 'WRFSBASE', 'WRGSBASE']);
const based = (f: Form): boolean => basing.has(f.mnemonic);
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
  'into read-only',
  'not mapped',
  'below canonical hole',
  'into canonical hole',
  'non-canonical',
  'out of absent',
]);
const kindOf = (n: number): string => (latePlaces[n - places.length] ?? places[n])?.kind ?? '';
const absent = places.findIndex((p) => p.kind === 'absent');
const outOfAbsent = places.length + latePlaces.findIndex((p) => p.kind === 'out of absent');
/** By its number, the place to take instead: itself where it is the user's. Next to the absent page lie others' pages, but for what begins in it. */
const own = (n: number): number => (owned.has(kindOf(n)) ? n : kindOf(n).includes('absent') ? outOfAbsent : 0);
const placeFor: readonly number[] = Array.from({ length: places.length + latePlaces.length }, (_, n) => own(n));
/** String instructions know no late places. */
const stringPlaceFor: readonly number[] = placeFor.map((n) => (n < places.length ? n : absent));
/** Destinations of string instructions, by `imm` (lay.ts). */
const reachable: readonly boolean[] = places.filter((p) => p.only64 !== true).map((p) => owned.has(p.kind));

/** Descriptors that Linux has in the same places. */
const shared: readonly number[] = (
  ['null', 'kernelCode32', 'kernelCode64', 'kernelData', 'userCode32', 'userData', 'userCode64'] as const satisfies readonly SelectorName[]
).map(indexOf);
const selectorFor: readonly number[] = Array.from({ length: 1 + loadable.length + oddSelectors.length }, (_, n) =>
  n === 0 || shared.includes(n - 1) ? n : 1 + (shared[n % shared.length] ?? 0),
);

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
/** Code behind the start of its page, so that short ways back lead to no other. */
const inward: Tweak = { kind: 'code', a: 0, b: 0 };
const none: readonly Tweak[] = [];
const editsOf = (c: Case, form: Form | undefined): readonly Tweak[] => {
  const kept = c.tweaks.length === 0 ? none : c.tweaks.flatMap(edit);
  if (form === undefined) return kept;
  if (based(form)) return [...kept, fsgsbase];
  const backwards = form.topic === 'branch' && [3, 4, 6].includes(c.imm % 7) && form.operands.some((o) => o.at === 'J');
  return backwards ? [inward, ...kept] : kept;
};
/** Numbers by which lay.ts chooses what depends on the host: ports that are closed, for IN and OUT in DX and as immediates; vectors of Linux; the
 *  supervisor's page as a target. */
const closed: readonly number[] = [4, 7, 8, 9, 10, 11];
const closedImmediate: readonly number[] = [2, 5];
const linuxVectors: readonly number[] = [2, 3];
const supervisor = 2;
/** `wide`: 64-bit mode. Elsewhere addresses of 16 bits reach no page of the user. */
const fitted =
  (wide: boolean) =>
  (c: Case): Case => {
    const form = forms[c.form];
    const topic = form?.topic;
    const [io, string] = [topic === 'io', topic === 'string'];
    const branch = topic === 'branch' || topic === 'far';
    const away = branch && (c.value % 6 === supervisor || c.value2 % 6 === supervisor);
    const narrow = c.prefix === 4 && !wide && (c.memory || topic !== 'branch' || form?.mod === 'memory');
    const elsewhere = io || (string && reachable[c.imm % reachable.length] !== true);
    return {
      op: c.op,
      level: USER,
      form: c.form,
      // 66H cuts the target to 16 bits, where it is no user's; not on every processor in 64-bit mode.
      size: branch && c.size === 1 ? 0 : c.size,
      reg: elsewhere ? c.reg % 9 : c.reg,
      rm: c.rm,
      memory: c.memory,
      place: (string ? stringPlaceFor : placeFor)[c.place] ?? 0,
      addressing: c.addressing,
      value: io ? (closed[c.value % 6] ?? 4) : away ? 0 : c.value,
      value2: away ? 0 : c.value2,
      count: c.count,
      imm: io ? (closedImmediate[c.imm % 2] ?? 2) : form?.mnemonic === 'INT' && linuxVectors.includes(c.imm % 13) ? 4 : c.imm,
      selector: selectorFor[c.selector] ?? 0,
      rpl: c.rpl,
      prefix: narrow ? 0 : c.prefix,
      tweaks: editsOf(c, form),
    };
  };

const entries: readonly Entry[] = [...executionRecipes, ...transferRecipes, ...lateRecipes, ...laterRecipes].flatMap(
  ([from, recipe, weight = 2]): readonly Entry[] => {
    const left = from.filter(had);
    return left.length === 0 ? [] : [[left, recipe, weight]];
  },
);
/** One case in seven by chance alone. */
const byChance: Entry = [forms.slice(0, drawn).filter(had), {}, Math.ceil(entries.reduce((sum, [, , weight = 2]) => sum + weight, 0) / 6)];
/** Of these fields, as ring 3 can have them in 64-bit mode or elsewhere. */
export const ring3Case = (fields: Fields, wide: boolean): Arbitrary<Case> =>
  fc.oneof(...over([byChance, ...entries], fields)).map(fitted(wide));
