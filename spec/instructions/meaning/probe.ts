// Instructions that ask whether a selector could be used: ZF, and what they read from the descriptor. None of them faults for the selector.
// Intel SDM volume 2: LAR, LSL, VERR/VERW, ARPL; volume 3, Checking Access Rights; Adjusting Access Rights.

import { faultsOf, linearOf, offsetOf } from '../access.ts';
import { flag, ones } from '../bits.ts';
import { type Descriptor, isConforming, isNull, isReadable, isWritable, limitOf, lookup, rplOf, baseOf, upperOf } from '../descriptors.ts';
import { assign, isMemory, memoryPlace, value } from '../operands.ts';
import { canonical, cpl, ia32e, leave, ofSystem, own, raise, setFlags, undecided, type Work } from '../work.ts';
import { gpr } from '../bits.ts';
import type { Meaning, Meanings } from './meaning.ts';

/** System types that LAR and LSL accept, outside IA-32e mode and in it. */
const rights = { legacy: new Set([1, 2, 3, 4, 5, 9, 11, 12]), long: new Set([2, 9, 11, 12]) };
const limits = { legacy: new Set([1, 2, 3, 9, 11]), long: new Set([2, 9, 11]) };

const visible = (w: Work, selector: number, system?: typeof rights): Descriptor | undefined => {
  ofSystem(w, 'the descriptor tables');
  if (isNull(selector)) return undefined;
  const d = lookup(w, selector);
  if (d === undefined) return undefined;
  if (!d.s && system?.[ia32e(w.s) ? 'long' : 'legacy'].has(d.type) !== true) return undefined;
  if (d.s && isConforming(d)) return d;
  if (!d.s && ia32e(w.s)) {
    // Whether the second half counts the pages do not say: Bochs and the reference look at it, QEMU does not.
    const whole = lookup(w, selector, 16);
    const upper = whole === undefined ? 0n : upperOf(w, whole);
    const base = baseOf(d.raw) | ((upper & 0xffffffffn) << 32n);
    const gate = d.type === 12;
    if (whole === undefined || ((upper >> 40n) & 0x1fn) !== 0n || (!gate && !canonical(w.s, base)))
      undecided('LAR and LSL of a descriptor whose second half is none');
  }
  return cpl(w.s) > d.dpl || rplOf(selector) > d.dpl ? undefined : d;
};
const zero = (w: Work, on: boolean): void => setFlags(w, flag.ZF, on ? flag.ZF : 0);
const LAR: Meaning = (w) => {
  const d = visible(w, Number(value(w, 1) & 0xffffn), rights);
  zero(w, d !== undefined);
  if (d === undefined) return;
  const size = w.i.operandSize;
  assign(w, 0, (d.raw >> 32n) & 0xf0ff00n & ones(size));
  // Bits 19:16 of the second doubleword are not part of the rights.
  if (size !== 2) leave(w, gpr[w.i.reg] as string, 0xf0000n);
};
const LSL: Meaning = (w) => {
  const d = visible(w, Number(value(w, 1) & 0xffffn), limits);
  zero(w, d !== undefined);
  if (d !== undefined) assign(w, 0, BigInt(limitOf(d.raw)) & ones(w.i.operandSize));
};
const VERR: Meaning = (w) => {
  const d = visible(w, Number(value(w, 0) & 0xffffn));
  zero(w, d !== undefined && isReadable(d));
};
const VERW: Meaning = (w) => {
  const d = visible(w, Number(value(w, 0) & 0xffffn));
  zero(w, d !== undefined && isWritable(d));
};
const ARPL: Meaning = (w) => {
  if (isMemory(w, 0)) {
    // What is written only at times may be read as what will be written: W of the error code either way.
    const unread = faultsOf(() => memoryPlace(w, 2, 'read'));
    if (unread.length > 0) raise(...unread, ...faultsOf(() => memoryPlace(w, 2, 'modify')));
  }
  const destination = value(w, 0);
  const source = value(w, 1);
  const raised = (destination & 3n) < (source & 3n);
  if (raised) assign(w, 0, (destination & ~3n) | (source & 3n));
  else if (isMemory(w, 0)) {
    // The segment must be writable all the same; whether the page must be, and whether it is written back, is not said.
    linearOf(w, w.i.address?.segment ?? 3, offsetOf(w), 2, 'modify');
    w.also.push(...faultsOf(() => memoryPlace(w, 2, 'write')));
    for (const [at, mark] of w.marks) if (mark === 'accessed') w.loose = own(w.loose).set(at, 0x40);
  }
  zero(w, raised);
};
export const probe: Meanings = { LAR, LSL, VERR, VERW, ARPL };
