// The bytes of the instruction, each with the faults that fetching it causes.
// Intel SDM volume 3, Priority Among Concurrent Events (faults from fetching and decoding the next instruction); volume 2, Instruction Format (15 bytes).

import type { Fetch } from './decode.ts';
import { numberOf, bigOf } from './bits.ts';
import { type Access, byteAt, pageOf, translate } from './paging.ts';
import { canonical, type Fault, gp, in64, isRaised, raise, undecided, unseen, type Work } from './work.ts';

const tooLong: Fault = { vector: 13, error: 0, rule: 'fetch.length' };

/** Four bytes where the stops are: the target's own. */
const ofStop = ({ cpu }: Work, at: number): boolean => {
  const { at: start, stride, count } = cpu.stops;
  const first = numberOf(start);
  return at + 4 > first && at < first + stride * count;
};
const fetching: Access = { write: false, fetch: true };
/** Past this an address may not be canonical. */
const farAway = (1n << 47n) - 16n;
/** Where byte k of code at an address that is no small one stands. */
const far = (w: Work, long: boolean, k: number): number => {
  const { s } = w;
  const offset = s.rip + BigInt(k);
  let linear = offset;
  if (long) {
    linear = BigInt.asUintN(64, offset);
    if (!canonical(s, linear)) gp('fetch.canonical');
  } else {
    if (offset > 0xffffffffn) undecided('code that wraps at 4 GBytes');
    if (offset > BigInt(s.cs.limit)) gp('fetch.limit');
    linear = (s.cs.base + offset) & 0xffffffffn;
  }
  return translate(w, linear, fetching);
};
/** The sixteenth byte need not be fetched to know that it is one too many; where it cannot be fetched either fault is permitted. */
const onePastLongest = (read: Fetch, k: number): number => {
  try {
    read(k);
  } catch (thrown) {
    if (isRaised(thrown)) raise(tooLong, ...thrown.faults);
    throw thrown;
  }
  return raise(tooLong);
};
/** Byte k from RIP on. */
export const fetcher = (w: Work): Fetch => {
  const { s } = w;
  const long = in64(s);
  // Nearly all code lies where addresses are small: there they are numbers.
  const small = s.rip < farAway && s.cs.base <= 0xffffffffn;
  const rip = small ? numberOf(s.rip) : 0;
  const csBase = small ? numberOf(s.cs.base) : 0;
  let page = -1;
  let base = 0;
  let window = -1;
  let word = 0;
  const read = (k: number): number => {
    let at: number;
    if (small) {
      const offset = rip + k;
      let linear = offset;
      if (!long) {
        if (offset > 0xffffffff) undecided('code that wraps at 4 GBytes');
        if (offset > s.cs.limit) gp('fetch.limit');
        linear = (csBase + offset) % 0x1_0000_0000;
      }
      const now = pageOf(linear);
      if (now !== page) {
        base = translate(w, bigOf(linear), fetching) - (linear % 4096);
        page = now;
      }
      at = base + (linear % 4096);
    } else at = far(w, long, k);
    if (w.stores.size !== 0) {
      if (!w.memory.known(at, 1)) unseen('code that was never seen');
      return byteAt(w, at);
    }
    // Four bytes at a time: an instruction is fetched for every case.
    if (at >> 2 !== window) {
      const start = at - (at % 4);
      word = w.memory.u32(start) ?? undecided('memory beyond the end');
      if (!w.memory.known(at, 1)) unseen('code that was never seen');
      // Bytes that are certain one by one are asked one by one.
      window = w.memory.known(start, 4) && !ofStop(w, start) ? at >> 2 : -1;
      if (window < 0) return byteAt(w, at);
    }
    return (word >>> ((at & 3) * 8)) & 0xff;
  };
  return (k) => (k < 15 ? read(k) : onePastLongest(read, k));
};
/** The faults of fetching the first byte, where its value is not the guest's. */
export const reach = (w: Work): void => {
  const { s } = w;
  if (in64(s)) {
    if (!canonical(s, s.rip)) gp('fetch.canonical');
    translate(w, s.rip, { write: false, fetch: true });
    return;
  }
  if (s.rip > bigOf(s.cs.limit)) gp('fetch.limit');
  translate(w, (s.cs.base + s.rip) & 0xffffffffn, { write: false, fetch: true });
};
