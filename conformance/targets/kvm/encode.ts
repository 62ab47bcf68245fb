// Stimuli as requests in shared memory. A state is stored as KVM's registers; the access-rights word of a segment is spread over its bytes.
// struct kvm_segment, asm/kvm.h: base u64, limit u32, selector u16, then type, present, dpl, db, s, l, g, avl, unusable, one byte each.

import type { CpuState, Segment } from '../../../spec/instructions/vocabulary.ts';
import type { MachineConfig } from '../../../spec/units.ts';
import { bigOf, numberOf } from '../../numbers.ts';
import { at, op, requestAt, requestBytes, sregs } from './layout.ts';

export interface Requests {
  /** Begins anew. */
  readonly clear: () => void;
  /** False where it does not fit any more; nothing was written then. */
  readonly machine: (machine: MachineConfig) => boolean;
  /** The same request to a child that maps files: address, length, protection (mmap(2)) and offset of each mapping. */
  readonly mappings: (list: readonly (readonly [number, number, number, number])[]) => boolean;
  readonly program: () => boolean;
  readonly write: (where: bigint, bytes: Uint8Array) => boolean;
  /** `limit`: instructions at most. */
  readonly run: (state: CpuState, limit: number) => boolean;
  readonly end: () => void;
  /** For going back to where a program began. */
  readonly mark: () => number;
  readonly back: (mark: number) => void;
}

const padded = (bytes: number): number => (bytes + 7) & ~7;

export const requests = (shared: Buffer): Requests => {
  const { buffer, byteOffset } = shared;
  const u32 = new Uint32Array(buffer, byteOffset + requestAt, requestBytes >> 2);
  const u64 = new BigUint64Array(buffer, byteOffset + requestAt, requestBytes >> 3);
  const u8 = new Uint8Array(buffer, byteOffset + requestAt, requestBytes);
  let next = 0;
  const room = (bytes: number): boolean => next + bytes + 16 <= requestBytes;
  const head = (what: number, bytes: number): void => {
    u32[next >> 2] = what;
    u32[(next >> 2) + 1] = bytes;
  };
  const segment = (where: number, { selector, base, limit, access: a }: Segment): void => {
    u64[where >> 3] = base;
    const w = (where + 8) >> 2;
    u32[w] = limit;
    u32[w + 1] = selector | ((a & 0xf) << 16) | (((a >> 7) & 1) << 24);
    u32[w + 2] = ((a >> 5) & 3) | (((a >> 14) & 1) << 8) | (((a >> 4) & 1) << 16) | (((a >> 13) & 1) << 24);
    u32[w + 3] = ((a >> 15) & 1) | (((a >> 12) & 1) << 8) | (((a >> 16) & 1) << 16);
  };
  const state = (start: number, s: CpuState, limit: number): void => {
    let i = (start + at.regs) >> 3;
    u64[i++] = s.rax;
    u64[i++] = s.rbx;
    u64[i++] = s.rcx;
    u64[i++] = s.rdx;
    u64[i++] = s.rsi;
    u64[i++] = s.rdi;
    u64[i++] = s.rsp;
    u64[i++] = s.rbp;
    u64[i++] = s.r8;
    u64[i++] = s.r9;
    u64[i++] = s.r10;
    u64[i++] = s.r11;
    u64[i++] = s.r12;
    u64[i++] = s.r13;
    u64[i++] = s.r14;
    u64[i++] = s.r15;
    u64[i++] = s.rip;
    u64[i] = s.rflags;
    let segmentAt = start + at.sregs;
    segment(segmentAt, s.cs);
    segment((segmentAt += 24), s.ds);
    segment((segmentAt += 24), s.es);
    segment((segmentAt += 24), s.fs);
    segment((segmentAt += 24), s.gs);
    segment((segmentAt += 24), s.ss);
    segment((segmentAt += 24), s.tr);
    segment(segmentAt + 24, s.ldtr);
    const system = (start + at.sregs) >> 3;
    u64[system + (sregs.gdt >> 3)] = s.gdtr.base;
    u64[system + (sregs.gdt >> 3) + 1] = bigOf(s.gdtr.limit);
    u64[system + (sregs.idt >> 3)] = s.idtr.base;
    u64[system + (sregs.idt >> 3) + 1] = bigOf(s.idtr.limit);
    i = system + (sregs.cr0 >> 3);
    u64[i++] = s.cr0;
    u64[i++] = s.cr2;
    u64[i++] = s.cr3;
    u64[i++] = s.cr4;
    u64[i++] = s.cr8;
    u64[i++] = s.efer;
    // the APIC base is the child's to know
    u64.fill(0n, i, system + 39);
    i = (start + at.debug) >> 3;
    u64[i++] = s.dr0;
    u64[i++] = s.dr1;
    u64[i++] = s.dr2;
    u64[i++] = s.dr3;
    u64[i++] = s.dr6;
    u64[i++] = s.dr7;
    u64[i++] = s.star;
    u64[i++] = s.lstar;
    u64[i++] = s.cstar;
    u64[i++] = s.sfmask;
    u64[i++] = s.kernelGsBase;
    u64[i++] = s.sysenterCs;
    u64[i++] = s.sysenterEsp;
    u64[i++] = s.sysenterEip;
    u64[i] = s.tscAux;
    u32[(start + at.shadow) >> 2] = s.shadow === 'none' ? 0 : s.shadow === 'mov-ss' ? 1 : 2;
    u32[(start + at.limit) >> 2] = limit;
  };
  const bytesAt = (where: number, bytes: Uint8Array): void => {
    if (bytes.length > 16) u8.set(bytes, where);
    else for (let i = 0; i < bytes.length; i++) u8[where + i] = bytes[i] as number;
  };
  return {
    clear: () => {
      next = 0;
    },
    machine: ({ memory, fill, image = [], cpu }) => {
      const size = 40 + image.reduce((sum, piece) => sum + 8 + padded(piece.bytes.length), 0);
      if (!room(size)) return false;
      head(op.machine, size);
      const w = next >> 2;
      u32[w + 2] = memory;
      u32[w + 3] = fill;
      u64[(next >> 3) + 2] = cpu?.stops.at ?? 0n;
      u32[w + 6] = cpu?.stops.stride ?? 0;
      u32[w + 7] = cpu?.stops.count ?? 0;
      u32[w + 8] = image.length;
      let piece = next + 40;
      for (const { at: where, bytes } of image) {
        u32[piece >> 2] = Number(where);
        u32[(piece >> 2) + 1] = bytes.length;
        bytesAt(piece + 8, bytes);
        piece += 8 + padded(bytes.length);
      }
      next += size;
      return true;
    },
    mappings: (list) => {
      const size = 16 + 32 * list.length;
      if (!room(size)) return false;
      head(op.machine, size);
      u32[(next >> 2) + 2] = list.length;
      for (const [i, mapping] of list.entries())
        for (const [k, value] of mapping.entries()) u64[(next >> 3) + 2 + 4 * i + k] = BigInt(value);
      next += size;
      return true;
    },
    program: () => {
      if (!room(8)) return false;
      head(op.program, 8);
      next += 8;
      return true;
    },
    write: (where, bytes) => {
      const size = 16 + padded(bytes.length);
      if (!room(size)) return false;
      head(op.write, size);
      u32[(next >> 2) + 2] = numberOf(where);
      u32[(next >> 2) + 3] = bytes.length;
      bytesAt(next + 16, bytes);
      next += size;
      return true;
    },
    run: (s, limit) => {
      if (!room(at.end)) return false;
      head(op.run, at.end);
      state(next, s, limit);
      next += at.end;
      return true;
    },
    end: () => head(op.end, 8),
    mark: () => next,
    back: (mark) => {
      next = mark;
    },
  };
};
