// The runner's records as observations: general registers, selectors, the exception, changed words of memory as ranges of bytes.
// What says nothing about the processor (the host's kernel answered, or its page tables differ from the guest's) is unsupported.

import type { SeenSegment, SeenState } from '../../../spec/instructions/vocabulary.ts';
import type { Answer, Gpa } from '../../../spec/units.ts';
import type { MemoryChanged, Observation } from '../../../spec/vocabulary.ts';
import type { Records } from '../kvm/decode.ts';
import { at, kind, sregs } from '../kvm/layout.ts';
import { recordViews } from '../kvm/record.ts';
import { ended } from './runner-frame.ts';

const withError = new Set([8, 10, 11, 12, 13, 14, 17]);
const PF = 14;

/** One object for each selector. */
const kept = (make: (selector: number) => SeenSegment): ((selector: number) => SeenSegment) => {
  const made: SeenSegment[] = [];
  return (selector) => (made[selector] ??= make(selector));
};
/** `hidden`: why a page fault at this address, with this error code, is the host's own affair, or undefined. `bases`: FS and GS bases are seen. */
export const nativeRecords = (shared: Buffer, bases: boolean, hidden: (address: bigint, error: number) => string | undefined): Records => {
  const { bytes: u8, word, quad, general } = recordViews(shared);
  let next = 0;
  const [plain, flat] = [kept((selector) => ({ selector })), kept((selector) => ({ selector, base: 0n }))];

  const state = (start: number): SeenState => {
    const selector = (place: number): number => word((start + at.sregs + 24 * place + 12) >> 2) & 0xffff;
    const based = (place: number, value: number): SeenSegment => {
      if (!bases) return plain(value);
      const base = quad((start + at.sregs + 24 * place) >> 3);
      return base === 0n ? flat(value) : { selector: value, base };
    };
    const s = general(start);
    s.cs = plain(selector(0));
    s.ss = plain(selector(5));
    s.ds = plain(selector(1));
    s.es = plain(selector(2));
    s.fs = based(3, selector(3));
    s.gs = based(4, selector(4));
    return s;
  };
  /** 24 bytes a changed word: address, 8, new bytes, old bytes. Neighbouring bytes make one range. */
  const changes = (from: number, words: number): MemoryChanged['writes'] => {
    const found: { at: number; bytes: number[] }[] = [];
    for (let i = 0, o = from; i < words; i++, o += 24) {
      const address = word(o >> 2);
      for (let b = 0; b < 8; b++) {
        const value = u8[o + 8 + b] as number;
        if (value === u8[o + 16 + b]) continue;
        const last = found[found.length - 1];
        if (last !== undefined && last.at + last.bytes.length === address + b) last.bytes.push(value);
        else found.push({ at: address + b, bytes: [value] });
      }
    }
    return found.map((f) => ({ at: BigInt(f.at) as Gpa, bytes: Uint8Array.from(f.bytes) }));
  };
  return {
    clear: () => {
      next = 0;
    },
    next: (): Answer => {
      const start = next;
      const what = word(start >> 2);
      next += word((start >> 2) + 1);
      const vector = word((start + at.vector) >> 2);
      const error = word((start + at.errorCode) >> 2);
      const cr2 = quad((start + at.sregs + sregs.cr2) >> 3);
      const words = word((start + at.ranges) >> 2);
      const saw: Observation[] = [];
      if (words > 0) saw.push({ saw: 'memory.changed', writes: changes(start + at.end, words) });
      if (what === kind.limit) return { saw: [...saw, { saw: 'cpu.stopped', by: 'limit', state: state(start) }] };
      if (vector === ended.syscall) return { unsupported: "it calls the host's kernel" };
      if (vector === ended.unloadable) return { unsupported: 'the host cannot load this state' };
      if (vector === PF) {
        const why = hidden(cr2, error);
        if (why !== undefined) return { unsupported: why };
      }
      saw.push(
        withError.has(vector)
          ? { saw: 'cpu.exception', vector, error, ...(vector === PF ? { cr2 } : {}) }
          : { saw: 'cpu.exception', vector },
        { saw: 'cpu.stopped', by: 'stop', stop: vector, state: state(start) },
      );
      return { saw };
    },
  };
};
