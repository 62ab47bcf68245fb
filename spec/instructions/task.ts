// What a switch of tasks by CALL, JMP or IRET checks, saves and loads, where everything that the new task names can be used.
// Intel SDM volume 3, Task Management: Task Switching; table Exception Conditions Checked During a Task Switch; Task Linking; 32-Bit TSS.

import { place, readTable, save, writeTable } from './access.ts';
import { cr0, cr4, flag, gpr, segments, statusFlags } from './bits.ts';
import {
  baseOf,
  type Descriptor,
  isCode,
  isConforming,
  isNull,
  isReadable,
  isWritable,
  limitOf,
  loaded,
  lookup,
  markAccessed,
  named,
  rplOf,
  unusable,
} from './descriptors.ts';
import type { Segment } from './vocabulary.ts';
import { cpl, cr0Of, cr4Of, flagsOf, gp, leave, low, np, raise, undecided, type Work } from './work.ts';

type How = 'jump' | 'call' | 'iret';
/** 32-bit TSS: offsets of its fields, and the least limit. */
const LINK = 0;
const CR3 = 0x1c;
const EIP = 0x20;
const EFLAGS = 0x24;
const GPRS = 0x28;
const SELECTORS = 0x48;
const LDT = 0x60;
const TRAP = 0x64;
const LEAST = 0x67;
const LEAST16 = 0x2b;
/** Local breakpoint enables of DR7; and LE, which no processor since the P6 family has, so that no page says what becomes of it. */
const LOCAL = 0x55n;
const LE = 0x100n;
const kept = statusFlags | flag.TF | flag.IF | flag.DF | flag.IOPL | flag.NT | flag.RF | flag.VM | flag.AC | flag.VIF | flag.VIP | flag.ID;

const isTss = (d: Descriptor): boolean => !d.s && (d.type & 5) === 1;
/** The TSS descriptor of the task to go to: available, or busy for a return. */
const taskOf = (w: Work, selector: number, how: How): Descriptor => {
  const refuse = (): never =>
    how === 'iret' ? raise({ vector: 10, error: named(selector), rule: 'task.refused' }) : gp('task.refused', named(selector));
  if (isNull(selector) || (selector & 4) !== 0) refuse();
  const d = lookup(w, selector) ?? refuse();
  if (!isTss(d) || ((d.type & 2) !== 0) !== (how === 'iret')) refuse();
  if (!d.present) np('task.refused', named(selector));
  if (limitOf(d.raw) < ((d.type & 8) !== 0 ? LEAST : LEAST16)) raise({ vector: 10, error: named(selector), rule: 'task.refused' });
  if ((d.type & 8) === 0 || (w.s.tr.access & 8) === 0) undecided('a TSS of 16 bits');
  if (w.s.tr.limit < LEAST) undecided('a TSS of its own that is too small');
  return d;
};
const linear = (base: bigint, offset: number): bigint => (base + BigInt(offset)) & 0xffffffffn;
const setType = (w: Work, d: Descriptor, type: number): void => writeTable(w, d.at + 5n, 1, BigInt((d.access & 0xf0) | type), 'descriptor');

/** A segment register of the new task. What is wrong with it is a fault of the new task, half of which is loaded: nothing is told of it. */
const segmentOf = (w: Work, name: string, selector: number, level: number): Segment => {
  const bad = (): never => undecided('a task whose segments cannot be loaded');
  if (isNull(selector)) return name === 'cs' || name === 'ss' ? bad() : unusable(selector);
  const d = lookup(w, selector) ?? bad();
  const rpl = rplOf(selector);
  if (!d.present) bad();
  if (name === 'cs') {
    if (!isCode(d) || (isConforming(d) ? d.dpl > rpl : d.dpl !== rpl)) bad();
  } else if (name === 'ss') {
    if (!isWritable(d) || d.dpl !== level || rpl !== level) bad();
  } else if (!d.s || !isReadable(d) || (!isConforming(d) && (d.dpl < level || d.dpl < rpl))) bad();
  markAccessed(w, d);
  return loaded(d, selector);
};
/** `next`: what the old task goes on with when it is come back to. */
export const switchTask = (w: Work, selector: number, how: How, next: bigint): void => {
  const { s } = w;
  const d = taskOf(w, selector, how);
  if ((low(s.dr7) & 0xff) !== 0) undecided('breakpoints over a task switch');
  const old = s.tr;
  const base = baseOf(d.raw);
  const read = (offset: number, size: number): bigint => readTable(w, linear(base, offset), size);
  const image = low(read(EFLAGS, 4));
  if ((read(TRAP, 2) & 1n) !== 0n) undecided('the debug trap flag of a TSS');
  if ((image & (flag.VM | flag.RF | flag.TF)) !== 0) undecided('a task in virtual-8086 mode, or one that is traced');
  const registers = Array.from({ length: 8 }, (_, n) => read(GPRS + 4 * n, 4));
  const selectors = segments.map((_, n) => Number(read(SELECTORS + 4 * n, 2)));
  const [eip, ldt, cr3Image] = [read(EIP, 4), Number(read(LDT, 2)), read(CR3, 4)];
  const paging = (cr0Of(s) & cr0.PG) !== 0;
  if (paging && cr3Image !== s.cr3) undecided('a task with page tables of its own');
  if (paging && (cr4Of(s) & cr4.PCIDE) !== 0) undecided('CR3 of a task under CR4.PCIDE');

  // The old task: not busy any more unless the new one is nested in it; its registers in its TSS.
  const own = lookup(w, old.selector);
  if (own === undefined || baseOf(own.raw) !== old.base) undecided('a task register whose descriptor is another');
  else if (how !== 'call') setType(w, own, own.type & ~2);
  const write = (offset: number, size: number, value: bigint, loose = 0n): void =>
    save(w, place(w, linear(old.base, offset), size, { write: true, implicit: true }), size, value, loose);
  write(EIP, 4, next);
  // Whether RF, where the instruction began with it set, is in what is saved is not said.
  write(EFLAGS, 4, BigInt(flagsOf(s) & ~(how === 'iret' ? flag.NT : 0)), BigInt(flagsOf(s) & flag.RF));
  for (let n = 0; n < 8; n++) write(GPRS + 4 * n, 4, s[gpr[n] as 'rax'] & 0xffffffffn);
  for (const [n, name] of segments.entries()) {
    write(SELECTORS + 4 * n, 2, BigInt(s[name].selector));
    // Above a selector the word is reserved.
    write(SELECTORS + 4 * n + 2, 2, 0n, 0xffffn);
  }
  if (how === 'call') writeTable(w, base, 2, BigInt(old.selector));
  const now = how === 'iret' ? d : (lookup(w, selector) as Descriptor);
  if (how !== 'iret') setType(w, now, now.type | 2);

  // The new task.
  s.tr = { selector, base, limit: limitOf(d.raw), access: d.access | 2 };
  s.cr0 |= BigInt(cr0.TS);
  s.dr7 &= ~LOCAL;
  leave(w, 'dr7', s.dr7 & LE);
  // The steps of the switch load CR3; whether without paging too is not said.
  if (!paging && cr3Image !== s.cr3) leave(w, 'cr3');
  for (let n = 0; n < 8; n++) s[gpr[n] as 'rax'] = registers[n] as bigint;
  w.flagsWritten |= kept;
  s.rflags = BigInt((image & kept) | 2 | (how === 'call' ? flag.NT : 0));
  if (isNull(ldt)) s.ldtr = unusable(ldt);
  else {
    const table = (ldt & 4) === 0 ? lookup(w, ldt) : undefined;
    if (table === undefined || table.s || table.type !== 2 || !table.present) return undecided('a task whose LDT cannot be loaded');
    s.ldtr = { selector: ldt, base: baseOf(table.raw), limit: limitOf(table.raw), access: table.access };
  }
  const level = rplOf(selectors[1] as number);
  w.walks.clear();
  // Descriptors are read at the level of the new task's code.
  const [es, cs, ss, ds, fs, gs] = segments.map((name, n) => segmentOf(w, name, selectors[n] as number, level)) as [
    Segment,
    Segment,
    Segment,
    Segment,
    Segment,
    Segment,
  ];
  Object.assign(s, { es, cs, ss, ds, fs, gs });
  if (eip > BigInt(cs.limit)) undecided('a task that starts past its code segment');
  s.rip = eip;
  w.moved = true;
  if (cpl(s) !== level) undecided('a task whose stack and code differ in level');
};
/** IRET with NT set. */
export const returnToTask = (w: Work, next: bigint): void =>
  switchTask(w, Number(readTable(w, linear(w.s.tr.base, LINK), 2)), 'iret', next);
