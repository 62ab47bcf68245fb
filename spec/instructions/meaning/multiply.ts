// Multiplication and division, ASCII adjustment around them, and #DE.
// Intel SDM volume 2: MUL, IMUL, DIV, IDIV, AAM, AAD.

import { flag, ones, type Size, signed, statusFlags } from '../bits.ts';
import { assign, sizeOf, value } from '../operands.ts';
import { low, raise, register, setFlags, setRegister, type Work } from '../work.ts';
import { signZeroParity } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

const divideError = (): never => raise({ vector: 0, rule: 'divide.de' });
const sizeOfSource = (w: Work): Size => sizeOf(w, w.i.form.operands[0] ?? { at: 'E', width: 'v' });
/** CF and OF: the upper half is significant. SF, ZF, AF and PF are undefined. */
const productFlags = (w: Work, significant: boolean): void =>
  setFlags(w, statusFlags, significant ? flag.CF | flag.OF : 0, statusFlags & ~(flag.CF | flag.OF));

/** AX, or DX:AX, EDX:EAX, RDX:RAX. */
const wide = (w: Work, size: Size): bigint =>
  size === 1 ? w.s.rax & 0xffffn : (register(w, 2, size) << BigInt(size * 8)) | register(w, 0, size);
const setWide = (w: Work, size: Size, low: bigint, high: bigint): void => {
  if (size === 1) {
    setRegister(w, 0, 2, (low & 0xffn) | ((high & 0xffn) << 8n));
    return;
  }
  setRegister(w, 0, size, low & ones(size));
  setRegister(w, 2, size, high & ones(size));
};
const MUL: Meaning = (w) => {
  const size = sizeOfSource(w);
  const product = register(w, 0, size) * value(w, 0);
  const high = product >> BigInt(size * 8);
  setWide(w, size, product, high);
  productFlags(w, high !== 0n);
};
const IMUL: Meaning = (w) => {
  const { operands } = w.i.form;
  if (operands.length === 1) {
    const size = sizeOfSource(w);
    const product = signed(register(w, 0, size), size) * signed(value(w, 0), size);
    setWide(w, size, product & ones(size), (product >> BigInt(size * 8)) & ones(size));
    productFlags(w, product !== signed(product, size));
    return;
  }
  const size = w.i.operandSize;
  const first = signed(operands.length === 3 ? value(w, 1) : value(w, 0), size);
  const second = signed(operands.length === 3 ? w.i.immediate : value(w, 1), size);
  const product = first * second;
  assign(w, 0, product & ones(size));
  productFlags(w, product !== signed(product, size));
};
const DIV: Meaning = (w) => {
  const size = sizeOfSource(w);
  const divisor = value(w, 0);
  if (divisor === 0n) divideError();
  const dividend = wide(w, size);
  const quotient = dividend / divisor;
  if (quotient > ones(size)) divideError();
  setWide(w, size, quotient, dividend % divisor);
  setFlags(w, 0, 0, statusFlags);
};
const IDIV: Meaning = (w) => {
  const size = sizeOfSource(w);
  const divisor = signed(value(w, 0), size);
  if (divisor === 0n) divideError();
  const dividend = BigInt.asIntN(size * 16, wide(w, size));
  const quotient = dividend / divisor;
  if (quotient !== signed(quotient, size)) divideError();
  setWide(w, size, quotient & ones(size), (dividend % divisor) & ones(size));
  setFlags(w, 0, 0, statusFlags);
};
const adjusted = (w: Work, ax: number): void => {
  w.s.rax = (w.s.rax & ~0xffffn) | BigInt(ax & 0xffff);
  setFlags(w, statusFlags, signZeroParity(BigInt(ax & 0xff), 1), flag.OF | flag.AF | flag.CF);
};
const AAM: Meaning = (w) => {
  const base = Number(w.i.immediate & 0xffn);
  if (base === 0) divideError();
  const al = low(w.s.rax) & 0xff;
  adjusted(w, (Math.floor(al / base) << 8) | (al % base));
};
const AAD: Meaning = (w) => {
  const ax = low(w.s.rax) & 0xffff;
  adjusted(w, ((ax & 0xff) + (ax >> 8) * Number(w.i.immediate & 0xffn)) & 0xff);
};
export const multiply: Meanings = { MUL, IMUL, DIV, IDIV, AAM, AAD };
