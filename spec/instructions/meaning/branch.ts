// Near branches, loops and BOUND: targets, and the limit or canonical form they must keep.
// Intel SDM volume 2: JMP, CALL, RET, Jcc, JCXZ/JECXZ/JRCXZ, LOOP/LOOPcc, BOUND.

import { flag, ones, signed } from '../bits.ts';
import { conditions } from '../forms/form.ts';
import { faultsOf, inAnyOrder, load } from '../access.ts';
import { memoryPlace, value } from '../operands.ts';
import { moveStack, peek, push } from '../stack.ts';
import { canonical, flagsOf, gp, in64, raise, register, setRegister, undecided, type Work } from '../work.ts';
import { condition } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

/** In 64-bit mode 66H before a near branch is ignored by some and honoured by others. SDM volume 2, JMP; readings.md. */
const near = (w: Work): void => {
  if (w.i.code === 64 && w.i.sizePrefix) undecided('a near branch with 66H in 64-bit mode');
};
/** RIP becomes `target`, or the fault of a target out of bounds. */
export const go = (w: Work, target: bigint): void => {
  if (in64(w.s)) {
    if (!canonical(w.s, target)) gp('branch.canonical');
  } else if (target > BigInt(w.s.cs.limit)) gp('branch.limit');
  w.s.rip = target;
  w.moved = true;
};
const following = (w: Work): bigint => w.s.rip + BigInt(w.i.length);
const relative = (w: Work): bigint => (following(w) + w.i.immediate) & ones(w.i.operandSize);
const jump: Meaning = (w) => {
  near(w);
  go(w, relative(w));
};
const JMP: Meaning = (w) => {
  near(w);
  go(w, w.i.form.operands[0]?.at === 'J' ? relative(w) : value(w, 0));
};
const CALL: Meaning = (w) => {
  near(w);
  const size = w.i.operandSize;
  const target = w.i.form.operands[0]?.at === 'J' ? relative(w) : value(w, 0);
  const back = following(w) & ones(size);
  // Whether the push or the target is tested first is open where both fail.
  const faults = [...faultsOf(() => push(w, back, size)), ...faultsOf(() => go(w, target))];
  if (faults.length > 0) raise(...faults);
};
const RET: Meaning = (w) => {
  near(w);
  const size = w.i.operandSize;
  const target = peek(w, 0n, size);
  go(w, target);
  moveStack(w, BigInt(size) + (w.i.form.operands.length > 0 ? w.i.immediate & 0xffffn : 0n));
};
const loop =
  (taken: (w: Work) => boolean): Meaning =>
  (w) => {
    near(w);
    const size = w.i.addressSize;
    const count = (register(w, 1, size) - 1n) & ones(size);
    const target = relative(w);
    if (count !== 0n && taken(w)) go(w, target);
    setRegister(w, 1, size, count);
  };
/** A repeat prefix is reserved here, and some test ZF as that prefix does (readings.md). */
const loopWith =
  (taken: (w: Work) => boolean): Meaning =>
  (w) => {
    if (w.i.repeat !== 0) undecided('LOOPE or LOOPNE with a repeat prefix');
    loop(taken)(w);
  };
const zero = (w: Work): boolean => (flagsOf(w.s) & flag.ZF) !== 0;
const JCXZ: Meaning = (w) => {
  near(w);
  if (register(w, 1, w.i.addressSize) === 0n) go(w, relative(w));
};
const BOUND: Meaning = (w) => {
  const size = w.i.operandSize;
  const index = signed(register(w, w.i.reg, size), size);
  const [lower, upper] = inAnyOrder(
    () => load(w, memoryPlace(w, size, 'read'), size),
    () => load(w, memoryPlace(w, size, 'read', BigInt(size)), size),
  ).map((bound) => signed(bound, size)) as [bigint, bigint];
  if (index < lower || index > upper) raise({ vector: 5, rule: 'branch.bound' });
};
export const branch: Meanings = {
  JMP,
  CALL,
  RET,
  LOOP: loop(() => true),
  LOOPE: loopWith(zero),
  LOOPNE: loopWith((w) => !zero(w)),
  JCXZ,
  BOUND,
  ...Object.fromEntries(
    conditions.map((name, code) => {
      const meaning: Meaning = (w) => {
        near(w);
        if (condition(flagsOf(w.s), code)) jump(w);
      };
      return [`J${name}`, meaning];
    }),
  ),
};
