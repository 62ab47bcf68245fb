// What the driver owes a split virtqueue. Past a broken duty nothing is owed by the device until it is reset, but safety.
// VIRTIO 1.4, driver requirements of Split Virtqueues and Device Cleanup.

import { type Duty, dutyOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import { has } from '../features.ts';
import { availBytes, hullAt, meet, type Outstanding, type Queue, type SplitGhost, tableBytes, touches, usedBytes } from './ghost.ts';

const duty = dutyOf<SplitGhost>();
const device = (): string => 'device:0';
const virtqueues = 'Basic Facilities of a Virtio Device / Virtqueues';
const table = `${virtqueues} / The Virtqueue Descriptor Table`;
const indirect = `${table} / Indirect Descriptors`;

/**
 * Whether the chain's entry of the available ring is not the driver's to write again. It is where so much was used before the chain
 * that the entries of new chains come round to it.
 */
const entryHeld = (q: Queue, o: Outstanding): boolean => ((q.availIdx - o.position) & 0xffff) <= q.outstanding.size;

/** Where the three parts of a queue lie, and how long they are. */
const partsOf = (q: Pick<Queue, 'size' | 'desc' | 'avail' | 'used'>): readonly (readonly [at: bigint, length: number])[] => [
  [q.desc, tableBytes(q)],
  [q.avail, availBytes(q)],
  [q.used, usedBytes(q)],
];

/** Duties that walking a chain decides: [id, section, label, says]. */
const walked: readonly (readonly [string, string, string, string])[] = [
  ['head-in-table', table, '', 'a head is an index of the descriptor table'],
  ['next-in-table', table, '', 'next is an index of its table'],
  ['chain-length', indirect, 'split.indirect.drv.03', 'a chain has no more entries than the queue'],
  ['chain-total', table, 'split.desc.drv.01', 'a chain holds no more than 2^32 bytes'],
  [
    'readable-first',
    'Basic Facilities of a Virtio Device / Message Framing',
    'framing.drv.01',
    'device-readable elements stand before device-writable ones',
  ],
  ['inside-memory', table, '', 'elements and tables lie inside guest memory'],
  ['indirect-negotiated', indirect, 'split.indirect.drv.01', 'INDIRECT is set only where it was negotiated'],
  ['indirect-not-nested', indirect, 'split.indirect.drv.02', 'INDIRECT is not set inside an indirect table'],
  ['indirect-not-next', indirect, 'split.indirect.drv.04', 'INDIRECT and NEXT are not set together'],
  ['indirect-whole', indirect, '', 'an indirect table is a whole, positive number of entries'],
  ['in-order-entries', table, 'split.desc.drv.02, split.indirect.drv.05', 'with IN_ORDER entries follow one another'],
  ['head-not-outstanding', `${virtqueues} / Supplying Buffers to The Device`, '', 'a head that is outstanding is not offered again'],
];

export const splitDuties: readonly Duty<SplitGhost>[] = [
  ...walked.map(([name, section, label, says]) =>
    duty({
      id: `virtio.split.driver.${name}`,
      cite: virtio(section, label === '' ? undefined : label),
      says,
      on: ['virtq.malformed'],
      keeps: ({ event }) => !event.why.startsWith(`virtio.split.driver.${name}:`) || { expected: says, saw: event.why, kind: name },
      taints: device,
    }),
  ),
  duty({
    id: 'virtio.split.driver.no-empty-element',
    cite: virtio(`${virtqueues} / Supplying Buffers to The Device / Placing Buffers Into The Descriptor Table`),
    says: 'elements are not empty (the text is silent: see readings)',
    on: ['virtq.malformed'],
    keeps: ({ event }) =>
      !event.why.startsWith('virtio.split.driver.no-empty-element:') || { unknown: 'whether an empty element is permitted' },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.idx-bounded',
    cite: virtio(`${virtqueues} / The Virtqueue Available Ring`, 'split.avail.drv.01'),
    says: 'avail idx never goes back, nor past what the queue holds',
    on: ['virtq.malformed'],
    keeps: ({ event }) => event.head !== -1 || { expected: 'idx moved by what was offered', saw: event.why, kind: 'idx' },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.aligned',
    cite: virtio(virtqueues, 'split.layout.drv.01'),
    says: 'descriptor table, available ring and used ring start on multiples of 16, 2 and 4',
    on: ['virtq.enabled'],
    keeps: ({ event }) =>
      (event.desc % 16n === 0n && event.avail % 2n === 0n && event.used % 4n === 0n) || {
        expected: 'multiples of 16, 2 and 4',
        saw: 'a misaligned part',
        kind: 'misaligned',
      },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.live-left-alone',
    cite: virtio('General Initialization And Device Operation / Device Cleanup', 'cleanup.drv.02'),
    says: 'a live queue is set up anew only after a device reset',
    on: ['virtq.enabled'],
    keeps: ({ before, event }) =>
      !(before.live && before.queues.has(event.queue)) || {
        expected: 'a reset first',
        saw: `queue ${event.queue} set while live`,
        kind: 'live',
      },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.size',
    cite: virtio('Basic Facilities of a Virtio Device / Split Virtqueues'),
    says: 'a queue size is a power of 2, at most 32768',
    on: ['virtq.enabled'],
    keeps: ({ event }) =>
      (event.size > 0 && event.size <= 32768 && (event.size & (event.size - 1)) === 0) || {
        expected: 'a power of 2',
        saw: `size ${event.size}`,
        kind: 'size',
      },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.rings-inside-memory',
    cite: virtio('Basic Facilities of a Virtio Device / Split Virtqueues'),
    says: 'the three parts lie inside guest memory, and apart from one another and from other queues',
    on: ['virtq.enabled'],
    keeps: ({ before, event: e, memory }) => {
      const parts = partsOf(e);
      const fits = parts.every(([at, n]) => at + BigInt(n) <= BigInt(memory.size));
      const others = before.all.filter((o) => o.index !== e.queue).flatMap(partsOf);
      const apart = parts.every(
        ([at, n], i) =>
          others.every(([other, m]) => !touches(at, n, other, m)) && parts.every(([other, m], k) => k <= i || !touches(at, n, other, m)),
      );
      return (
        (fits && apart) || {
          expected: 'three separate parts of memory',
          saw: fits ? 'parts that overlap' : 'a part outside memory',
          kind: 'rings',
        }
      );
    },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.used-ring-cleared',
    cite: virtio(`${virtqueues} / Available Buffer Notification Suppression`, 'split.availsupp.drv.01'),
    says: 'used flags and idx are initialised before DRIVER_OK',
    on: ['virtio.live'],
    keeps: ({ before }) => {
      for (const q of before.all)
        if (q.left.flags !== 0 || q.left.idx !== q.usedIdx)
          return { expected: 'flags 0 and idx at its start', saw: 'something else', kind: 'used-ring' };
      return true;
    },
    taints: device,
  }),
  duty({
    id: 'virtio.split.driver.avail-flags',
    cite: virtio(`${virtqueues} / Used Buffer Notification Suppression`, 'split.usedsupp.drv.01'),
    says: 'avail flags hold 0 or 1',
    on: ['memory.write'],
    keeps: ({ before, event, memory }) => {
      if (!before.live) return true;
      const written = hullAt(event.at, event.bytes.length);
      for (const q of before.all)
        if (meet(written, q.words.availFlags) && !has(before.features, 'EVENT_IDX') && (memory.u16(q.avail) ?? 0) > 1)
          return { expected: '0 or 1', saw: `flags ${memory.u16(q.avail)}`, kind: 'flags' };
      return true;
    },
    taints: device,
  }),
  duty({
    id: 'virtio.cleanup.exposed-unaltered',
    cite: virtio('General Initialization And Device Operation / Device Cleanup', 'cleanup.drv.01'),
    says: 'what was made available is not altered until it is used',
    on: ['memory.write'],
    keeps: ({ before, event }) => {
      if (!before.live) return true;
      const hit = (at: bigint, n: number): boolean => touches(event.at, event.bytes.length, at, n);
      const written = hullAt(event.at, event.bytes.length);
      for (const q of before.all) {
        if (meet(written, q.words.used)) return { expected: 'the used ring left to the device', saw: 'a write to it', kind: 'used-ring' };
        for (const o of q.outstanding.values()) {
          const altered =
            (entryHeld(q, o) && hit(q.avail + 4n + 2n * BigInt(o.position % q.size), 2)) ||
            (meet(o.hulls.entries, written) &&
              (o.slots.some((slot) => hit(q.desc + BigInt(slot * 16), 16)) ||
                (o.indirect !== undefined && hit(o.indirect.at, o.indirect.length)))) ||
            (meet(o.hulls.elements, written) &&
              (o.chain.readable.some((s) => hit(s.at, s.length)) || o.chain.writable.some((s) => hit(s.at, s.length))));
          if (altered) return { expected: 'exposed buffers unaltered', saw: `a write at 0x${event.at.toString(16)}`, kind: 'exposed' };
        }
      }
      return true;
    },
    taints: device,
  }),
];
