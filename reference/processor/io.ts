// Decides port accesses: who may (IOPL, the TSS's I/O permission bitmap), and what goes over the port.
// SDM volume 1, I/O Privilege Level; I/O Permission Bit Map; volume 2, IN OUT.

import { system16 } from './access.ts';
import { IOPL } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { checkPort } from './debug.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { gp } from './fault.ts';
import { getOf, setRegister } from './operands.ts';

/** #GP(0) unless each of the `width` ports may be used. */
export const permit = (c: Cpu, port: number, width: number): void => {
  if (!c.protect || (!c.v86 && c.cpl <= (c.flags & IOPL) >>> 12)) return;
  const { tr } = c;
  // Only a TSS of 104 bytes or more has a bitmap; two bytes are read, so the second must be there too.
  if ((tr.access & 13) !== 9 || tr.limit < 103) gp();
  const map = system16(c, (tr.lo + 102) | 0, carried(tr.lo, 102, tr.hi));
  const at = map + (port >>> 3);
  if (at + 1 > tr.limit) gp();
  const bits = system16(c, (tr.lo + at) | 0, carried(tr.lo, at, tr.hi)) >>> (port & 7);
  if ((bits & ((1 << width) - 1)) !== 0) gp();
};
const carried = (lo: number, offset: number, hi: number): number => (hi + ((lo >>> 0) + offset > 0xffff_ffff ? 1 : 0)) | 0;
export type Width = 1 | 2 | 4;
export const portIn = (c: Cpu, port: number, width: Width): number => {
  checkPort(c, port, width);
  return c.port(port, width, 'in', 0);
};
export const portOut = (c: Cpu, port: number, width: Width, value: number): void => {
  checkPort(c, port, width);
  c.port(port, width, 'out', width === 4 ? value >>> 0 : value & (width === 1 ? 0xff : 0xffff));
};

const widthOf = (size: number): Width => (size === 8 ? 1 : size === 16 ? 2 : 4);
const input: Build = (insn) => {
  const { size } = insn;
  const width = widthOf(size);
  const o = insn.ops[1]!;
  const port = getOf(insn, 1, o.kind === 'immediate' ? 8 : 16);
  const set = setRegister(0, size);
  return (c) => {
    const at = port(c);
    permit(c, at, width);
    set(c, portIn(c, at, width), 0);
  };
};
const output: Build = (insn) => {
  const size = insn.ops[1]!.size;
  const width = widthOf(size);
  const o = insn.ops[0]!;
  const port = getOf(insn, 0, o.kind === 'immediate' ? 8 : 16);
  const get = getOf(insn, 1, size);
  return (c) => {
    const at = port(c);
    permit(c, at, width);
    portOut(c, at, width, get(c));
  };
};
export const inputOutput: Entries = plain({ In: input, Out: output });
