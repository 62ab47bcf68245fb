// Decides the instructions that move selectors: MOV and POP to and from segment registers, LDS and its like, LLDT, LTR, and what asks about selectors.
// SDM volume 2, MOV POP LDS/LES/LFS/LGS/LSS LLDT LTR SLDT STR LAR LSL VERR VERW ARPL.

import { CR4_UMIP } from './bits.ts';
import { placeOf } from './arithmetic.ts';
import { read16, read32, read64, write16 } from './access.ts';
import { CS, type Cpu, READABLE, SS } from './cpu.ts';
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isNull,
  isReadable,
  isSegment,
  isWritableData,
  limitOf,
  lookUp,
  typeOf,
  upperBase,
} from './descriptor.ts';
import { type Build, type Entries, ending, plain } from './entry.ts';
import { gp, ud } from './fault.ts';
import { setZero } from './flags.ts';
import { unprotected } from './mode.ts';
import { getOf, linear, offsetOf, setOf, storeAddress } from './operands.ts';
import { lldt, loadSegment, ltr } from './segment-load.ts';
import { drop, peek, wordSize } from './stack.ts';

const SHADOW_MOV_SS = 2;
const shadow = (c: Cpu, index: number): void => {
  if (index !== SS) return;
  c.shadow = SHADOW_MOV_SS;
  c.attention = 1;
};
const fromSegment: Build = (insn) => {
  const o = insn.ops[1]!;
  // To memory always 16 bits.
  const to = insn.ops[0]!;
  const size = to.kind === 'memory' ? 16 : to.size;
  const set = setOf(insn, 0, size);
  return (c) => set(c, c.seg[o.kind === 'segment' ? o.index : 0]!.selector, 0);
};
const toSegment: Build = (insn) => {
  const o = insn.ops[0]!;
  const index = o.kind === 'segment' ? o.index : 0;
  const get = getOf(insn, 1, 16);
  return (c) => {
    if (index === CS) ud();
    loadSegment(c, index, get(c));
    shadow(c, index);
  };
};
const popSegment: Build = (insn) => {
  const o = insn.ops[0]!;
  const index = o.kind === 'segment' ? o.index : 0;
  const bytes = wordSize(insn.form, insn.bits) >> 3;
  const size = wordSize(insn.form, insn.bits);
  return (c) => {
    const selector = peek(c, 0, size) & 0xffff;
    // The old stack's size counts for the pop, whatever is loaded.
    const before = c.stack32;
    loadSegment(c, index, selector);
    const after = c.stack32;
    c.stack32 = before;
    drop(c, bytes);
    c.stack32 = after;
    shadow(c, index);
  };
};
/** Offset and selector from memory: the segment register first, so that nothing has changed where it faults. */
const loadPointer =
  (index: number): Build =>
  (insn) => {
    const { size } = insn;
    const mem = insn.mem!;
    const offset = offsetOf(mem);
    const set = setOf(insn, 0, size);
    const bytes = size >> 3;
    return (c) => {
      const at = linear(c, mem.seg, offset(c), bytes + 2, READABLE);
      const { ah } = c;
      const lo = size === 64 ? read64(c, at) : size === 32 ? read32(c, at) : read16(c, at);
      const { hi } = c;
      const next = (at + bytes) | 0;
      c.ah = (ah + (c.code === 64 && next >>> 0 < at >>> 0 ? 1 : 0)) | 0;
      loadSegment(c, index, read16(c, next));
      set(c, lo, hi);
    };
  };

const loadSystem =
  (load: (c: Cpu, selector: number) => void): Build =>
  (insn) => {
    const get = getOf(insn, 0, 16);
    return (c) => {
      if (unprotected(c)) ud();
      if (c.cpl !== 0) gp();
      load(c, get(c));
    };
  };
/** Allowed at any CPL unless CR4.UMIP says no. To a register as wide as the operand, to memory 16 bits. */
const storeSystem =
  (which: (c: Cpu) => number): Build =>
  (insn) => {
    const o = insn.ops[0]!;
    const set = setOf(insn, 0, o.kind === 'memory' ? 16 : o.size);
    return (c) => {
      if (unprotected(c)) ud();
      if ((c.cr4 & CR4_UMIP) !== 0 && c.cpl > 0) gp();
      set(c, which(c), 0);
    };
  };

/** A descriptor that the selector may be asked about, or undefined. */
const visible = (c: Cpu, selector: number): Descriptor | undefined => {
  if (isNull(selector)) return undefined;
  const d = lookUp(c, selector);
  if (d === undefined) return undefined;
  if (isCode(d) && isConforming(d)) return d;
  return dplOf(d) >= c.cpl && dplOf(d) >= (selector & 3) ? d : undefined;
};
/** System types: LAR also knows call and task gates, in IA-32e mode only the 64-bit forms. A 16-byte descriptor whose second half is bad is none. */
const knows = (c: Cpu, d: Descriptor, types: readonly number[]): boolean => {
  if (isSegment(d)) return true;
  const type = typeOf(d);
  if (!c.lma) return types.includes(type);
  if (!types.includes(type) || ![2, 9, 11, 12].includes(type)) return false;
  const whole = lookUp(c, d.selector, 16);
  return whole !== undefined && upperBase(c, whole) !== undefined;
};
const LAR_TYPES = [1, 2, 3, 4, 5, 9, 11, 12];
const LSL_TYPES = [1, 2, 3, 9, 11];
const ask =
  (types: readonly number[], value: (d: Descriptor) => number): Build =>
  (insn) => {
    const { size } = insn;
    const get = getOf(insn, 1, 16);
    const set = setOf(insn, 0, size);
    return (c) => {
      if (unprotected(c)) ud();
      const d = visible(c, get(c));
      const ok = d !== undefined && knows(c, d, types);
      if (ok) set(c, value(d), 0);
      setZero(c, ok);
    };
  };
const verify =
  (allowed: (d: Descriptor) => boolean): Build =>
  (insn) => {
    const get = getOf(insn, 0, 16);
    return (c) => {
      if (unprotected(c)) ud();
      const d = visible(c, get(c));
      setZero(c, d !== undefined && isSegment(d) && allowed(d));
    };
  };
/** The destination's segment must be writable in any case; its page only where the RPL is raised and stored. */
const arpl: Build = (insn) => {
  const o = insn.ops[0]!;
  const address = o.kind === 'memory' ? storeAddress(insn, o) : undefined;
  const place = address === undefined ? placeOf(insn, 0) : { load: read16, store: write16 };
  const source = getOf(insn, 1, 16);
  return (c) => {
    if (unprotected(c)) ud();
    const at = address === undefined ? 0 : address(c);
    const value = place.load(c, at);
    const rpl = source(c) & 3;
    const raised = (value & 3) < rpl;
    const next = (value & ~3) | rpl;
    if (raised) place.store(c, at, next, 0);
    setZero(c, raised);
  };
};

export const segmentOperations: Entries = {
  ...plain({
    'Mov from segment': fromSegment,
    Sldt: storeSystem((c) => c.ldtr.selector),
    Str: storeSystem((c) => c.tr.selector),
    Lar: ask(LAR_TYPES, (d) => d.hi & 0x00ff_ff00),
    Lsl: ask(LSL_TYPES, (d) => limitOf(d) | 0),
    Verr: verify(isReadable),
    Verw: verify(isWritableData),
    Arpl: arpl,
  }),
  ...ending({
    'Mov to segment': toSegment,
    'Pop segment': popSegment,
    Lds: loadPointer(3),
    Les: loadPointer(0),
    Lfs: loadPointer(4),
    Lgs: loadPointer(5),
    Lss: loadPointer(2),
    Lldt: loadSystem(lldt),
    Ltr: loadSystem(ltr),
  }),
};
