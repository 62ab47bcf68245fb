// Decides which operations stand at the instruction pointer: bytes are fetched under the rules of fetches, decoded once, and kept by physical address.
// SDM volume 3, Interrupt 13 and 14 (fetches); an instruction longer than 15 bytes is #GP(0). Blocks are runs of operations in one page.

import type { Instruction } from 'iced-x86';
import { CS, type Cpu, type Op } from './cpu.ts';
import type { Entry } from './entry.ts';
import { gp, ud } from './fault.ts';
import { wide } from './halves.ts';
import { iced } from './iced.ts';
import { type Insn, insnOf, moved } from './insn.ts';
import { FETCH, SUPERVISOR, translate, USER } from './paging.ts';
import { CODE, loadBytes } from './ram.ts';
import { absent, entryOf } from './table.ts';

export interface Block {
  readonly ops: readonly Op[];
  readonly lo: number;
  readonly hi: number;
  readonly code: number;
  readonly physical: number;
  readonly bytes: Uint8Array;
  /** Offset of the last byte, for the code segment's limit. */
  readonly last: number;
  /** Decoded as far as it goes; else because only one operation was asked for. */
  readonly whole: boolean;
  version: number;
}
/** Blocks by a hash of their address; the newest wins. */
export type Blocks = (Block | undefined)[];
const SLOTS = 8192;
export const newBlocks = (): Blocks => new Array<Block | undefined>(SLOTS).fill(undefined);
const MOST = 32;
const LONGEST = 15;

const fetchAs = (c: Cpu): 0 | 2 => (c.cpl === 3 ? USER : SUPERVISOR);
const upper = (c: Cpu, lo: number, base: number, hi: number): number => (c.code === 64 && lo >>> 0 < base >>> 0 ? (hi + 1) | 0 : hi);

/** The block at the instruction pointer, whose linear address is (at, hi). Raises what the fetch of its first instruction does. */
export const blockAt = (c: Cpu, blocks: Blocks, at: number, hi: number, single: boolean): Block => {
  const limit = c.seg[CS].limit;
  if (c.code !== 64 && c.ipLo >>> 0 > limit) gp();
  c.av = 13;
  const physical = translate(c, at, hi, FETCH, fetchAs(c));
  const slot = (physical ^ (physical >>> 12)) & (SLOTS - 1);
  const found = blocks[slot];
  if (
    found !== undefined &&
    found.physical === physical &&
    found.lo === c.ipLo &&
    found.hi === c.ipHi &&
    found.code === c.code &&
    (found.whole || single) &&
    (c.code === 64 || found.last <= limit) &&
    current(c, found)
  )
    return found;
  const made = decode(c, at, hi, physical, single);
  if (made.version >= 0) {
    blocks[slot] = made;
    c.ram.flags[physical >>> 12]! |= CODE;
  }
  return made;
};
/** Whether memory still holds what was decoded. */
const current = (c: Cpu, block: Block): boolean => {
  const { ram } = c;
  const page = block.physical >>> 12;
  if (ram.versions[page] === block.version) return true;
  const { bytes, physical } = block;
  for (let i = 0; i < bytes.length; i++) if (ram.bytes[physical + i] !== bytes[i]) return false;
  block.version = ram.versions[page]!;
  ram.flags[page]! |= CODE;
  return true;
};

const decode = (c: Cpu, at: number, hi: number, physical: number, single: boolean): Block => {
  const offset = at & 4095;
  const limit = c.code === 64 ? Number.MAX_SAFE_INTEGER : c.seg[CS].limit - (c.ipLo >>> 0) + 1;
  const here = Math.min(4096 - offset, limit, single ? LONGEST : MOST * LONGEST);
  const inside = physical + here <= c.ram.size;
  const bytes = inside ? c.ram.bytes.subarray(physical, physical + here) : outside(c, physical, Math.min(here, LONGEST));
  const ops: Op[] = [];
  const used = decodeRun(c, bytes, ops, single ? 1 : MOST);
  const first = c.ipLo >>> 0;
  if (ops.length > 0)
    return {
      ops,
      lo: c.ipLo,
      hi: c.ipHi,
      code: c.code,
      physical,
      bytes: beginning(bytes, used),
      last: first + used - 1,
      whole: !single || ops[0]!.ends,
      version: inside ? c.ram.versions[physical >>> 12]! : -1,
    };
  // The first instruction does not end in these bytes.
  if (bytes.length >= LONGEST) gp();
  if (limit <= bytes.length) gp();
  const onward = ((at & -4096) + 4096) | 0;
  const next = translate(c, onward, upper(c, onward, at, hi), FETCH, fetchAs(c));
  const more = Math.min(LONGEST, limit) - bytes.length;
  const both = new Uint8Array(bytes.length + more);
  both.set(bytes);
  loadBytes(c.ram, next, more, both, bytes.length);
  const length = decodeRun(c, both, ops, 1);
  if (ops.length === 0) gp();
  return {
    ops,
    lo: c.ipLo,
    hi: c.ipHi,
    code: c.code,
    physical,
    bytes: both.subarray(0, length),
    last: first + length - 1,
    whole: true,
    // Two pages: never found again.
    version: -1,
  };
};
/** A copy. To ask an array of bytes for a slice of itself takes longer than to copy the few bytes. */
const beginning = (bytes: Uint8Array, length: number): Uint8Array => {
  const copy = new Uint8Array(length);
  for (let i = 0; i < length; i++) copy[i] = bytes[i]!;
  return copy;
};
const outside = (c: Cpu, physical: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  loadBytes(c.ram, physical, length, bytes, 0);
  return bytes;
};

/** Decodes up to `most` operations; gives the number of bytes they take. */
const decodeRun = (c: Cpu, bytes: Uint8Array, ops: Op[], most: number): number => {
  const { code } = c;
  if (bytes[0] === INT3) {
    ops.push(breakpoint(code, c.ipLo, c.ipHi));
    return 1;
  }
  const { Decoder, DecoderError, DecoderOptions, Instruction } = iced();
  const decoder = new Decoder(code, bytes, DecoderOptions.None);
  instruction ??= new Instruction();
  try {
    decoder.ip = wide(c.ipLo, c.ipHi);
    let [lo, hi] = [c.ipLo, c.ipHi];
    let used = 0;
    while (ops.length < most && used < bytes.length) {
      decoder.decodeOut(instruction);
      const insn = instruction.isInvalid ? undefined : insnOf(instruction, code, lo, hi);
      if (insn === undefined && decoder.lastError === DecoderError.NoMoreBytes) break;
      const entry = insn && entryOf(insn);
      const op =
        insn === undefined
          ? invalid(lo, hi, instruction.length >= LONGEST && tooLong(code, bytes.subarray(used + 1, used + 1 + LONGEST)))
          : compile(insn, entry, instruction);
      ops.push(op);
      used = decoder.position;
      [lo, hi] = [op.nextLo, op.nextHi];
      if (op.ends) break;
      // What follows most tested instructions.
      if (bytes[used] === INT3 && ops.length < most) {
        ops.push(breakpoint(code, lo, hi));
        return used + 1;
      }
    }
    return used;
  } finally {
    decoder.free();
  }
};
const INT3 = 0xcc;
/** One for all: what is decoded into it is read before the next. */
let instruction: Instruction | undefined;
const breakpoints: { [code in 16 | 32 | 64]?: Insn } = {};
/** By the low bits of their address, the newest of each: most stand right after a tested instruction, where another program had one too. */
const placed: { readonly [code in 16 | 32 | 64]: (Op | undefined)[] } = {
  16: new Array<Op | undefined>(256).fill(undefined),
  32: new Array<Op | undefined>(256).fill(undefined),
  64: new Array<Op | undefined>(256).fill(undefined),
};
const breakpoint = (code: 16 | 32 | 64, lo: number, hi: number): Op => {
  const there = placed[code][lo & 255];
  return there !== undefined && there.lo === lo && there.hi === hi ? there : (placed[code][lo & 255] = freshBreakpoint(code, lo, hi));
};
/** INT3 without prefixes is one byte in every mode: what the decoder says of it is asked once. */
const freshBreakpoint = (code: 16 | 32 | 64, lo: number, hi: number): Op => {
  let like = breakpoints[code];
  if (like === undefined) {
    const { Decoder, DecoderOptions } = iced();
    const decoder = new Decoder(code, Uint8Array.of(INT3), DecoderOptions.None);
    const decoded = decoder.decode();
    breakpoints[code] = like = insnOf(decoded, code, 0, 0);
    decoded.free();
    decoder.free();
  }
  const nextLo = (lo + 1) | 0;
  const insn = moved(like, lo, hi, nextLo, code === 64 && nextLo === 0 ? (hi + 1) | 0 : hi);
  const entry = entryOf(insn)!;
  return { run: entry.build(insn), lo, hi, nextLo, nextHi: insn.nextHi, jumps: entry.jumps === true, ends: entry.ends === true };
};
const invalid = (lo: number, hi: number, long: boolean): Op => ({
  run: long ? () => gp() : ud,
  lo,
  hi,
  nextLo: lo,
  nextHi: hi,
  jumps: true,
  ends: true,
});
/** An instruction of fifteen bytes and more is invalid to the decoder, whatever it is: told apart by what it is without its first prefix. */
const tooLong = (code: 16 | 32 | 64, rest: Uint8Array): boolean => {
  const { Decoder, DecoderError, DecoderOptions } = iced();
  const decoder = new Decoder(code, rest, DecoderOptions.None);
  const shorter = decoder.decode();
  try {
    return decoder.lastError === DecoderError.NoMoreBytes || shorter.length >= LONGEST;
  } finally {
    shorter.free();
    decoder.free();
  }
};
const compile = (insn: Insn, entry: Entry | undefined, instruction: Instruction): Op => {
  const { lo, hi, nextLo, nextHi } = insn;
  if (entry !== undefined)
    return { run: entry.build(insn), lo, hi, nextLo, nextHi, jumps: entry.jumps === true, ends: entry.ends === true };
  return { run: absent(insn.form, instruction.cpuidFeatures()), lo, hi, nextLo, nextHi, jumps: true, ends: true };
};
