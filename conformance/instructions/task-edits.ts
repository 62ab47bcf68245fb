// Edits that only the last recipes draw: tasks of 32 and of 16 bits to switch to and from, what can be wrong with one, and task gates in the IDT.
// Intel SDM volume 3: 32-Bit Task-State Segment (TSS); 16-Bit Task-State Segment (TSS); Task-Gate Descriptor; Stack Switching.

import type { Tweak, TweakKind } from './choice.ts';
import { byteAt, type Desk, put, putWord } from './desk.ts';
import * as at from './layout.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
const { selectors } = at;
/** A stop that no gate leads to: where a task of supervisor code may start. */
const firstStop = Number(at.stops.at) + at.stops.stride * 0xc0;
/** Offsets in a TSS of 32 bits, and of 16. */
const wide = { word: 4, ip: 0x20, flags: 0x24, registers: 0x28, selectors: 0x48, count: 6, ldt: 0x60, limit: 0x67 } as const;
const narrow = { word: 2, ip: 0x0e, flags: 0x10, registers: 0x12, selectors: 0x22, count: 4, ldt: 0x2a, limit: 0x2c } as const;

/** Code, stack and start of the new task, each for a TSS of 32 and of 16 bits: supervisor code at a stop, user code, supervisor code, ring 1. */
const starts = [
  [
    [selectors.kernelCode32, selectors.kernelData, firstStop, at.stackTops.ring0 - 0x400],
    [selectors.kernelCode32, selectors.kernelData16, firstStop, at.stackTop16],
  ],
  [
    [selectors.userCode32 | 3, selectors.userData | 3, at.code + 0x200, at.stackTops.user - 0x800],
    [selectors.userCode16 | 3, selectors.userData16 | 3, 0x200, at.stackTop16],
  ],
  [
    [selectors.kernelCode32, selectors.kernelData, at.code + 0x200, at.stackTops.ring0 - 0x400],
    [selectors.kernelCode16, selectors.kernelData16, 0x200, at.stackTop16],
  ],
  [
    [selectors.code1 | 1, selectors.data1 | 1, at.code + 0x200, at.stackTops.ring1],
    [selectors.code1 | 1, selectors.data1 | 1, firstStop, at.stackTops.ring1],
  ],
] as const;
const flagImages = [0x202, 0x2, 0x4202, 0x3202, 0x8d7, 0x602, 0x40202, 0x240602] as const;

const layInnerStacks = (view: DataView, word: 2 | 4): void => {
  for (const [level, [top, selector]] of [
    [at.stackTops.ring0 - 0x200, selectors.kernelData],
    [at.stackTops.ring1, selectors.data1 | 1],
    [at.stackTops.ring2, selectors.data2 | 2],
  ].entries() as IterableIterator<[number, [number, number]]>) {
    if (word === 4) view.setUint32(4 + 8 * level, top, true);
    else view.setUint16(2 + 4 * level, top, true);
    view.setUint16(word + 2 * word * level + word, selector, true);
  }
};
/** Whether an edit makes the second TSS one of 16 bits. */
export const isNarrow = (edit: Tweak | undefined): boolean => edit?.kind === 'new-task' && (edit.a & 1) === 1;
/** The second TSS. `a`: of 16 bits (bit 0), which task (2:1), whose data segments (5:3); `b`: its flags. */
const newTask = (d: Desk, a: number, b: number): void => {
  if (d.mode === 'real' || d.long) return;
  const l = (a & 1) === 0 ? wide : narrow;
  const [code, stack, start, top] = pick(starts, a >> 1)[a & 1] as readonly [number, number, number, number];
  const bytes = new Uint8Array(l.limit + 1);
  const view = new DataView(bytes.buffer);
  const field = (offset: number, value: number): void =>
    l.word === 4 ? view.setUint32(offset, value, true) : view.setUint16(offset, value & 0xffff, true);
  layInnerStacks(view, l.word);
  if (l.word === 4) field(0x1c, Number(d.s.cr3));
  field(l.ip, start);
  field(l.flags, pick(flagImages, b));
  for (let n = 0; n < 8; n++) field(l.registers + l.word * n, n === 4 ? top : 0x8123_4567 + 0x1111_1111 * n);
  const rpl = code & 3;
  const data = pick([selectors.userData | rpl, selectors.conforming3, selectors.unaccessed | rpl, 0, 3], a >> 3);
  const names = [data, code, stack, selectors.userData | rpl, selectors.readOnly | rpl, data];
  for (let n = 0; n < l.count; n++) field(l.selectors + l.word * n, pick(names, n));
  field(l.ldt, b % 3 === 1 ? 0 : selectors.ldt);
  if (l.word === 4) view.setUint16(0x66, 0x68, true);
  put(d, at.tss2, bytes);
  for (const [name, type] of [
    [selectors.otherTss, 9],
    [selectors.busyTss, 11],
  ] as const) {
    put(d, at.gdt + name, Uint8Array.of(l.limit, 0));
    put(d, at.gdt + name + 5, Uint8Array.of(0x80 | (l.word === 4 ? type : type & 7)));
  }
  // The link of the first TSS, for IRET.
  putWord(d, at.tss, BigInt(selectors.busyTss), 2);
};
/** One thing wrong with the second TSS: a selector in it, or its limit; two at times. */
const oddTask = (d: Desk, a: number): void => {
  if (d.mode === 'real' || d.long) return;
  const isWide = (byteAt(d, at.gdt + selectors.otherTss + 5) & 8) !== 0;
  const l = isWide ? wide : narrow;
  const [ES, CS, SS, DS, FS] = [0, 1, 2, 3, 4] as const;
  const rpl = byteAt(d, at.tss2 + l.selectors + l.word * CS) & 3;
  const list: readonly (readonly (readonly [slot: number | 'ldt' | 'limit', value: number])[])[] = [
    [[ES, selectors.absentData | rpl]],
    [[DS, selectors.kernelData | 3]],
    [[SS, selectors.readOnly | rpl]],
    [[SS, selectors.absentData | 3]],
    [[CS, selectors.kernelData | rpl]],
    [[CS, selectors.absentCode | rpl]],
    [[DS, (at.gdtLimit + 1) | rpl]],
    [['ldt', selectors.kernelData]],
    [['ldt', selectors.absentLdt]],
    [[SS, selectors.userData]],
    [[isWide ? FS : ES, selectors.executeOnly | rpl]],
    [
      [ES, 0x7ff8],
      [SS, selectors.readOnly | rpl],
    ],
    [[CS, rpl]],
    [[SS, rpl]],
    [[CS, selectors.kernelCode32 | 3]],
    [[CS, selectors.conforming0 | rpl]],
    [[CS, selectors.conforming3]],
    [['limit', l.limit - 1]],
    [['limit', l.limit - 2]],
    [['ldt', selectors.ldt | 4]],
    [[DS, selectors.tss]],
    [[SS, selectors.data1 | rpl]],
  ];
  for (const [slot, value] of pick(list, a)) {
    if (slot === 'limit') {
      put(d, at.gdt + selectors.otherTss, Uint8Array.of(value));
      put(d, at.gdt + selectors.busyTss, Uint8Array.of(value));
    } else putWord(d, at.tss2 + (slot === 'ldt' ? l.ldt : l.selectors + l.word * slot), BigInt(value), 2);
  }
};
/** The running task has a TSS of 16 bits. */
const ownTask = (d: Desk): void => {
  if (d.mode === 'real' || d.mode === 'v86' || d.long) return;
  const bytes = new Uint8Array(14);
  const view = new DataView(bytes.buffer);
  layInnerStacks(view, 2);
  view.setUint16(2, at.stackTops.ring0, true);
  view.setUint16(0, byteAt(d, at.tss) | (byteAt(d, at.tss + 1) << 8), true);
  put(d, at.tss, bytes);
  put(d, at.gdt + selectors.tss + 5, Uint8Array.of(0x83));
  d.s.tr = { ...d.s.tr, access: d.s.tr.access & ~8 };
};
/** Which event the gate is for. */
export const gateVector = ({ a }: Pick<Tweak, 'a'>): number => pick([0x21, 3, 6, 13, 0x20, 8, 14, 4, 0, 0x80, 1, 12, 17], a);
/** A task gate in the IDT, open to ring 3 unless `b` says otherwise. */
const taskGate = (d: Desk, a: number, b: number): void => {
  if (d.mode === 'real' || d.long) return;
  const vector = gateVector({ a });
  const to = pick(
    [
      ...new Array<number>(9).fill(selectors.otherTss),
      selectors.busyTss,
      selectors.ldt,
      0,
      at.gdtLimit + 1,
      selectors.otherTss | 4,
      selectors.otherTss | 3,
      selectors.otherTss,
    ],
    b,
  );
  const access = b === 15 ? 0x65 : b === 8 ? 0x85 : 0xe5;
  put(d, at.idt + vector * 8, Uint8Array.of(0xcc, 0xcc, to & 0xff, to >> 8, 0xcc, access, 0xcc, 0xcc));
};
const VM = 0x20000;
const TF = 0x100;
const virtualImages = [0x202, 0x3202, 0x2, 0x7202, 0x243202, 0x80202, 0x13ed7, 0x40002] as const;
/** The second TSS starts its task in virtual-8086 mode, in code: no agent can go on at a stop there. */
const toVirtual = (d: Desk, b: number): void => {
  const paragraph = (n: number): number => pick([0x1000, 0x1400, 0x1111, 0x1234, 0xffff, 0], n);
  putWord(d, at.tss2 + wide.ip, 0x200n, 4);
  putWord(d, at.tss2 + wide.flags, BigInt(VM | pick(virtualImages, b)), 4);
  putWord(d, at.tss2 + wide.registers + 16, pick([0x7ff0n, 0x1_7ff0n, 0x8000n], b), 4);
  const list = [paragraph(b), 0x1000, pick([0x1000, 0x1100], b), paragraph(b + 1), paragraph(b + 2), paragraph(b + 3)];
  for (const [n, value] of list.entries()) putWord(d, at.tss2 + wide.selectors + 4 * n, BigInt(value), 2);
};
/** What the task of the second TSS starts with: the debug trap flag, TF before an INT3 or a NOP, virtual-8086 mode, an instruction pointer past its code,
 *  a stack without room. */
const taskFlags = (d: Desk, a: number, b: number): void => {
  if (d.mode === 'real' || d.long) return;
  const isWide = (byteAt(d, at.gdt + selectors.otherTss + 5) & 8) !== 0;
  const flagsAt = at.tss2 + (isWide ? wide : narrow).flags;
  const what = pick(
    [
      ['trap'],
      ['step'],
      ['step', 'nop'],
      ['virtual'],
      ['virtual', 'trap'],
      ['step', 'trap'],
      ['past'],
      ['virtual', 'step', 'nop'],
      ['full'],
    ] as const,
    a,
  ) as readonly string[];
  if (what.includes('virtual') && isWide) toVirtual(d, b);
  // A TSS of 16 bits has no such flag, whatever stands there.
  if (what.includes('trap')) putWord(d, at.tss2 + 0x64, 1n, 2);
  if (what.includes('step')) put(d, flagsAt + 1, Uint8Array.of(byteAt(d, flagsAt + 1) | (TF >> 8)));
  if (what.includes('nop')) put(d, at.code + 0x200, Uint8Array.of(0x90));
  if (what.includes('full')) {
    // No room for an error code: its last byte would lie past the end of a stack of 64 KBytes.
    const rpl = byteAt(d, at.tss2 + (isWide ? wide : narrow).selectors + (isWide ? 4 : 2)) & 3;
    const l = isWide ? wide : narrow;
    putWord(d, at.tss2 + l.registers + 4 * l.word, 1n, l.word);
    if (rpl === 0 || rpl === 3)
      putWord(d, at.tss2 + l.selectors + 2 * l.word, BigInt(rpl === 0 ? selectors.kernelData16 : selectors.userData16 | 3), 2);
  }
  if (what.includes('past') && isWide) {
    const rpl = (byteAt(d, at.tss2 + wide.selectors + 4) & 3) === 0 ? 0 : 3;
    const [code, stack] = rpl === 0 ? [selectors.kernelCode16, selectors.kernelData] : [selectors.userCode16 | 3, selectors.userData | 3];
    putWord(d, at.tss2 + wide.selectors + 4, BigInt(code), 2);
    putWord(d, at.tss2 + wide.selectors + 8, BigInt(stack), 2);
    putWord(d, at.tss2 + wide.ip, pick([0x10000n, 0xffff_ffffn], b), 4);
  }
};
/** A third task, of supervisor code at a stop of its own, that handles what a new task's segments run into. */
const thirdTask = (d: Desk, a: number, b: number): void => {
  if (d.mode === 'real' || d.long) return;
  const tss3 = at.tss2 + 0x100;
  // The entry behind that of the second TSS: the half of it that IA-32e mode would have.
  const selector = selectors.otherTss + 8;
  const bytes = new Uint8Array(wide.limit + 1);
  const view = new DataView(bytes.buffer);
  layInnerStacks(view, 4);
  view.setUint32(0x1c, Number(d.s.cr3), true);
  view.setUint32(wide.ip, firstStop + at.stops.stride, true);
  view.setUint32(wide.flags, pick([0x2, 0x8d7, 0x3002], b), true);
  for (let n = 0; n < 8; n++) view.setUint32(wide.registers + 4 * n, n === 4 ? at.stackTops.ring0 - 0x600 : 0x3010_2030 + n, true);
  const names = [selectors.kernelData, selectors.kernelCode32, selectors.kernelData, selectors.userData, 0, selectors.kernelData];
  for (const [n, value] of names.entries()) view.setUint16(wide.selectors + 4 * n, value, true);
  view.setUint16(wide.ldt, selectors.ldt, true);
  view.setUint16(0x66, 0x68, true);
  put(d, tss3, bytes);
  put(d, at.gdt + selector, Uint8Array.of(wide.limit, 0, tss3 & 0xff, tss3 >> 8, 0, 0x89, 0, 0));
  for (const vector of pick([[8, 10, 11, 12, 13], [10, 11, 12], [8]], a))
    put(d, at.idt + vector * 8, Uint8Array.of(0, 0, selector & 0xff, selector >> 8, 0, 0x85, 0, 0));
};
/** Applied before operands are laid out. */
export const taskState = (d: Desk, kind: TweakKind, a: number, b: number): void => {
  switch (kind) {
    case 'new-task':
      newTask(d, a, b);
      return;
    case 'odd-task':
      oddTask(d, a);
      return;
    case 'own-task':
      ownTask(d);
      return;
    case 'task-flags':
      taskFlags(d, a, b);
      return;
    case 'third-task':
      thirdTask(d, a, b);
      return;
    case 'task-gate':
      taskGate(d, a, b);
      return;
    default:
      return;
  }
};
