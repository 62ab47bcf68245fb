// Decides the data-transfer instructions between general registers and memory, and the stack instructions.
// SDM volume 2, MOV MOVZX MOVSX MOVSXD LEA CMOVcc SETcc PUSH POP PUSHA POPA ENTER LEAVE CBW CWD BSWAP MOVBE XLAT LAHF SAHF.

import { OF } from './bits.ts';
import { probe, read16, read32, read64, read8, write16 } from './access.ts';
import { type Cpu, DS, RBP, READABLE, WRITABLE } from './cpu.ts';
import { type Build, type Entries, plain } from './entry.ts';
import { conditionNames, conditions, setStatusFlags, statusFlags } from './flags.ts';
import { get64, getOf, linear, offsetOf, type Run, type Set, setOf, setRegister } from './operands.ts';
import { drop, moved, peek, pop, push, setSp, stackLinear, wordSize } from './stack.ts';

const mov: Build = (insn) => {
  const { size } = insn;
  const [o, from] = [insn.ops[0]!, insn.ops[1]!];
  if (size === 64 && o.kind === 'register') {
    const i = 2 * o.index;
    if (from.kind === 'register') {
      const j = 2 * from.index;
      return (c) => {
        c.r[i] = c.r[j]!;
        c.r[i + 1] = c.r[j + 1]!;
      };
    }
    const get = get64(insn, 1);
    return (c) => {
      c.r[i] = get(c);
      c.r[i + 1] = c.hi;
    };
  }
  if (size === 32 && o.kind === 'register') {
    const i = 2 * o.index;
    const get = getOf(insn, 1, 32);
    return (c) => {
      c.r[i] = get(c);
      c.r[i + 1] = 0;
    };
  }
  const [get, set] = [getOf(insn, 1, size), setOf(insn, 0, size)];
  return (c) => {
    const lo = get(c);
    set(c, lo, c.hi);
  };
};
const extend =
  (signed: boolean): Build =>
  (insn) => {
    const from = insn.ops[1]!.size;
    const get = getOf(insn, 1, from);
    const set = setOf(insn, 0, insn.size);
    const shift = signed && from < 32 ? 32 - from : 0;
    return (c) => {
      const lo = (get(c) << shift) >> shift;
      set(c, lo, signed && lo < 0 ? -1 : 0);
    };
  };
const lea: Build = (insn) => {
  const offset = offsetOf(insn.mem!);
  const set = setOf(insn, 0, insn.size);
  return (c) => {
    const lo = offset(c);
    set(c, lo, c.ah);
  };
};
/** The source is read whatever the condition; a 32-bit destination's high half becomes 0 whatever the condition. */
const cmov =
  (condition: (c: Cpu) => boolean): Build =>
  (insn) => {
    const [get, old, set] = [getOf(insn, 1, insn.size), getOf(insn, 0, insn.size), setOf(insn, 0, insn.size)];
    return (c) => {
      const lo = get(c);
      if (condition(c)) set(c, lo, c.hi);
      else {
        const kept = old(c);
        set(c, kept, c.hi);
      }
    };
  };
const setcc =
  (condition: (c: Cpu) => boolean): Build =>
  (insn) => {
    const set = setOf(insn, 0, 8);
    return (c) => set(c, condition(c) ? 1 : 0, 0);
  };

const pushValue: Build = (insn) => {
  const o = insn.ops[0]!;
  const word = wordSize(insn.form, insn.bits);
  if (o.kind === 'segment') {
    const { index } = o;
    // With a 32-bit operand the selector is moved as 16 bits and the rest of the stack slot stays, as on recent Intel processors.
    if (word === 32)
      return (c) => {
        const sp = moved(c, -4);
        const at = stackLinear(c, sp, 0, 2, WRITABLE);
        write16(c, at, c.seg[index]!.selector);
        setSp(c, sp, 0);
      };
    return (c) => push(c, c.seg[index]!.selector, 0, word);
  }
  if (o.kind === 'register' && word === 64) {
    const i = 2 * o.index;
    return (c) => push(c, c.r[i]!, c.r[i + 1]!, 64);
  }
  const get = getOf(insn, 0, word);
  return (c) => {
    const lo = get(c);
    push(c, lo, c.hi, word);
  };
};
const popValue: Build = (insn) => {
  const o = insn.ops[0]!;
  const word = wordSize(insn.form, insn.bits);
  const set: Set = setOf(insn, 0, word);
  if (o.kind === 'register')
    return (c) => {
      const lo = pop(c, word);
      set(c, lo, c.hi);
    };
  // The address of a memory operand is that after the pop; nothing has been popped where the store faults.
  return (c) => {
    const [sp, spHi] = [c.r[8]!, c.r[9]!];
    const lo = pop(c, word);
    const [after, afterHi, hi] = [c.r[8]!, c.r[9]!, c.hi];
    let stored = false;
    try {
      set(c, lo, hi);
      stored = true;
    } finally {
      c.r[8] = stored ? after : sp;
      c.r[9] = stored ? afterHi : spHi;
    }
  };
};
const pushAll =
  (size: 16 | 32): Build =>
  () =>
  (c) => {
    const [sp, bytes] = [c.r[8]!, size >> 3];
    for (let i = 0; i < 8; i++) {
      const to = moved(c, -bytes * (i + 1));
      probe(c, stackLinear(c, to, 0, bytes, WRITABLE), bytes);
    }
    for (let i = 0; i < 8; i++) push(c, i === 4 ? sp : c.r[2 * i]!, 0, size);
  };
const popAll =
  (size: 16 | 32): Build =>
  () =>
  (c) => {
    const bytes = size >> 3;
    const values = [7, 6, 5, 4, 3, 2, 1, 0].map((i, depth) => ({ i, value: peek(c, depth * bytes, size) }));
    for (const { i, value } of values) {
      if (i === 4) continue;
      if (size === 16) c.r16[4 * i] = value;
      else c.r[2 * i] = value;
    }
    drop(c, 8 * bytes);
  };
const enter: Build = (insn) => {
  const word = wordSize(insn.form, insn.bits);
  const [size, level] = [insn.ops[0]!, insn.ops[1]!];
  const alloc = size.kind === 'immediate' ? size.lo & 0xffff : 0;
  const nesting = level.kind === 'immediate' ? level.lo & 31 : 0;
  return (c) => {
    const [sp, spHi, bp, bpHi] = [c.r[8]!, c.r[9]!, c.r[10]!, c.r[11]!];
    const bytes = word >> 3;
    let done = false;
    try {
      push(c, bp, bpHi, word);
      const [frame, frameHi] = [c.r[8]!, c.r[9]!];
      for (let i = 1; i < nesting; i++) {
        // The display of the enclosing frame, from below its base pointer down.
        const above = c.code === 64 ? (bp >>> 0) - i * bytes : bp - i * bytes;
        const hi = c.code === 64 ? (bpHi + Math.floor(above / 0x1_0000_0000)) | 0 : 0;
        const at = stackLinear(c, c.code === 64 || c.stack32 ? above | 0 : above & 0xffff, hi, bytes, READABLE);
        const lo = readWord(c, at, word);
        push(c, lo, c.hi, word);
      }
      if (nesting > 0) push(c, frame, frameHi, word);
      const to = moved(c, -alloc);
      const toHi = c.hi;
      // The new top of the stack must be writable.
      probe(c, stackLinear(c, to, toHi, bytes, WRITABLE), 1);
      setSp(c, to, toHi);
      setRegister(RBP, word)(c, frame, frameHi);
      if (word !== 64 && c.code !== 64) c.r[11] = 0;
      done = true;
    } finally {
      if (!done) [c.r[8], c.r[9]] = [sp, spHi];
    }
  };
};
const leave: Build = (insn) => {
  const word = wordSize(insn.form, insn.bits);
  const set = setRegister(RBP, word);
  return (c) => {
    const [sp, spHi] = [c.r[8]!, c.r[9]!];
    let done = false;
    try {
      setSp(c, c.code === 64 || c.stack32 ? c.r[10]! : c.r[10]! & 0xffff, c.r[11]!);
      const lo = pop(c, word);
      set(c, lo, c.hi);
      done = true;
    } finally {
      if (!done) [c.r[8], c.r[9]] = [sp, spHi];
    }
  };
};
const readWord = (c: Cpu, at: number, size: number): number => {
  if (size === 64) return read64(c, at);
  c.hi = 0;
  return size === 32 ? read32(c, at) : read16(c, at);
};

const swapBytes = (x: number): number => (x << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24) | 0;
const swapped = (c: Cpu, lo: number, size: number): number => {
  if (size === 16) return ((lo & 0xff) << 8) | ((lo >>> 8) & 0xff);
  const hi = c.hi;
  c.hi = size === 64 ? swapBytes(lo) : 0;
  return swapBytes(size === 64 ? hi : lo);
};
/** BSWAP of a 16-bit register is undefined: 0, as Intel processors do. */
const bswap: Build = (insn) => {
  const [get, set] = [getOf(insn, 0, insn.size), setOf(insn, 0, insn.size)];
  return (c) => {
    const lo = get(c);
    const to = insn.size === 16 ? 0 : swapped(c, lo, insn.size);
    set(c, to, c.hi);
  };
};
const movbe: Build = (insn) => {
  const [get, set] = [getOf(insn, 1, insn.size), setOf(insn, 0, insn.size)];
  return (c) => {
    const lo = swapped(c, get(c), insn.size);
    set(c, lo, c.hi);
  };
};
const xlat: Build = (insn) => {
  const { asize, seg } = insn.mem ?? { asize: insn.bits, seg: DS };
  return (c) => {
    const sum = (c.r[6]! >>> 0) + c.r8[0]!;
    c.ah = asize === 64 ? (c.r[7]! + (sum > 0xffff_ffff ? 1 : 0)) | 0 : 0;
    c.r8[0] = read8(c, linear(c, seg, asize === 16 ? sum & 0xffff : sum | 0, 1, READABLE));
  };
};
const acc = (to: 16 | 32 | 64): Run => {
  const [get, set] = [to === 16 ? get8Signed : to === 32 ? get16Signed : (c: Cpu) => c.r[0]!, setRegister(0, to)];
  return (c) => {
    const lo = get(c);
    set(c, lo, lo >> 31);
  };
};
const get8Signed = (c: Cpu): number => (c.r8[0]! << 24) >> 24;
const get16Signed = (c: Cpu): number => (c.r16[0]! << 16) >> 16;
const sign = (size: 16 | 32 | 64): Run => {
  const set = setRegister(2, size);
  return (c) => {
    const fill = (size === 16 ? c.r16[0]! << 16 : size === 32 ? c.r[0]! : c.r[1]!) >> 31;
    set(c, fill, fill);
  };
};
const lahf: Run = (c) => {
  c.r8[1] = (statusFlags(c) & 0xd5) | 2;
};
const sahf: Run = (c) => setStatusFlags(c, (c.r8[1]! & 0xd5) | (statusFlags(c) & OF));

export const moves: Entries = plain({
  Mov: mov,
  Movzx: extend(false),
  Movsx: extend(true),
  Movsxd: extend(true),
  Lea: lea,
  Push: pushValue,
  Pop: popValue,
  Pusha: pushAll(16),
  Pushad: pushAll(32),
  Popa: popAll(16),
  Popad: popAll(32),
  Enter: enter,
  Leave: leave,
  Bswap: bswap,
  Movbe: movbe,
  Movnti: mov,
  Xlatb: xlat,
  Cbw: () => acc(16),
  Cwde: () => acc(32),
  Cdqe: () => acc(64),
  Cwd: () => sign(16),
  Cdq: () => sign(32),
  Cqo: () => sign(64),
  Lahf: () => lahf,
  Sahf: () => sahf,
  ...Object.fromEntries(conditionNames.map((name, n) => [`Cmov${name}`, cmov(conditions[n]!)])),
  ...Object.fromEntries(conditionNames.map((name, n) => [`Set${name}`, setcc(conditions[n]!)])),
});
