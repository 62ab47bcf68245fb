// Loading a segment register: which descriptor may go where, with which error code it is refused, and the hidden part that it leaves.
// Intel SDM volume 2, MOV—Move and LDS/LES/LFS/LGS/LSS; volume 3, Privilege Level Checking When Accessing Data Segments; Loading Null Selectors.

import type { SegmentName } from './bits.ts';
import {
  isData,
  isNull,
  isReadable,
  isWritable,
  isConforming,
  loaded,
  lookup,
  markAccessed,
  named,
  rplOf,
  unusable,
} from './descriptors.ts';
import type { Segment } from './vocabulary.ts';
import { cpl, gp, ia32e, in64, leave, like8086, np, ofSystem, ss as stackFault, v86, type Work } from './work.ts';

/** In real-address and virtual-8086 mode a selector is a base. */
export const load8086 = (w: Work, name: SegmentName, selector: number): void => {
  const { limit, access } = w.s[name];
  w.s[name] = { selector, base: BigInt(selector) << 4n, limit, access };
  if (v86(w.s)) return;
  // Limit and attributes in real-address mode are what they were; processors differ on attributes.
  leave(w, `${name}.access`);
  leave(w, `${name}.limit`);
};
export const loadStackSegment = (w: Work, selector: number): void => {
  const level = cpl(w.s);
  if (isNull(selector)) {
    if (!in64(w.s) || level === 3 || rplOf(selector) !== level) gp('segment.null');
    w.s.ss = unusable(selector, level);
    return;
  }
  const d = lookup(w, selector) ?? gp('segment.limit', named(selector));
  if (rplOf(selector) !== level || d.dpl !== level) gp(isWritable(d) ? 'segment.privilege' : 'segment.type', named(selector));
  if (!isWritable(d)) gp('segment.type', named(selector));
  if (!d.present) stackFault('segment.present', named(selector));
  markAccessed(w, d);
  w.s.ss = loaded(d, selector);
};
/** A null selector in a data segment register. Of FS and GS some processors of AMD's keep the base, which 64-bit mode uses all the same. */
export const nullSegment = (w: Work, name: SegmentName, selector: number): void => {
  const keeps = (name === 'fs' || name === 'gs') && w.cpu.vendor !== 'intel' && ia32e(w.s) && w.s[name].base !== 0n;
  if (keeps) leave(w, `${name}.base`);
  w.s[name] = unusable(selector);
};
const loadDataSegment = (w: Work, name: SegmentName, selector: number): void => {
  if (isNull(selector)) {
    nullSegment(w, name, selector);
    return;
  }
  const d = lookup(w, selector) ?? gp('segment.limit', named(selector));
  if (!d.s || !isReadable(d)) gp('segment.type', named(selector));
  if ((isData(d) || !isConforming(d)) && (rplOf(selector) > d.dpl || cpl(w.s) > d.dpl)) gp('segment.privilege', named(selector));
  if (!d.present) np('segment.present', named(selector));
  markAccessed(w, d);
  w.s[name] = loaded(d, selector);
};
/** Loads any but CS. */
export const loadSegment = (w: Work, name: SegmentName, selector: number): void => {
  ofSystem(w, 'the descriptor tables');
  if (like8086(w.s)) load8086(w, name, selector);
  else if (name === 'ss') loadStackSegment(w, selector);
  else loadDataSegment(w, name, selector);
};
/** The segment with another base. */
export const withBase = ({ selector, limit, access }: Segment, base: bigint): Segment => ({ selector, base, limit, access });
