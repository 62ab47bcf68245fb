// What a switch of tasks checks, saves and loads: by CALL, JMP and IRET, and by an event through a task gate. TSSs of 32 and of 16 bits.
// Intel SDM volume 3, Task Management: Task Switching; table Exception Conditions Checked During a Task Switch; Task Linking; 32-Bit and 16-Bit TSS.

import { place, readTable, save, writeTable } from './access.ts';
import { cr0, cr4, flag, gpr, ones, segments, statusFlags } from './bits.ts';
import { baseOf, type Descriptor, isNull, limitOf, lookup, named } from './descriptors.ts';
import { loadSegments } from './task-segments.ts';
import { cr0Of, cr4Of, flagsOf, leave, low, np, own, raise, undecided, v86, type Work } from './work.ts';

export type How = 'jump' | 'call' | 'iret' | 'gate';
/** Where the fields of a TSS lie. One of 16 bits has neither CR3 nor a trap flag, nor FS and GS. */
interface Layout {
  readonly word: 2 | 4;
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly selectors: number;
  /** How many of the segment registers it has, in their order. */
  readonly count: number;
  readonly ldt: number;
  /** The least limit. */
  readonly least: number;
}
const layouts: { readonly wide: Layout; readonly narrow: Layout } = {
  wide: { word: 4, ip: 0x20, flags: 0x24, registers: 0x28, selectors: 0x48, count: 6, ldt: 0x60, least: 0x67 },
  narrow: { word: 2, ip: 0x0e, flags: 0x10, registers: 0x12, selectors: 0x22, count: 4, ldt: 0x2a, least: 0x2b },
};
const layoutOf = (type: number): Layout => ((type & 8) !== 0 ? layouts.wide : layouts.narrow);
const LINK = 0;
const CR3 = 0x1c;
const TRAP = 0x64;
/** Local breakpoint enables of DR7; and LE, which no processor since the P6 family has, so that no page says what becomes of it. */
const LOCAL = 0x55n;
const LE = 0x100n;
const kept = statusFlags | flag.TF | flag.IF | flag.DF | flag.IOPL | flag.NT | flag.RF | flag.VM | flag.AC | flag.VIF | flag.VIP | flag.ID;

const isTss = (d: Descriptor): boolean => !d.s && (d.type & 5) === 1;
/** The TSS descriptor of the task to go to: available, or busy for a return. */
const taskOf = (w: Work, selector: number, how: How, ext: number): Descriptor => {
  const error = named(selector) | ext;
  const refuse = (): never => raise({ vector: how === 'iret' ? 10 : 13, error, rule: 'task.refused' });
  if (isNull(selector) || (selector & 4) !== 0) refuse();
  const d = lookup(w, selector) ?? refuse();
  if (!isTss(d) || ((d.type & 2) !== 0) !== (how === 'iret')) refuse();
  if (!d.present) np('task.refused', error);
  const { least } = layoutOf(d.type);
  if (limitOf(d.raw) < least) raise({ vector: 10, error, rule: 'task.refused' });
  // 44 bytes are what it has (Task Switching, the table); Interrupt 10 and 16-Bit TSS ask for a limit of 2CH.
  if (least === layouts.narrow.least && limitOf(d.raw) === least) undecided('a TSS of 16 bits whose limit is its last byte');
  return d;
};
const linear = (base: bigint, offset: number): bigint => (base + BigInt(offset)) & 0xffffffffn;
const setType = (w: Work, d: Descriptor, type: number, how: How): void =>
  writeTable(w, d.at + 5n, 1, BigInt((d.access & 0xf0) | type), how === 'gate' ? 'task' : 'descriptor');

/** What the old task goes on with when it is come back to. */
export interface Left {
  readonly rip: bigint;
  readonly flags: number;
  /** Bits of those flags that are left open. */
  readonly open: number;
  /** EXT of error codes. */
  readonly ext: number;
}
/** Where the old task's instruction pointer, flags and code selector were saved, and the size of a word there and in the new task's TSS. */
export interface Saved {
  readonly rip: number;
  readonly rflags: number;
  readonly cs: number;
  readonly word: 2 | 4;
  readonly next: 2 | 4;
}
/** Places of a word of the old TSS, found before anything is written: until all can be, the old task goes on. */
interface Field {
  readonly places: readonly number[];
  readonly size: 2 | 4;
  readonly value: bigint;
  readonly loose: bigint;
}
const fieldsOf = (w: Work, l: Layout, how: How, left: Left): readonly Field[] => {
  const { s } = w;
  const field = (offset: number, size: 2 | 4, value: bigint, loose = 0n): Field => ({
    places: place(w, linear(s.tr.base, offset), size, { write: true, implicit: true }),
    size,
    value: value & ones(size),
    loose: loose & ones(size),
  });
  const flags = left.flags & ~(how === 'iret' ? flag.NT : 0);
  const list = [field(l.ip, l.word, left.rip), field(l.flags, l.word, BigInt(flags), BigInt(left.open) | (w.open.get('rflags') ?? 0n))];
  for (let n = 0; n < 8; n++) {
    const name = gpr[n] as 'rax';
    list.push(field(l.registers + l.word * n, l.word, s[name], w.open.get(name)));
  }
  for (let n = 0; n < l.count; n++) {
    const at = l.selectors + l.word * n;
    list.push(field(at, 2, BigInt(s[segments[n] as 'es'].selector)));
    // Above a selector the word is reserved.
    if (l.word === 4) list.push(field(at + 2, 2, 0n, 0xffffn));
  }
  return list;
};

/** A task that could not be loaded is left again: what was open of its registers stands, open, in its TSS. */
const forget = (w: Work): void => {
  const open = own(w.open);
  for (const name of gpr) open.delete(name);
  for (const name of [...segments, 'ldtr']) for (const part of ['selector', 'access', 'base', 'limit']) open.delete(`${name}.${part}`);
  open.delete('rflags');
};
/** The task of `selector` in place of the running one. */
export const switchTask = (w: Work, selector: number, how: How, left: Left): Saved => {
  const { s } = w;
  const d = taskOf(w, selector, how, left.ext);
  const l = layoutOf(d.type);
  const before = layoutOf(s.tr.access);
  if (s.tr.limit < before.least) undecided('a TSS of its own that is too small');
  if ((low(s.dr7) & 0xff) !== 0) undecided('breakpoints over a task switch');
  // A task in virtual-8086 mode must have a TSS of 32 bits (Structure of a Virtual-8086 Task): what becomes of one that has not is not told.
  if (v86(s) && before.word === 2) undecided('a task in virtual-8086 mode whose own TSS has 16 bits');
  const old = s.tr;
  const base = baseOf(d.raw);
  const read = (offset: number, size: number): bigint => readTable(w, linear(base, offset), size);
  const image = low(read(l.flags, l.word));
  const trapped = l.word === 4 && (read(TRAP, 2) & 1n) !== 0n;
  if ((image & flag.RF) !== 0) undecided('a task whose first instruction no breakpoint stops');
  const registers = Array.from({ length: 8 }, (_, n) => read(l.registers + l.word * n, l.word));
  const selectors = segments.map((_, n) => (n < l.count ? Number(read(l.selectors + l.word * n, 2)) : 0));
  const [eip, ldt] = [read(l.ip, l.word), Number(read(l.ldt, 2))];
  const cr3Image = l.word === 4 ? read(CR3, 4) : s.cr3;
  const paging = (cr0Of(s) & cr0.PG) !== 0;
  if (paging && cr3Image !== s.cr3) undecided('a task with page tables of its own');
  if (paging && l.word === 4 && (cr4Of(s) & cr4.PCIDE) !== 0) undecided('CR3 of a task under CR4.PCIDE');
  const fields = fieldsOf(w, before, how, left);
  if (fields.some(({ places }) => places.length > 2)) undecided('a TSS across pages');

  // The old task: not busy any more unless the new one is nested in it; its registers in its TSS.
  const mine = lookup(w, old.selector);
  if (mine === undefined || baseOf(mine.raw) !== old.base) undecided('a task register whose descriptor is another');
  else if (how === 'jump' || how === 'iret') setType(w, mine, mine.type & ~2, how);
  for (const { places, size, value, loose } of fields) {
    save(w, places, size, value, loose);
    if (how === 'gate') for (let k = 0; k < size; k++) w.marks = own(w.marks).set((places[0] as number) + k, 'task');
  }
  const nested = how === 'call' || how === 'gate';
  if (nested) writeTable(w, base, 2, BigInt(old.selector), how === 'gate' ? 'task' : undefined);
  const now = how === 'iret' ? d : (lookup(w, selector) as Descriptor);
  if (how !== 'iret') setType(w, now, now.type | 2, how);

  // The new task.
  if (how === 'gate' && w.troubles.length > 0) forget(w);
  w.troubles = [];
  w.taskTrap = trapped;
  s.tr = { selector, base, limit: limitOf(d.raw), access: d.access | 2 };
  s.cr0 |= BigInt(cr0.TS);
  s.dr7 &= ~LOCAL;
  leave(w, 'dr7', s.dr7 & LE);
  // The steps of the switch load CR3; whether without paging too is not said.
  if (!paging && cr3Image !== s.cr3) leave(w, 'cr3');
  for (let n = 0; n < 8; n++) {
    const name = gpr[n] as 'rax';
    s[name] = registers[n] as bigint;
    // Upper halves are modified and not maintained (16-Bit TSS).
    if (l.word === 2) leave(w, name, 0xffff0000n);
  }
  if (how !== 'gate') w.flagsWritten |= kept;
  s.rflags = BigInt((image & kept) | 2 | (nested ? flag.NT : 0));
  // Of the upper half of EFLAGS nothing is said but that VM is cleared (Entering Virtual-8086 Mode), and that all of it is lost when it is saved.
  if (l.word === 2) leave(w, 'rflags', BigInt(flag.RF | flag.AC | flag.VIF | flag.VIP | flag.ID));
  s.rip = eip;
  w.moved = true;
  w.walks.length = 0;
  loadSegments(w, selectors, ldt, l.count, left.ext);
  // #GP is of the new task: what follows the switch on the pages of CALL, JMP and INT n, and what its first instruction runs into.
  if (w.troubles.length === 0 && eip > BigInt(s.cs.limit)) {
    if (trapped || v86(s)) undecided('a task that starts past its code segment');
    w.troubles = [{ vector: 13, error: left.ext, rule: 'far.offset' }];
  }
  const at = (n: number): number => (fields[n] as Field).places[0] as number;
  return { rip: at(0), rflags: at(1), cs: at(10 + (before.word === 4 ? 2 : 1)), word: before.word, next: l.word };
};
/** A switch that an instruction asks for: it is left at `next`. Whether RF, where the instruction began with it set, is in what is saved is not said. */
export const goToTask = (w: Work, selector: number, how: 'jump' | 'call' | 'iret', next: bigint): void => {
  const flags = flagsOf(w.s);
  switchTask(w, selector, how, { rip: next, flags, open: flags & flag.RF, ext: 0 });
};
/** IRET with NT set. */
export const returnToTask = (w: Work, next: bigint): void => goToTask(w, Number(readTable(w, linear(w.s.tr.base, LINK), 2)), 'iret', next);
