// Far JMP, CALL and RET, through call gates too, in every mode.
// Intel SDM volume 2: JMP—Jump, CALL—Call Procedure, RET—Return From Procedure; volume 3, Call Gates; Stack Switching.

import { faultsOf, inAnyOrder, load, place, linearOf, save } from '../access.ts';
import { ones } from '../bits.ts';
import {
  type Descriptor,
  isCode,
  isConforming,
  isNull,
  lookup,
  markAccessed,
  named,
  rplOf,
  unusable,
  upperOf,
  loaded,
} from '../descriptors.ts';
import { innerStack, longStack } from '../deliver.ts';
import { direct, dropPrivileged, enter, go8086, isLong, returned, returnedStack, within } from '../far.ts';
import { memoryPlace } from '../operands.ts';
import { goToTask } from '../task.ts';
import { moveStack, peek, push, pushSelector, setStack } from '../stack.ts';
import { canonical, cpl, type Fault, gp, ia32e, in64, like8086, np, ofSystem, raise, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

interface Target {
  readonly selector: number;
  readonly offset: bigint;
}
const targetOf = (w: Work): Target => {
  const size = w.i.operandSize;
  if (w.i.form.operands[0]?.at === 'A') return { selector: w.i.second, offset: w.i.immediate & ones(size) };
  if (size === 8 && w.cpu.vendor !== 'intel') undecided('REX.W before a far pointer');
  const [offset = 0n, selector = 0n] = inAnyOrder(
    () => load(w, memoryPlace(w, size, 'read'), size),
    () => load(w, memoryPlace(w, 2, 'read', BigInt(size)), 2),
  );
  return { offset, selector: Number(selector) };
};
const following = (w: Work): bigint => w.s.rip + BigInt(w.i.length);

interface Gate {
  readonly size: 2 | 4 | 8;
  readonly selector: number;
  readonly offset: bigint;
  readonly parameters: number;
  readonly target: Descriptor;
}
/** The target of a far transfer that is no code segment. Undefined: another task has been switched to. */
const gateOf = (w: Work, selector: number, d: Descriptor, call: boolean): Gate | undefined => {
  const wide = ia32e(w.s);
  const level = cpl(w.s);
  if (!wide && (d.type === 5 || d.type === 1 || d.type === 9) && !d.s) {
    if (d.dpl < level || d.dpl < rplOf(selector)) gp('gate.privilege', named(selector));
    if (d.type === 5 && !d.present) np('gate.present', named(selector));
    goToTask(w, d.type === 5 ? Number((d.raw >> 16n) & 0xffffn) : selector, call ? 'call' : 'jump', following(w));
    return undefined;
  }
  if (d.s || !(d.type === 12 || (!wide && d.type === 4))) gp('far.type', named(selector));
  const second = (): bigint => {
    const upper = upperOf(w, lookup(w, selector, 16) ?? gp('far.limit', named(selector)));
    return ((upper >> 40n) & 0x1fn) === 0n ? upper : gp('far.type', named(selector));
  };
  // Whether the second half is looked at before the rights and presence of the first no page says.
  const early = (): readonly Fault[] => (wide ? faultsOf(second) : []);
  if (d.dpl < level || rplOf(selector) > d.dpl) raise({ vector: 13, error: named(selector), rule: 'gate.privilege' }, ...early());
  if (!d.present) raise({ vector: 11, error: named(selector), rule: 'gate.present' }, ...early());
  const upper = wide ? second() : 0n;
  const code = Number((d.raw >> 16n) & 0xffffn);
  if (isNull(code)) gp('gate.target');
  const target = lookup(w, code) ?? gp('gate.target', named(code));
  if (!isCode(target)) gp('gate.target', named(code));
  if (call || isConforming(target) ? target.dpl > level : target.dpl !== level) gp('gate.target', named(code));
  if (wide && (target.access & 0x6000) !== 0x2000) gp('gate.target', named(code));
  if (!target.present) np('gate.target', named(code));
  const size = wide ? 8 : d.type === 12 ? 4 : 2;
  const offset = (d.raw & 0xffffn) | (size > 2 ? (d.raw >> 32n) & 0xffff0000n : 0n) | (wide ? (upper & 0xffffffffn) << 32n : 0n);
  return { size, selector: code, offset, parameters: Number((d.raw >> 32n) & 0x1fn), target };
};
const find = (w: Work, selector: number): Descriptor => {
  ofSystem(w, 'the descriptor tables');
  if (isNull(selector)) gp('far.null');
  return lookup(w, selector) ?? gp('far.limit', named(selector));
};
const JMPF: Meaning = (w) => {
  const { selector, offset } = targetOf(w);
  if (like8086(w.s)) {
    go8086(w, selector, offset);
    return;
  }
  const d = find(w, selector);
  if (isCode(d)) {
    direct(w, selector, d);
    within(w, d, offset);
    enter(w, d, selector, cpl(w.s), offset);
    return;
  }
  const gate = gateOf(w, selector, d, false);
  if (gate === undefined) return;
  within(w, gate.target, gate.offset);
  enter(w, gate.target, gate.selector, cpl(w.s), gate.offset);
};
const CALLF: Meaning = (w) => {
  const { selector, offset } = targetOf(w);
  const size = w.i.operandSize;
  const back = following(w);
  const pushed = (bytes: number, checked: () => void): void => {
    const beyond = faultsOf(checked);
    const full = faultsOf(() => {
      pushSelector(w, w.s.cs.selector, bytes);
      push(w, back & ones(bytes), bytes);
    });
    // The offset is tested before the stack is written: either fault may come first.
    if (full.length + beyond.length > 0) raise(...full, ...beyond);
  };
  if (like8086(w.s)) {
    pushed(size, () => {
      if (offset > BigInt(w.s.cs.limit)) gp('far.offset');
    });
    go8086(w, selector, offset);
    return;
  }
  const d = find(w, selector);
  const level = cpl(w.s);
  if (isCode(d)) {
    direct(w, selector, d);
    pushed(size, () => within(w, d, offset));
    enter(w, d, selector, level, offset);
    return;
  }
  const gate = gateOf(w, selector, d, true);
  if (gate === undefined) return;
  if (isConforming(gate.target) || gate.target.dpl === level) {
    pushed(gate.size, () => within(w, gate.target, gate.offset));
    enter(w, gate.target, gate.selector, level, gate.offset);
    return;
  }
  inward(w, gate, back);
};
/** A call to a more privileged level: the stack of that level, with the old one and the parameters copied onto it. */
const inward = (w: Work, gate: Gate, back: bigint): void => {
  const { s } = w;
  const level = gate.target.dpl;
  const { size } = gate;
  const old = { ss: s.ss, rsp: s.rsp, cs: s.cs };
  const parameters: bigint[] = [];
  if (size === 8) {
    // The page has #SS(0) for a stack address that is not canonical, and #SS(selector) where the stack is switched.
    const faults = faultsOf(() => longStack(w, 4 + 8 * level, 0, 'gate.stack'));
    if (faults.length > 0) raise(...faults, ...faults.filter((f) => f.vector === 12).map((f) => ({ ...f, error: named(old.ss.selector) })));
    const pointer = longStack(w, 4 + 8 * level, 0, 'gate.stack');
    if (!canonical(s, gate.offset)) gp('far.offset');
    s.cs = loaded(gate.target, (gate.selector & ~3) | level);
    s.ss = unusable(level, level);
    s.rsp = pointer;
  } else {
    for (let k = gate.parameters - 1; k >= 0; k--) parameters.push(peek(w, BigInt(k * size), size));
    const { segment, pointer } = innerStack(w, level, 0, 'gate.stack');
    within(w, gate.target, gate.offset);
    s.ss = segment;
    setStack(w, pointer);
  }
  const check = (value: bigint, loose = 0n): void => {
    const at = (s.rsp - BigInt(size)) & ones(size === 8 ? 8 : (s.ss.access & 0x4000) !== 0 ? 4 : 2);
    const linear = linearOf(w, 2, at, size, 'write');
    save(w, place(w, linear, size, { write: true }), size, value, loose);
    moveStack(w, -BigInt(size));
  };
  const loose = ones(size) & ~0xffffn;
  check(BigInt(old.ss.selector), loose);
  check(old.rsp & ones(size));
  for (const parameter of parameters) check(parameter);
  check(BigInt(old.cs.selector), loose);
  check(back & ones(size));
  markAccessed(w, gate.target);
  enter(w, gate.target, gate.selector, level, gate.offset);
};
const RETF: Meaning = (w) => {
  const size = w.i.operandSize;
  const release = w.i.form.operands.length > 0 ? w.i.immediate & 0xffffn : 0n;
  // Bochs tests the room of all words first, and so finds #SS(0) where they wrap.
  if (!in64(w.s) && (w.s.ss.access & 0x4000) !== 0 && (w.s.rsp & ones(4)) + BigInt(2 * size) > 0x1_0000_0000n)
    undecided('a return whose words wrap at 4 GBytes');
  // Which of the two is read first is open: the page tests the selector before it pops the instruction pointer.
  const faults = faultsOf(() => peek(w, 0n, size));
  const others = faultsOf(() => peek(w, BigInt(size), size));
  if (others.length > 0) raise(...faults, ...others);
  const selector = Number(peek(w, BigInt(size), size) & 0xffffn);
  if (faults.length > 0) raise(...faults, ...(like8086(w.s) ? [] : faultsOf(() => returned(w, selector))));
  const offset = peek(w, 0n, size);
  if (like8086(w.s)) {
    go8086(w, selector, offset);
    moveStack(w, BigInt(2 * size) + release);
    return;
  }
  ofSystem(w, 'the descriptor tables');
  const level = rplOf(selector);
  const above = BigInt(2 * size) + release;
  const outer = (): readonly bigint[] =>
    inAnyOrder(
      () => peek(w, above, size),
      () => peek(w, above + BigInt(size), size),
    );
  // A processor was seen to read the words of an outer stack wherever RPL is not CPL, before it tests the selector.
  const refused = faultsOf(() => returned(w, selector));
  if (refused.length > 0) raise(...refused, ...(level === cpl(w.s) ? [] : faultsOf(outer)));
  const d = returned(w, selector);
  if (level === cpl(w.s)) {
    within(w, d, offset);
    enter(w, d, selector, level, offset);
    moveStack(w, BigInt(2 * size) + release);
    return;
  }
  // The page tests the room of all words and the parameters at once: whether SP may wrap in between is open.
  if (!in64(w.s) && (w.s.ss.access & 0x4000) === 0 && (w.s.rsp & 0xffffn) + above + BigInt(2 * size) > 0x10000n)
    undecided('a return whose words lie beyond the end of a 16-bit stack');
  const [pointer = 0n, stackSelector = 0n] = outer();
  const segment = returnedStack(w, Number(stackSelector & 0xffffn), level, ia32e(w.s) && isLong(d), false);
  within(w, d, offset);
  enter(w, d, selector, level, offset);
  w.s.ss = segment;
  setStack(w, pointer + release);
  dropPrivileged(w, level);
};
export const far: Meanings = { JMPF, CALLF, RETF };
