// Available and used rings, queue addresses, sizes and kicks that break a driver's rule.
// VIRTIO 1.4: Split Virtqueues (layout); The Virtqueue Available Ring; both notification suppressions; Device Cleanup.

import type { Gpa } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { accept, F, STATUS } from './bits.ts';
import { gpa, store16 } from './bytes.ts';
import { craftIn, launch } from './craft.ts';
import type { Driver, Play, Setup } from './driver.ts';
import { acquaint, negotiate, notify, OK_SO_FAR, PLAIN, reset, setUpQueues } from './driver.ts';
import { offer, publish, writeDescriptors } from './queue.ts';
import type { Queue } from './queue.ts';
import { ALIGN, partSize } from './rings.ts';
import type { Violation } from './violate-common.ts';
import { declining, live, which } from './violate-common.ts';

const u16 = (n: number): number => n & 0xffff;

const onQueue = (
  break_: (d: Driver, q: Queue, n: number) => boolean,
  features: readonly number[] = [],
  without: readonly number[] = [],
): Violation =>
  function* (d, n) {
    const q = yield* live(d, n, features, without);
    return q !== undefined && break_(d, q, n);
  };

/** Initialises with the set-up stimuli of the queues replaced by what `bend` makes of them, then offers one request. */
const bentSetup = (
  bend: (d: Driver, set: Extract<Stimulus, { do: 'virtq.set' }>, n: number) => Stimulus,
  setup: Setup = PLAIN,
): Violation =>
  function* (d, n) {
    if (!(yield* reset(d))) return false;
    yield* acquaint(d);
    if (d.gone || d.offered === undefined || !(yield* negotiate(d, accept(d.offered, setup.decline)))) return false;
    setUpQueues(d, setup);
    d.out = d.out.map((s) => (s.do === 'virtq.set' && s.queue === 0 ? bend(d, s, n) : s));
    d.out.push({ do: 'virtio.status.write', value: OK_SO_FAR | STATUS.DRIVER_OK });
    d.live = true;
    const q = d.queues[0];
    const c = q === undefined ? undefined : craftIn(d, q);
    if (c !== undefined) launch(d, c);
    return true;
  };

function* initialisedWith(d: Driver, decline: number, usedFlags: number): Play<boolean> {
  if (!(yield* reset(d))) return false;
  yield* acquaint(d);
  if (d.gone || d.offered === undefined || !(yield* negotiate(d, accept(d.offered, decline)))) return false;
  setUpQueues(d, { ...PLAIN, decline });
  const q = d.queues[0];
  if (q === undefined) return false;
  const set = d.out.findIndex((s) => s.do === 'virtq.set');
  d.out.splice(set, 0, store16(q.rings.used, usedFlags));
  d.out.push({ do: 'virtio.status.write', value: OK_SO_FAR | STATUS.DRIVER_OK });
  d.live = true;
  const c = craftIn(d, q);
  if (c !== undefined) launch(d, c);
  return true;
}

/** A part of the queue one alignment further on, or before where memory ends behind it: it is still whole and aligned. */
const moved = (d: Driver, q: Queue, part: 'desc' | 'avail' | 'used'): Gpa => {
  const [at, step] = [q.rings[part], ALIGN[part]];
  return gpa(at + step + partSize(part, q.size) > d.granted.memory.size ? at - step : at + step);
};
export const RING_VIOLATIONS: Readonly<Record<string, Violation>> = {
  'virtio.split.layout.align': bentSetup((_, s, n) =>
    which(n, [
      { ...s, desc: gpa(s.desc + 8n) },
      { ...s, avail: gpa(s.avail + 1n) },
      { ...s, used: gpa(s.used + 2n) },
      { ...s, desc: gpa(s.desc + 1n) },
      { ...s, used: gpa(s.used + 1n) },
    ]),
  ),
  'virtio.split.layout.memory': bentSetup((d, s, n) => {
    const end = BigInt(d.granted.memory.size);
    const at = which(Math.floor(n / 3), [end, end - 16n, 2n ** 64n - 16n, 2n ** 63n, 2n ** 32n]);
    return { ...s, ...which<object>(n, [{ desc: gpa(at) }, { avail: gpa(at) }, { used: gpa(at) }]) };
  }),
  'virtio.split.size': bentSetup((d, s, n) => {
    const most = d.sizeMax[0] ?? s.size;
    return {
      ...s,
      size: which(
        n,
        [0, 3, most * 2, most - 1, 0xffff, 0x8000].filter((x) => x !== s.size && x <= 0xffff),
      ),
    };
  }),
  /** The queue's parts move while it is live. */
  'virtio.queue.live': onQueue((d, q) => {
    d.out.push({
      do: 'virtq.set',
      queue: q.index,
      size: q.size,
      desc: moved(d, q, 'desc'),
      avail: moved(d, q, 'avail'),
      used: moved(d, q, 'used'),
    });
    const c = craftIn(d, q);
    if (c !== undefined) launch(d, c);
    return true;
  }),
  'virtio.queue.exists': onQueue((d, q, n) => {
    const queue = which(n, [d.granted.virtio?.queues ?? 64, 64, 1023, 0xffff, 0x7fff]);
    if (n % 2 === 0) d.out.push({ do: 'virtq.notify', queue });
    else d.out.push({ do: 'virtq.set', queue, size: q.size, desc: gpa(q.rings.desc), avail: gpa(q.rings.avail), used: gpa(q.rings.used) });
    return true;
  }),
  'virtio.split.avail.head-range': onQueue((d, q, n) => {
    const c = craftIn(d, q);
    if (c === undefined) return false;
    launch(d, c, which(n, [q.size, q.size + 1, 0xffff, 0x8000]));
    return true;
  }),
  'virtio.split.avail.head-twice': onQueue((d, q, n) => {
    const c = craftIn(d, q);
    if (c === undefined) return false;
    writeDescriptors(q, c.slots, c.chain, d.out);
    const held = { head: c.slots[0] as number, slots: c.slots, block: c.block };
    offer(q, held, d.out);
    for (let copies = 1 + (n % Math.max(1, q.size - 1)); copies > 0; copies--) {
      d.out.push(store16(q.rings.avail + 4 + 2 * (u16(q.idx + q.added) % q.size), held.head));
      q.added++;
    }
    publish(q, d.out);
    notify(d, q);
    q.stuck = true;
    return true;
  }),
  'virtio.split.avail.jump': onQueue((d, q, n) => {
    const c = craftIn(d, q);
    if (c === undefined) return false;
    writeDescriptors(q, c.slots, c.chain, d.out);
    offer(q, { head: c.slots[0] as number, slots: c.slots, block: c.block }, d.out);
    q.added = which(
      n,
      [q.size + 1, q.size + 2, 2 * q.size, 0x7fff, 0x8000].map((k) => k - (q.flying.length - q.added)),
    );
    publish(q, d.out);
    notify(d, q);
    q.stuck = true;
    return true;
  }),
  'virtio.split.avail.backwards': onQueue((d, q, n) => {
    d.out.push(store16(q.rings.avail + 2, u16(q.idx - which(n, [1, 2, q.size, q.size + 1]))), { do: 'virtq.notify', queue: q.index });
    q.stuck = true;
    return true;
  }),
  'virtio.split.avail.flags': onQueue(
    (d, q, n) => {
      d.out.push(store16(q.rings.avail, which(n, [2, 0x8000, 0xffff, 3])));
      const c = craftIn(d, q);
      if (c !== undefined) launch(d, c);
      return c !== undefined;
    },
    [],
    [F.EVENT_IDX],
  ),
  'virtio.split.avail.flags-event-idx': onQueue(
    (d, q, n) => {
      d.out.push(store16(q.rings.avail, which(n, [1, 2, 0xffff])));
      const c = craftIn(d, q);
      if (c !== undefined) launch(d, c);
      return c !== undefined;
    },
    [F.EVENT_IDX],
  ),
  'virtio.split.used.flags': function* (d, n) {
    return yield* initialisedWith(d, n % 2 === 0 ? declining([F.EVENT_IDX]) : 0, which(n >> 1, [1, 0xffff, 2]));
  },
  /** The device asked for a kick and gets none. */
  'virtio.split.kick.required': onQueue((d, q) => {
    const c = craftIn(d, q);
    if (c === undefined) return false;
    writeDescriptors(q, c.slots, c.chain, d.out);
    offer(q, { head: c.slots[0] as number, slots: c.slots, block: c.block }, d.out);
    publish(q, d.out);
    q.stuck = true;
    return true;
  }),
  /** An exposed chain is altered before the device used it. */
  'virtio.queue.withdraw': onQueue((d, q, n) => {
    const c = craftIn(d, q);
    if (c === undefined) return false;
    writeDescriptors(q, c.slots, c.chain, d.out);
    offer(q, { head: c.slots[0] as number, slots: c.slots, block: c.block }, d.out);
    publish(q, d.out);
    if (n % 2 === 0) d.out.push(store16(q.rings.avail + 4 + 2 * (u16(q.idx - 1) % q.size), c.slots[1] as number));
    else
      writeDescriptors(
        q,
        c.slots,
        c.chain.map((e) => ({ ...e, at: c.spare, length: 1 })),
        d.out,
      );
    notify(d, q);
    return true;
  }),
};
