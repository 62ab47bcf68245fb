// A child's records as observations: registers, hidden parts, ports and changed memory of one run.
// Segments rarely change from run to run: one that equals the last of its place is the same object.

import type { SeenSegment, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa } from '../../../spec/units.ts';
import type { MemoryChanged, Observation } from '../../../spec/vocabulary.ts';
import { at, kind, sregs } from './layout.ts';
import { recordViews } from './record.ts';

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
  const { bytes: u8, word, quad, general } = recordViews(shared);
  let next = 0;
  const known: Known[] = Array.from({ length: 8 }, () => ({ words: new Uint32Array(6).fill(0xffff_ffff), seen: { selector: 0 } }));

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
    const system = (start + at.sregs) >> 3;
    const d = (start + at.debug) >> 3;
    const m = (start + at.msrs) >> 3;
    const shadow = word((start + at.shadow) >> 2);
    const s = general(start);
    s.cs = segment(start, 0);
    s.ss = segment(start, 5);
    s.ds = segment(start, 1);
    s.es = segment(start, 2);
    s.fs = segment(start, 3);
    s.gs = segment(start, 4);
    s.ldtr = segment(start, 7);
    s.tr = segment(start, 6);
    s.gdtr = { base: quad(system + (sregs.gdt >> 3)), limit: word((start + at.sregs + sregs.gdt + 8) >> 2) & 0xffff };
    s.idtr = { base: quad(system + (sregs.idt >> 3)), limit: word((start + at.sregs + sregs.idt + 8) >> 2) & 0xffff };
    s.cr0 = quad(system + (sregs.cr0 >> 3));
    s.cr2 = quad(system + (sregs.cr2 >> 3));
    s.cr3 = quad(system + (sregs.cr3 >> 3));
    s.cr4 = quad(system + (sregs.cr4 >> 3));
    s.cr8 = quad(system + (sregs.cr8 >> 3));
    s.efer = quad(system + (sregs.efer >> 3));
    s.dr0 = quad(d);
    s.dr1 = quad(d + 1);
    s.dr2 = quad(d + 2);
    s.dr3 = quad(d + 3);
    s.dr6 = quad(d + 4);
    s.dr7 = quad(d + 5);
    s.star = quad(m);
    s.lstar = quad(m + 1);
    s.cstar = quad(m + 2);
    s.sfmask = quad(m + 3);
    s.kernelGsBase = quad(m + 4);
    s.sysenterCs = quad(m + 5);
    s.sysenterEsp = quad(m + 6);
    s.sysenterEip = quad(m + 7);
    s.tscAux = quad(m + 8);
    s.shadow = shadow === 0 ? 'none' : (shadow & 1) !== 0 ? 'mov-ss' : 'sti';
    return s;
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
        return { unsupported: Buffer.from(u8.buffer, u8.byteOffset + start + 16, length).toString('utf8') };
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
