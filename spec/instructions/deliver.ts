// What delivering an event through the guest's own IDT does: gate checks, stack switch, the frame, and the flags that change.
// Intel SDM volume 3, Interrupt and Exception Handling: Exception- or Interrupt-Handler Procedures; Handler Procedures in 64-Bit Mode; volume 1,
// Real-Address Mode; volume 3, Interrupt and Exception Handling in Real-Address Mode; Class 1 to 3 in Virtual-8086 Mode.

import { ofStops } from './paging.ts';
import { faultsOf, linearOf, place, readTable, save, writing } from './access.ts';
import { flag, low, ones, bigOf } from './bits.ts';
import { GD } from './breakpoints.ts';
import { type Descriptor, isConforming, isNull, isWritable, loaded, lookup, markAccessed, named, rplOf, unusable } from './descriptors.ts';
import { openOfError } from './error-code.ts';
import { codeFault, gateFault } from './gate.ts';
import type { Frame, FrameWord, Word } from './ghost.ts';
import { switchTask } from './task.ts';
import type { Segment } from './vocabulary.ts';
import {
  canonical,
  cpl,
  flagsOf,
  gp,
  ia32e,
  isRaised,
  leave,
  own,
  protectedMode,
  raise,
  raiseAll,
  ss,
  stackSize,
  undecided,
  v86,
  type Work,
} from './work.ts';

export interface Occurrence {
  readonly vector: number;
  readonly error: number | 'any' | undefined;
  /** INT n, INT3, INTO: the gate's DPL is tested, and EXT is 0 in nested error codes. */
  readonly software: boolean;
  readonly rip: bigint;
  /** RFLAGS image. */
  readonly flags: number;
  /** An abort: what is saved of the program is undefined. */
  readonly abort: boolean;
  /** INT1. */
  readonly instruction: boolean;
  /** Flags of the image that are left open. */
  readonly open: number;
}
/** A word that is to be pushed; where it lies is known once it is. */
type Push = { -readonly [K in keyof Word]: Word[K] };
const pushOf = (name: FrameWord, value: bigint, loose = 0n): Push => ({ name, at: -1, value, loose });

const stackLinear = (w: Work, sp: bigint, size: number, full: number | undefined): bigint => {
  try {
    return linearOf(w, 2, sp, size, 'write');
  } catch (thrown) {
    if (isRaised(thrown)) return raise({ vector: 12, error: full, rule: 'deliver.stack' });
    throw thrown;
  }
};
/** Stores words below the stack pointer of `segment` as one frame. Where they do not fit: #SS with the error code `full`. */
const pushAll = (
  w: Work,
  segment: Segment,
  pointer: bigint,
  width: 2 | 4 | 8,
  size: 2 | 4 | 8,
  pushes: readonly Push[],
  full: number | undefined,
): { sp: bigint; frame: Frame } => {
  const kept = w.s.ss;
  let sp = pointer;
  const stays = pointer & ~ones(width);
  w.s.ss = segment;
  try {
    for (const word of pushes) {
      const { value, loose } = word;
      sp = (sp - bigOf(size)) & ones(width);
      const places = place(w, stackLinear(w, sp, size, full), size, writing, 1);
      const at = places[0] as number;
      ofStops(w, at, size);
      word.at = at;
      word.value = value & ones(size);
      // What the instruction has stored there is gone.
      if (w.stores.size !== 0) for (let k = 0; k < size; k++) own(w.stores).delete(at + k);
      // A word over the end of a page is kept byte by byte.
      if (places.length > 2) save(w, places, size, value, loose);
      if (at < 0 || at + size > w.memory.size) undecided('memory beyond the end');
    }
  } catch (thrown) {
    // What was pushed before may stand.
    for (const { at } of pushes) if (at >= 0) for (let k = 0; k < size; k++) w.tried = own(w.tried).set(at + k, 0);
    throw thrown;
  }
  w.s.ss = kept;
  return { sp: stays | sp, frame: { size, words: pushes } };
};

/** In real-address mode: the IVT, a 16-bit frame on the running stack. */
const deliver8086 = (w: Work, e: Occurrence): Frame => {
  const { s } = w;
  if (w.open.has('rsp')) undecided('a stack pointer that is not defined');
  if (e.vector * 4 + 3 > s.idtr.limit) gp('deliver.limit', e.vector * 8 + 2);
  const entry = readTable(w, (s.idtr.base + bigOf(e.vector * 4)) & 0xffffffffn, 4);
  const pushes: Push[] = [pushOf('rflags', bigOf(e.flags & 0xffff)), pushOf('cs', bigOf(s.cs.selector)), pushOf('rip', e.rip & 0xffffn)];
  const { sp, frame } = pushAll(w, s.ss, s.rsp, stackSize(s), 2, pushes, undefined);
  s.rsp = sp;
  const selector = low(entry >> 16n) & 0xffff;
  const { limit, access } = s.cs;
  s.cs = { selector, base: bigOf(selector * 16), limit, access };
  s.rip = entry & 0xffffn;
  s.rflags = bigOf((flagsOf(s) & ~(flag.IF | flag.TF | flag.AC | flag.RF)) >>> 0);
  return frame;
};

/** New stack pointer and, outside IA-32e mode, stack segment for a privilege level, from the TSS. SDM volume 3, Stack Switching; 64-Bit Mode Stack Switching. */
export const innerStack = (
  w: Work,
  level: number,
  ext: number,
  rule: string = 'deliver.stack',
): { readonly segment: Segment; readonly pointer: bigint } => {
  const { tr } = w.s;
  const wide = (tr.access & 8) !== 0;
  const at = wide ? level * 8 + 4 : level * 4 + 2;
  const tooSmall = at + (wide ? 5 : 3) > tr.limit;
  // Older editions ask for the whole of the last word, and Bochs and QEMU do so.
  if (!tooSmall && at + (wide ? 7 : 4) > tr.limit) undecided('a TSS that ends in the words of the inner stack');
  if (tooSmall) raise({ vector: 10, error: named(tr.selector) | ext, rule });
  const base = tr.base + bigOf(at);
  const pointer = readTable(w, base & 0xffffffffn, wide ? 4 : 2);
  const selector = low(readTable(w, (base + (wide ? 4n : 2n)) & 0xffffffffn, 2));
  const bad = (): never => raise({ vector: 10, error: named(selector) | ext, rule });
  if (isNull(selector)) raise({ vector: 10, error: ext, rule });
  const d = lookup(w, selector);
  if (d === undefined || rplOf(selector) !== level || d.dpl !== level || !isWritable(d)) bad();
  const found = d as Descriptor;
  if (!found.present) ss(rule, named(selector) | ext);
  markAccessed(w, found);
  return { segment: loaded(found, selector), pointer };
};
export const longStack = (w: Work, at: number, ext: number, rule: string = 'deliver.stack'): bigint => {
  const { tr } = w.s;
  if (at + 7 > tr.limit) raise({ vector: 10, error: named(tr.selector) | ext, rule });
  const pointer = readTable(w, tr.base + bigOf(at), 8);
  if (!canonical(w.s, pointer)) ss(rule, ext);
  return pointer;
};

/** Bits of the stack pointer that count are left open. */
const pointerOpen = (w: Work): boolean => ((w.open.get('rsp') ?? 0n) & ones(stackSize(w.s))) !== 0n;
/** Through a task gate: what is saved of the program stands in its TSS, and the error code on the stack of the task that handles it. */
const deliverTask = (w: Work, e: Occurrence, selector: number, ext: number): Frame => {
  const { s } = w;
  if ((e.software || e.instruction) && (flagsOf(w.before) & flag.TF) !== 0) undecided('single-stepping into a task');
  if ((low(s.dr7) & GD) !== 0) undecided('general detection over a task switch');
  const code = s.cs.selector;
  const openFlags = w.open.get('rflags') ?? 0n;
  const saved = switchTask(w, selector, 'gate', { rip: e.rip, flags: e.flags, open: e.open, ext });
  w.gates++;
  // Where another event follows at once the frame is that one's, and the words of this one are stores like others, RF apart.
  if (saved.word === 4) w.loose = own(w.loose).set(saved.rflags + 2, 1 | (w.loose.get(saved.rflags + 2) ?? 0));
  // The error code is pushed after the segments are loaded, and before the instruction pointer is tested.
  if (e.error !== undefined && w.troubles[0]?.rule === 'far.offset')
    undecided('an error code for a task that starts past its code segment');
  // A fault in delivering the event, in the new task: as the pages of the exceptions say of EXT and of double faults.
  if (w.troubles.length > 0) raiseAll(w.troubles);
  if (w.taskTrap && e.abort) undecided('a double fault that leads to a task with the debug trap flag');
  const { word, next } = saved;
  const words: Word[] = [];
  const loose = (bits: bigint): bigint => (e.abort ? ones(word) : bits & ones(word));
  words.push({ name: 'rip', at: saved.rip, value: e.rip & ones(word), loose: loose(0n) });
  words.push({ name: 'rflags', at: saved.rflags, value: BigInt(e.flags) & ones(word), loose: loose(BigInt(e.open) | openFlags) });
  words.push({ name: 'cs', at: saved.cs, value: bigOf(code), loose: loose(~0xffffn) });
  if (e.error !== undefined) {
    if (pointerOpen(w)) undecided('a stack pointer that is not defined');
    const sp = (s.rsp - bigOf(next)) & ones(stackSize(s));
    const full = faultsOf(() => place(w, linearOf(w, 2, sp, next, 'write'), next, { write: true }, 1));
    // #SS(EXT) of the new task, which most faults with an error code make a double fault.
    if (full.length > 0 && (w.taskTrap || full.some((f) => f.vector !== 12)))
      undecided('an error code that the stack of a task has no room for');
    if (full.length > 0) raise({ vector: 12, error: ext, rule: 'deliver.stack' });
    const places = place(w, linearOf(w, 2, sp, next, 'write'), next, { write: true }, 1);
    const error = e.error === 'any' ? 0n : bigOf(e.error);
    const free = openOfError(w, e.vector, e.error, next);
    if (!w.taskTrap && next === word && places.length === 2) {
      ofStops(w, places[0] as number, next);
      words.push({ name: 'error', at: places[0] as number, value: error, loose: free });
    } else {
      save(w, places, next, error, free);
      for (let k = 0; k < next; k++) w.marks = own(w.marks).set((places[0] as number) + k, 'task');
    }
    s.rsp = (s.rsp & ~ones(stackSize(s))) | sp;
  }
  if (!w.taskTrap) for (const { at } of words) for (let k = 0; k < word; k++) own(w.stores).delete(at + k);
  return { size: word, words, task: true };
};

/** Changes the foretold state and memory as delivery does, and says where the frame lies. Throws the faults of delivery. */
export const deliver = (w: Work, e: Occurrence): Frame => {
  const { s } = w;
  if (!w.system) return undecided("the IDT is the host's own");
  if (!protectedMode(s)) return deliver8086(w, e);
  const long = ia32e(s);
  if (pointerOpen(w) && !(v86(s) || cpl(s) > 0)) undecided('a stack pointer that is not defined');
  const ext = e.software ? 0 : 1;
  const entrySize = long ? 16 : 8;
  if (e.vector * entrySize + entrySize - 1 > s.idtr.limit) gp('deliver.limit', e.vector * 8 + 2 + ext);
  const at = s.idtr.base + bigOf(e.vector * entrySize);
  const gate = readTable(w, long ? at : at & 0xffffffffn, 8);
  const type = low(gate >> 40n) & 0x1f;
  const task = type === 5 && !long;
  const barred = gateFault(w, e, gate, task || type === 14 || type === 15 || (!long && (type === 6 || type === 7)));
  if (barred !== undefined) raise(barred);
  const selector = low(gate >> 16n) & 0xffff;
  if (task) {
    if (w.taskTrap) undecided('the debug trap flag where #DB leads to a task');
    return deliverTask(w, e, selector, ext);
  }
  let offset = (gate & 0xffffn) | (type >= 14 ? (gate >> 32n) & 0xffff0000n : 0n);
  if (long) offset |= (readTable(w, at + 8n, 8) & 0xffffffffn) << 32n;
  if (isNull(selector)) gp('deliver.code', ext);
  const found = lookup(w, selector);
  const closed = codeFault(w, found, named(selector) | ext, long);
  if (closed !== undefined) raise(closed);
  const d = found as Descriptor;
  const level = cpl(s);
  const inner = !isConforming(d) && d.dpl < level;
  // Its registers need not be good for anything, so that a handler on that stack, or one that is not reached, tells nothing.
  if (!inner && !long && w.open.has('ss.access')) undecided('the stack of a task whose segments cannot be loaded');
  const size = long ? 8 : type >= 14 ? 4 : 2;
  const newLevel = inner ? d.dpl : level;

  let { ss: segment, rsp: pointer } = s;
  let width = stackSize(s);
  const ist = long ? low(gate >> 32n) & 7 : 0;
  if (long) {
    width = 8;
    if (ist !== 0) pointer = longStack(w, 0x24 + 8 * (ist - 1), ext);
    else if (inner) pointer = longStack(w, 4 + 8 * newLevel, ext);
    if (inner) segment = unusable(newLevel);
    pointer &= ~15n;
    if (!canonical(s, offset)) gp('deliver.code', ext);
  } else if (inner) {
    ({ segment, pointer } = innerStack(w, newLevel, ext));
    width = (segment.access & 0x4000) !== 0 ? 4 : 2;
    if (width === 2) pointer = (s.rsp & ~0xffffn) | (pointer & 0xffffn);
  }
  // Above the selector the word is not defined. SDM volume 2, PUSH: a 32-bit push of a segment register may store 16 bits only; same for frames.
  const aboveSelector = ones(size) & ~0xffffn;
  const selectorWord = (word: FrameWord, value: number): Push =>
    pushOf(word, bigOf(value), aboveSelector | (w.open.get(`${word}.rpl`) ?? 0n));
  const pushes: Push[] = [];
  if (v86(s)) for (const name of ['gs', 'fs', 'ds', 'es'] as const) pushes.push(selectorWord(name, s[name].selector));
  if (long || inner)
    pushes.push(selectorWord('ss', s.ss.selector), pushOf('rsp', s.rsp & ones(size), (w.open.get('rsp') ?? 0n) & ones(size)));
  pushes.push(
    pushOf('rflags', BigInt(e.flags) & ones(size), bigOf(e.open) & ones(size)),
    selectorWord('cs', s.cs.selector),
    pushOf('rip', e.rip & ones(size)),
  );
  if (e.error !== undefined) pushes.push(pushOf('error', e.error === 'any' ? 0n : bigOf(e.error), openOfError(w, e.vector, e.error, size)));
  const saved = e.abort ? pushes.map((p) => (p.name === 'error' ? p : pushOf(p.name, p.value, ones(size)))) : pushes;
  const was = s.rflags;
  const oldSs = s.ss;
  const oldCs = s.cs;
  // The frame is written with the rights of the new level.
  s.rflags = bigOf((flagsOf(s) & ~flag.VM) >>> 0);
  if (long) s.cs = loaded(d, (selector & ~3) | newLevel);
  s.ss = segment;
  if (inner && long) s.ss = unusable(newLevel, newLevel);
  let pushed: ReturnType<typeof pushAll>;
  try {
    pushed = pushAll(w, s.ss, pointer, width, size, saved, inner && !long ? named(segment.selector) | ext : ext);
  } catch (thrown) {
    s.rflags = was;
    s.ss = oldSs;
    s.cs = oldCs;
    throw thrown;
  }
  markAccessed(w, d);
  s.rsp = pushed.sp;
  s.cs = loaded(d, (selector & ~3) | newLevel);
  s.ss = inner ? (long ? unusable(newLevel, newLevel) : segment) : oldSs;
  // With an IST and the level unchanged: SS may become null. SDM volume 3, Interrupt Stack Table, against Stack Switching in IA-32e Mode.
  if (ist !== 0 && !inner) leave(w, 'ss.null', BigInt(newLevel));
  s.rip = offset;
  if ((low(was) & flag.VM) !== 0) for (const name of ['gs', 'fs', 'ds', 'es'] as const) s[name] = unusable(0);
  const cleared = flag.TF | flag.NT | flag.RF | flag.VM | ((type & 1) === 0 ? flag.IF : 0);
  s.rflags = bigOf((flagsOf(s) & ~cleared) >>> 0);
  return pushed.frame;
};
