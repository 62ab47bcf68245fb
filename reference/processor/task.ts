// Decides what a task switch does: which TSS may be gone to, what is saved and loaded, in which order it is checked, in whose context a fault is.
// SDM volume 3, Task Management: Task Switching; Table "Exception Conditions Checked During a Task Switch". IA-32e mode has none.

import { system16, system32, systemWrite } from './access.ts';
import { CR0_PG, CR0_TS, CR4_PAE, DR6_BT, GP, NP, NT, SS_FAULT, TS, UNUSABLE, VM } from './bits.ts';
import { CS, type Cpu, DS, ES, FS, GS, SS } from './cpu.ts';
import {
  accessed,
  accessOf,
  baseOf,
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isNull,
  isPresent,
  isReadable,
  isSegment,
  isWritableData,
  limitOf,
  loadHidden,
  loadNull,
  lookUp,
  typeOf,
} from './descriptor.ts';
import { gp, isFault, raise } from './fault.ts';
import { readFlags, writeFlags } from './flags.ts';
import { loadParagraph, setSeg, settle, settleSegments } from './mode.ts';
import { flushTlb, loadPdptes } from './paging.ts';
import { setBusy } from './segment-load.ts';
import { push } from './stack.ts';

export interface TaskEvent {
  readonly error: number;
  readonly ext: number;
  readonly resume: boolean;
}
type How = 'gate' | 'jump' | 'call' | 'iret';
/** Offsets in a TSS of 32 bits, and of 16. */
const WIDE = { word: 4, ip: 0x20, flags: 0x24, registers: 0x28, segments: 0x48, count: 6, ldt: 0x60, least: 0x67 } as const;
const NARROW = { word: 2, ip: 0x0e, flags: 0x10, registers: 0x12, segments: 0x22, count: 4, ldt: 0x2a, least: 0x2b } as const;
type Layout = typeof WIDE | typeof NARROW;
const layoutOf = (type: number): Layout => ((type & 8) === 0 ? NARROW : WIDE);
const SEGMENTS = [ES, CS, SS, DS, FS, GS] as const;

const read = (c: Cpu, base: number, l: Layout, offset: number): number =>
  l.word === 4 ? system32(c, (base + offset) | 0, 0) : system16(c, (base + offset) | 0, 0);
const write = (c: Cpu, base: number, l: Layout, offset: number, value: number): void =>
  systemWrite(c, (base + offset) | 0, 0, l.word, value);

/** The descriptor of the task to go to. A return finds it busy, everything else available. */
const target = (c: Cpu, selector: number, how: How, ext: number): Descriptor => {
  const error = (selector & 0xfffc) | ext;
  const bad = how === 'iret' ? TS : GP;
  const d = (selector & 4) !== 0 || isNull(selector) ? undefined : lookUp(c, selector);
  if (d === undefined) return raise(bad, error);
  const type = typeOf(d);
  if (isSegment(d) || (type & 5) !== 1 || type === 5 || type === 13) raise(bad, error);
  if (((type & 2) !== 0) !== (how === 'iret')) raise(bad, error);
  if (!isPresent(d)) raise(NP, error);
  if (limitOf(d) < layoutOf(type).least) raise(TS, error);
  return d;
};

const save = (c: Cpu, flags: number): void => {
  const base = c.tr.lo;
  const l = layoutOf(c.tr.access);
  write(c, base, l, l.ip, c.ipLo);
  write(c, base, l, l.flags, flags);
  for (let i = 0; i < 8; i++) write(c, base, l, l.registers + i * l.word, c.r[2 * i]!);
  for (let i = 0; i < l.count; i++) systemWrite(c, (base + l.segments + i * l.word) | 0, 0, 2, c.seg[SEGMENTS[i]!]!.selector);
};

/** The saved instruction pointer of the old task is `c.ip`. */
export const switchTask = (c: Cpu, selector: number, how: How, event?: TaskEvent): void => {
  const d = target(c, selector, how, event?.ext ?? 0);
  const base = baseOf(d);
  const l = layoutOf(typeOf(d));
  const old = c.tr.selector;
  // Everything of the new task is read before the old one is left: a page fault is still the old one's.
  const ip = read(c, base, l, l.ip);
  const flags = read(c, base, l, l.flags);
  const registers = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => read(c, base, l, l.registers + i * l.word));
  const selectors = SEGMENTS.map((_s, i) => (i < l.count ? read(c, base, l, l.segments + i * l.word) & 0xffff : 0));
  const ldt = read(c, base, l, l.ldt) & 0xffff;
  const cr3 = l.word === 4 ? system32(c, (base + 0x1c) | 0, 0) : 0;
  const debugs = l.word === 4 && (system16(c, (base + 0x64) | 0, 0) & 1) !== 0;
  if (how === 'jump' || how === 'iret') {
    const own = lookUp(c, old & 0xfff8);
    if (own !== undefined) setBusy(c, own.atLo, own.atHi, false);
  }
  const kept = readFlags(c) | (event?.resume === true ? 1 << 16 : 0);
  save(c, how === 'iret' ? kept & ~NT : kept);
  const nested = how === 'call' || how === 'gate';
  if (nested) systemWrite(c, base, 0, 2, old);
  if (how !== 'iret') setBusy(c, d.atLo, d.atHi, true);
  setSeg(c.tr, selector, base, 0, limitOf(d), accessOf(d) | 2);
  c.cr0 |= CR0_TS;
  // From here on a fault is the new task's.
  c.moved = true;
  if (l.word === 4 && (c.cr0 & CR0_PG) !== 0) {
    if ((c.cr4 & CR4_PAE) !== 0 && !loadPdptes(c, BigInt(cr3 >>> 0))) raise(TS, selector & 0xfffc);
    c.cr3 = BigInt(cr3 >>> 0);
    flushTlb(c, false);
  }
  // L0 to L3.
  c.dr7 &= ~0x55;
  writeFlags(c, (l.word === 2 ? flags & 0xffff : flags & 0x3f_7fd7) | (nested ? NT : 0));
  for (let i = 0; i < 8; i++) {
    if (l.word === 4) c.r[2 * i] = registers[i]!;
    else c.r16[4 * i] = registers[i]!;
    c.r[2 * i + 1] = 0;
  }
  c.ipLo = ip;
  c.ipHi = 0;
  load(c, selectors, ldt, event?.ext ?? 0);
  // SDM volume 2, INT n (Operation, TASK-GATE): the error code, then the instruction pointer.
  if (event !== undefined && event.error >= 0) pushError(c, event, l.word === 4 ? 32 : 16);
  if (ip >>> 0 > c.seg[CS].limit) gp(event?.ext ?? 0);
  if (debugs) c.debug |= DR6_BT;
  c.moved = false;
  c.attention = 1;
};

/** Where the stack has no room: #SS(EXT). */
const pushError = (c: Cpu, { error, ext }: TaskEvent, size: 16 | 32): void => {
  try {
    push(c, error, 0, size);
  } catch (thrown) {
    if (isFault(thrown) && thrown.vector === SS_FAULT) thrown.error = ext;
    throw thrown;
  }
};
/** Segment registers of the new task: first the selectors, then one after the other what they name. */
const load = (c: Cpu, selectors: readonly number[], ldt: number, ext: number): void => {
  for (let i = 0; i < 6; i++) {
    c.seg[SEGMENTS[i]!]!.selector = selectors[i]!;
    c.seg[SEGMENTS[i]!]!.access |= UNUSABLE;
  }
  const virtual = (c.flags & VM) !== 0;
  const cs = selectors[1]!;
  c.cpl = virtual ? 3 : cs & 3;
  setSeg(c.ldtr, ldt, 0, 0, 0, UNUSABLE);
  if (!isNull(ldt)) {
    const d = (ldt & 4) === 0 ? lookUp(c, ldt) : undefined;
    if (d === undefined || isSegment(d) || typeOf(d) !== 2 || !isPresent(d)) return raise(TS, (ldt & 0xfffc) | ext);
    setSeg(c.ldtr, ldt, baseOf(d), 0, limitOf(d), accessOf(d));
  }
  settle(c);
  if (virtual) {
    for (let i = 0; i < 6; i++) loadParagraph(c, SEGMENTS[i]!, selectors[i]!);
    settle(c);
    return;
  }
  settleSegments(c);
  loadCode(c, cs, ext);
  loadStackOf(c, selectors[2]!, ext);
  settle(c);
  for (const i of [0, 3, 4, 5]) loadDataOf(c, SEGMENTS[i]!, selectors[i]!, ext);
};
const find = (c: Cpu, selector: number, ext: number): Descriptor => lookUp(c, selector) ?? raise(TS, (selector & 0xfffc) | ext);
const loadCode = (c: Cpu, selector: number, ext: number): void => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) raise(TS, error);
  const d = find(c, selector, ext);
  const rpl = selector & 3;
  if (!isCode(d) || (isConforming(d) ? dplOf(d) > rpl : dplOf(d) !== rpl)) raise(TS, error);
  if (!isPresent(d)) raise(NP, error);
  loadHidden(c.seg[CS], accessed(c, d), selector);
};
const loadStackOf = (c: Cpu, selector: number, ext: number): void => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) raise(TS, error);
  const d = find(c, selector, ext);
  if (!isWritableData(d) || dplOf(d) !== c.cpl || (selector & 3) !== c.cpl) raise(TS, error);
  if (!isPresent(d)) raise(SS_FAULT, error);
  loadHidden(c.seg[SS], accessed(c, d), selector);
};
const loadDataOf = (c: Cpu, index: number, selector: number, ext: number): void => {
  const error = (selector & 0xfffc) | ext;
  if (isNull(selector)) {
    loadNull(c.seg[index]!, selector);
    return;
  }
  const d = find(c, selector, ext);
  if (!isReadable(d)) raise(TS, error);
  if (!isConforming(d) && (dplOf(d) < c.cpl || dplOf(d) < (selector & 3))) raise(TS, error);
  if (!isPresent(d)) raise(NP, error);
  loadHidden(c.seg[index]!, accessed(c, d), selector);
};
/** IRET with NT set: back to the task whose selector the present TSS holds. */
export const returnTask = (c: Cpu): void => switchTask(c, system16(c, c.tr.lo, 0), 'iret');
