// Decides when floating-point and SSE instructions exist at all (CR0.EM, CR0.TS, CR4.OSFXSR), and the few that a system needs.
// SDM volume 3, System Programming for Instruction Set Extensions; volume 2, FNINIT FNSTCW FNSTSW FLDCW WAIT MOVAPS MOVUPS LDMXCSR STMXCSR.

import { probe, read16, read32, readScratch, write16, write32, writeScratch } from './access.ts';
import { CR0_EM, CR0_MP, CR0_TS, CR4_OSFXSR } from './bits.ts';
import type { Cpu } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { gp, nm, ud } from './fault.ts';
import type { Insn } from './insn.ts';
import { loadAddress, storeAddress } from './operands.ts';

/** Any x87 instruction but WAIT. */
export const x87 = (c: Cpu): void => {
  if ((c.cr0 & (CR0_EM | CR0_TS)) !== 0) nm();
};
/** Any SSE instruction. */
export const sse = (c: Cpu): void => {
  if ((c.cr0 & CR0_EM) !== 0 || (c.cr4 & CR4_OSFXSR) === 0) ud();
  if ((c.cr0 & CR0_TS) !== 0) nm();
};
const fninit: Build = () => (c) => {
  x87(c);
  c.x87 = { control: 0x37f, status: 0, tag: 0xffff };
};
const wait: Build = () => (c) => {
  if ((c.cr0 & CR0_MP) !== 0 && (c.cr0 & CR0_TS) !== 0) nm();
};
const fnstcw: Build = (insn) => {
  const at = storeAddress(insn, insn.ops[0]!);
  return (c) => {
    x87(c);
    write16(c, at(c), c.x87.control);
  };
};
const fnstsw: Build = (insn) => {
  const [o] = insn.ops;
  const at = o?.kind === 'memory' ? storeAddress(insn, o) : undefined;
  return (c) => {
    x87(c);
    if (at === undefined) c.r16[0] = c.x87.status;
    else write16(c, at(c), c.x87.status);
  };
};
const fldcw: Build = (insn) => {
  const at = loadAddress(insn, insn.ops[0]!);
  return (c) => {
    x87(c);
    c.x87.control = read16(c, at(c)) | 0x40;
  };
};
const index = (insn: Insn, n: number): number => {
  const o = insn.ops[n]!;
  return o.kind === 'other' ? 16 * o.index : 0;
};
/** Sixteen bytes between XMM registers and memory; aligned memory or #GP(0). */
const move =
  (aligned: boolean): Build =>
  (insn) => {
    const [to, from] = [insn.ops[0]!, insn.ops[1]!];
    if (to.kind === 'memory') {
      const at = storeAddress(insn, { kind: 'memory', size: 128 });
      const source = index(insn, 1);
      return (c) => {
        sse(c);
        const lo = at(c);
        if (aligned && (lo & 15) !== 0) gp();
        probe(c, lo, 16);
        c.scratch.set(c.xmm.subarray(source, source + 16));
        writeScratch(c, lo, 16);
      };
    }
    const target = index(insn, 0);
    if (from.kind !== 'memory') {
      const source = index(insn, 1);
      return (c) => {
        sse(c);
        c.xmm.copyWithin(target, source, source + 16);
      };
    }
    const at = loadAddress(insn, { kind: 'memory', size: 128 });
    return (c) => {
      sse(c);
      const lo = at(c);
      if (aligned && (lo & 15) !== 0) gp();
      readScratch(c, lo, 16);
      c.xmm.set(c.scratch.subarray(0, 16), target);
    };
  };
const MXCSR_RESERVED = 0xffff_0000 | 0;
const ldmxcsr: Build = (insn) => {
  const at = loadAddress(insn, { kind: 'memory', size: 32 });
  return (c) => {
    sse(c);
    const value = read32(c, at(c));
    if ((value & MXCSR_RESERVED) !== 0) gp();
    c.mxcsr = value;
  };
};
const stmxcsr: Build = (insn) => {
  const at = storeAddress(insn, { kind: 'memory', size: 32 });
  return (c) => {
    sse(c);
    write32(c, at(c), c.mxcsr);
  };
};
export const floating: Entries = plain({
  Fninit: fninit,
  Wait: wait,
  Fnstcw: fnstcw,
  Fnstsw: fnstsw,
  Fldcw: fldcw,
  Movaps: move(true),
  Movapd: move(true),
  Movdqa: move(true),
  Movups: move(false),
  Movupd: move(false),
  Movdqu: move(false),
  Ldmxcsr: ldmxcsr,
  Stmxcsr: stmxcsr,
});
