// Edits that only late recipes draw: pages around 4 GBytes, breakpoints that are not enabled, inner stacks and I/O maps that a TSS names badly, second
// halves of descriptors. Intel SDM volume 3: 4-Level Paging; Debug Control Register (DR7); Stack Switching; I/O Permission Bit Map; volume 1, Canonical Addressing.

import type { Tweak, TweakKind } from './choice.ts';
import { byteAt, type Desk, put, putWord } from './desk.ts';
import * as at from './layout.ts';
import { taskState } from './task-edits.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;

/** Whether the code of the case lies there too. */
export const at4G = (d: Desk, { a }: Tweak): boolean => d.mode === 'long64' && a % 2 === 1;
/** Free memory among the tables. */
const spareDirectory = 0xb000;
/** The page below 4 GBytes is the code page; for code the page above it is the one that follows. */
const around4G = (d: Desk, code: boolean): void => {
  if (d.mode !== 'long64') return;
  const down = (where: number, to: number): void => putWord(d, where, BigInt(to | 7), 8);
  down(at.pdpt + 8 * 3, at.pageDirectory);
  down(at.pageDirectory + 8 * 511, at.pageTable);
  down(at.pageTable + 8 * 511, at.code);
  down(at.pageTable, at.code + 0x1000);
  if (code) down(at.pdpt + 8 * 4, at.pageDirectory);
  else {
    // Operands that run over the boundary go on in page 0 of memory, which is another than the page at linear address 0.
    down(at.pdpt + 8 * 4, spareDirectory);
    down(spareDirectory, 0x80);
    putWord(d, 0, 0x2827_2625_2423_2221n, 8);
    putWord(d, at.code + 0x1000, 0x1817_1615_1413_1211n, 8);
  }
};
/** SS of an inner level in a TSS of 32 bits: past the table, in the LDT, null, of another level, not writable, not present. */
const innerStack = (d: Desk, a: number, b: number): void => {
  if (d.old || d.long) return;
  const { selectors } = at;
  const level = a % 3;
  const values = [
    at.gdtLimit + 1,
    0x7ff8,
    0x14,
    0x4,
    0x1c,
    0x24,
    level,
    selectors.kernelData | 1,
    selectors.data1 | level,
    selectors.readOnly | level,
    selectors.kernelCode32,
    selectors.absentData | level,
    selectors.tss,
    selectors.kernelData16,
    selectors.unaccessed | 3,
    selectors.expandDown | level,
  ];
  putWord(d, at.tss + 8 + 8 * level, BigInt(pick(values, b) | (pick(values, b) > 0x150 ? level : 0)), 2);
};
/** Without paging: IA-32e mode is enabled, and not active; with what keeps it from being activated, by `a`: CS.L, a TSS of 16 bits. In IA-32e mode:
 *  CR4.PCIDE (1), CR3 as it may be without it (2), a stack of SYSENTER in the upper half (4). */
const activation = (d: Desk, a: number): void => {
  const { s } = d;
  if (d.long) {
    if (d.cpu.has.includes('pcid') && (a & 1) !== 0) s.cr4 |= 1n << 17n;
    else if ((a & 2) !== 0) s.cr3 |= 0x18n;
    if ((a & 4) !== 0) s.sysenterEsp |= 0xffff_8000_0000_0000n;
  } else if ((s.cr0 & (1n << 31n)) === 0n && d.mode !== 'real') {
    s.efer |= 0x100n;
    if (a !== 0) s.cr4 |= 0x20n;
    if ((a & 1) !== 0) s.cs = { ...s.cs, access: s.cs.access | 0x2000 };
    if ((a & 2) !== 0) s.tr = { ...s.tr, access: s.tr.access & ~8 };
  }
};
/** Applied before operands are laid out. */
export const lateState = (d: Desk, kind: TweakKind, a: number, b: number): void => {
  switch (kind) {
    case 'four-gigabyte':
      around4G(d, at4G(d, { kind, a, b }));
      return;
    case 'inner-stack':
      innerStack(d, a, b);
      return;
    case 'io-map':
      if (d.mode !== 'real') putWord(d, at.tss + 0x66, BigInt(pick([0, 0x10, 0x48, 0x50, 0x58, 0x5a, 0x5b, 0x5c], b)), 2);
      return;
    case 'upper-half': {
      // The type field of the second half of a 16-byte descriptor must be 0; an upper base that is not canonical.
      if (!d.long) return;
      const selector = pick([at.selectors.otherTss, at.selectors.ldt, at.selectors.callGate3, at.selectors.callGate0], a);
      const [offset, value] = pick(
        [
          [13, 1],
          [13, 0x10],
          [10, 0x80],
          [12, 1],
          [13, 2],
        ] as const,
        b,
      );
      put(d, at.gdt + selector + offset, Uint8Array.of(byteAt(d, at.gdt + selector + offset) | value));
      return;
    }
    case 'gate-target': {
      // A handler past the limit of its segment, or at an address that is not canonical.
      if (d.mode === 'real') return;
      const gate = at.idt + pick([3, 6, 0x21, 13, 14, 0x80], a) * (d.long ? 16 : 8);
      if (d.long) put(d, gate + pick([9, 10, 11], b), Uint8Array.of(pick([0x80, 0xff], b >> 2)));
      else put(d, gate + 2, Uint8Array.of(at.selectors.kernelCode16, 0, 0, byteAt(d, gate + 5), pick([1, 2, 0xff], b), 0));
      return;
    }
    case 'lme':
      activation(d, a);
      return;
    default:
      taskState(d, kind, a, b);
  }
};
/** Applied after operands are laid out. */
export const overLate = (d: Desk, kind: TweakKind, a: number, b: number): void => {
  const { s } = d;
  if (kind === 'null-stack') {
    // The stack selector of a frame of far RET (a even) or IRET, for operands of 4 or 8 bytes (b).
    if (d.old || d.mode === 'prot16') return;
    const size = b % 2 === 0 ? 4 : 8;
    putWord(d, s.ss.base + s.rsp + BigInt(size * (a % 2 === 0 ? 3 : 4)), BigInt((b >> 1) & 3), size);
    return;
  }
  if (kind !== 'idle-breakpoint') return;
  const n = (a >> 4) & 3;
  const how = pick([0x1, 0x3, 0xd, 0xf, 0x5, 0x7, 0x0], b);
  const places = [s.cs.base + s.rip, BigInt(at.data + 0x100), BigInt(at.data + 0x104), s.ss.base + s.rsp, BigInt(at.data + 0x200)];
  s[(['dr0', 'dr1', 'dr2', 'dr3'] as const)[n] as 'dr0'] = pick(places, a & 15) & (d.mode === 'long64' ? ~0n : 0xffff_ffffn);
  // Neither L nor G; another one is enabled at times, where nothing is.
  s.dr7 |= BigInt(how) << BigInt(16 + 4 * n);
  if ((b & 8) !== 0) s.dr7 |= 2n << BigInt(2 * ((n + 1) & 3));
};
