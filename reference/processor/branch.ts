// Decides near transfers of control: where they go, that the target is in the code segment's limit or canonical, and what they push.
// SDM volume 2, JMP Jcc CALL RET (near) LOOPcc JCXZ; in 64-bit mode near branches have 64-bit operands.

import { CR4_LA57 } from './bits.ts';
import { CS, type Cpu } from './cpu.ts';
import { type Build, type Entries, jumping } from './entry.ts';
import { gp } from './fault.ts';
import { conditionNames, conditions } from './flags.ts';
import type { Insn } from './insn.ts';
import { getOf } from './operands.ts';
import { moved, peek, push, setSp, wordSize } from './stack.ts';

export const canonical = (c: Cpu, hi: number): boolean => {
  const sign = (c.cr4 & CR4_LA57) === 0 ? hi >> 15 : hi >> 24;
  return sign === 0 || sign === -1;
};
/** Goes on at an offset of CS, or #GP(0). */
export const jump = (c: Cpu, lo: number, hi: number): void => {
  if (c.code === 64 ? !canonical(c, hi) : lo >>> 0 > c.seg[CS].limit) gp();
  c.ipLo = lo;
  c.ipHi = hi;
};
const next = (c: Cpu, insn: Insn): void => {
  c.ipLo = insn.nextLo;
  c.ipHi = insn.nextHi;
};
/** Size of a near branch's operand: its form ends in it, `Jmp_rel8_64`, `Call_rm32`, or has a letter, `Retnq_imm16`. */
const operandSize = (insn: Insn): 16 | 32 | 64 => (insn.bits === 64 ? 64 : wordSize(insn.form, insn.bits));

const direct: Build = (insn) => {
  const { targetLo, targetHi } = insn;
  return (c) => jump(c, targetLo, targetHi);
};
const jcc =
  (condition: (c: Cpu) => boolean): Build =>
  (insn) => {
    const { targetLo, targetHi, nextLo, nextHi } = insn;
    return (c) => {
      if (condition(c)) jump(c, targetLo, targetHi);
      else {
        c.ipLo = nextLo;
        c.ipHi = nextHi;
      }
    };
  };
const isDirect = (insn: Insn): boolean => insn.ops.length === 0;
const jmp: Build = (insn) => {
  if (isDirect(insn)) return direct(insn);
  const get = getOf(insn, 0, operandSize(insn));
  const wide = insn.bits === 64;
  return (c) => {
    const lo = get(c);
    jump(c, lo, wide ? c.hi : 0);
  };
};
const call: Build = (insn) => {
  const size = operandSize(insn);
  const { targetLo, targetHi, nextLo, nextHi } = insn;
  const get = isDirect(insn) ? undefined : getOf(insn, 0, size);
  return (c) => {
    const lo = get === undefined ? targetLo : get(c);
    const hi = get === undefined ? targetHi : size === 64 ? c.hi : 0;
    if (c.code === 64 ? !canonical(c, hi) : lo >>> 0 > c.seg[CS].limit) gp();
    push(c, nextLo, nextHi, size);
    c.ipLo = lo;
    c.ipHi = hi;
  };
};
const ret: Build = (insn) => {
  const size = operandSize(insn);
  const [o] = insn.ops;
  const bytes = (size >> 3) + (o?.kind === 'immediate' ? o.lo & 0xffff : 0);
  return (c) => {
    const lo = peek(c, 0, size);
    jump(c, lo, size === 64 ? c.hi : 0);
    const sp = moved(c, bytes);
    setSp(c, sp, c.hi);
  };
};
/** The count is CX, ECX or RCX by address size: the last part of the form. */
const countSize = (insn: Insn): number => (/RCX/.test(insn.form) ? 64 : /ECX/.test(insn.form) ? 32 : 16);
const loop =
  (condition: (c: Cpu) => boolean): Build =>
  (insn) => {
    const size = countSize(insn);
    const { targetLo, targetHi } = insn;
    return (c) => {
      const lo = size === 16 ? (c.r16[4]! - 1) & 0xffff : (c.r[2]! - 1) | 0;
      const hi = size === 64 ? (c.r[3]! - (c.r[2] === 0 ? 1 : 0)) | 0 : 0;
      if ((lo | hi) !== 0 && condition(c)) jump(c, targetLo, targetHi);
      else next(c, insn);
      if (size === 16) c.r16[4] = lo;
      else {
        c.r[2] = lo;
        c.r[3] = hi;
      }
    };
  };
const jcxz =
  (size: number): Build =>
  (insn) => {
    const { targetLo, targetHi } = insn;
    return (c) => {
      const count = size === 16 ? c.r16[4]! : size === 32 ? c.r[2]! : c.r[2]! | c.r[3]!;
      if (count === 0) jump(c, targetLo, targetHi);
      else next(c, insn);
    };
  };
export const branches: Entries = jumping({
  Jmp: jmp,
  Call: call,
  Ret: ret,
  Loop: loop(() => true),
  Loope: loop((c) => c.z === 0),
  Loopne: loop((c) => c.z !== 0),
  Jcxz: jcxz(16),
  Jecxz: jcxz(32),
  Jrcxz: jcxz(64),
  ...Object.fromEntries(conditionNames.map((name, n) => [`J${name}`, jcc(conditions[n]!)])),
});
