// Pushes, pops and frames of procedures. Intel SDM volume 2: PUSH, POP, PUSHA, POPA, ENTER, LEAVE.

import { faultsOf, linearOf, place } from '../access.ts';
import { perhapsSeen } from '../breakpoints.ts';
import { ones, type Size } from '../bits.ts';
import { assign, isMemory, value } from '../operands.ts';
import { moveStack, peek, pop, push, setStack, stackAt } from '../stack.ts';
import { like8086, raise, register, setRegister, stackSize } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

const PUSH: Meaning = (w) => push(w, value(w, 0) & ones(w.i.operandSize), w.i.operandSize);
const POP: Meaning = (w) => {
  const size = w.i.operandSize;
  const popped = peek(w, 0n, size);
  // The address of a memory destination is computed with the pointer moved already; a popped stack pointer is not moved after.
  moveStack(w, BigInt(size));
  if (isMemory(w, 0)) assign(w, 0, popped);
  else setRegister(w, w.i.rm, size, popped);
};
const PUSHA: Meaning = (w) => {
  const size = w.i.operandSize;
  const old = w.s.rsp;
  const pushAll = (): void => {
    for (const n of [0, 1, 2, 3, 4, 5, 6, 7]) push(w, (n === 4 ? old : register(w, n, size)) & ones(size), size);
  };
  // The page says #GP there, while the words that it pushes one by one run into #SS.
  const odd = like8086(w.s) && [7n, 9n, 11n, 13n, 15n].includes(stackAt(w));
  if (!odd) {
    pushAll();
    return;
  }
  const faults = faultsOf(pushAll);
  if (faults.length > 0) raise(...faults, { vector: 13, error: 0, rule: 'operand.limit' });
};
const POPA: Meaning = (w) => {
  const size = w.i.operandSize;
  const values = [7, 6, 5, 4, 3, 2, 1, 0].map((n, k) => [n, n === 4 ? 0n : peek(w, BigInt(k * size), size)] as const);
  moveStack(w, BigInt(8 * size));
  for (const [n, popped] of values) if (n !== 4) setRegister(w, n, size, popped);
};
const ENTER: Meaning = (w) => {
  const size = w.i.operandSize as Size;
  const level = w.i.second & 31;
  const width = stackSize(w.s);
  push(w, register(w, 5, size), size);
  const frame = w.s.rsp;
  let base = w.s.rbp;
  for (let k = 1; k < level; k++) {
    base = (base & ~ones(width)) | ((base - BigInt(size)) & ones(width));
    const kept = w.s.rsp;
    w.s.rsp = base;
    const display = peek(w, 0n, size);
    w.s.rsp = kept;
    push(w, display, size);
  }
  if (level > 0) push(w, frame & ones(size), size);
  setRegister(w, 5, size, frame & ones(size));
  const space = w.i.immediate & 0xffffn;
  // The final pointer is probed as if it were written.
  const probe = stackAt(w, -space);
  perhapsSeen(w, 'a breakpoint that ENTER only probes', () => place(w, linearOf(w, 2, probe, size, 'write'), size, { write: true }, 1));
  moveStack(w, -space);
};
const LEAVE: Meaning = (w) => {
  const size = w.i.operandSize as Size;
  setStack(w, w.s.rbp);
  const popped = pop(w, size);
  setRegister(w, 5, size, popped);
};
export const stack: Meanings = { PUSH, POP, PUSHA, POPA, ENTER, LEAVE };
