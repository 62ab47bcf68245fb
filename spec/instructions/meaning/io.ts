// Port I/O: who may, by IOPL and the I/O permission bitmap, and what goes over the port. No device answers: IN gives all ones.
// Intel SDM volume 1, I/O Permission Bit Map; volume 2: IN, OUT, INS, OUTS.

import { faultsOf, readTable } from '../access.ts';
import { portAccessed } from '../breakpoints.ts';
import { ones, type Size } from '../bits.ts';
import { sizeOf } from '../operands.ts';
import { cpl, gp, iopl, low, ofSystem, protectedMode, register, setRegister, undecided, v86, type Work } from '../work.ts';
import type { Meaning, Meanings } from './meaning.ts';
import { type Element, elementOf, readSource, repeated, writeDestination } from './string.ts';

/** Offset of the bitmap's address in a 32-bit or 64-bit TSS. */
const mapBase = 0x66;
export const permit = (w: Work, port: number, size: number): void => {
  const { s } = w;
  if (!protectedMode(s) || (!v86(s) && cpl(s) <= iopl(s))) return;
  ofSystem(w, 'the I/O bitmap');
  const { tr } = s;
  const deny = (): never => gp('io.bitmap');
  if ((tr.access & 8) === 0 || mapBase + 1 > tr.limit) deny();
  const at = (offset: number): bigint => tr.base + BigInt(offset);
  const map = Number(readTable(w, at(mapBase), 2));
  // Two bytes are read, so that a range over a byte boundary is covered: both lie within the limit.
  const first = map + (port >> 3);
  if (first + 1 > tr.limit) deny();
  const bits = Number(readTable(w, at(first), 2)) >> (port & 7);
  if ((bits & ((1 << size) - 1)) !== 0) deny();
};
const record = (w: Work, port: number, size: Size, direction: 'in' | 'out', value: bigint): void => {
  if (w.watch !== undefined) portAccessed(w.watch, port, size);
  w.ports.push({ port, width: size as 1 | 2 | 4, direction, value: Number(value) });
};
const portOf = (w: Work, n: number): number => (w.i.form.operands[n]?.at === 'DX' ? low(w.s.rdx) & 0xffff : Number(w.i.immediate & 0xffn));
/** Before instructions that are no string instructions they are reserved; an emulator repeats these. */
const unrepeated = (w: Work): void => {
  if (w.i.repeat !== 0) undecided('a repeat prefix before IN or OUT');
};
const IN: Meaning = (w) => {
  unrepeated(w);
  const size = sizeOf(w, w.i.form.operands[0] ?? { at: 'acc', width: 'z' });
  const port = portOf(w, 1);
  permit(w, port, size);
  record(w, port, size, 'in', ones(size));
  setRegister(w, 0, size, ones(size));
};
const OUT: Meaning = (w) => {
  unrepeated(w);
  const size = sizeOf(w, w.i.form.operands[1] ?? { at: 'acc', width: 'z' });
  const port = portOf(w, 0);
  permit(w, port, size);
  record(w, port, size, 'out', register(w, 0, size));
};
const input = (w: Work, e: Element): void => {
  const port = low(w.s.rdx) & 0xffff;
  permit(w, port, e.size);
  writeDestination(w, e, ones(e.size));
  record(w, port, e.size, 'in', ones(e.size));
};
const output = (w: Work, e: Element): void => {
  const port = low(w.s.rdx) & 0xffff;
  permit(w, port, e.size);
  record(w, port, e.size, 'out', readSource(w, e));
};
/** With nothing to repeat no port is accessed; processors were seen to ask for the permission all the same. */
const unlessNothing =
  (meaning: Meaning): Meaning =>
  (w) => {
    if (w.i.repeat !== 0 && register(w, 1, w.i.addressSize) === 0n)
      w.also.push(...faultsOf(() => permit(w, low(w.s.rdx) & 0xffff, elementOf(w).size)));
    meaning(w);
  };
const INS = unlessNothing(repeated(input, [7]));
const OUTS = unlessNothing(repeated(output, [6]));
export const io: Meanings = { IN, OUT, INS, INSB: INS, OUTS, OUTSB: OUTS };
