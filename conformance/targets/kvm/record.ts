// The records that a child leaves in shared memory, as words, and the general registers of one: the same for every target that has such a child.

import type { SeenState } from '../../../spec/instructions/vocabulary.ts';
import { at, recordAt, recordBytes } from './layout.ts';

/** Filled property by property: objects spread into others cost fifty times as much. */
export type Draft = { -readonly [K in keyof SeenState]: SeenState[K] };
export interface RecordViews {
  readonly bytes: Uint8Array;
  /** By index of 4 and of 8 bytes from where records begin. */
  readonly word: (i: number) => number;
  readonly quad: (i: number) => bigint;
  /** Of the record that starts at this byte: struct kvm_regs of asm/kvm.h. */
  readonly general: (start: number) => Draft;
}

export const recordViews = (shared: Buffer): RecordViews => {
  const { buffer, byteOffset } = shared;
  const u32 = new Uint32Array(buffer, byteOffset + recordAt, recordBytes >> 2);
  const u64 = new BigUint64Array(buffer, byteOffset + recordAt, recordBytes >> 3);
  const quad = (i: number): bigint => u64[i] as bigint;
  return {
    bytes: new Uint8Array(buffer, byteOffset + recordAt, recordBytes),
    word: (i) => u32[i] as number,
    quad,
    general: (start) => {
      const r = (start + at.regs) >> 3;
      return {
        rax: quad(r),
        rcx: quad(r + 2),
        rdx: quad(r + 3),
        rbx: quad(r + 1),
        rsp: quad(r + 6),
        rbp: quad(r + 7),
        rsi: quad(r + 4),
        rdi: quad(r + 5),
        r8: quad(r + 8),
        r9: quad(r + 9),
        r10: quad(r + 10),
        r11: quad(r + 11),
        r12: quad(r + 12),
        r13: quad(r + 13),
        r14: quad(r + 14),
        r15: quad(r + 15),
        rip: quad(r + 16),
        rflags: quad(r + 17),
      };
    },
  };
};
