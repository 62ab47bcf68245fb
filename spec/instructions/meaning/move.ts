// Moves, extensions, exchanges, conditional moves and sets, address computation, and instructions that do nothing.
// Intel SDM volume 2: MOV, MOVZX, MOVSX/MOVSXD, LEA, XCHG, BSWAP, CBW/CWDE/CDQE, CWD/CDQ/CQO, XLAT/XLATB, CMOVcc, SETcc, NOP.

import { faultsOf, linearOf, offsetOf, readAt } from '../access.ts';
import { gpr, ones, type Size, signed } from '../bits.ts';
import { conditions } from '../forms/form.ts';
import { assign, isMemory, memoryPlace, sizeOf, update, value } from '../operands.ts';
import { flagsOf, leave, low, raise, register, setRegister, undecided, type Work } from '../work.ts';
import { condition } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

const sourceSize = (w: Work): Size => sizeOf(w, w.i.form.operands[1] ?? { at: 'E', width: 'v' });
const MOV: Meaning = (w) => assign(w, 0, value(w, 1));
/** The word of memory of MOVSXD with 66H: processors of other vendors than Intel were seen to read four bytes, and fault as that does (readings.md). */
const wordOrMore = (w: Work): bigint => {
  const linear = linearOf(w, w.i.address?.segment ?? 3, offsetOf(w), 1, 'read');
  if ((low(linear) & 0xfff) > 0xffc) undecided('MOVSXD of a word at the end of a page');
  const faults = faultsOf(() => memoryPlace(w, 2, 'read'));
  const more = faultsOf(() => memoryPlace(w, 4, 'read'));
  if (faults.length > 0) raise(...faults, ...more);
  w.also.push(...more);
  return value(w, 1);
};
const XCHG: Meaning = (w) => {
  const operand = w.i.form.operands[1] ?? undecided('an operand too few');
  const size = sizeOf(w, operand);
  const other = value(w, 1);
  let taken = 0n;
  update(w, 0, (old) => {
    taken = old;
    return other;
  });
  setRegister(w, operand.at === 'acc' ? 0 : w.i.reg, size, taken);
  // A register exchanged with itself.
  if (!isMemory(w, 0) && operand.at === 'G' && w.i.reg === w.i.rm) setRegister(w, w.i.reg, size, other);
};
const BSWAP: Meaning = (w) => {
  const size = w.i.operandSize;
  if (size === 2) {
    // Of 16 bits the result is undefined.
    leave(w, gpr[w.i.rm] as string, 0xffffffffn);
    return;
  }
  let result = 0n;
  let rest = register(w, w.i.rm, size);
  for (let k = 0; k < size; k++) {
    result = (result << 8n) | (rest & 0xffn);
    rest >>= 8n;
  }
  setRegister(w, w.i.rm, size, result);
};
const LEA: Meaning = (w) => assign(w, 0, offsetOf(w) & ones(w.i.operandSize));
const XLAT: Meaning = (w) => {
  const offset = (w.s.rbx + (w.s.rax & 0xffn)) & ones(w.i.addressSize);
  w.s.rax = (w.s.rax & ~0xffn) | readAt(w, w.i.override >= 0 ? w.i.override : 3, offset, 1);
};
const conditional = Object.fromEntries(
  conditions.flatMap((name, code) => {
    const move: Meaning = (w) => {
      const source = value(w, 1);
      // The source is read, and a 32-bit destination zero-extended, whatever the condition.
      if (condition(flagsOf(w.s), code)) assign(w, 0, source);
      else assign(w, 0, value(w, 0));
    };
    const set: Meaning = (w) => assign(w, 0, condition(flagsOf(w.s), code) ? 1n : 0n);
    return [
      [`CMOV${name}`, move],
      [`SET${name}`, set],
    ] as const;
  }),
);
export const nothing: Meaning = () => {};
export const move: Meanings = {
  MOV,
  MOVZX: MOV,
  MOVSX: (w) => assign(w, 0, signed(value(w, 1), sourceSize(w)) & ones(w.i.operandSize)),
  MOVSXD: (w) => {
    const source = w.i.operandSize === 2 && isMemory(w, 1) && w.cpu.vendor !== 'intel' ? wordOrMore(w) : value(w, 1);
    assign(w, 0, signed(source, sourceSize(w)) & ones(w.i.operandSize));
  },
  LEA,
  XCHG,
  BSWAP,
  CBW: (w) => {
    const size = w.i.operandSize;
    const half = (size / 2) as Size;
    setRegister(w, 0, size, signed(w.s.rax & ones(half), half) & ones(size));
  },
  CWD: (w) => {
    const size = w.i.operandSize;
    setRegister(w, 2, size, signed(w.s.rax, size) < 0n ? ones(size) : 0n);
  },
  XLAT,
  NOP: nothing,
  ...conditional,
};
