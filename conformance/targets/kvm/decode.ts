// A child's records as observations: registers, hidden parts, ports and changed memory of one run.
// Segments rarely change from run to run: one that equals the last of its place is the same object.

import type { SeenSegment, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa } from '../../../spec/units.ts';
import type { MemoryChanged, Observation } from '../../../spec/vocabulary.ts';
import { at, kind, recordAt, recordBytes, sregs } from './layout.ts';

export interface Records {
  /** Goes to the first record. */
  readonly clear: () => void;
  /** The answer of the next run. */
  readonly next: () => Answer;
}

interface Known {
  readonly words: Uint32Array;
  seen: SeenSegment;
}
const fsOrGs = (place: number): boolean => place === 3 || place === 4;

export const records = (shared: Buffer): Records => {
  const { buffer, byteOffset } = shared;
  const u32 = new Uint32Array(buffer, byteOffset + recordAt, recordBytes >> 2);
  const u64 = new BigUint64Array(buffer, byteOffset + recordAt, recordBytes >> 3);
  const u8 = new Uint8Array(buffer, byteOffset + recordAt, recordBytes);
  let next = 0;
  const known: Known[] = Array.from({ length: 8 }, () => ({ words: new Uint32Array(6).fill(0xffff_ffff), seen: { selector: 0 } }));

  const quad = (i: number): bigint => u64[i] as bigint;
  const word = (i: number): number => u32[i] as number;
  const segment = (start: number, place: number): SeenSegment => {
    const w = (start + at.sregs + 24 * place) >> 2;
    const last = known[place] as Known;
    let same = true;
    for (let i = 0; i < 6; i++)
      if (last.words[i] !== word(w + i)) {
        same = false;
        last.words[i] = word(w + i);
      }
    if (same) return last.seen;
    const base = quad(w >> 1);
    const [a, b, c] = [word(w + 3), word(w + 4), word(w + 5)];
    const selector = a & 0xffff;
    // What an unusable segment's other fields hold is nobody's business, but FS and GS keep a base in 64-bit mode.
    if ((c & 0x10000) !== 0) last.seen = { selector, access: 0x10000, ...(fsOrGs(place) ? { base } : {}) };
    else
      last.seen = {
        selector,
        base,
        limit: word(w + 2),
        access:
          ((a >> 16) & 0xf) |
          (((b >> 16) & 1) << 4) |
          ((b & 3) << 5) |
          (((a >> 24) & 1) << 7) |
          (((c >> 8) & 1) << 12) |
          (((b >> 24) & 1) << 13) |
          (((b >> 8) & 1) << 14) |
          ((c & 1) << 15),
      };
    return last.seen;
  };
  const state = (start: number): SeenState => {
    const r = (start + at.regs) >> 3;
    const s = (start + at.sregs) >> 3;
    const d = (start + at.debug) >> 3;
    const m = (start + at.msrs) >> 3;
    const shadow = word((start + at.shadow) >> 2);
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
      cs: segment(start, 0),
      ss: segment(start, 5),
      ds: segment(start, 1),
      es: segment(start, 2),
      fs: segment(start, 3),
      gs: segment(start, 4),
      ldtr: segment(start, 7),
      tr: segment(start, 6),
      gdtr: { base: quad(s + (sregs.gdt >> 3)), limit: word((start + at.sregs + sregs.gdt + 8) >> 2) & 0xffff },
      idtr: { base: quad(s + (sregs.idt >> 3)), limit: word((start + at.sregs + sregs.idt + 8) >> 2) & 0xffff },
      cr0: quad(s + (sregs.cr0 >> 3)),
      cr2: quad(s + (sregs.cr2 >> 3)),
      cr3: quad(s + (sregs.cr3 >> 3)),
      cr4: quad(s + (sregs.cr4 >> 3)),
      cr8: quad(s + (sregs.cr8 >> 3)),
      efer: quad(s + (sregs.efer >> 3)),
      dr0: quad(d),
      dr1: quad(d + 1),
      dr2: quad(d + 2),
      dr3: quad(d + 3),
      dr6: quad(d + 4),
      dr7: quad(d + 5),
      star: quad(m),
      lstar: quad(m + 1),
      cstar: quad(m + 2),
      sfmask: quad(m + 3),
      kernelGsBase: quad(m + 4),
      sysenterCs: quad(m + 5),
      sysenterEsp: quad(m + 6),
      sysenterEip: quad(m + 7),
      tscAux: quad(m + 8),
      shadow: shadow === 0 ? 'none' : (shadow & 1) !== 0 ? 'mov-ss' : 'sti',
    };
  };
  const by = ['stop', 'stop', 'shutdown', 'halt', 'limit'] as const;

  return {
    clear: () => {
      next = 0;
    },
    next: () => {
      const start = next;
      const what = word(start >> 2);
      next += word((start >> 2) + 1);
      if (what === kind.unsupported) {
        const length = word((start >> 2) + 2);
        return { unsupported: Buffer.from(buffer, byteOffset + recordAt + start + 16, length).toString('utf8') };
      }
      const saw: Observation[] = [];
      const ports = word((start + at.ports) >> 2);
      const ranges = word((start + at.ranges) >> 2);
      let more = start + at.end;
      const portsAt = more;
      more += 8 * ports;
      if (ranges > 0) {
        const writes: MemoryChanged['writes'][number][] = [];
        for (let i = 0; i < ranges; i++) {
          const length = word((more >> 2) + 1);
          writes.push({ at: BigInt(word(more >> 2)) as Gpa, bytes: u8.slice(more + 8, more + 8 + length) });
          more += 8 + ((length + 7) & ~7);
        }
        saw.push({ saw: 'memory.changed', writes });
      }
      for (let i = 0; i < ports; i++) {
        const access = word((portsAt >> 2) + 2 * i);
        saw.push({
          saw: 'cpu.port',
          port: access & 0xffff,
          width: ((access >> 16) & 7) as 1 | 2 | 4,
          direction: access >>> 31 === 0 ? 'in' : 'out',
          value: word((portsAt >> 2) + 2 * i + 1),
        });
      }
      const stopped = state(start);
      const stop = word((start + at.stop) >> 2);
      saw.push(
        what === kind.stop
          ? { saw: 'cpu.stopped', by: 'stop', stop, state: stopped }
          : { saw: 'cpu.stopped', by: by[what] ?? 'limit', state: stopped },
      );
      return { saw };
    },
  };
};
