// Which pages a program wrote to, by the dirty flags of the machine's page table: cleared before it runs, read after, and made good then, so that
// comparing costs what the program wrote, not what memory there is. SDM volume 3, Paging: bit 6 of an entry that maps a page.

import type { Assembler } from './assembler.ts';
import { before, caseAt, compared, everywhere, pageTable, resultAt, touched, vars } from './map.ts';
import { unlessVectors, vector, zmm } from './vectors.ts';

const flag = 6;
/** Bit 5 of an entry. */
const accessed = 0x20;
const pages: number = compared >> 12;
/** Bytes an entry; undefined without paging. */
export type EntryWidth = 4 | 8 | undefined;
/** What `vars.dirtyFlags` holds: the flags in a quadword of entries. */
export const dirtyFlags = (width: EntryWidth): bigint => (width === 4 ? 0x40_0000_0040n : 0x40n);

const at = (offset: number) => ({ base: 6, at: offset });
const toTable = (a: Assembler): void => {
  a.put(0xbe);
  a.u32(pageTable); // mov esi, pageTable
};
const loadFlags = (a: Assembler): void => a.memory([0x8b], 2, vars.dirtyFlags, { wide: true }); // mov rdx, [dirtyFlags]

/** The entry that maps the page table itself, by which a program would look at dirty flags. */
const ownEntry = (width: 4 | 8): number => pageTable + (pageTable >> 12) * width;
/** Where all is compared dirty flags are not asked, and stay what they are. */
const unlessEverywhere = (a: Assembler, to: string): void => {
  a.memory([0xf6], 0, vars.thisCase + caseAt.flags, { imm: [everywhere] }); // test byte, imm
  a.put(0x0f, 0x85); // jnz
  a.rel32(to);
};
/** The accessed flag of the page table's own page is cleared too: a program that looks there would see what is the agent's doing, and is told by it.
 *  Clobbers RDX, RSI. */
export const emitClearDirty = (a: Assembler, width: EntryWidth): void => {
  if (width === undefined) return;
  unlessEverywhere(a, 'cleared');
  a.memory([0x80], 4, ownEntry(width), { imm: [~accessed & 0xff] }); // and byte [], imm
  unlessVectors(a, 'clearWords');
  toTable(a);
  for (let i = 0; i < pages * width; i += 64) {
    vector(a, 'andNot', zmm.word, zmm.dirty, at(i));
    vector(a, 'store', zmm.word, 0, at(i));
  }
  a.put(0xe9);
  a.rel32('cleared');
  a.label('clearWords');
  loadFlags(a);
  a.put(0x48, 0xf7, 0xd2); // not rdx
  for (let i = 0; i < pages * width; i += 8) a.memory([0x21], 2, pageTable + i, { wide: true }); // and [], rdx
  a.label('cleared');
};
/** R13: a bit for each page whose flag is set. Then each entry has the flags that it had. R15: the result, which is told whether the page table was
 *  looked at. Clobbers RAX, RDX, RSI, K1. */
export const emitReadDirty = (a: Assembler, width: 4 | 8): void => {
  a.put(0x45, 0x31, 0xed); // xor r13d, r13d
  unlessVectors(a, 'readWords');
  toTable(a);
  for (let i = 0; i < pages * width; i += 64) {
    vector(a, width === 4 ? 'testDoublewords' : 'testWords', 1, zmm.dirty, at(i));
    a.put(0xc5, 0xf8, 0x93, 0xc1); // kmovw eax, k1
    if (i > 0) a.put(0x48, 0xc1, 0xe0, i / width); // shl rax, first page
    a.put(0x49, 0x09, 0xc5); // or r13, rax
    vector(a, 'and', zmm.word, zmm.dirty, at(before + i));
    vector(a, 'or', zmm.word, zmm.word, at(i));
    vector(a, 'store', zmm.word, 0, at(i));
  }
  a.put(0xe9);
  a.rel32('read');
  a.label('readWords');
  for (let page = pages - 1; page >= 0; page--) {
    a.memory([0x0f, 0xba], 4, pageTable + page * width, { imm: [flag] }); // bt dword [], 6
    a.put(0x4d, 0x11, 0xed); // adc r13, r13
  }
  loadFlags(a);
  for (let i = 0; i < pages * width; i += 8) {
    a.memory([0x8b], 0, before + pageTable + i, { wide: true });
    a.put(0x48, 0x21, 0xd0); // and rax, rdx
    a.memory([0x09], 0, pageTable + i, { wide: true });
  }
  a.label('read');
  unlessEverywhere(a, 'lookedAt');
  a.memory([0xf6], 0, ownEntry(width), { imm: [accessed] }); // test byte [], imm
  a.put(0x74, 0x05, 0x41, 0x80, 0x4f, resultAt.stop + 1, touched); // jz; or byte [r15+stop+1], imm
  a.memory([0x8a], 0, before + ownEntry(width)); // mov al, []
  a.put(0x24, accessed); // and al, imm
  a.memory([0x08], 0, ownEntry(width)); // or [], al
  a.label('lookedAt');
};
