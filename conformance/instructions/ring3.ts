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
const own = (f: Form): boolean => f.topic !== 'call' && !kernels.has(f.mnemonic);
/** RDFSBASE and its like exist where CR4.FSGSBASE is set. */
const based = (f: Form | undefined): boolean => f !== undefined && /^(RD|WR)[FG]SBASE$/.test(f.mnemonic);
const fsgsbase: Tweak = { kind: 'cr4', a: 8, b: 0 };

/** Where descriptor tables, the I/O bitmap or segments decide, little is foretold of a host: these come by chance alone. */
const told = (f: Form): boolean => own(f) && !['far', 'io', 'probe'].includes(f.topic) && (f.topic !== 'segment' || based(f));

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
const ownPlace = (n: number): boolean => owned.has((latePlaces[n - places.length] ?? places[n])?.kind ?? '');
const reached32 = places.filter((p) => p.only64 !== true);
const absent = places.findIndex((p) => p.kind === 'absent');
const outOfAbsent = places.length + latePlaces.findIndex((p) => p.kind === 'out of absent');
/** Next to the absent page lie others than the user's, but for what begins in it. */
const place = (n: number, late: boolean): number => {
  if (ownPlace(n) && (late || n < places.length)) return n;
  return (latePlaces[n - places.length] ?? places[n])?.kind.includes('absent') === true ? (late ? outOfAbsent : absent) : 0;
};

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
/** Behind the start of its page. */
const inward: Tweak = { kind: 'code', a: 0, b: 0 };
/** Numbers by which lay.ts chooses what depends on the host: closed ports, INT n but those of Linux, targets of branches but the supervisor's page. */
const closed = [4, 7, 8, 9, 10, 11] as const;
const closedImmediate = [2, 5] as const;
const chosen = (form: Form | undefined, c: Case): Case => {
  if (form?.topic === 'io') return { ...c, value: closed[c.value % 6] ?? 4, imm: closedImmediate[c.imm % 2] ?? 2, reg: c.reg % 9 };
  if (form?.mnemonic === 'INT') return [2, 3].includes(c.imm % 13) ? { ...c, imm: 4 } : c;
  // The destination of a string instruction goes by `reg` and `imm`.
  if (form?.topic === 'string') return owned.has(reached32[c.imm % reached32.length]?.kind ?? '') ? c : { ...c, reg: c.reg % 9 };
  if (form?.topic !== 'branch' && form?.topic !== 'far') return c;
  const towards = c.value % 6 === 2 || c.value2 % 6 === 2 ? { ...c, value: 0, value2: 0 } : c;
  // 66H cuts the target to 16 bits, where it is no user's; not on every processor in 64-bit mode.
  const size = c.size === 1 ? 0 : c.size;
  const backwards = form.operands.some((o) => o.at === 'J') && [3, 4, 6].includes(c.imm % 7);
  return { ...towards, size, tweaks: backwards ? [inward, ...c.tweaks] : c.tweaks };
};
/** `wide`: 64-bit mode. Elsewhere addresses of 16 bits reach no page of the user. */
const fitted =
  (wide: boolean) =>
  (drawn: Case): Case => {
    const form = forms[drawn.form];
    const c = chosen(form, { ...drawn, tweaks: drawn.tweaks.flatMap(edit) });
    const narrow = c.prefix === 4 && !wide && (c.memory || form?.mod === 'memory' || form?.topic !== 'branch');
    return {
      ...c,
      level: USER,
      place: place(c.place, form?.topic !== 'string'),
      prefix: narrow ? 0 : c.prefix,
      selector: sharedSelector(c.selector),
      tweaks: based(form) ? [...c.tweaks, fsgsbase] : c.tweaks,
    };
  };

const entries: readonly Entry[] = [...executionRecipes, ...transferRecipes, ...lateRecipes, ...laterRecipes].flatMap(
  ([from, recipe, weight = 2]): readonly Entry[] => {
    const left = from.filter(told);
    return left.length === 0 ? [] : [[left, recipe, weight]];
  },
);
/** One case in seven by chance alone. */
const byChance: Entry = [forms.slice(0, drawn).filter(own), {}, Math.ceil(entries.reduce((sum, [, , weight = 2]) => sum + weight, 0) / 6)];
/** Of these fields, as ring 3 can have them in 64-bit mode or elsewhere. */
export const ring3Case = (fields: Fields, wide: boolean): Arbitrary<Case> =>
  fc.oneof(...over([byChance, ...entries], fields)).map(fitted(wide));
