// Bit tests and scans. A bit offset in a register reaches beyond the operand, in both directions.
// Intel SDM volume 2: BT, BTS, BTR, BTC, BSF, BSR.

import { faultsOf, load, save } from '../access.ts';
import { flag, gpr, ones, signed, statusFlags } from '../bits.ts';
import { assign, isMemory, memoryPlace, update, value } from '../operands.ts';
import { isRaised, leave, raise, setFlags, undecided, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';

type Change = (old: bigint, bit: bigint) => bigint;
const carry = (w: Work, old: bigint, bit: bigint): void =>
  setFlags(w, flag.CF, (old & bit) === 0n ? 0 : flag.CF, flag.OF | flag.SF | flag.AF | flag.PF);

const tested =
  (change: Change | undefined): Meaning =>
  (w) => {
    const size = w.i.operandSize;
    const bits = BigInt(size * 8);
    const offset = value(w, 1);
    if (isMemory(w, 0) && w.i.form.operands[1]?.at === 'G') {
      const at = signed(offset, size);
      const unit = at >> BigInt(size === 8 ? 6 : size === 4 ? 5 : 4);
      const bit = 1n << (at & (bits - 1n));
      let places: readonly number[];
      try {
        places = memoryPlace(w, size, change === undefined ? 'read' : 'modify', unit * BigInt(size));
      } catch (thrown) {
        // A narrower access may be made (BT—Bit Test, note on memory operands): only where all of them fault alike is a fault owed.
        if (!isRaised(thrown)) throw thrown;
        const byte = unit * BigInt(size) + (((at & (bits - 1n)) >> 3n) & 7n);
        const narrow = faultsOf(() => memoryPlace(w, 1, change === undefined ? 'read' : 'modify', byte));
        if (narrow.length > 0) raise(...thrown.faults, ...narrow);
        return undecided('a bit test whose access may be narrower');
      }
      const old = load(w, places, size);
      if (change !== undefined) save(w, places, size, change(old, bit) & ones(size));
      carry(w, old, bit);
      return;
    }
    const bit = 1n << (offset & (bits - 1n));
    if (change === undefined) {
      carry(w, value(w, 0), bit);
      return;
    }
    update(w, 0, (old) => {
      carry(w, old, bit);
      return change(old, bit) & ones(size);
    });
  };
const scan =
  (index: (source: bigint) => number): Meaning =>
  (w) => {
    const source = value(w, 1);
    setFlags(w, flag.ZF, source === 0n ? flag.ZF : 0, statusFlags & ~flag.ZF);
    if (source === 0n) leave(w, gpr[w.i.reg] as string);
    else assign(w, 0, BigInt(index(source)));
  };
const highest = (v: bigint): number => v.toString(2).length - 1;
export const bit: Meanings = {
  BT: tested(undefined),
  BTS: tested((old, b) => old | b),
  BTR: tested((old, b) => old & ~b),
  BTC: tested((old, b) => old ^ b),
  BSF: scan((v) => highest(v & -v)),
  BSR: scan(highest),
};
