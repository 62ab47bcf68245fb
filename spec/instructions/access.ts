// From a segment and an offset to bytes: what each segment permits, where its limit lies, canonical addresses, alignment, and the bytes themselves.
// Intel SDM volume 3, Limit Checking; Type Checking; volume 1, Canonical Addressing; volume 3, Interrupt 17—Alignment Check Exception.

import { readsAhead } from './ahead.ts';
import { accessed } from './breakpoints.ts';
import { cr0, flag, numberOf, ones, bigOf } from './bits.ts';
import { general } from './general.ts';
import { type Access, foretell, physical, surround, translate } from './paging.ts';
import type { Segment } from './vocabulary.ts';
import {
  canonical,
  cpl,
  cr0Of,
  eferOf,
  type Fault,
  flagsOf,
  gp,
  in64,
  isRaised,
  like8086,
  low,
  own,
  protectedMode,
  raise,
  segmentAt,
  ss as stackFault,
  undecided,
  type Work,
} from './work.ts';

export type Use = 'read' | 'write' | 'modify';
// Said once: every case makes several accesses, and most are one of these.
export const reading: Access = { write: false };
export const writing: Access = { write: true };
const modifying: Access = { write: true, both: true };
const implicitRead: Access = { write: false, implicit: true };
const implicitWrite: Access = { write: true, implicit: true };
/** Of an operand that is used so. */
export const accessFor = (use: Use): Access => (use === 'read' ? reading : use === 'write' ? writing : modifying);
const SS = 2;

/** Whether an expand-down segment; code segments never are. */
const expandsDown = (access: number): boolean => (access & 0x1c) === 0x14;
/** SDM volume 3, Limit Checking: effective range of offsets. */
const outside = (w: Work, segment: Segment, offset: bigint, size: number): boolean => {
  const { limit } = segment;
  const first = numberOf(offset);
  const last = first + size - 1;
  if (expandsDown(segment.access) && !like8086(w.s)) {
    const end = (segment.access & 0x4000) !== 0 ? 0xffffffff : 0xffff;
    if (first > limit && last > end && end === 0xffffffff) undecided('an access that wraps at 4 GBytes');
    return first <= limit || last > end;
  }
  // Across the end of a 4-GByte segment implementations are free.
  if (limit === 0xffffffff && last > limit) undecided('an access that wraps at 4 GBytes');
  return last > limit;
};

/** The faults of an access, none where it has none. */
export const faultsOf = (access: () => unknown): readonly Fault[] => {
  try {
    access();
    return [];
  } catch (thrown) {
    if (isRaised(thrown)) return thrown.faults;
    throw thrown;
  }
};
/** Words that no page says in which order they are read: where several fault, any of their faults may be the one that is reported. */
export const inAnyOrder = (...reads: readonly (() => bigint)[]): readonly bigint[] => {
  const words: bigint[] = [];
  const faults: Fault[] = [];
  for (const read of reads)
    for (const fault of faultsOf(() => words.push(read())))
      if (!faults.some((f) => f.rule === fault.rule && f.vector === fault.vector && f.error === fault.error && f.cr2 === fault.cr2))
        faults.push(fault);
  if (faults.length > 0) raise(...faults);
  return words;
};
/** Below this every byte of an access is canonical, at any width: as nearly all are. */
const surelyCanonical = (1n << 47n) - 4096n;
const wholeSpace = 1n << 64n;
const refuse = (n: number, rule: string): never => (n === SS ? stackFault(rule) : gp(rule));
/** Linear address of an access of `size` bytes at an offset in a segment register. `stack`: made by an implicit stack reference. */
export const linearOf = (w: Work, n: number, offset: bigint, size: number, use: Use): bigint => {
  const segment = segmentAt(w, n);
  if (in64(w.s)) {
    const linear = BigInt.asUintN(64, offset + (n >= 4 ? segment.base : 0n));
    if (linear < surelyCanonical) return linear;
    if (!canonical(w.s, linear)) refuse(n, 'operand.canonical');
    if (linear + bigOf(size - 1) >= wholeSpace) undecided('an operand that wraps round at the end of the address space');
    if (!canonical(w.s, BigInt.asUintN(64, linear + bigOf(size - 1)))) {
      // The first part may fault for its page before the second is found not canonical: the order is open.
      const faults = faultsOf(() => translate(w, linear, accessFor(use)));
      raise({ vector: n === SS ? 12 : 13, error: 0, rule: 'operand.canonical' }, ...faults);
    }
    return linear;
  }
  if (protectedMode(w.s) && !like8086(w.s)) {
    const { access } = segment;
    if ((access & 0x10000) !== 0) refuse(n, 'operand.null');
    const code = (access & 8) !== 0;
    if (use !== 'read' && (code || (access & 2) === 0)) refuse(n, 'operand.type');
    if (use !== 'write' && code && (access & 2) === 0) refuse(n, 'operand.type');
  }
  if (outside(w, segment, offset, size)) refuse(n, 'operand.limit');
  return segment.base === 0n ? offset : (segment.base + offset) & 0xffffffffn;
};

/** #AC is on. SDM volume 3, Interrupt 17: CR0.AM, RFLAGS.AC and CPL 3; virtual-8086 mode counts. */
export const alignmentChecked = (w: Work): boolean =>
  (cr0Of(w.s) & cr0.AM) !== 0 && (flagsOf(w.s) & flag.AC) !== 0 && cpl(w.s) === 3 && protectedMode(w.s);
const alignment: Fault = { vector: 17, error: 0, rule: 'operand.alignment' };

/** Physical addresses of the bytes of an access, in one or two runs. Throws its faults; where it is misaligned under #AC, that may be reported too. */
export const place = (w: Work, linear: bigint, size: number, access: Access, aligned: number = size): readonly number[] => {
  const misaligned = aligned > 1 && !access.implicit && alignmentChecked(w) && (low(linear) & (aligned - 1)) !== 0;
  if (misaligned && !w.ring3) undecided('whether the host checks alignment');
  if (w.watch !== undefined) accessed(w.watch, linear, size, access.write, access.implicit === true);
  if (!misaligned) return runsOf(w, linear, size, access);
  // Among faults of one access the order is open (SDM volume 3, table Priority Among Concurrent Events).
  return raise(...faultsOf(() => runsOf(w, linear, size, access)), alignment);
};
const runsOf = (w: Work, linear: bigint, size: number, access: Access): readonly number[] => {
  const first = translate(w, linear, access);
  const left = 4096 - (low(linear) & 0xfff);
  if (size <= left) return [first, size];
  const next = in64(w.s) || eferOf(w.s) & 0x400 ? BigInt.asUintN(64, linear + bigOf(left)) : (linear + bigOf(left)) & 0xffffffffn;
  return [first, left, translate(w, next, access)];
};
export const load = (w: Work, places: readonly number[], size: number): bigint => {
  if (places.length === 2) return seen(w, places[0] as number, size);
  const left = places[1] as number;
  return seen(w, places[0] as number, left) | (seen(w, places[2] as number, size - left) << BigInt(8 * left));
};
const seen = (w: Work, at: number, size: number): bigint => {
  readsAhead(w, at, size);
  return physical(w, at, size);
};
export const save = (w: Work, places: readonly number[], size: number, value: bigint, loose = 0n): void => {
  const left = places[1] as number;
  let [words, freeWords] = [value, loose];
  let [rest, free] = [low(value), low(loose)];
  for (let k = 0; k < size; k++) {
    if (k > 0 && (k & 3) === 0) {
      words >>= 32n;
      freeWords >>= 32n;
      [rest, free] = [low(words), low(freeWords)];
    }
    const at = k < left ? (places[0] as number) + k : (places[2] as number) + k - left;
    foretell(w, at, rest & 0xff, free & 0xff);
    rest >>>= 8;
    free >>>= 8;
  }
};

/** Reads through a segment register. */
export const readAt = (w: Work, n: number, offset: bigint, size: number, aligned: number = size): bigint =>
  load(w, place(w, linearOf(w, n, offset, size, 'read'), size, reading, aligned), size);
export const writeAt = (w: Work, n: number, offset: bigint, size: number, value: bigint, aligned: number = size): void =>
  save(w, place(w, linearOf(w, n, offset, size, 'write'), size, writing, aligned), size, value);
/** Reads the processor's own tables. */
export const readTable = (w: Work, linear: bigint, size: number): bigint => {
  const at = translate(w, linear, implicitRead);
  if (w.watch !== undefined) accessed(w.watch, linear, size, false, true);
  return (at % 4096) + size <= 4096 ? seen(w, at, size) : load(w, place(w, linear, size, implicitRead), size);
};
export const writeTable = (w: Work, linear: bigint, size: number, value: bigint, mark?: 'descriptor' | 'task'): void => {
  const places = place(w, linear, size, implicitWrite);
  if (mark !== undefined) surround(w, places[0] as number);
  save(w, places, size, value);
  if (mark !== undefined) w.marks = own(w.marks).set(places[0] as number, mark);
};

/** Offset of the memory operand of the instruction, cut to the address size. */
export const offsetOf = (w: Work): bigint => {
  const { address, addressSize, length } = w.i;
  if (address === undefined) return undecided('no memory operand');
  let sum = address.displacement;
  if (address.base >= 0) sum += general(w.s, address.base);
  if (address.index >= 0) sum += general(w.s, address.index) * bigOf(address.scale);
  if (address.ripRelative) sum += w.s.rip + bigOf(length);
  return sum & ones(addressSize);
};
