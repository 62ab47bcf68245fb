// The clauses of the split rings against hand-made histories of one queue: the order of used elements and idx, and notifications under a change of mind.
// VIRTIO 1.4, The Virtqueue Used Ring; Used Buffer Notification Suppression.

import { expect, test } from 'vitest';
import { AVAIL, EVENT_IDX, IN_ORDER, le, plain, ringBench, type RingBench, statusAt, USED, USED_EVENT } from './ring-bench.ts';

const live = (features?: bigint, offered?: bigint): RingBench => {
  const b = ringBench(offered);
  b.init(features);
  b.status(15);
  return b;
};

test('elements may be written ahead, and idx may publish them one by one', () => {
  const b = live();
  b.submit(0, 1);
  for (const w of [...b.answer(0), ...b.answer(1), b.element(0, 0), b.element(1, 1), b.index(1), b.index(2)]) b.changed(w);
  b.interrupt();
  b.settle();
  expect(b.findings).toEqual([]);
  expect(b.kept('virtio.split.used.elem-before-idx')).toBe(2);
});
test.each([
  ['the only one', [0], 1],
  ['the second of two', [0], 2],
] as const)('an element that idx published unwritten is told: %s', (_, written, to) => {
  const b = live();
  b.submit(0, 1);
  const late = to === 1 ? [] : written;
  for (const w of [...b.answer(0), ...b.answer(1), ...late.map((n) => b.element(n, n)), b.index(to)]) b.changed(w);
  expect(b.findings).toContain('virtio.split.used.elem-before-idx');
});
test('a slot that was published counts as unwritten when the ring comes round to it', () => {
  const b = live();
  for (let n = 0; n < 9; n++) {
    b.submit(n % 2);
    const element = n < 8 ? [b.element(n, n % 2)] : [];
    for (const w of [...b.answer(n % 2), ...element, b.index(n + 1)]) b.changed(w);
    b.interrupt();
  }
  expect(b.findings).toContain('virtio.split.used.elem-before-idx');
});
test.each([
  [0, []],
  [1, ['virtio.split.used.len-written']],
] as const)('a refused read, of which the last byte was written, claims %i', (length, findings) => {
  const b = live();
  b.submit(0);
  b.changed([statusAt(0), [1]]);
  b.changed([USED + 4, [...le(0, 4), ...le(length, 4)]]);
  b.changed(b.index(1));
  expect(b.findings.filter((f) => f.startsWith('virtio.split'))).toEqual(findings);
});
/** Request 0 is used and not told. */
const used = (b: RingBench): void => {
  b.submit(0);
  for (const w of [...b.answer(0), b.element(0, 0), b.index(1)]) b.changed(w);
};
test.each([
  ['flags', plain, AVAIL, 'virtio.split.notify.flags-clear'],
  ['used_event', plain | EVENT_IDX, USED_EVENT, 'virtio.split.notify.used-event-reached'],
] as const)(
  'a notification is not owed where the driver changed %s before it came, and is owed where it did not',
  (_, features, at, clause) => {
    const b = live(features);
    used(b);
    b.poke(at, 1, 0);
    b.settle();
    expect(b.findings).toEqual([]);
    const c = live(features);
    used(c);
    c.settle();
    c.poke(at, 1, 0);
    expect(c.findings).toEqual([clause]);
  },
);
test('a notification is permitted where the driver asked for it after the use, and advised against where it did not', () => {
  const b = live();
  b.poke(AVAIL, 1, 0);
  used(b);
  b.poke(AVAIL, 0, 0);
  b.interrupt();
  b.settle();
  expect(b.findings).toEqual([]);
  const c = live();
  c.poke(AVAIL, 1, 0);
  used(c);
  c.interrupt();
  c.settle();
  expect(c.findings).toEqual(['virtio.split.notify.flags-set']);
});
test('of a buffer that a batch skips no length is judged, of the last one it is', () => {
  const batch = (length: number): readonly string[] => {
    const b = live(plain | IN_ORDER, plain | IN_ORDER);
    b.submit(0, 1);
    for (const w of [...b.answer(0), ...b.answer(1)]) b.changed(w);
    b.changed([USED + 4, [...le(3, 4), ...le(length, 4)]]);
    b.changed(b.index(2));
    b.interrupt();
    b.settle();
    return b.findings;
  };
  expect(batch(513)).toEqual([]);
  expect(batch(1)).toEqual(['virtio.blk.used.complete']);
});
