// Several instructions in a row: each is foretold from what those before it left, as long as that is one thing and known.
// Intel SDM volume 1, Instruction Pointer; volume 2, Flags Affected of the pages; volume 3, Self-Modifying Code; Invalidation of TLBs.

import { flag, low, statusFlags } from './bits.ts';
import { copyOf } from './copy.ts';
import type { Instruction } from './decode.ts';
import type { Course, Ending, Expectation } from './ghost.ts';
import { lookUp } from './paging.ts';
import { tablesOf } from './tables.ts';
import type { CpuStimulus } from './vocabulary.ts';
import { begin, codeSize, cr0Of, startedAfter, undecided, type Work } from './work.ts';

/** More instructions than these are not followed, nor one that comes round more often than that: it calls or jumps to itself, up to the limit of the run. */
const most = 200;
const rounds = 40;
const readers: Readonly<Record<string, number>> = {
  ADC: flag.CF,
  ADC82: flag.CF,
  SBB: flag.CF,
  SBB82: flag.CF,
  RCL: flag.CF,
  RCR: flag.CF,
  CMC: flag.CF,
  SALC: flag.CF,
  ADCX: flag.CF,
  ADOX: flag.OF,
  INTO: flag.OF,
  LOOPE: flag.ZF,
  LOOPNE: flag.ZF,
  DAA: flag.CF | flag.AF,
  DAS: flag.CF | flag.AF,
  AAA: flag.AF,
  AAS: flag.AF,
  PUSHF: statusFlags,
  LAHF: statusFlags,
};
/** By the condition's number without its lowest bit. SDM volume 1, appendix B, Condition Codes. */
const ofCondition: readonly number[] = [
  flag.OF,
  flag.CF,
  flag.ZF,
  flag.CF | flag.ZF,
  flag.SF,
  flag.PF,
  flag.SF | flag.OF,
  flag.ZF | flag.SF | flag.OF,
];
/** The status flags that an instruction's outcome depends on; of what leads elsewhere, all. */
const flagsRead = ({ form }: Instruction): number => {
  const { map, opcode, mnemonic, topic } = form;
  const conditional = map === 0 ? opcode >> 4 === 7 : map === 1 && (opcode >> 4 === 4 || opcode >> 4 === 8 || opcode >> 4 === 9);
  if (conditional) return ofCondition[(opcode & 15) >> 1] as number;
  if (topic === 'far' || topic === 'interrupt' || topic === 'call') return statusFlags;
  return readers[mnemonic] ?? 0;
};

/** Bytes of the longest instruction. SDM volume 2, Instruction Format. */
const longest = 15;
/** Whether bytes of code were stored to by this run. What is fetched then is told only of code that a jump has led to. */
const overwritten = (w: Work, rip: bigint, length: number, { stores, marks }: Pick<Work, 'stores' | 'marks'>): boolean => {
  if (stores.size === 0) return false;
  const { before } = w;
  const start = codeSize(before) === 64 ? rip : (before.cs.base + rip) & 0xffffffffn;
  // Where the code stands is asked as the instruction would: what it foretells beside that is not kept.
  const probe = begin(copyOf(before), w.memory, w.granted, w.cpu);
  for (let n = 0; n < length; n++) {
    const at = lookUp(probe, start + BigInt(n), { write: false, fetch: true });
    if (typeof at === 'number' && stores.has(at) && marks.get(at) === undefined) return true;
  }
  return false;
};
/** The same of an instruction, and of the INT3 behind it that ends the run. */
const selfModified = (w: Work, instruction: Instruction | undefined): boolean => {
  const { carried, after, before } = w;
  if (carried !== undefined && overwritten(w, before.rip, instruction?.length ?? longest, carried)) return true;
  if (after === undefined) return false;
  return instruction?.form.topic === 'far' ? w.stores.size > 0 : overwritten(w, after, 1, w);
};
/** What a run starts from: its first instruction, and the pages of its paging structures as memory is before it. */
interface Origin {
  readonly first: Work;
  readonly tables: () => ReadonlySet<number>;
}
/** Whether the run has stored into the tables that translate addresses: what is cached of them is then not known. */
const translationChanged = (w: Work, { first, tables }: Origin): boolean => {
  const { s } = w;
  const { before } = first;
  if (s.cr0 !== before.cr0 || s.cr3 !== before.cr3 || s.cr4 !== before.cr4 || s.efer !== before.efer) return true;
  if ((cr0Of(s) & 0x80000000) === 0 || w.stores.size === 0) return false;
  const pages = tables();
  for (const at of w.stores.keys()) if (pages.has(at >> 12) && w.marks.get(at) !== 'accessed') return true;
  return false;
};
/** Whether the run has gone to a page of paging structures: what stands there depends on accessed and dirty flags, which may be set ahead of need. */
const amongTables = (w: Work, { first, tables }: Origin): boolean => {
  const { before } = w;
  if ((cr0Of(before) & 0x80000000) === 0 || (before.rip >> 12n === first.before.rip >> 12n && before.cs === first.before.cs)) return false;
  const probe = begin(copyOf(before), w.memory, w.granted, w.cpu);
  const start = codeSize(before) === 64 ? before.rip : (before.cs.base + before.rip) & 0xffffffffn;
  const at = lookUp(probe, start, { write: false, fetch: true });
  return typeof at === 'number' && tables().has(at >> 12);
};
/** The next instruction's work, over all that was foretold so far. */
const continued = (w: Work, origin: Origin): Work => {
  if (w.watch !== undefined) undecided('breakpoints beyond the first instruction');
  if (w.also.length > 0 || w.loose.size > 0) undecided('one of several outcomes, and more instructions behind it');
  for (const what of w.open.keys()) if (what !== 'rflags') undecided('a register that is left open, and more instructions behind it');
  if ((low(w.open.get('rflags') ?? 0n) & ~statusFlags) !== 0) undecided('a system flag that is left open, and more instructions behind it');
  if (translationChanged(w, origin)) undecided('more instructions behind a change of the translation of addresses');
  const { stores, lowest, highest, marks, around, ports } = w;
  return startedAfter(begin(copyOf(w.s), w.memory, w.granted, w.cpu), { stores, lowest, highest, marks, around, ports });
};

/** `goesOn`: the work of an instruction behind which the run goes on. */
export type Step = Expectation & { readonly goesOn?: Work };
export type Foretell = (w: Work, run: CpuStimulus) => Step;

/** What the instructions behind the first one lead to; undefined where it is not known. */
export const follow = (first: Work, run: CpuStimulus, foretell: Foretell): Course | undefined => {
  const instructions: Instruction[] = [first.i];
  let pages: ReadonlySet<number> | undefined;
  const origin: Origin = { first, tables: () => (pages ??= tablesOf(first.before, first.memory)) };
  const visits = new Map<bigint, number>();
  let w = first;
  let [open, written] = [low(w.open.get('rflags') ?? 0n), w.flagsWritten];
  for (let n = 1; n < most && n < run.limit; n++) {
    const visit = (visits.get(w.s.rip) ?? 0) + 1;
    if (visit > rounds) return undefined;
    visits.set(w.s.rip, visit);
    const next = continued(w, origin);
    const { interrupt } = run;
    const step = foretell(next, {
      ...run,
      limit: run.limit - n,
      ...(interrupt === undefined ? {} : { interrupt: { ...interrupt, after: interrupt.after - n } }),
    });
    if (selfModified(next, step.instruction) || amongTables(next, origin)) return undefined;
    if (step.instruction !== undefined) {
      instructions.push(step.instruction);
      if ((flagsRead(step.instruction) & open) !== 0) return undefined;
    }
    if (step.goesOn === undefined) {
      if (step.endings.length === 0) return undefined;
      // The TSS that is left has them too.
      if (open !== 0 && step.endings.some((e) => e.switched)) return undefined;
      return { instructions, endings: step.endings.map((e) => joined(e, open, written)) };
    }
    w = step.goesOn;
    open = (open & ~w.flagsWritten) | low(w.open.get('rflags') ?? 0n);
    written |= w.flagsWritten;
  }
  return undefined;
};
/** An ending of the last instruction as the run's: with the flags that earlier ones wrote or left open and it does not write. */
const joined = (e: Ending, open: number, written: number): Ending => {
  const left = open & ~e.flagsWritten;
  const all = new Map(e.open);
  if (left !== 0) all.set('rflags', (all.get('rflags') ?? 0n) | BigInt(left));
  return { ...e, open: all, flagsWritten: e.flagsWritten | written };
};
