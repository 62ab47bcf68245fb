// Decides string instructions: one element at a time, the pointers and the count moved after each, so that a repeat goes on from where it stopped.
// SDM volume 2, MOVS CMPS SCAS LODS STOS INS OUTS; REP/REPE/REPNE; volume 3, traps between iterations (RF is then set).

import { probe, read16, read32, read64, read8, write16, write32, write64, write8 } from './access.ts';
import { narrow, wide } from './alu.ts';
import { DF, RF, TF } from './bits.ts';
import { type Cpu, ES, RCX, RDI, READABLE, RSI, WRITABLE } from './cpu.ts';
import { type Build, type Entries, jumping } from './entry.ts';
import { setStatusFlags, statusFlags } from './flags.ts';
import type { Insn } from './insn.ts';
import { permit, portIn, portOut, type Width } from './io.ts';
import { linear } from './operands.ts';

interface Shape {
  readonly bytes: 1 | 2 | 4 | 8;
  readonly asize: 16 | 32 | 64;
  /** Segment of the source. */
  readonly seg: number;
}
type Step = (c: Cpu, s: Shape) => void;

/** Linear address of the element at rSI or rDI. */
const element = (c: Cpu, s: Shape, register: number, seg: number, need: number): number => {
  c.ah = s.asize === 64 ? c.r[2 * register + 1]! : 0;
  const offset = s.asize === 16 ? c.r16[4 * register]! : c.r[2 * register]!;
  return linear(c, seg, offset, s.bytes, need);
};
const advance = (c: Cpu, s: Shape, register: number): void => {
  const by = (c.flags & DF) === 0 ? s.bytes : -s.bytes;
  const i = 2 * register;
  if (s.asize === 16) c.r16[4 * register]! += by;
  else {
    const sum = (c.r[i]! >>> 0) + by;
    c.r[i] = sum | 0;
    c.r[i + 1] = s.asize === 64 ? (c.r[i + 1]! + Math.floor(sum / 0x1_0000_0000)) | 0 : 0;
  }
};
/** Low half; of 8 bytes the high half is in `c.hi`. */
const read = (c: Cpu, at: number, bytes: number): number =>
  bytes === 1 ? read8(c, at) : bytes === 2 ? read16(c, at) : bytes === 4 ? read32(c, at) : read64(c, at);
const write = (c: Cpu, at: number, bytes: number, lo: number, hi: number): void => {
  if (bytes === 1) write8(c, at, lo);
  else if (bytes === 2) write16(c, at, lo);
  else if (bytes === 4) write32(c, at, lo);
  else write64(c, at, lo, hi);
};
const accumulator = (c: Cpu, bytes: number): number => (bytes === 1 ? c.r8[0]! : bytes === 2 ? c.r16[0]! : c.r[0]!);
const compare = (c: Cpu, bytes: number, al: number, ah: number, bl: number, bh: number): void => {
  if (bytes === 8) wide['Cmp']!(c, al, ah, bl, bh);
  else narrow['Cmp']!(c, al, bl, 32 - 8 * bytes);
};

const movs: Step = (c, s) => {
  const lo = read(c, element(c, s, RSI, s.seg, READABLE), s.bytes);
  const { hi } = c;
  write(c, element(c, s, RDI, ES, WRITABLE), s.bytes, lo, hi);
  advance(c, s, RSI);
  advance(c, s, RDI);
};
const cmps: Step = (c, s) => {
  const al = read(c, element(c, s, RSI, s.seg, READABLE), s.bytes);
  const ah = c.hi;
  const bl = read(c, element(c, s, RDI, ES, READABLE), s.bytes);
  compare(c, s.bytes, al, ah, bl, c.hi);
  advance(c, s, RSI);
  advance(c, s, RDI);
};
const scas: Step = (c, s) => {
  const bl = read(c, element(c, s, RDI, ES, READABLE), s.bytes);
  compare(c, s.bytes, accumulator(c, s.bytes), c.r[1]!, bl, c.hi);
  advance(c, s, RDI);
};
const lods: Step = (c, s) => {
  const lo = read(c, element(c, s, RSI, s.seg, READABLE), s.bytes);
  if (s.bytes === 1) c.r8[0] = lo;
  else if (s.bytes === 2) c.r16[0] = lo;
  else {
    c.r[0] = lo;
    c.r[1] = s.bytes === 8 ? c.hi : 0;
  }
  advance(c, s, RSI);
};
const stos: Step = (c, s) => {
  write(c, element(c, s, RDI, ES, WRITABLE), s.bytes, accumulator(c, s.bytes), c.r[1]!);
  advance(c, s, RDI);
};
/** The destination is checked before the port is read: a fault there reads nothing. */
const ins: Step = (c, s) => {
  const port = c.r16[8]!;
  permit(c, port, s.bytes);
  const at = element(c, s, RDI, ES, WRITABLE);
  probe(c, at, s.bytes);
  const { ah } = c;
  const value = portIn(c, port, s.bytes as Width);
  c.ah = ah;
  write(c, at, s.bytes, value, 0);
  advance(c, s, RDI);
};
const outs: Step = (c, s) => {
  const port = c.r16[8]!;
  permit(c, port, s.bytes);
  const value = read(c, element(c, s, RSI, s.seg, READABLE), s.bytes);
  portOut(c, port, s.bytes as Width, value);
  advance(c, s, RSI);
};

const counter = (c: Cpu, asize: number): boolean =>
  asize === 16 ? c.r16[4 * RCX] === 0 : asize === 32 ? c.r[2 * RCX] === 0 : (c.r[2 * RCX]! | c.r[2 * RCX + 1]!) === 0;
const countDown = (c: Cpu, asize: number): void => {
  if (asize === 16) c.r16[4 * RCX]!--;
  else {
    if (asize === 64) c.r[2 * RCX + 1]! -= c.r[2 * RCX] === 0 ? 1 : 0;
    else c.r[2 * RCX + 1] = 0;
    c.r[2 * RCX]!--;
  }
};
/** Where ECX is 0 to begin with in 64-bit code, Intel processors still clear high halves: RCX's, and those of the pointers of MOVS and STOS. */
const nothing = (c: Cpu, insn: Insn, s: Shape): void => {
  if (s.asize !== 32 || insn.bits !== 64) return;
  c.r[2 * RCX + 1] = 0;
  if (insn.name.startsWith('Movs')) c.r[2 * RSI + 1] = 0;
  if (insn.name.startsWith('Movs') || insn.name.startsWith('Stos')) c.r[2 * RDI + 1] = 0;
};

/** A fault in a repeated comparison leaves the flags as they were before the instruction. SDM volume 2, REP. */
const restoring = (c: Cpu, s: Shape, step: Step, flags: number): void => {
  let done = false;
  try {
    step(c, s);
    done = true;
  } finally {
    if (!done) setStatusFlags(c, flags);
  }
};
const string =
  (bytes: 1 | 2 | 4 | 8, step: Step, compares: boolean): Build =>
  (insn) => {
    const s: Shape = { bytes, asize: insn.mem!.asize, seg: insn.mem!.seg };
    const { lo, hi, nextLo, nextHi } = insn;
    const repeats = insn.repe || insn.repne;
    const ending = !compares ? 0 : insn.repne ? 2 : 1;
    return (c) => {
      const before = statusFlags(c);
      if (repeats && counter(c, s.asize)) {
        // Real processors ask for the permission of a port that is not accessed then.
        if (step === ins || step === outs) permit(c, c.r16[8]!, s.bytes);
        nothing(c, insn, s);
      } else
        for (;;) {
          if (repeats && compares) restoring(c, s, step, before);
          else step(c, s);
          if (!repeats) break;
          countDown(c, s.asize);
          if (counter(c, s.asize) || (ending === 1 && c.z !== 0) || (ending === 2 && c.z === 0)) break;
          const trapped = (c.flags & TF) !== 0 || c.debug !== 0;
          if (!trapped && --c.iterations >= 0) continue;
          c.ipLo = lo;
          c.ipHi = hi;
          if (trapped) c.flags |= RF;
          else c.left = 0;
          c.attention = 1;
          return;
        }
      c.ipLo = nextLo;
      c.ipHi = nextHi;
    };
  };
const family = (name: string, letters: string, step: Step, compares = false): Readonly<Record<string, Build>> =>
  Object.fromEntries(
    [...letters].map((letter) => [
      `${name}${letter}`,
      string(({ b: 1, w: 2, d: 4, q: 8 } as const)[letter as 'b' | 'w' | 'd' | 'q'], step, compares),
    ]),
  );

export const strings: Entries = jumping({
  ...family('Movs', 'bwdq', movs),
  ...family('Cmps', 'bwdq', cmps, true),
  ...family('Scas', 'bwdq', scas, true),
  ...family('Lods', 'bwdq', lods),
  ...family('Stos', 'bwdq', stos),
  ...family('Ins', 'bwd', ins),
  ...family('Outs', 'bwd', outs),
});
