// Descriptors as bytes, and the hidden part that loading one gives. Intel SDM volume 3, Segment Descriptors; System Descriptor Types; Gate
// Descriptors; 64-bit Mode Segment Descriptors. Access rights are laid out as in the VMCS (spec/instructions/vocabulary.ts).

import type { Segment } from '../../spec/instructions/vocabulary.ts';

/** `access`: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15. `limit` as stored: 20 bits, in pages where G is set. */
export interface Descriptor {
  readonly base: number;
  readonly limit: number;
  readonly access: number;
}
const S = 1 << 4;
const P = 1 << 7;
const L = 1 << 13;
const D = 1 << 14;
const G = 1 << 15;
const dpl = (level: number): number => level << 5;
/** Types with the accessed flag set. Type field bits: execute 3, conforming or expand-down 2, readable or writable 1. */
export const dataType = 0x3;
export const codeType = 0xb;

const flat = (type: number, level: number, more: number): Descriptor => ({
  base: 0,
  limit: 0xfffff,
  access: type | S | dpl(level) | P | G | more,
});
export const code64 = (level: number): Descriptor => flat(codeType, level, L);
export const code32 = (level: number): Descriptor => flat(codeType, level, D);
export const data32 = (level: number): Descriptor => flat(dataType, level, D);
export const code16 = (level: number, base: number): Descriptor => ({ base, limit: 0xffff, access: codeType | S | dpl(level) | P });
export const data16 = (level: number, base: number): Descriptor => ({ base, limit: 0xffff, access: dataType | S | dpl(level) | P });
/** System segments: LDT type 2, available TSS 9, busy TSS 11 (SDM volume 3, table System-Segment and Gate-Descriptor Types). */
export const system = (type: number, base: number, limit: number, present = true): Descriptor => ({
  base,
  limit,
  access: type | (present ? P : 0),
});

/** 8 bytes. */
export const descriptorBytes = ({ base, limit, access }: Descriptor): Uint8Array =>
  Uint8Array.of(
    limit & 0xff,
    (limit >> 8) & 0xff,
    base & 0xff,
    (base >> 8) & 0xff,
    (base >> 16) & 0xff,
    access & 0xff,
    ((limit >> 16) & 0xf) | ((access >> 8) & 0xf0),
    (base >>> 24) & 0xff,
  );
/** A gate in a GDT or IDT: call gate type 12 (4 where 16-bit), task gate 5, interrupt gate 14 (6), trap gate 15 (7). 16 bytes in IA-32e mode. */
export const gateBytes = (
  selector: number,
  offset: number,
  type: number,
  level: number,
  options: { readonly long: boolean; readonly parameters?: number; readonly present?: boolean },
): Uint8Array => {
  const { long, parameters = 0, present = true } = options;
  const bytes = new Uint8Array(long ? 16 : 8);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, offset & 0xffff, true);
  view.setUint16(2, selector, true);
  bytes[4] = parameters;
  bytes[5] = type | dpl(level) | (present ? P : 0);
  view.setUint16(6, offset >>> 16, true);
  return bytes;
};

/** What a segment register holds after this selector was loaded with this descriptor: the limit in bytes. */
export const loaded = (selector: number, { base, limit, access }: Descriptor): Segment => ({
  selector,
  base: BigInt(base),
  limit: (access & G) === 0 ? limit : ((limit << 12) | 0xfff) >>> 0,
  access,
});
/** Real-address mode and virtual-8086 mode: 16 times the selector. SDM volume 3, 8086 Emulation; access rights as VM entry demands them. */
export const loaded8086 = (selector: number, virtual: boolean): Segment => ({
  selector,
  base: BigInt(selector << 4),
  limit: 0xffff,
  access: virtual ? 0xf3 : 0x93,
});
/** A null selector in a data-segment register: unusable. */
export const unusable = (selector: number): Segment => ({ selector, base: 0n, limit: 0, access: 1 << 16 });

/** The descriptor in 8 bytes. */
export const descriptorOf = (bytes: Uint8Array): Descriptor => {
  const at = (i: number): number => bytes[i] ?? 0;
  return {
    base: (at(2) | (at(3) << 8) | (at(4) << 16) | (at(7) << 24)) >>> 0,
    limit: at(0) | (at(1) << 8) | ((at(6) & 0xf) << 16),
    access: at(5) | ((at(6) & 0xf0) << 8),
  };
};
