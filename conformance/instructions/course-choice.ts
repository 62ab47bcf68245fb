// What a program of several instructions chooses: where it starts from, then pieces, most of them one instruction. 0 is the plainest everywhere.
// Only instructions that any program uses, so that many complete one after the other; what ends a program is judged too.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import { drawn, type Form, forms } from '../../spec/instructions/index.ts';
import type { Choice } from '../program.ts';
import { operands } from './edges.ts';

export interface Start extends Choice {
  readonly op: 'start';
  /** Index into the levels that the mode has, from the outermost. */
  readonly level: number;
  /** Operand edges of the general registers, and of memory: one for each, and from there on. */
  readonly values: number;
  /** Status flags, DF. */
  readonly flags: number;
}
export interface Single extends Choice {
  readonly op: 'instruction';
  /** Index into `straight`. */
  readonly form: number;
  /** 0 as the code segment says, 1 with 66H, 2 with REX.W. */
  readonly size: number;
  readonly reg: number;
  readonly rm: number;
  readonly memory: boolean;
  /** Which of the words around rBX, and how many bytes beside its start. */
  readonly slot: number;
  readonly imm: number;
  /** 0 none, 1 LOCK, 2 F3H, 3 F2H, where the form has one. */
  readonly prefix: number;
}
/** A short jump over so many pieces. */
export interface Jump extends Choice {
  readonly op: 'jump';
  /** Index into `jumps`. */
  readonly form: number;
  readonly over: number;
}
/** The pieces before it, so many, are executed so many times. */
export interface Loop extends Choice {
  readonly op: 'loop';
  readonly back: number;
  readonly times: number;
}
/** A call of a return. */
export interface Call extends Choice {
  readonly op: 'call';
}
export type CourseChoice = Start | Single | Jump | Loop | Call;

const topics: ReadonlySet<string> = new Set(['alu', 'shift', 'multiply', 'bit', 'move', 'string', 'stack', 'flag']);
/** They lose the stack or the data, set system flags from whatever is there, divide by what is there, or leave a register undefined: of what comes
 *  after them little can be said. */
const without: ReadonlySet<string> = new Set([
  'ENTER',
  'LEAVE',
  'POPF',
  'POPA',
  'CLI',
  'STI',
  'CLAC',
  'STAC',
  'DIV',
  'IDIV',
  'CMPXCHG16B',
  'BSF',
  'BSR',
]);
const doubleByCl = ({ mnemonic, operands: list }: Form): boolean => mnemonic.startsWith('SH') && list.length === 3 && list[2]?.at === 'CL';
/** Instructions that go on to the next one, on every processor. */
export const straight: readonly Form[] = forms
  .slice(0, drawn)
  .filter((f) => topics.has(f.topic) && !without.has(f.mnemonic) && !doubleByCl(f) && f.feature === undefined);
export const jumps: readonly Form[] = forms
  .slice(0, drawn)
  .filter((f) => f.topic === 'branch' && f.operands.length === 1 && f.operands[0]?.at === 'J' && f.operands[0].width === 'b');

const nat = (count: number): Arbitrary<number> => fc.nat({ max: count - 1 });
const single: Arbitrary<CourseChoice> = fc.record(
  {
    op: fc.constant('instruction' as const),
    form: nat(straight.length),
    size: nat(3),
    reg: nat(16),
    rm: nat(16),
    memory: fc.boolean(),
    slot: nat(64),
    imm: nat(operands.length),
    prefix: nat(4),
  },
  { noNullPrototype: true },
);
const jump: Arbitrary<CourseChoice> = fc.record(
  { op: fc.constant('jump' as const), form: nat(jumps.length), over: nat(4) },
  { noNullPrototype: true },
);
const loop: Arbitrary<CourseChoice> = fc.record(
  { op: fc.constant('loop' as const), back: nat(6), times: nat(4) },
  { noNullPrototype: true },
);
const call: Arbitrary<CourseChoice> = fc.constant({ op: 'call' as const });
const start = (level: Arbitrary<number>): Arbitrary<CourseChoice> =>
  fc.record({ op: fc.constant('start' as const), level, values: nat(operands.length), flags: nat(128) }, { noNullPrototype: true });
const piece = fc.oneof(
  { weight: 20, arbitrary: single },
  { weight: 3, arbitrary: jump },
  { weight: 1, arbitrary: loop },
  { weight: 1, arbitrary: call },
);
/** 5 to 50 pieces. */
const from = (level: Arbitrary<number>): Arbitrary<readonly CourseChoice[]> =>
  fc.tuple(start(level), fc.array(piece, { minLength: 5, maxLength: 50, size: 'max' })).map(([first, pieces]) => [first, ...pieces]);
export const courseOf: Arbitrary<readonly CourseChoice[]> = from(nat(4));
/** In ring 3, for targets that have no other. */
export const ring3Course: Arbitrary<readonly CourseChoice[]> = from(fc.constant(0));
