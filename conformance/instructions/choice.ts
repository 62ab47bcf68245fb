// What a program of this area chooses: one instruction by its form and operands, a privilege level, and small edits of the state and the tables.
// Everything is a small number: an index into a table of edges. 0 is the plainest everywhere, so that shrinking is counting down.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { drawn, forms } from '../../spec/instructions/index.ts';
import type { Choice } from '../program.ts';
import { caseFrom, type Fields } from './case-arbitrary.ts';
import { loadable, oddSelectors, operands, places } from './edges.ts';
import { focused, focusedLate, focusedLater, focusedLast, focusedSwitches } from './focus.ts';
import { ring3Case } from './ring3.ts';

/** One edit: `kind` names it, the numbers say which and how. */
export interface Tweak {
  readonly kind: TweakKind;
  readonly a: number;
  readonly b: number;
}
export const tweakKinds = [
  'flag',
  'iopl',
  'cr0',
  'cr4',
  'segment',
  'descriptor',
  'page',
  'gate',
  'port',
  'stack',
  'code',
  'register',
  'frame',
  'table',
  'tss',
  'shadow',
  'breakpoint',
  'long',
  'high',
  'interrupt',
  'upper',
  'call-gate',
  'redirect',
  'task',
] as const;
/** Edits of late recipes alone: chance does not draw them, so that the programs before those stay as they are. */
type LateKind =
  | 'wide'
  | 'task-limit'
  | 'four-gigabyte'
  | 'idle-breakpoint'
  | 'inner-stack'
  | 'io-map'
  | 'upper-half'
  | 'lme'
  | 'gate-target'
  | 'null-stack'
  | 'new-task'
  | 'odd-task'
  | 'own-task'
  | 'task-gate'
  | 'task-flags'
  | 'third-task';
export type TweakKind = (typeof tweakKinds)[number] | LateKind;

export interface Case extends Choice {
  readonly op: 'case';
  /** Index into the levels that the mode has, from the outermost. */
  readonly level: number;
  /** Index of the form. */
  readonly form: number;
  /** 0 as the code segment says, 1 with 66H, 2 with REX.W. */
  readonly size: number;
  readonly reg: number;
  /** Register number, or base register of a memory operand. */
  readonly rm: number;
  readonly memory: boolean;
  readonly place: number;
  /** How the place is addressed: base, base+disp8, base+disp32, base+index·scale, displacement alone, RIP-relative. */
  readonly addressing: number;
  /** Operand edges: what the r/m operand holds, what the register holds, rCX. */
  readonly value: number;
  readonly value2: number;
  readonly count: number;
  readonly imm: number;
  /** Index into the selectors to load, and the requested privilege level. */
  readonly selector: number;
  readonly rpl: number;
  /** 0 none, 1 LOCK, 2 F2H, 3 F3H, 4 67H, then segment overrides. */
  readonly prefix: number;
  readonly tweaks: readonly Tweak[];
}

/** `edge`: a small number, mostly very small. */
const index = (count: number): Arbitrary<number> => fc.nat({ max: count - 1 });
const often = (count: number, zero: number): Arbitrary<number> =>
  fc.oneof({ weight: zero, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: index(count) });

/** Forms whose behaviour depends on privilege, mode or tables come twice: there is more to them. */
const simple: ReadonlySet<string> = new Set(['alu', 'shift', 'multiply', 'bit', 'move', 'branch']);
const weighted: readonly number[] = forms.slice(0, drawn).flatMap((f, i) => (simple.has(f.topic) ? [i] : [i, i, i]));

const tweak: Arbitrary<Tweak> = fc.record({ kind: fc.constantFrom(...tweakKinds), a: index(64), b: index(16) }, { noNullPrototype: true });
export const selectorCount: number = loadable.length + oddSelectors.length;

const fields: Fields = {
  op: fc.constant('case' as const),
  level: often(4, 1),
  form: fc.constantFrom(...weighted),
  size: fc.nat({ max: 2 }),
  reg: index(16),
  rm: index(16),
  memory: fc.boolean(),
  place: often(places.length, 1),
  addressing: index(6),
  value: index(operands.length),
  value2: index(operands.length),
  count: often(8, 2),
  imm: index(operands.length),
  selector: often(selectorCount, 1),
  rpl: often(4, 2),
  prefix: often(11, 6),
  tweaks: fc.array(tweak, { maxLength: 3 }),
};
const recipes = focused(fields);
/** One case in seven by chance alone. */
export const caseOf: Arbitrary<Case> = fc.oneof(
  { weight: Math.ceil(recipes.reduce((sum, r) => sum + r.weight, 0) / 6), arbitrary: caseFrom(fields) },
  ...recipes,
);
const only = (c: Arbitrary<Case>): Arbitrary<readonly Case[]> => fc.array(c, { minLength: 1, maxLength: 1 });
/** A program of one case. */
export const oneCase: Arbitrary<readonly Case[]> = only(caseOf);
/** The same, of the late recipes alone. */
export const oneLateCase: Arbitrary<readonly Case[]> = only(fc.oneof(...focusedLate(fields)));
/** The same, of the last ones. */
export const oneLastCase: Arbitrary<readonly Case[]> = only(fc.oneof(...focusedLast(fields)));
/** The same, of those on what new tasks start with. */
export const oneSwitchCase: Arbitrary<readonly Case[]> = only(fc.oneof(...focusedSwitches(fields)));
/** The same, of the later ones. */
export const oneLaterCase: Arbitrary<readonly Case[]> = only(fc.oneof(...focusedLater(fields)));
/** For targets that have ring 3 alone: in 64-bit mode, and in 32-bit code. */
export const oneRing3Case64: Arbitrary<readonly Case[]> = only(ring3Case(fields, true));
export const oneRing3Case32: Arbitrary<readonly Case[]> = only(ring3Case(fields, false));
