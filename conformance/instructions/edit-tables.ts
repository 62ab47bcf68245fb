// Edits of descriptor tables, gates, the TSS and paging structures, by number. Intel SDM volume 3: Segment Descriptors; IDT Descriptors;
// Call-Gate Descriptors; Task-State Segment; Hierarchical Paging Structures.

import { byteAt, type Desk, put, putWord } from './desk.ts';
import { entryAt } from './furniture.ts';
import * as at from './layout.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;

export const descriptorEdit = (d: Desk, name: at.SelectorName, how: number): void => {
  const where = at.gdt + at.selectors[name];
  // The first descriptors carry an agent as well as the handlers.
  if (at.selectors[name] < at.selectors.userCode32) return;
  const access = byteAt(d, where + 5);
  const edits: readonly (readonly [offset: number, value: number])[] = [
    [5, access & ~0x80],
    [5, access & ~0x60],
    [5, access | 0x60],
    [5, access ^ 0x20],
    [5, access ^ 2],
    [5, access ^ 4],
    [5, access ^ 8],
    [5, access & ~0x10],
    [5, access & ~1],
    [6, byteAt(d, where + 6) ^ 0x40],
    [6, byteAt(d, where + 6) ^ 0x20],
    [6, byteAt(d, where + 6) ^ 0x80],
    [0, 0x0f],
    [2, byteAt(d, where + 2) ^ 0x10],
  ];
  const [offset, value] = pick(edits, how);
  put(d, where + offset, Uint8Array.of(value));
};
export const gateEdit = (d: Desk, vector: number, how: number): void => {
  if (d.mode === 'real') return;
  const where = at.idt + vector * (d.long ? 16 : 8);
  const access = byteAt(d, where + 5);
  const edits: readonly (readonly [offset: number, value: number])[] = [
    [5, access & ~0x80],
    [5, access ^ 0x60],
    [5, access | 1],
    [5, (access & 0xf0) | 0x5],
    [5, (access & 0xf0) | 0x6],
    [5, (access & 0xf0) | 0xc],
    [2, 0],
    [2, at.selectors.kernelData],
    [2, at.selectors.code1],
    [2, at.selectors.absentCode],
    // A handler that stays at the level of the interrupted code could not run at a stop, which is supervisor code.
    [2, d.cpl === 0 ? at.selectors.conforming0 : 0],
    [4, 1],
    [3, 0x10],
  ];
  const [offset, value] = pick(edits, how);
  put(d, where + offset, Uint8Array.of(value));
};
export const tssEdit = (d: Desk, a: number): void => {
  if (d.mode === 'real') return;
  const values = [
    0n,
    BigInt(at.pages.absent + 0x800),
    BigInt(at.pages.supervisorReadOnly + 0x800),
    0x8000_0000_0000_0000n,
    BigInt(at.stackTops.ring0 + 4),
  ];
  // The stack of ring 0, or of ring 1, whose handlers’ own stack stays good.
  const ring = a < 32 ? 0 : 8;
  if (a % 8 < 5) putWord(d, at.tss + 4 + ring, pick(values, a % 8), d.long ? 8 : 4);
  else if (a % 8 === 5 && !d.long)
    putWord(d, at.tss + 8 + ring, BigInt(pick([0, at.selectors.userData | 3, at.selectors.absentData, at.selectors.data1 | 1], a >> 3)), 2);
  else putWord(d, at.tss + 0x66, pick([0xe7n, 0xe8n, 0xe9n, 0xffffn, 0x60n], a >> 3), 2);
};

/** Call gates: not present, other levels, other targets, parameters, a second half that is none. */
export const callGateEdit = (d: Desk, gate: number, how: number): void => {
  const where = at.gdt + pick([at.selectors.callGate3, at.selectors.callGate0, at.selectors.callGate16, at.selectors.callGate3], gate);
  const access = byteAt(d, where + 5);
  const { selectors } = at;
  const to = (selector: number): readonly (readonly [offset: number, value: number])[] => [
    [2, selector & 0xff],
    [3, selector >> 8],
  ];
  const list: readonly (readonly (readonly [offset: number, value: number])[])[] = [
    [[5, access & ~0x80]],
    to(0),
    to(selectors.kernelData),
    to(selectors.absentCode),
    to(selectors.code1),
    to(selectors.conforming0),
    to(selectors.userCode32),
    to(at.gdtLimit + 1),
    [[5, access ^ 0x60]],
    [[5, (access & ~0x60) | 0x20]],
    [[4, 2]],
    [[4, 31]],
    d.long ? [[13, 1]] : to(selectors.code2),
    d.long ? [[10, 0x80]] : [[7, 0xff]],
    to(selectors.codeLongAndBig),
    [[5, (access & 0xf0) | 4]],
  ];
  for (const [offset, value] of pick(list, how)) put(d, where + offset, Uint8Array.of(value));
};
/** Entries above the page tables, for the aliases of memory: pages of 2 or 4 MBytes, a second parent of the page table, a page of 1 GByte. */
export const upperEdit = (d: Desk, which: number, how: number): void => {
  const paging = d.machine.cpu?.paging ?? 'none';
  if (paging === 'none') return;
  const narrow = paging === '32-bit';
  const width = narrow ? 4 : 8;
  const shift = narrow ? 22 : 21;
  // P, R/W, U/S; then each toggled, A, D, PS, G, PAT, reserved and frame bits.
  const bits = [9, 0, 1, 2, 5, 6, 7, 8, 12, 13, 20, 21, 46, 51, 52, 63];
  const bit = pick(bits, how);
  const flip = bit > 31 && narrow ? 0n : 1n << BigInt(bit);
  if (which === 0) {
    if (narrow && d.cpu.has.includes('pse')) d.s.cr4 |= 0x10n;
    putWord(d, at.pageDirectory + width * (at.aliases.large >> shift), 0x87n ^ flip, width);
  } else if (which === 1) putWord(d, at.pageDirectory + width * (at.aliases.parent >> shift), BigInt(at.pageTable | 7) ^ flip, width);
  else if (which === 3) {
    if (d.long) putWord(d, at.pml4 + 8, BigInt(at.pdpt | 7) ^ flip, 8);
  } else if (d.long) putWord(d, at.pdpt + 8 * (at.aliases.huge / 0x40000000), 0x87n ^ flip, 8);
};
/** Vectors of a virtual-8086 program that has a vector table of its own at 0, which it may read; one bit of the redirection bitmap, which lies below the
 *  I/O map of the TSS, sends a vector back to the IDT. SDM volume 3, Class 3—Software Interrupt Handling in Virtual-8086 Mode. */
export const redirectEdit = (d: Desk, a: number, b: number): void => {
  if (d.mode !== 'v86') return;
  const vectors = [3, 4, 0x21, 0x80, 0, 1, 13, 8, 0x30, 0x81, 0xff, 14, 2];
  const entry = entryAt(0, '32-bit');
  if (b < 15) put(d, entry, Uint8Array.of(byteAt(d, entry) | 4));
  for (const vector of vectors) putWord(d, at.ivt + 4 * vector, BigInt((0x1010 << 16) | (0x200 + vector)), 4);
  const directed = pick(vectors, a);
  if (b % 3 === 1) put(d, at.tss + 0x48 + (directed >> 3), Uint8Array.of(1 << (directed & 7)));
  if (b % 3 === 2) put(d, at.tss + 0x48, new Uint8Array(28).fill(0xff));
};
/** A task to switch to in the second TSS, and a way back to it in the first: registers of its own, segments by `a`, flags by `b`.
 *  SDM volume 3, Task-State Segment (TSS); Task Linking. */
export const taskEdit = (d: Desk, a: number, b: number): void => {
  if (d.old || d.long) return;
  const { selectors } = at;
  const [code, data] = pick(
    [
      [selectors.kernelCode32, selectors.kernelData],
      [selectors.userCode32 | 3, selectors.userData | 3],
      [selectors.code1 | 1, selectors.data1 | 1],
      [selectors.userCode32 | 3, selectors.userData | 3],
    ],
    a,
  ) as [number, number];
  const flags = pick([0x202n, 0x2n, 0x4202n, 0x3202n, 0x40202n, 0x8d7n, 0x240602n, 0x202n], b);
  // One piece: a word a piece would be most of the program.
  const bytes = new Uint8Array(0x68);
  const view = new DataView(bytes.buffer);
  const field = (offset: number, value: number | bigint): void => view.setUint32(offset, Number(value), true);
  for (const [level, [top, selector]] of [
    [at.stackTops.ring0 - 0x200, selectors.kernelData],
    [at.stackTops.ring1, selectors.data1 | 1],
    [at.stackTops.ring2, selectors.data2 | 2],
  ].entries() as IterableIterator<[number, [number, number]]>) {
    field(4 + 8 * level, top);
    field(8 + 8 * level, selector);
  }
  field(0x1c, d.s.cr3);
  field(0x20, pick([at.code + 0x200, at.code + 0x201, at.data + 0x900], a >> 2));
  field(0x24, flags);
  for (let n = 0; n < 8; n++) field(0x28 + 4 * n, n === 4 ? at.stackTops.user - 0x800 : 0x8123_4567 + 0x1111_1111 * n);
  const odd = [selectors.readOnly, selectors.conforming3, selectors.unaccessed | 3, 0, data, data, data, data];
  const names = [pick(odd, a >> 4), code, data, pick(odd, b), data, pick(odd, (a >> 3) + b)];
  for (const [n, selector] of names.entries()) field(0x48 + 4 * n, selector);
  field(0x60, b % 3 === 1 ? 0 : selectors.ldt);
  view.setUint16(0x66, 0x68, true);
  put(d, at.tss2, bytes);
  // Of the first TSS the link, for IRET: to one that is busy, or to one that cannot be returned to.
  putWord(
    d,
    at.tss,
    BigInt(pick([selectors.busyTss, selectors.busyTss, selectors.busyTss, selectors.otherTss, selectors.ldt, 0, 0x7ff8], b)),
    2,
  );
  if (b === 9 || b === 10) descriptorEdit(d, a % 2 === 0 ? 'otherTss' : 'busyTss', b === 9 ? 0 : 12);
};
/** The last page of the lower half is the code page, so that instructions end before, at and behind what is canonical. */
export const highEdit = (d: Desk): void => {
  if (d.mode !== 'long64' || d.machine.cpu?.paging !== '4-level') return;
  putWord(d, at.pml4 + 8 * 255, BigInt(at.pdpt | 7), 8);
  putWord(d, at.pdpt + 8 * 511, BigInt(at.pageDirectory | 7), 8);
  putWord(d, at.pageDirectory + 8 * 511, BigInt(at.pageTable | 7), 8);
  putWord(d, at.pageTable + 8 * 511, BigInt(at.code | 7), 8);
};
