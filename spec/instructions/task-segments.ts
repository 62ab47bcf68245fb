// The segments of a task that is gone to: loaded where nothing is wrong with any, else the faults that are reported in the new task.
// Intel SDM volume 3, Task Switching (step 13 and the note on the commit point); table Exception Conditions Checked During a Task Switch; Interrupt 10.

import { place } from './access.ts';
import { ones, segments } from './bits.ts';
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
import { cpl, type Fault, leave, own, undecided, v86, type Work } from './work.ts';

type Name = (typeof segments)[number];
/** What is wrong with a segment of the new task, as vectors: which of several is reported is the model's own. */
const wrong = (name: Name, selector: number, d: Descriptor | undefined, level: number): readonly number[] => {
  if (isNull(selector)) return name === 'cs' || name === 'ss' ? [10] : [];
  if (d === undefined) return [10];
  const rpl = rplOf(selector);
  const absent = d.present ? [] : [name === 'ss' ? 12 : 11];
  if (name === 'cs') {
    if (!isCode(d)) return [10];
    // The table has the DPL of code match its RPL; Interrupt 10 excepts conforming code, as Bochs does and QEMU does not.
    if (isConforming(d) && d.dpl < rpl) undecided('conforming code of a more privileged level in a new task');
    return d.dpl !== rpl ? [10, ...absent] : absent;
  }
  if (name === 'ss') {
    if (!isWritable(d)) return [10];
    return d.dpl !== level || rpl !== level ? [10, ...absent] : absent;
  }
  if (!d.s || !isReadable(d)) return [10];
  return !isConforming(d) && (d.dpl < level || d.dpl < rpl) ? [10, ...absent] : absent;
};
const localTable = (w: Work, ldt: number, ext: number): Fault | undefined => {
  if (isNull(ldt)) {
    w.s.ldtr = unusable(ldt);
    return undefined;
  }
  const d = (ldt & 4) === 0 ? lookup(w, ldt) : undefined;
  if (d !== undefined && !d.s && d.type === 2 && d.present) {
    w.s.ldtr = { selector: ldt, base: baseOf(d.raw), limit: limitOf(d.raw), access: d.access };
    return undefined;
  }
  w.s.ldtr = unusable(ldt);
  return { vector: 10, error: named(ldt) | ext, rule: 'task.segments' };
};
/** What the register holds but for its selector is not said. */
const unknown = (w: Work, name: Name | 'ldtr'): void => {
  leave(w, `${name}.access`);
  leave(w, `${name}.base`);
  leave(w, `${name}.limit`);
};

/** In virtual-8086 mode a selector is a paragraph, and nothing of it can be wrong. SDM volume 3, Entering Virtual-8086 Mode; Segment Descriptors there. */
const loadParagraphs = (w: Work, selectors: readonly number[]): void => {
  for (const [n, name] of segments.entries()) {
    const selector = selectors[n] as number;
    w.s[name] = { selector, base: BigInt(selector) << 4n, limit: 0xffff, access: 0xf3 };
  }
};
/** Sets the segment registers of the new task; `count`: how many of them its TSS has. What is wrong stands in `w.troubles`. */
export const loadSegments = (w: Work, selectors: readonly number[], ldt: number, count: number, ext: number): void => {
  const { s } = w;
  const bad = localTable(w, ldt, ext);
  if (v86(s)) {
    if (bad !== undefined) undecided('a task in virtual-8086 mode whose LDT cannot be loaded');
    loadParagraphs(w, selectors);
    return;
  }
  if (bad !== undefined && selectors.some((n) => (n & 4) !== 0)) undecided('a task whose segments lie in an LDT that cannot be loaded');
  const code = selectors[1] as number;
  const level = rplOf(code);
  // Descriptors are read at the level of the new task's code.
  s.ss = unusable(selectors[2] as number, level);
  const found = segments.map((name, n) => {
    const selector = selectors[n] as number;
    const d = isNull(selector) ? undefined : lookup(w, selector);
    return { name, selector, d, wrong: wrong(name, selector, d, level) };
  });
  const faults: Fault[] = bad === undefined ? [] : [bad];
  for (const f of found) {
    const error = named(f.selector) | ext;
    for (const vector of f.wrong)
      if (!faults.some((g) => g.vector === vector && g.error === error)) faults.push({ vector, error, rule: 'task.segments' });
  }
  for (const [n, { name, selector, d }] of found.entries()) {
    const segment: Segment = d === undefined || faults.length > 0 ? unusable(selector, name === 'ss' ? level : 0) : loaded(d, selector);
    s[name] = segment;
    // A TSS of 16 bits has no FS and GS: what they hold afterwards is not said.
    if (n >= count) {
      leave(w, `${name}.selector`, ones(2));
      unknown(w, name);
    }
    if (faults.length > 0) unknown(w, name);
    if (d === undefined || n >= count) continue;
    if (faults.length === 0) markAccessed(w, d);
    else if (d.s && (d.type & 1) === 0) w.tried = own(w.tried).set(place(w, d.at + 5n, 1, { write: true, implicit: true })[0] as number, 0);
  }
  w.troubles = faults;
  if (faults.length > 0) {
    unknown(w, 'ldtr');
    // Both are due before the first instruction.
    if (w.taskTrap) undecided('a task with the debug trap flag whose segments cannot be loaded');
    return;
  }
  if (cpl(s) !== level) undecided('a task whose stack and code differ in level');
};
