// Addition, subtraction, logic, exchange-and-add, compare-and-exchange and decimal adjustment.
// Intel SDM volume 2: ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT, XADD, CMPXCHG, CMPXCHG8B/CMPXCHG16B, DAA, DAS, AAA, AAS.

import { faultsOf, load, offsetOf, save } from '../access.ts';
import { metByWrite } from '../breakpoints.ts';
import { flag, gpr, ones, type Size, statusFlags } from '../bits.ts';
import { isMemory, memoryPlace, sizeOf, update, value } from '../operands.ts';
import { flagsOf, has, leave, low, raise, register, segmentAt, setFlags, setRegister, undecided, type Work } from '../work.ts';
import { added, logical, signZeroParity, subtracted } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

type Change = (w: Work, a: bigint, b: bigint, size: Size) => bigint;
const carry = (w: Work): bigint => BigInt(flagsOf(w.s) & flag.CF);
const binary =
  (change: Change): Meaning =>
  (w) => {
    const source = value(w, 1);
    update(w, 0, (old, size) => change(w, old, source & ones(size), size));
  };
const compared =
  (change: Change): Meaning =>
  (w) => {
    const size = sizeOf(w, w.i.form.operands[0] ?? { at: 'acc', width: 'v' });
    change(w, value(w, 0), value(w, 1) & ones(size), size);
  };
const unary =
  (change: (w: Work, a: bigint, size: Size) => bigint): Meaning =>
  (w) =>
    update(w, 0, (old, size) => change(w, old, size));
const butCarry = statusFlags & ~flag.CF;

const ADD: Meaning = binary((w, a, b, size) => added(w, a, b, 0n, size));
const OR: Meaning = binary((w, a, b, size) => logical(w, a | b, size));
const ADC: Meaning = binary((w, a, b, size) => added(w, a, b, carry(w), size));
const SBB: Meaning = binary((w, a, b, size) => subtracted(w, a, b, carry(w), size));
const AND: Meaning = binary((w, a, b, size) => logical(w, a & b, size));
const SUB: Meaning = binary((w, a, b, size) => subtracted(w, a, b, 0n, size));
const XOR: Meaning = binary((w, a, b, size) => logical(w, a ^ b, size));
const CMP: Meaning = compared((w, a, b, size) => subtracted(w, a, b, 0n, size));

const exchangeAndAdd: Meaning = (w) => {
  const source = value(w, 1);
  let taken = 0n;
  update(w, 0, (old, size) => {
    taken = old;
    return added(w, old, source, 0n, size);
  });
  const size = sizeOf(w, { at: 'G', width: w.i.form.operands[1]?.width ?? 'v' });
  // A register added to itself ends with the sum.
  if (isMemory(w, 0) || w.i.reg !== w.i.rm) setRegister(w, w.i.reg, size, taken);
};
/** The page has a write cycle without regard to the comparison, and the same bytes written back. */
const unwritten = 'a write breakpoint on what is not exchanged';
const compareAndExchange: Meaning = (w) => {
  const size = sizeOf(w, w.i.form.operands[0] ?? { at: 'E', width: 'v' });
  const source = value(w, 1);
  const accumulator = register(w, 0, size);
  let found = 0n;
  update(w, 0, (old) => {
    found = old;
    return accumulator === old ? source : old;
  });
  subtracted(w, accumulator, found, 0n, size);
  if (accumulator === found) return;
  if (metByWrite(w)) undecided(unwritten);
  // The destination is written back: whether a 32-bit register's high half is cleared then is not said.
  if (!isMemory(w, 0) && size === 4) leave(w, gpr[w.i.rm] as string, ones(8) - ones(4));
  setRegister(w, 0, size, found);
};
const compareAndExchangePair: Meaning = (w) => {
  const half: Size = w.i.operandSize === 8 ? 8 : 4;
  const { s } = w;
  if (half === 8) {
    if (!has(w, 'cx16')) undecided('CMPXCHG16B, which CPUID may not offer');
    const n = w.i.address?.segment ?? 3;
    // #GP(0) where it is not aligned: before or after the faults of the access is not said, and with alignment checking #AC is named too.
    if (((offsetOf(w) + (n >= 4 ? segmentAt(w, n).base : 0n)) & 15n) !== 0n)
      raise({ vector: 13, error: 0, rule: 'operand.alignment' }, ...faultsOf(() => memoryPlace(w, 16, 'modify')));
  }
  const places = memoryPlace(w, half * 2, 'modify', 0n, 8);
  const found = load(w, places, half * 2);
  const bits = BigInt(half * 8);
  const pair = ((s.rdx & ones(half)) << bits) | (s.rax & ones(half));
  const equal = pair === found;
  save(w, places, half * 2, equal ? ((s.rcx & ones(half)) << bits) | (s.rbx & ones(half)) : found);
  setFlags(w, flag.ZF, equal ? flag.ZF : 0);
  if (equal) return;
  if (metByWrite(w)) undecided(unwritten);
  setRegister(w, 0, half, found & ones(half));
  setRegister(w, 2, half, found >> bits);
};

const al = (w: Work): number => low(w.s.rax) & 0xff;
const setAl = (w: Work, n: number): void => {
  w.s.rax = (w.s.rax & ~0xffn) | BigInt(n & 0xff);
};
const decimal =
  (sign: 1 | -1): Meaning =>
  (w) => {
    const old = al(w);
    const flags = flagsOf(w.s);
    const borrowed = (flags & flag.CF) !== 0;
    let CF = false;
    let AF = false;
    let result = old;
    if ((old & 0xf) > 9 || (flags & flag.AF) !== 0) {
      result += sign * 6;
      CF = borrowed || result < 0 || result > 0xff;
      AF = true;
    }
    // DAA decides CF here alone; DAS keeps a borrow of the first step.
    if (old > 0x99 || borrowed) {
      result += sign * 0x60;
      CF = true;
    } else if (sign === 1) CF = false;
    setAl(w, result);
    setFlags(w, statusFlags, (CF ? flag.CF : 0) | (AF ? flag.AF : 0) | signZeroParity(BigInt(result & 0xff), 1), flag.OF);
  };
const ascii =
  (sign: 1 | -1): Meaning =>
  (w) => {
    const adjust = (al(w) & 0xf) > 9 || (flagsOf(w.s) & flag.AF) !== 0;
    let ax = low(w.s.rax) & 0xffff;
    if (adjust) ax = sign === 1 ? ax + 0x106 : ax - 0x106;
    w.s.rax = (w.s.rax & ~0xffffn) | BigInt(ax & 0xff0f);
    setFlags(w, statusFlags, adjust ? flag.CF | flag.AF : 0, flag.OF | flag.SF | flag.ZF | flag.PF);
  };

const basic: Meanings = { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };
export const alu: Meanings = {
  ...basic,
  ...Object.fromEntries(Object.entries(basic).map(([name, meaning]) => [`${name}82`, meaning])),
  TEST: compared((w, a, b, size) => logical(w, a & b, size)),
  INC: unary((w, a, size) => added(w, a, 1n, 0n, size, butCarry)),
  DEC: unary((w, a, size) => subtracted(w, a, 1n, 0n, size, butCarry)),
  NOT: unary((_, a, size) => ~a & ones(size)),
  NEG: unary((w, a, size) => subtracted(w, 0n, a, 0n, size)),
  XADD: exchangeAndAdd,
  CMPXCHG: compareAndExchange,
  CMPXCHG8B: compareAndExchangePair,
  DAA: decimal(1),
  DAS: decimal(-1),
  // Undefined, and no #UD (SDM volume 3, Interrupt 6): processors set AL by CF, no page says so. 64-bit mode has it not, on those that were asked.
  SALC: (w) => {
    if (w.i.code === 64) undecided('D6H in 64-bit mode');
    leave(w, 'rax', 0xffn);
  },
  AAA: ascii(1),
  AAS: ascii(-1),
};
