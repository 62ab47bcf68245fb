// Where a far transfer may go: code segments by privilege, call gates, outer returns; each refusal with its error code.
// Intel SDM volume 3, Privilege Level Checking When Transferring Program Control Between Code Segments; volume 2, JMP, CALL, RET, IRET.

import type { SegmentName } from './bits.ts';
import {
  type Descriptor,
  isCode,
  isConforming,
  isNull,
  isWritable,
  loaded,
  lookup,
  markAccessed,
  named,
  rplOf,
  unusable,
} from './descriptors.ts';
import { nullSegment } from './segments.ts';
import type { Segment } from './vocabulary.ts';
import { canonical, cpl, gp, ia32e, leave, np, raise, undecided, v86, type Work } from './work.ts';

/** CS in real-address and virtual-8086 mode; the limit stays. */
export const go8086 = (w: Work, selector: number, offset: bigint): void => {
  if (offset > BigInt(w.s.cs.limit)) gp('far.offset');
  const { limit, access } = w.s.cs;
  w.s.cs = { selector, base: BigInt(selector) << 4n, limit, access };
  if (!v86(w.s)) leave(w, 'cs.access');
  w.s.rip = offset;
  w.moved = true;
};
const long = (d: Descriptor): boolean => (d.access & 0x2000) !== 0;
const big = (d: Descriptor): boolean => (d.access & 0x4000) !== 0;
export const isLong: (d: Descriptor) => boolean = long;

/** The code segment of a direct far JMP or CALL. */
export const direct = (w: Work, selector: number, d: Descriptor): void => {
  const level = cpl(w.s);
  const refused = isConforming(d) ? d.dpl > level : rplOf(selector) > level || d.dpl !== level;
  if (refused) gp('far.privilege', named(selector));
  if (ia32e(w.s) && long(d) && big(d)) gp('far.type', named(selector));
  if (!d.present) np('far.present', named(selector));
};
/** The offset lies in the new segment, or is canonical. */
export const within = (w: Work, d: Descriptor, offset: bigint): void => {
  const segment = loaded(d, 0);
  if (ia32e(w.s) && long(d)) {
    if (!canonical(w.s, offset)) gp('far.offset');
  } else if (offset > BigInt(segment.limit)) gp('far.offset');
};
/** CS and RIP take their new values; RPL is the privilege level. */
export const enter = (w: Work, d: Descriptor, selector: number, level: number, offset: bigint): void => {
  markAccessed(w, d);
  w.s.cs = loaded(d, (selector & ~3) | level);
  w.s.rip = offset;
  w.moved = true;
};
/** The code segment that a far return or IRET names. */
export const returned = (w: Work, selector: number): Descriptor => {
  const level = cpl(w.s);
  if (isNull(selector)) gp('far.null');
  const d = lookup(w, selector) ?? gp('far.limit', named(selector));
  const rpl = rplOf(selector);
  if (!isCode(d)) gp('far.type', named(selector));
  if (rpl < level || (isConforming(d) ? d.dpl > rpl : d.dpl !== rpl)) gp('return.privilege', named(selector));
  if (ia32e(w.s) && long(d) && big(d)) gp('far.type', named(selector));
  if (!d.present) np('far.present', named(selector));
  return d;
};
/** The stack segment of a return: RPL and DPL are those of the new level. */
export const returnedStack = (w: Work, selector: number, level: number, toLong: boolean, interrupt: boolean): Segment => {
  if (isNull(selector)) {
    if (!toLong || level === 3) gp('return.stack');
    // Bochs and QEMU take it with whatever RPL.
    if (rplOf(selector) !== level) undecided('a null stack selector whose RPL is not that of the level returned to');
    return unusable(selector, level);
  }
  const d = lookup(w, selector) ?? gp('return.stack', named(selector));
  if (rplOf(selector) !== level || d.dpl !== level || !isWritable(d)) gp('return.stack', named(selector));
  // The Operation sections say #SS(selector); the lists of exceptions #NP(selector) of IRET's and #SS(0) of RET's.
  if (!d.present)
    raise(
      { vector: 12, error: named(selector), rule: 'return.stack' },
      interrupt ? { vector: 11, error: named(selector), rule: 'return.stack' } : { vector: 12, error: 0, rule: 'return.stack' },
    );
  markAccessed(w, d);
  return loaded(d, selector);
};
/** Data segments that the outer level may not use become null. */
export const dropPrivileged = (w: Work, level: number): void => {
  for (const name of ['es', 'ds', 'fs', 'gs'] as const satisfies readonly SegmentName[]) {
    const segment = w.s[name];
    // Whether a null selector that is not 0 becomes 0 the pages do not say; Bochs and QEMU make it so.
    if (segment.selector < 4 && segment.selector > 0) leave(w, `${name}.null`, 0n);
    if ((segment.access & 0x10000) !== 0 || (segment.access & 0x10) === 0) continue;
    const dpl = (segment.access >> 5) & 3;
    const conforming = (segment.access & 0xc) === 0xc;
    if (dpl < level && !conforming) nullSegment(w, name, 0);
  }
};
