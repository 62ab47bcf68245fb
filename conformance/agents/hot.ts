// Which memory nearly all programs write to: lines that are compared after each case, where the rest of their pages waits for the end of a group of
// cases. Only what comparing costs depends on it: what differs elsewhere at a group's end has the group run once more.

import { latePlaces, places } from '../instructions/edges.ts';
import { gdt, ldt, pages, stackTop16, base16, stackTops, tss, tss2, code, data } from '../instructions/layout.ts';
import { compared } from './map.ts';

export const lineSize = 64;
/** Lines, each with what is probably written in it. */
interface Hot {
  readonly name: string;
  /** Looked at only where the page may have been written to. */
  readonly page: number;
  /** Written to by most programs that write to the page. */
  readonly most: readonly number[];
  readonly some: readonly number[];
}
const line = (at: number): number => at & -lineSize;
const stack = stackTops.ring0;
const small = base16 + stackTop16;
/** The stacks of CPL 0: pages of which little is written. */
export const stacks: readonly Hot[] = [
  { name: 'hotStack', page: stack >> 12, most: [stack, stack - 0x800], some: [0x40, 0x200, 0x400, 0x600, 0x840].map((n) => stack - n) },
  { name: 'hotSmall', page: small >> 12, most: [small], some: [small - 0x40, small - 0x80] },
].map((h) => ({ ...h, most: h.most.map(line), some: h.some.map(line) }));
/** Where memory operands of any width stand. */
const operands: readonly number[] = [...places, ...latePlaces].flatMap((place) =>
  [1, 2, 4, 8, 16]
    .flatMap((width) => [place.at(width), place.at(width) + BigInt(width - 1)])
    .filter((at) => at < compared)
    .flatMap((at) => [line(Number(at)), line(Number(at & 0xffffn))]),
);
/** In groups of which all memory is compared: other stacks (of tasks, below the LDT), descriptors, tasks, and where operands stand, and wrap. */
export const others: readonly Hot[] = [
  {
    name: 'hotTables',
    page: 0,
    most: [],
    some: [
      ...[0, 0x40, 0x80, 0xc0, 0x100, 0x140].map((n) => gdt + n),
      ldt - 0x40,
      ldt,
      tss,
      tss + 0x40,
      tss2,
      tss2 + 0x40,
      tss2 + 0x100,
      tss2 + 0x140,
    ],
  },
  {
    name: 'hotData',
    page: 0,
    most: [],
    some: [
      ...operands,
      ...[0x140, 0x180, 0x1c0, 0x10c0].map((n) => data + n),
      code,
      ...[stackTops.ring1, stackTops.ring2].flatMap((n) => [line(n), line(n - 0x100)]),
      ...[0, 0x800].map((n) => line(stackTops.user - n)),
      ...[0, 0x300, 0x340].map((n) => pages.userReadOnly + n),
      ...[pages.absent, pages.spare, base16 + 0x10000].map((n) => n - lineSize),
      base16 + 0x10000,
    ].filter((n, i, all) => all.indexOf(n) === i),
  },
];
const bit = (page: number): bigint => 1n << BigInt(page);
export const stackPages: bigint = stacks.reduce((all, { page }) => all | bit(page), 0n);
export const allPages: bigint = bit(compared >> 12) - 1n;
export const hotLines: readonly number[] = [...stacks, ...others].flatMap(({ most, some }) => [...most, ...some]);
