// Paravirtualization: a rewriter goes over the guest's code before it runs and puts a hypercall in place of each that nothing traps.
// The hypercall is the shortest instruction that always traps at CPL 3, so that one fits wherever an instruction did. Barham et al. 2003, Xen and the Art of Virtualization.

import { CS, type Cpu } from '../processor/cpu.ts';
import { isFault } from '../processor/fault.ts';
import { iced } from '../processor/iced.ts';
import { type Insn, insnOf } from '../processor/insn.ts';
import { FETCH, translate } from '../processor/paging.ts';
import { CODE } from '../processor/ram.ts';
import { absorbSegments } from './deprivilege.ts';
import { refreshTables } from './descriptors.ts';
import type { Technique } from './monitor.ts';
import { slipsThrough } from './sensitive.ts';
import { classOf } from './shadow.ts';
import { asIs } from './trap-and-emulate.ts';
import type { World } from './world.ts';

const HYPERCALL = 0xf4;
const PAGE = 4096;

/** Code after these is looked at when control comes there. */
const LEAVES: ReadonlySet<string> = new Set(['Jmp', 'Ret', 'Retf', 'Iret', 'Iretd', 'Iretq', 'Int3', 'Ud2', 'Hlt']);

/** What stood where a hypercall stands. */
interface Patch {
  readonly at: number;
  readonly bytes: Uint8Array;
}
/** Rewritten code of one guest page. */
interface Page {
  version: number;
  /** Offsets where an instruction was looked at, by size of code. */
  readonly seen: Set<number>;
  readonly patches: Map<number, Patch>;
}

/** Follows code from addresses through branches as far as the page goes; the instruction pointer is at `at`. */
const rewrite = (w: World, page: Page, base: number, at: number, roots: readonly number[]): void => {
  const { v, guest } = w;
  const { Decoder, DecoderOptions, Instruction } = iced();
  const todo = [...roots];
  const instruction = new Instruction();
  try {
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const decoder = new Decoder(v.code, guest.bytes.subarray(next, base + PAGE), DecoderOptions.None);
      decoder.ip = BigInt((v.ipLo + (next - at)) >>> 0) | (BigInt(v.ipHi >>> 0) << 32n);
      try {
        for (let here = next; here < base + PAGE && !page.seen.has(key(v, here)); ) {
          decoder.decodeOut(instruction);
          // What crosses into the next page is decoded by nobody here: it is looked at where it stands.
          if (instruction.isInvalid) break;
          page.seen.add(key(v, here));
          const ip = (v.ipLo + (here - at)) | 0;
          const insn = insnOf(instruction, v.code, ip, v.ipHi);
          const length = instruction.length;
          if (slipsThrough(insn)) page.patches.set(here, { at: here, bytes: guest.bytes.slice(here, here + length) });
          const target = targetOf(insn);
          if (target !== undefined) {
            const to = at + ((target - v.ipLo) | 0);
            if (to >= base && to < base + PAGE) todo.push(to);
          }
          if (LEAVES.has(insn.name)) break;
          here += length;
        }
      } finally {
        decoder.free();
      }
    }
  } finally {
    instruction.free();
  }
};
const key = (v: Cpu, at: number): number => (at & (PAGE - 1)) * 4 + (v.code >> 5);
const targetOf = (insn: Insn): number | undefined =>
  insn.ops.length === 0 && (insn.targetLo !== 0 || insn.targetHi !== 0) ? insn.targetLo : undefined;

export const paravirtual = (): Technique => {
  const pages = new Map<number, Page>();
  const intact = (w: World, p: Patch): boolean => p.bytes.every((b, i) => w.guest.bytes[p.at + i] === b);

  /** The rewriter's turn: code from the guest's instruction pointer on. */
  const look = (w: World): void => {
    const { v, guest } = w;
    const linear = v.code === 64 ? v.ipLo : (v.seg[CS].lo + v.ipLo) | 0;
    let at: number;
    try {
      at = translate(v, linear, v.ipHi, FETCH, classOf(v));
    } catch (thrown) {
      if (isFault(thrown)) return;
      throw thrown;
    }
    if (at >= guest.size) return;
    const number = at >>> 12;
    let page = pages.get(number);
    if (page === undefined) {
      page = { version: guest.versions[number]!, seen: new Set(), patches: new Map() };
      pages.set(number, page);
      // It may stand in the shadow as data: from now on no store gets there unseen.
      w.context = -1;
    }
    if (page.version !== guest.versions[number]) {
      page.version = guest.versions[number]!;
      page.seen.clear();
      for (const p of page.patches.values()) if (!intact(w, p)) page.patches.delete(p.at);
    }
    // A call across pages has been emulated: where it returns to is code too.
    const { op } = v;
    const returns = at + ((op.nextLo - v.ipLo) | 0);
    const crossed = op.jumps && ((op.lo ^ op.nextLo) & -PAGE) !== 0 && returns >>> 12 === number;
    const roots = (crossed ? [at, returns] : [at]).filter((root) => !page.seen.has(key(v, root)));
    if (roots.length === 0) return;
    rewrite(w, page, number * PAGE, at, roots);
    // What the processor has decoded of the page may have been rewritten since.
    guest.versions[number]!++;
    page.version = guest.versions[number]!;
    guest.flags[number]! |= CODE;
  };
  const write = (w: World, value: (p: Patch) => number): void => {
    for (const page of pages.values()) for (const p of page.patches.values()) w.guest.bytes[p.at] = value(p);
  };
  return {
    source: asIs,
    care: { readOnly: (_, frame) => pages.has(frame >>> 12), mayFetch: (_, frame) => pages.has(frame >>> 12) },
    enter: (w) => {
      look(w);
      refreshTables(w);
      write(w, () => HYPERCALL);
    },
    // The emulator sees the guest's own code.
    leave: (w) => {
      write(w, (p) => p.bytes[0]!);
      absorbSegments(w);
    },
    fresh: (w) => {
      pages.clear();
      w.tablesKey = '';
    },
  };
};
