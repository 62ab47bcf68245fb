// Edits of state and tables that make a plain case a hard one. An edit that means nothing in the mode, or that the processor has no feature for,
// is left out. Bits: Intel SDM volume 3, Control Registers; EFLAGS Register; Segment Descriptors; Paging; IDT Descriptors.

import type { CpuFeature } from '../../spec/instructions/vocabulary.ts';
import type { Tweak } from './choice.ts';
import { byteAt, codeWidth, type Desk, fit, holdable, put, putWord, segmentFor } from './desk.ts';
import { loadable } from './edges.ts';
import { at4G, lateState, overLate } from './late-edits.ts';
import { callGateEdit, descriptorEdit, gateEdit, highEdit, redirectEdit, taskEdit, tssEdit, upperEdit } from './edit-tables.ts';
import { entryAt } from './furniture.ts';
import * as at from './layout.ts';

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
const paged = (d: Desk): boolean => (d.s.cr0 & (1n << 31n)) !== 0n;

/** TF, IF, DF, AC, NT, RF, ID, CF, ZF, SF, OF, PF, AF, VIF, VIP. */
const flags = [8, 9, 10, 18, 14, 16, 21, 0, 6, 7, 11, 2, 4, 19, 20];
/** WP, AM, TS, EM, MP, NE; toggled. WP and AM alone can be off where paging is on. */
const cr0Bits = [16, 18, 3, 2, 1, 5];
const cr4Bits: readonly (readonly [bit: number, feature?: CpuFeature])[] = [
  [11, 'umip'],
  [2, 'tsd'],
  [8],
  [20, 'smep'],
  [21, 'smap'],
  [3, 'de'],
  [0, 'vme'],
  [1, 'vme'],
  [16, 'fsgsbase'],
  [7, 'pge'],
  [9],
  [4, 'pse'],
];
const dataRegisters = ['ds', 'es', 'fs', 'gs', 'ss'] as const;
/** Pages by name, those that programs reach. */
const pageList: readonly number[] = [
  at.pages.spare,
  at.data,
  at.code,
  at.pages.userReadOnly,
  0x21000,
  0xd000,
  at.pages.fresh,
  at.pages.noExecute,
];
/** P, R/W, U/S, PWT, PCD, A, D, PAT, G, then reserved ones: XD where it is not enabled, and bits past the physical width. */
const pageBits = [0, 1, 2, 5, 6, 8, 3, 4, 63, 51, 46, 36];

const toggle = (d: Desk, where: number, bit: number): void =>
  put(d, where + (bit >> 3), Uint8Array.of(byteAt(d, where + (bit >> 3)) ^ (1 << (bit & 7))));

const high = (d: Desk, tweaks: readonly Tweak[]): boolean =>
  d.mode === 'long64' && d.machine.cpu?.paging === '4-level' && tweaks.some((t) => t.kind === 'high');

/** Applied before operands are laid out. */
export const early = (d: Desk, { kind, a, b }: Tweak): void => {
  const { s } = d;
  switch (kind) {
    case 'flag': {
      const bit = BigInt(pick(flags, a));
      s.rflags ^= 1n << bit;
      return;
    }
    case 'iopl':
      s.rflags = (s.rflags & ~0x3000n) | (BigInt(a & 3) << 12n);
      return;
    case 'cr0':
      if (d.mode !== 'real' || a % cr0Bits.length > 1) s.cr0 ^= 1n << BigInt(pick(cr0Bits, a));
      return;
    case 'cr4': {
      const [bit, feature] = pick(cr4Bits, a);
      if (feature === undefined || d.cpu.has.includes(feature)) s.cr4 ^= 1n << BigInt(bit);
      return;
    }
    case 'segment': {
      const name = pick(dataRegisters, b);
      const selector = d.old
        ? pick([0x1000, 0x1400, 0x1800, 0x0fff], a)
        : at.selectors[pick(loadable, a)] | (d.cpl === 0 && (b & 8) === 0 ? 0 : 3);
      const segment = segmentFor(d, selector);
      const level = (segment.access >> 5) & 3;
      const stack = name === 'ss';
      // SS must be writable, at the current level; others must not be more privileged than the code that could have loaded them.
      if (
        stack
          ? (segment.access & 0x1009a) !== 0x92 || level !== d.cpl || (selector & 3) !== d.cpl
          : !holdable(segment) ||
            ((segment.access & 0x1000c) < 0xc && level < Math.max(d.cpl, selector & 3) && (segment.access & 0x10000) === 0)
      ) {
        if (!d.old) return;
      }
      s[name] = segment;
      return;
    }
    case 'descriptor':
      descriptorEdit(d, pick(loadable, a), b);
      return;
    case 'page':
      if (paged(d))
        toggle(
          d,
          entryAt(pick(pageList, a), d.machine.cpu?.paging ?? 'none'),
          pick(pageBits, b) & (d.machine.cpu?.paging === '32-bit' ? 31 : 63),
        );
      return;
    case 'gate':
      gateEdit(d, pick([3, 13, 14, 6, 0x80, 12, 1, 0x21, 11, 17, 8, 0, 4], a), b);
      return;
    case 'port':
      if (d.mode !== 'real') toggle(d, at.tss + 0x68, a * 16 + b);
      return;
    case 'tss':
      tssEdit(d, a);
      return;
    case 'call-gate':
      if (d.mode !== 'real' && d.mode !== 'v86') callGateEdit(d, a, b);
      return;
    case 'upper':
      upperEdit(d, a % 4, b);
      return;
    case 'task':
      taskEdit(d, a, b);
      return;
    case 'redirect':
      redirectEdit(d, a, b);
      return;
    case 'high':
      highEdit(d);
      return;
    case 'table':
      if (a % 3 === 0)
        s.gdtr = { base: s.gdtr.base, limit: pick([at.gdtLimit - 8, at.selectors.userCode64 + 6, at.selectors.tss + 7, 0x5f], b) };
      else if (a % 3 === 1)
        s.idtr = {
          base: s.idtr.base,
          limit: pick([13, 14, 3, 0, 8, 12], b) * (d.mode === 'real' ? 4 : d.long ? 16 : 8) + pick([-1, 0, 3], a) + 1,
        };
      else s.sysenterCs = pick([0n, 3n, BigInt(at.selectors.userCode32), 0xffffn], b);
      return;
    default:
      lateState(d, kind, a, b);
  }
};

/** Applied after operands are laid out: what would be laid over otherwise. */
export const late = (d: Desk, { kind, a, b }: Tweak): void => {
  const { s } = d;
  switch (kind) {
    case 'stack': {
      const in16 = d.old || d.mode === 'prot16';
      const tops = in16
        ? [1n, 0n, 2n, 3n, 0xffffn, 0x8004n, 0xa000n, 0x9002n]
        : [
            BigInt(at.pages.absent + 0x1000),
            BigInt(at.pages.absent + 4),
            BigInt(at.pages.userReadOnly + 0x800),
            1n,
            BigInt(at.data + 0x203),
            0n,
            ...(d.mode === 'long64' ? [1n << 47n, (1n << 47n) - 4n, 0xffff_8000_0000_0004n] : [0xffff_fffen]),
          ];
      s.rsp = pick(tops, a);
      return;
    }
    case 'register': {
      const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsi', 'rdi', 'rbp'] as const;
      s[pick(names, a)] = pick(
        [0n, 0xffff_ffffn, 0x8000_0000n, 0xffffn, 0x10000n, d.mode === 'long64' ? 1n << 63n : 5n, BigInt(at.data)],
        b,
      );
      return;
    }
    case 'frame': {
      // One word of what is on the stack: a flag more, another address, another selector.
      const size = d.long && d.mode === 'long64' ? 8 : d.old || d.mode === 'prot16' ? 2 : 4;
      const where =
        s.ss.base +
        (s.rsp & (d.mode === 'long64' ? 0xffff_ffff_ffff_ffffn : (s.ss.access & 0x4000) !== 0 ? 0xffff_ffffn : 0xffffn)) +
        BigInt(size * (a % 5));
      const values = [
        0n,
        BigInt(at.selectors.userCode64 | 3),
        BigInt(at.selectors.userData | 3),
        0x3202n,
        0x20002n,
        0x14702n,
        BigInt(at.selectors.absentCode | 3),
        BigInt(at.selectors.kernelData),
        1n << 47n,
        BigInt(at.pages.absent),
        BigInt(at.selectors.conforming0),
        0x8000_0000n,
        0xffffn,
        0x202n,
        BigInt(at.selectors.kernelCode32),
        0x240302n,
      ];
      const more = [
        BigInt(at.selectors.absentData | 3),
        BigInt(at.selectors.readOnly | 3),
        BigInt(at.selectors.userData),
        BigInt(at.selectors.data1 | 3),
        BigInt(at.gdtLimit | 7),
        BigInt(at.selectors.kernelData | 3),
        BigInt(at.selectors.executeOnly | 3),
        BigInt(at.selectors.codeLongAndBig | 3),
        BigInt(at.selectors.code1 | 1),
        3n,
      ];
      putWord(d, where, pick(a < 32 ? values : more, b), size);
      return;
    }
    case 'wide': {
      // High halves that 32-bit addresses, counters and operands have nothing to do with; or 16-bit ones above 16 bits.
      const names = ['rax', 'rcx', 'rdx', 'rbx', 'rsi', 'rdi', 'rbp', 'rsp'] as const;
      const high = [1n << 32n, 0xffff_ffff_0000_0000n, 1n << 63n, 0x1_0000n, 0xffff_0000n, 0x8000_0000n];
      for (const [n, name] of names.entries()) if (((a >> n) & 1) !== 0) s[name] = fit(d, s[name] | pick(high, b));
      return;
    }
    case 'task-limit':
      s.tr = { ...s.tr, limit: pick([0x67, 0x66, 0x65, 0x64, 0x0b, 0x0a, 0x08, 0x07, 0x05, 0x13, 0x0f, 0x2b, 0x69, 0xe7], b) };
      return;
    case 'interrupt':
      d.interrupt = { vector: pick([0x20, 0x21, 0x2f, 0x80], a), after: 1 };
      return;
    case 'shadow':
      s.shadow = pick(['sti', 'mov-ss'] as const, a);
      if (s.shadow === 'sti') s.rflags |= 0x200n;
      return;
    case 'breakpoint': {
      // Kinds and lengths: fetch, write, read or write; 1, 2 and 4 bytes; ports, which CR4.DE makes defined.
      const how = pick([0x0, 0x1, 0x3, 0xd, 0xf, 0x5, 0x7, 0x2, 0x6, 0xe, 0x0, 0x3, 0xf, 0x1, 0x0, 0x3], b);
      const top = s.ss.base + (codeWidth(d) === 16 ? s.rsp & 0xffffn : s.rsp);
      const places =
        (how & 3) === 0
          ? [s.cs.base + s.rip, s.cs.base + s.rip + 1n, s.cs.base + s.rip + 2n]
          : (how & 3) === 2
            ? [0x60n, 0x61n, 0x63n, 0x3f8n, 0x3fan, 0x6cn, s.rdx & 0xffffn]
            : [at.data + 0x100, at.data + 0x104, at.data + 0x102, at.data + 0x107, at.data + 0x180, at.data + 0x103].map(BigInt);
      const n = (a >> 4) & 3;
      s[(['dr0', 'dr1', 'dr2', 'dr3'] as const)[n] as 'dr0'] = pick(
        (how & 3) === 1 || (how & 3) === 3 ? [...places, fit(d, top - 4n), top] : places,
        a & 15,
      );
      s.dr7 |= (BigInt((a & 1) === 0 ? 2 : 1) << BigInt(2 * n)) | (BigInt(how) << BigInt(16 + 4 * n)) | (b === 15 ? 0x2000n : 0n);
      if ((how & 3) === 2 && d.cpu.has.includes('de')) s.cr4 |= 8n;
      return;
    }
    default:
      overLate(d, kind, a, b);
  }
};
/** Linear address at which code of `length` bytes starts: plain; before a page's end; into pages with other rights; before a segment's end. */
export const codeStart = (d: Desk, tweaks: readonly Tweak[], length: number): number => {
  if (high(d, tweaks)) return at.code + 0x1000 - length + ((tweaks.find((t) => t.kind === 'high')?.a ?? 0) % 4);
  const edge = tweaks.find((t) => t.kind === 'four-gigabyte');
  if (edge !== undefined && at4G(d, edge)) return at.code + 0x1000 - length + (edge.b % 5) - 1;
  const found = tweaks.find((t) => t.kind === 'code');
  if (found === undefined) return at.code;
  const { supervisor, absent, noExecute } = at.pages;
  const in16 = codeWidth(d) === 16 ? [at.base16 + 0xffff - (found.b % length), at.base16 + 0x10000 - length] : [];
  return pick(
    [
      at.code + 0x7f0,
      at.code + 0x1000 - length,
      at.code + 0x1001 - length,
      supervisor - (found.b % length),
      absent - (found.b % length),
      noExecute + 8,
      ...in16,
    ],
    found.a,
  );
};
/** Where the code is seen: its linear address, for code that starts at `start` in memory. */
export const codeLinear = (d: Desk, tweaks: readonly Tweak[], start: number): bigint =>
  high(d, tweaks)
    ? BigInt(start - at.code) + (1n << 47n) - 0x1000n
    : tweaks.some((t) => t.kind === 'four-gigabyte' && at4G(d, t))
      ? BigInt(start - at.code) + 0xffff_f000n
      : BigInt(start);
/** With segment-override prefixes in front, up to a length of 15 bytes, one more, or two. */
export const lengthened = (bytes: Uint8Array, tweaks: readonly Tweak[]): Uint8Array => {
  const found = tweaks.find((t) => t.kind === 'long');
  if (found === undefined) return bytes;
  const more = Math.max(0, pick([16, 15, 17, 14], found.a) - bytes.length);
  return Uint8Array.of(...new Array<number>(more).fill(0x3e), ...bytes);
};
