// The VT-d spec on units that do things in their own time: what is not done when it is first looked at may come until the unit is at rest.
// Each history is told as such units answer, and then as one that still owes at rest, or shows what nothing called for.

import { describe, expect, test } from 'vitest';
import type { Bench } from './spec-bench.ts';
import { bench, CAP, CONTEXT, DIRECTORY, ECAP_FULL, legacyOn, scalableOn } from './spec-bench.ts';

const FSTS = 0x34;
const FECTL = 0x38;
const ICS = 0x9c;
const IECTL = 0xa0;
const masked = 0x80000000;
const pending = 0x40000000;
/** Every event of the unit sends vector 41H. */
const programmed = (b: Bench): Bench => {
  for (const control of [FECTL, IECTL]) {
    b.write(control + 4, 0x41);
    b.write(control + 8, 0xfee00000);
  }
  return b;
};
const legacy = (): Bench => {
  const b = bench();
  legacyOn(b);
  return programmed(b);
};
const queued = (...descriptors: readonly bigint[]): Bench => {
  const b = legacy();
  b.write(0x90, 0x8000, 8);
  b.command(0x84000000, 0xc4000000);
  b.words(0x8000, ...descriptors.flatMap((d) => [d, 0n]));
  return b;
};
const tail = (b: Bench, n: number): void => b.write(0x88, n * 16, 8);
const message = (b: Bench): void =>
  b.see({ saw: 'apic.interrupt', vector: 0x41, delivery: 0, destination: 0, logical: false, level: false, redirectionHint: false });
const polled = (b: Bench, at: number, ...values: readonly (number | 'rest' | 'message')[]): readonly string[] => {
  for (const v of values) {
    if (v === 'rest') b.settle();
    else if (v === 'message') message(b);
    else b.read(at, v);
  }
  return b.news();
};
/** A wait with IF; a descriptor of no type; a device's write to where nothing is mapped. */
const completing = (unmask = false): Bench => {
  const b = queued(0x15n, 0x15n);
  if (unmask) b.write(IECTL, 0);
  tail(b, 1);
  return b;
};
const failing = (): Bench => {
  const b = queued(0n);
  tail(b, 1);
  return b;
};
const faulting = (unmask = false): Bench => {
  const b = legacy();
  if (unmask) b.write(FECTL, 0);
  b.dmaRead(0x5000, 'blocked');
  return b;
};

describe('status that is polled', () => {
  test('comes once the unit gets round to it', () => {
    expect(polled(completing(), ICS, 0, 0, 1, 1, 'rest', 1)).toEqual([]);
    expect(polled(completing(), ICS, 0, 'rest', 1)).toEqual([]);
    expect(polled(completing(), IECTL, masked, masked | pending)).toEqual([]);
    expect(polled(failing(), FSTS, 0, 0x10)).toEqual([]);
    expect(polled(failing(), FSTS, 0, 'rest', 0x10)).toEqual([]);
    expect(polled(faulting(), FSTS, 0, 2, 'rest', 2)).toEqual([]);
    expect(polled(faulting(), FECTL, masked, 'rest', masked | pending)).toEqual([]);
    expect(polled(faulting(), 0x22c, 0, masked | pending | 6)).toEqual([]);
  });
  test('is there at rest', () => {
    expect(polled(completing(), ICS, 0, 'rest', 0)).toEqual(['vt-d.queue.completion']);
    expect(polled(completing(), IECTL, masked, 'rest', masked)).toEqual(['vt-d.queue.completion-pending']);
    expect(polled(failing(), FSTS, 0, 'rest', 0)).toEqual(['vt-d.queue.error']);
    expect(polled(faulting(), FSTS, 0, 'rest', 0)).toEqual(['vt-d.fault.pending']);
    expect(polled(faulting(), FECTL, masked, 'rest', masked)).toEqual(['vt-d.fault.event-pending']);
    expect(polled(faulting(), 0x22c, 0, 'rest', 0)).toEqual(['vt-d.fault.recorded']);
  });
  test('does not go again of itself', () => {
    expect(polled(completing(), ICS, 1, 0)).toEqual(['vt-d.queue.completion']);
    expect(polled(failing(), FSTS, 0x10, 0)).toEqual(['vt-d.queue.error']);
    expect(polled(faulting(), FSTS, 2, 0)).toEqual(['vt-d.fault.pending']);
  });
  test('comes after software has cleared it, as often as it was asked for', () => {
    const told = (...values: readonly number[]): readonly string[] => {
      const b = completing();
      tail(b, 2);
      for (const v of values) {
        b.read(ICS, v);
        b.write(ICS, 1);
      }
      b.settle();
      b.read(ICS, 0);
      return b.news();
    };
    expect([told(1), told(0, 1), told(1, 1)]).toEqual([[], [], []]);
    expect(told(1, 1, 1)).toEqual(['vt-d.queue.completion']);
  });
  test('of the queue may come after a fault that was met later', () => {
    const b = failing();
    b.dmaRead(0x5000, 'blocked');
    expect(polled(b, FSTS, 2, 0x12)).toEqual([]);
  });
});

describe('a message', () => {
  test('may be held by an unmasked unit, with IP set, until it is at rest', () => {
    expect(polled(faulting(true), FECTL, pending, 'message', 0, 'rest', 0)).toEqual([]);
    expect(polled(faulting(true), FECTL, pending, 'message', 'rest', pending)).toEqual(['vt-d.fault.event-pending']);
    expect(polled(completing(true), IECTL, pending, 'message', 0, 'rest', 0)).toEqual([]);
    expect(polled(completing(true), IECTL, pending, 'message', 'rest', pending)).toEqual(['vt-d.queue.completion-pending']);
    expect(polled(completing(true), ICS, 0, 'message', 'rest', 1)).toEqual([]);
    const b = faulting();
    b.settle();
    b.write(FECTL, 0);
    expect(polled(b, FECTL, pending, 'message', 0, 'rest', 0)).toEqual([]);
  });
  test('is sent by then', () => {
    expect(polled(faulting(true), FECTL, pending, 'rest')).toEqual(['vt-d.fault.event-sent']);
    expect(polled(completing(true), IECTL, 0, 'rest')).toEqual(['vt-d.queue.completion-sent']);
  });
  test('is sent once for one condition, and once more for the next', () => {
    const again: (b: Bench) => Bench = (b) => {
      b.write(0x22c, masked);
      b.dmaRead(0x6000, 'blocked');
      return b;
    };
    expect(polled(faulting(true), FECTL, 'message', 'message', 'rest')).toEqual(['vt-d.interrupt.asked-for']);
    expect(polled(completing(true), IECTL, 'message', 'message', 'rest')).toEqual(['vt-d.interrupt.asked-for']);
    expect(polled(again(faulting(true)), FECTL, 'message', 'message', 'rest')).toEqual([]);
    const two = completing(true);
    tail(two, 2);
    expect(polled(two, IECTL, 'message', 'message', 'rest')).toEqual(['vt-d.interrupt.asked-for']);
    const serviced = completing(true);
    serviced.write(ICS, 1);
    tail(serviced, 2);
    expect(polled(serviced, IECTL, 'message', 'message', 'rest')).toEqual([]);
  });
  test('that is held is sent or not where its status was serviced or it was masked', () => {
    for (const sent of [true, false]) {
      const b = faulting(true);
      b.write(0x22c, masked);
      expect(polled(b, FECTL, ...(sent ? (['message'] as const) : []), 'rest', 0)).toEqual([]);
    }
    const late = completing(true);
    late.write(IECTL, masked);
    expect(polled(late, IECTL, 'rest', masked | pending)).toEqual([]);
    const early = completing(true);
    early.write(IECTL, masked);
    expect(polled(early, IECTL, 'message', 'rest', masked)).toEqual([]);
    const both = completing(true);
    both.settle();
    expect(polled(both, IECTL, 'message', 'rest')).not.toEqual([]);
  });
});

test('a message on its way is what was programmed when it left', () => {
  const told = (unmask: boolean, rest: boolean): readonly string[] => {
    const b = faulting(unmask);
    if (rest) b.settle();
    b.news();
    b.write(FECTL, masked);
    b.write(FECTL + 4, 0x42);
    b.write(FECTL, 0);
    return polled(b, FECTL, 'message', 'rest');
  };
  expect(told(true, false)).toEqual([]);
  expect(told(false, false)).not.toEqual([]);
  expect(told(true, true)).not.toEqual([]);
});

describe('an interrupt request', () => {
  const sent = (entry: bigint): Bench => {
    const b = bench();
    legacyOn(b, (d) => (entry === 0n ? undefined : d.words(0xc000, entry)));
    b.write(0xb8, 0xc000n, 8);
    b.command(0x81000000, 0xc1000000);
    b.command(0x82000000, 0xc3000000);
    b.see({ do: 'msi.send', requester: 0, address: 0xfee00010n, data: 0 });
    return b;
  };
  const arrived = (b: Bench, ...seen: readonly 'message'[]): readonly string[] => polled(b, FSTS, ...seen, 'rest', 0);
  test('may be remapped by what its entry became before the unit was at rest', () => {
    for (const was of [0n, 0x420001n]) {
      const told = (at: number, rest: boolean): readonly string[] => {
        const b = sent(was);
        if (rest) b.settle();
        b.words(at, 0x410001n);
        return arrived(b, 'message');
      };
      expect(told(0xc000, false)).toEqual([]);
      expect(told(0xc010, false)).not.toEqual([]);
      expect(told(0xc000, true)).not.toEqual([]);
    }
  });
  test('may come after its remapping was switched off', () => {
    const b = sent(0n);
    b.command(0x80000000, 0xc1000000);
    expect(arrived(b, 'message')).toEqual([]);
  });
});

describe('a page request', () => {
  const asked = (): Bench => {
    const b = bench(CAP, ECAP_FULL);
    scalableOn(b, (d) => d.words(CONTEXT + 0x200, BigInt(DIRECTORY) | 0x1dn));
    b.write(0xd0, 0xc000, 8);
    b.see({ do: 'pri.request', requester: 0, at: 0x7000n as never, read: true, write: false, last: true, group: 1 });
    return b;
  };
  const at = (b: Bench, pqt: number, prs: number): readonly string[] => {
    b.read(0xc8, pqt, 8);
    b.read(0xdc, prs);
    return b.news();
  };
  const queue = (b: Bench): void => {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setBigUint64(0, 1n | (0x10n << 16n), true);
    new DataView(bytes.buffer).setBigUint64(8, 0x7000n | (1n << 3n) | 5n, true);
    b.see({ saw: 'memory.changed', writes: [{ at: 0xc000n as never, bytes }] });
  };
  test('is queued in the unit’s own time', () => {
    const b = asked();
    expect(at(b, 0, 0)).toEqual([]);
    expect(at(b, 0x20, 0)).toEqual([]);
    expect(at(b, 0x20, 1)).toEqual([]);
    expect(at(b, 0, 1)).toEqual(['vt-d.pri.tail']);
    expect(at(b, 0x40, 1)).toEqual(['vt-d.pri.tail']);
  });
  test('is in the queue at rest', () => {
    const b = asked();
    queue(b);
    b.settle();
    b.news();
    expect(at(b, 0, 0)).toEqual(['vt-d.pri.tail', 'vt-d.pri.pending']);
  });
});

describe('a message that two events may have sent', () => {
  /** Two events with one vector; the fault is serviced before its message must have left, the completion is not. */
  const arrived = (messages: number): readonly string[] => {
    const b = queued(0x15n);
    b.write(FECTL, 0);
    b.write(IECTL, 0);
    b.settle();
    b.news();
    b.dmaRead(0x5000, 'blocked');
    b.write(0x22c, 0x80000000);
    tail(b, 1);
    for (let i = 0; i < messages; i++) message(b);
    b.settle();
    return b.news().filter((id) => id.endsWith('sent') || id.endsWith('asked-for'));
  };
  test('is that of the one which surely did', () => {
    expect(arrived(1)).toEqual([]);
    expect(arrived(2)).toEqual([]);
    expect(arrived(0)).toEqual(['vt-d.queue.completion-sent']);
  });
});

test('an answer where two would do is no evidence', () => {
  const b = faulting();
  const { kept } = b.tally('vt-d.fault.pending');
  b.read(FSTS, 0);
  expect(b.tally('vt-d.fault.pending').kept).toBe(kept);
  b.settle();
  b.read(FSTS, 2);
  expect(b.tally('vt-d.fault.pending').kept).toBe(kept + 1);
});
