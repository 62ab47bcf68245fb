// Decides decimal adjustment, table bounds, and the undocumented but universal SALC: instructions that 64-bit mode does not have.
// SDM volume 2, DAA DAS AAA AAS BOUND. OF (and SF ZF PF of AAA and AAS) are undefined: as logic on AL leaves them.

import { read16, read32 } from './access.ts';
import { logic } from './alu.ts';
import { AF, BR } from './bits.ts';
import { type Cpu, READABLE } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { raise } from './fault.ts';
import { getOf, linear, offsetOf, type Run } from './operands.ts';

const finish = (c: Cpu, carry: boolean, adjust: boolean): void => {
  logic(c, c.r8[0]!, 24);
  c.c = carry ? 0xc000_0000 | 0 : 0;
  c.a = adjust ? AF : 0;
};
const packed =
  (sign: 1 | -1): Run =>
  (c) => {
    const al = c.r8[0]!;
    const cf = c.c < 0;
    let carry = false;
    const adjust = (al & 15) > 9 || (c.a & AF) !== 0;
    if (adjust) {
      const out = al + sign * 6;
      carry = cf || out > 0xff || out < 0;
      c.r8[0] = out;
    }
    if (al > 0x99 || cf) {
      c.r8[0] = c.r8[0]! + sign * 0x60;
      carry = true;
    } else if (sign === 1) carry = false;
    finish(c, carry, adjust);
  };
const unpacked =
  (sign: 1 | -1): Run =>
  (c) => {
    const adjust = (c.r8[0]! & 15) > 9 || (c.a & AF) !== 0;
    if (adjust) c.r16[0] = c.r16[0]! + sign * 0x106;
    c.r8[0] = c.r8[0]! & 15;
    finish(c, adjust, adjust);
  };
const bound: Build = (insn) => {
  const mem = insn.mem!;
  const offset = offsetOf(mem);
  const { size } = insn;
  const bytes = size >> 3;
  const index = getOf(insn, 0, size);
  return (c) => {
    const at = linear(c, mem.seg, offset(c), 2 * bytes, READABLE);
    const shift = 32 - size;
    const [lower, upper] = size === 16 ? [read16(c, at), read16(c, (at + 2) | 0)] : [read32(c, at), read32(c, (at + 4) | 0)];
    const i = (index(c) << shift) >> shift;
    if (i < (lower << shift) >> shift || i > (upper << shift) >> shift) raise(BR);
  };
};
const salc: Run = (c) => {
  c.r8[0] = c.c < 0 ? 0xff : 0;
};
export const decimal: Entries = plain({
  Daa: () => packed(1),
  Das: () => packed(-1),
  Aaa: () => unpacked(1),
  Aas: () => unpacked(-1),
  Bound: bound,
  Salc: () => salc,
});
