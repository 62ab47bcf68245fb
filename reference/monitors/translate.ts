// Binary translation: guest code becomes blocks of the processor's operations; innocuous instructions are copied, a sensitive one is a call out.
// Adams and Agesen 2006, A Comparison of Software and Hardware Techniques for x86 Virtualization. Blocks end at branches, sensitive ones and pages.

import { CS, type Cpu, type Op } from '../processor/cpu.ts';
import { gp } from '../processor/fault.ts';
import { iced } from '../processor/iced.ts';
import { insnOf } from '../processor/insn.ts';
import { FETCH, translate, USER } from '../processor/paging.ts';
import { CODE } from '../processor/ram.ts';
import { entryOf } from '../processor/table.ts';
import type { Technique } from './monitor.ts';
import type { Code, Source } from './native.ts';
import { isSensitive } from './sensitive.ts';
import type { World } from './world.ts';

/** Translated code, and the guest's code that it stands for. */
interface Translation extends Code {
  readonly lo: number;
  readonly hi: number;
  readonly code: number;
  readonly physical: number;
  readonly bytes: Uint8Array;
  /** Offset of the last byte, for the code segment's limit. */
  readonly last: number;
  version: number;
}
type Cache = (Translation | undefined)[];
const SLOTS = 8192;
const MOST = 32;
const LONGEST = 15;

/** Whether the guest's code is still what was translated. */
const valid = (w: World, t: Translation): boolean => {
  const { host } = w;
  const page = t.physical >>> 12;
  if (host.versions[page] === t.version) return true;
  for (let i = 0; i < t.bytes.length; i++) if (host.bytes[t.physical + i] !== t.bytes[i]) return false;
  t.version = host.versions[page]!;
  host.flags[page]! |= CODE;
  return true;
};
const sourceOf =
  (cache: Cache): Source =>
  (w, at) => {
    const { c } = w;
    const { limit } = c.seg[CS];
    if (c.code !== 64 && c.ipLo >>> 0 > limit) gp();
    c.av = 13;
    const physical = translate(c, at, c.ipHi, FETCH, USER);
    const slot = (physical ^ (physical >>> 12)) & (SLOTS - 1);
    const found = cache[slot];
    if (
      found !== undefined &&
      found.physical === physical &&
      found.lo === c.ipLo &&
      found.hi === c.ipHi &&
      found.code === c.code &&
      (c.code === 64 || found.last <= limit) &&
      valid(w, found)
    )
      return found;
    const made = translation(w, at, physical);
    cache[slot] = made;
    w.host.flags[physical >>> 12]! |= CODE;
    return made;
  };

/** What does not lie in one page, or is no instruction at all, is the emulator's: it raises what is to be raised. */
const translation = (w: World, at: number, physical: number): Translation => {
  const { c, host } = w;
  const here = Math.min(4096 - (at & 4095), c.code === 64 ? MOST * LONGEST : c.seg[CS].limit - (c.ipLo >>> 0) + 1, MOST * LONGEST);
  const bytes = host.bytes.slice(physical, physical + here);
  const ops: Op[] = [];
  const [used, call] = translateRun(c, bytes, ops);
  return {
    ops,
    call,
    lo: c.ipLo,
    hi: c.ipHi,
    code: c.code,
    physical,
    bytes: bytes.subarray(0, used),
    last: (c.ipLo >>> 0) + Math.max(used, 1) - 1,
    version: host.versions[physical >>> 12]!,
  };
};
/** Gives the number of bytes that the translation depends on, and whether it ends in a call out. */
const translateRun = (c: Cpu, bytes: Uint8Array, ops: Op[]): readonly [used: number, call: boolean] => {
  const { Decoder, DecoderOptions, Instruction } = iced();
  const decoder = new Decoder(c.code, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = (BigInt(c.ipHi >>> 0) << 32n) | BigInt(c.ipLo >>> 0);
    let [lo, hi] = [c.ipLo, c.ipHi];
    let used = 0;
    while (ops.length < MOST) {
      if (!decoder.canDecode) return [used, ops.length === 0];
      decoder.decodeOut(instruction);
      if (instruction.isInvalid) return ops.length === 0 ? [bytes.length, true] : [used, false];
      const insn = insnOf(instruction, c.code, lo, hi);
      const entry = entryOf(insn);
      used = decoder.position;
      if (entry === undefined || isSensitive(insn)) return [used, true];
      const { nextLo, nextHi } = insn;
      ops.push({ run: entry.build(insn), lo, hi, nextLo, nextHi, jumps: entry.jumps === true, ends: entry.ends === true });
      if (entry.ends === true) break;
      [lo, hi] = [nextLo, nextHi];
    }
    return [used, false];
  } finally {
    instruction.free();
    decoder.free();
  }
};

export const binaryTranslation = (): Technique => {
  const cache: Cache = new Array<Translation | undefined>(SLOTS).fill(undefined);
  return {
    source: sourceOf(cache),
    care: { readOnly: () => false, mayFetch: () => true },
    enter: () => {},
    leave: () => {},
    fresh: () => {},
  };
};
