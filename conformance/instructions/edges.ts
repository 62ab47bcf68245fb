// Values at which processors go wrong: operands, addresses, selectors, error codes. Choices name them by index, so that shrinking is choosing
// an earlier one. Intel SDM volume 1, Canonical Addressing; volume 3, Limit Checking.

import * as at from './layout.ts';

const ones = (bits: number): bigint => (1n << BigInt(bits)) - 1n;
/** Operand values: ordinary ones first. */
export const operands: readonly bigint[] = [
  0x1n,
  0x0n,
  0x2n,
  0x12345678n,
  ones(64),
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  ones(15),
  1n << 15n,
  ones(16),
  1n << 16n,
  ones(31),
  1n << 31n,
  ones(32),
  1n << 32n,
  ones(63),
  1n << 63n,
  0x1fn,
  0x20n,
  0x3fn,
  0x40n,
  0x8080808080808080n,
  0x5555555555555555n,
  0xffffffff80000000n,
  0xffffffffffffff80n,
  0xfffffffffffffff8n,
  0x9an,
  0x99n,
];

/** Where a memory operand of `width` bytes is put: an address to aim at, linear. `kind` is what a signature says. */
export interface Place {
  readonly kind: string;
  readonly at: (width: number) => bigint;
  /** Cannot be reached with 32-bit addresses. */
  readonly only64?: true;
  /** Not to be used where paging is off or rights do not matter. */
  readonly paged?: true;
}
const end = (page: number) => (width: number) => BigInt(page + 0x1000 - width);
export const places: readonly Place[] = [
  { kind: 'data', at: () => BigInt(at.data + 0x100) },
  { kind: 'unaligned', at: () => BigInt(at.data + 0x103) },
  { kind: 'page end', at: end(at.data) },
  { kind: 'across pages', at: (w) => BigInt(at.data + 0x1000 - (w >> 1)) },
  { kind: 'code page', at: () => BigInt(at.code + 0x800) },
  { kind: 'read-only', at: () => BigInt(at.pages.userReadOnly + 0x10), paged: true },
  { kind: 'supervisor', at: () => BigInt(at.pages.supervisor + 0x10), paged: true },
  { kind: 'absent', at: () => BigInt(at.pages.absent + 0x10), paged: true },
  { kind: 'into absent', at: (w) => BigInt(at.pages.absent - (w >> 1)), paged: true },
  { kind: 'into read-only', at: (w) => BigInt(at.pages.userReadOnly - (w >> 1)), paged: true },
  { kind: 'fresh', at: () => BigInt(at.pages.fresh + 0x20), paged: true },
  { kind: 'edited page', at: () => BigInt(at.pages.spare + 0x20), paged: true },
  { kind: 'supervisor read-only', at: () => BigInt(at.pages.supervisorReadOnly + 0x10), paged: true },
  { kind: 'not mapped', at: () => BigInt(at.memorySize + 0x100000), paged: true },
  { kind: 'small limit', at: (w) => BigInt(at.data + 0x1000 - w) },
  { kind: 'past small limit', at: (w) => BigInt(at.data + 0x1001 - w) },
  { kind: 'below canonical hole', at: (w) => (1n << 47n) - BigInt(w), only64: true, paged: true },
  { kind: 'into canonical hole', at: (w) => (1n << 47n) - BigInt(w >> 1), only64: true, paged: true },
  { kind: 'non-canonical', at: () => 1n << 47n, only64: true, paged: true },
  { kind: 'above canonical hole', at: () => 0xffff800000000000n, only64: true, paged: true },
  { kind: 'top of the address space', at: (w) => 0x10000000000000000n - BigInt(w), only64: true, paged: true },
  { kind: 'before absent', at: (w) => BigInt(at.pages.absent - 2 * w), paged: true },
  // Mapped where an edit has laid an entry there: a page of 2 or 4 MBytes; second ways to the page table and to all tables; a page of 1 GByte.
  { kind: 'large page', at: () => BigInt(at.aliases.large + at.data + 0x100), paged: true },
  { kind: 'second parent', at: () => BigInt(at.aliases.parent + at.data + 0x140), paged: true },
  { kind: 'second top entry', at: () => BigInt(at.aliases.top + at.data + 0x1c0), only64: true, paged: true },
  { kind: 'gigabyte page', at: () => BigInt(at.aliases.huge + at.data + 0x180), only64: true, paged: true },
];

/** Places that only late recipes draw, numbered after the others. Around 4 GBytes an edit maps two pages. */
export const latePlaces: readonly Place[] = [
  { kind: 'end before absent', at: (w) => BigInt(at.pages.absent - w), paged: true },
  { kind: 'across 4 GBytes', at: (w) => 0x1_0000_0000n - BigInt(w >> 1), only64: true, paged: true },
  { kind: 'end at 4 GBytes', at: (w) => 0x1_0000_0000n - BigInt(w), only64: true, paged: true },
  { kind: 'from 4 GBytes', at: () => 0x1_0000_0000n, only64: true, paged: true },
  { kind: 'out of absent', at: (w) => BigInt(at.pages.absent + 0x1000 - (w >> 1)), paged: true },
];

/** Selectors to load, by the names of the layout; requested privilege levels are chosen apart. */
export const loadable: readonly at.SelectorName[] = Object.keys(at.selectors) as at.SelectorName[];
/** Selectors that name nothing: past the limit, LDT entries and past it. */
export const oddSelectors: readonly number[] = [0x4, 0xc, 0x14, 0x1c, 0x24, at.gdtLimit + 1, at.gdtLimit - 7, 0xfff8, 0x3];
