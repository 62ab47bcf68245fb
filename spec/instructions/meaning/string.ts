// String instructions, alone and repeated: which elements, which registers, and what stands when one of them faults.
// Intel SDM volume 2: MOVS, CMPS, STOS, LODS, SCAS, REP/REPE/REPZ/REPNE/REPNZ; INS and OUTS share the frame.

import { copyOf } from '../copy.ts';
import { inAnyOrder, readAt, writeAt } from '../access.ts';
import { fetcher } from '../fetch.ts';
import { flag, ones, statusFlags, type Size } from '../bits.ts';
import { flagsOf, isRaised, leave, own, register, setRegister, undecided, type Work } from '../work.ts';
import { subtracted } from './arithmetic.ts';
import type { Meaning, Meanings } from './meaning.ts';

/** More iterations than this are not foretold. */
const most = 256;
const ES = 0;
const CX = 1;
const SI = 6;
const DI = 7;

export interface Element {
  readonly size: Size;
  readonly source: number;
}
export const elementOf = (w: Work): Element => ({
  size: w.i.form.mnemonic.endsWith('B') ? 1 : w.i.form.topic === 'io' && w.i.operandSize === 8 ? 4 : w.i.operandSize,
  source: w.i.override >= 0 ? w.i.override : 3,
});
const step = (w: Work, n: number, size: number): void => {
  const by = (flagsOf(w.s) & flag.DF) === 0 ? BigInt(size) : -BigInt(size);
  setRegister(w, n, w.i.addressSize, (register(w, n, w.i.addressSize) + by) & ones(w.i.addressSize));
};
export const readSource = (w: Work, e: Element): bigint => readAt(w, e.source, register(w, SI, w.i.addressSize), e.size);
export const readDestination = (w: Work, e: Element): bigint => readAt(w, ES, register(w, DI, w.i.addressSize), e.size);
export const writeDestination = (w: Work, e: Element, value: bigint): void =>
  writeAt(w, ES, register(w, DI, w.i.addressSize), e.size, value);

/** The bytes of the instruction, as its stores have left them. */
const codeOf = (w: Work): readonly number[] => {
  const byte = fetcher(w);
  return Array.from({ length: w.i.length }, (_, k) => byte(k));
};
/** What was foretold before the iteration that the journal is of. */
const undo = (w: Work, journal: readonly number[]): void => {
  const stores = own(w.stores);
  for (let i = journal.length - 2; i >= 0; i -= 2) {
    const [at, before] = [journal[i] as number, journal[i + 1] as number];
    if (before < 0) stores.delete(at);
    else stores.set(at, before);
  }
};
/** `once` does one element; `moves` names the pointers that then move; `ends` tells whether REPE or REPNE stops there. */
export const repeated =
  (once: (w: Work, e: Element) => void, moves: readonly (typeof SI | typeof DI)[], compares = false): Meaning =>
  (w) => {
    const e = elementOf(w);
    const all = (): void => {
      once(w, e);
      for (const n of moves) step(w, n, e.size);
    };
    if (w.i.repeat === 0) {
      all();
      return;
    }
    w.repeats = true;
    const size = w.i.addressSize;
    // With 32-bit addresses in 64-bit mode, whether unmoved registers lose their high halves is not said.
    if (size === 4 && w.i.code === 64) for (const name of ['rcx', 'rsi', 'rdi'] as const) leave(w, name, ones(8) - ones(4));
    const stepping = (flagsOf(w.before) & flag.TF) !== 0;
    const flags = w.s.rflags;
    const code = codeOf(w);
    for (let k = 0; register(w, CX, size) !== 0n; k++) {
      if (k === most) undecided(`more than ${most} iterations`);
      const kept = { s: copyOf(w.s), ports: w.ports.length };
      w.journal = [];
      try {
        all();
      } catch (thrown) {
        if (isRaised(thrown)) {
          // The iterations before stand; comparing ones give the flags back as they were (SDM volume 2, REP).
          w.s = kept.s;
          w.s.rflags = flags;
          w.tried = new Map(w.stores);
          undo(w, w.journal);
          w.ports = w.ports.slice(0, kept.ports);
          w.progress = k > 0;
        }
        throw thrown;
      }
      const stored = w.journal.length > 0;
      w.journal = undefined;
      setRegister(w, CX, size, (register(w, CX, size) - 1n) & ones(size));
      if (stored && register(w, CX, size) !== 0n && codeOf(w).some((byte, n) => byte !== code[n]))
        undecided('an iteration that changes its own code');
      const zero = (flagsOf(w.s) & flag.ZF) !== 0;
      if (compares && zero !== (w.i.repeat === 0xf3)) return;
      if (stepping && register(w, CX, size) !== 0n) {
        // A trap after an iteration that is not the last: the instruction is the next to run, and RF is set in the image.
        w.moved = true;
        w.between = true;
        if (compares) leave(w, 'rflags', BigInt(statusFlags));
        return;
      }
    }
  };
const compare = (w: Work, a: bigint, b: bigint, e: Element): void => {
  subtracted(w, a, b, 0n, e.size);
};
const named = (name: string, meaning: Meaning): Meanings => ({ [name]: meaning, [`${name}B`]: meaning });
export const string: Meanings = {
  ...named(
    'MOVS',
    repeated((w, e) => writeDestination(w, e, readSource(w, e)), [SI, DI]),
  ),
  ...named(
    'CMPS',
    repeated(
      (w, e) => {
        // No page says which of the two is read first.
        const [first = 0n, second = 0n] = inAnyOrder(
          () => readSource(w, e),
          () => readDestination(w, e),
        );
        compare(w, first, second, e);
      },
      [SI, DI],
      true,
    ),
  ),
  ...named(
    'STOS',
    repeated((w, e) => writeDestination(w, e, register(w, 0, e.size)), [DI]),
  ),
  ...named(
    'LODS',
    repeated((w, e) => setRegister(w, 0, e.size, readSource(w, e)), [SI]),
  ),
  ...named(
    'SCAS',
    repeated((w, e) => compare(w, register(w, 0, e.size), readDestination(w, e), e), [DI], true),
  ),
};
