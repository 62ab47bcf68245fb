// Descriptors by selector, and the hidden part that each gives.
// Intel SDM volume 3, Segment Selectors; Segment Descriptors; Segment Descriptor Tables in IA-32e Mode; the accessed flag (Segment Type Field).

import { low, bigOf } from './bits.ts';
import { readTable, writeTable } from './access.ts';
import type { Segment } from './vocabulary.ts';
import { ia32e, type Work } from './work.ts';

export interface Descriptor {
  readonly selector: number;
  /** Linear address of its bytes. */
  readonly at: bigint;
  readonly raw: bigint;
  /** 3:0 of the access rights. */
  readonly type: number;
  /** Code or data, not a system segment. */
  readonly s: boolean;
  readonly dpl: number;
  readonly present: boolean;
  /** Access rights as in Segment. */
  readonly access: number;
}
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
export const rplOf = (selector: number): number => selector & 3;
/** Error code that names a selector: index and table, RPL cut off. SDM volume 3, Error Code. */
export const named = (selector: number): number => selector & 0xfffc;

/** The descriptor, or undefined where it lies beyond its table's limit. `size` 16 for system descriptors in IA-32e mode. */
export const lookup = (w: Work, selector: number, size = 8): Descriptor | undefined => {
  const { s } = w;
  const local = (selector & 4) !== 0;
  if (local && (s.ldtr.access & 0x10000) !== 0) return undefined;
  const table = local ? s.ldtr : s.gdtr;
  const index = selector & 0xfff8;
  if (index + size - 1 > table.limit) return undefined;
  const sum = table.base + bigOf(index);
  const at = ia32e(s) ? BigInt.asUintN(64, sum) : sum & 0xffffffffn;
  const raw = readTable(w, at, 8);
  const access = low(raw >> 40n) & 0xf0ff;
  return { selector, at, raw, access, type: access & 15, s: (access & 0x10) !== 0, dpl: (access >> 5) & 3, present: (access & 0x80) !== 0 };
};
/** Upper half of the base of a 16-byte system descriptor. */
export const upperOf = (w: Work, d: Descriptor): bigint => readTable(w, d.at + 8n, 8);

export const baseOf = (raw: bigint): bigint => bigOf(((low(raw >> 16n) & 0xffffff) | (low(raw >> 32n) & 0xff000000)) >>> 0);
/** In bytes: with G the low 12 bits are ones. */
export const limitOf = (raw: bigint): number => {
  const limit = (low(raw) & 0xffff) | (low(raw >> 32n) & 0xf0000);
  return (low(raw >> 32n) & 0x800000) !== 0 ? limit * 4096 + 0xfff : limit;
};
export const isCode = (d: Descriptor): boolean => d.s && (d.type & 8) !== 0;
export const isData = (d: Descriptor): boolean => d.s && (d.type & 8) === 0;
export const isConforming = (d: Descriptor): boolean => (d.type & 0xc) === 0xc;
export const isWritable = (d: Descriptor): boolean => isData(d) && (d.type & 2) !== 0;
export const isReadable = (d: Descriptor): boolean => isData(d) || (d.type & 2) !== 0;

/** The segment that loading it gives, accessed flag set. */
export const loaded = (d: Descriptor, selector: number): Segment => ({
  selector,
  base: baseOf(d.raw),
  limit: limitOf(d.raw),
  access: d.s ? d.access | 1 : d.access,
});
/** Sets the accessed flag in the table where it is clear. */
export const markAccessed = (w: Work, d: Descriptor): void => {
  if ((d.type & 1) !== 0) return;
  writeTable(w, d.at + 5n, 1, BigInt((d.access & 0xff) | 1), 'descriptor');
};
/** A segment register that holds a null selector. `level`: the DPL that stays in SS. */
export const unusable = (selector: number, level = 0): Segment => ({ selector, base: 0n, limit: 0, access: 0x10000 | (level << 5) });
