// Sweeps of the invalidation queue: every reserved bit of every descriptor, every type, ends of the queue, errors of the tail and of the fetch.
// VT-d 4.1, Queued Invalidation Interface; Invalidation Queue Errors.

import { bit, REG } from './bits.ts';
import { descriptor, invalidate, type Invalidation, resume, submit, waiting } from './invalidate.ts';
import { addressOf, type Device, has, PAGES, poke, read, type Software, turn, write } from './software.ts';
import { anew, some, spare, span } from './sweep-path.ts';

type Words = readonly [bigint, bigint];
/** A descriptor that may stop the queue, between two waits; what stopped is looked at, and mended by the next `resume`. */
const between = (sw: Software, words: Words, upper: Words = [0n, 0n]): void => {
  const { queue } = sw;
  resume(sw);
  submit(sw, [waiting(sw, true, false)]);
  queue.stuck = queue.tail;
  const size = queue.wide ? 32 : 16;
  if (queue.wide) {
    poke(sw, addressOf(PAGES.queue) + size * queue.tail, ...words, ...upper);
    queue.tail = (queue.tail + 1) % queue.slots;
    submit(sw, [waiting(sw, true, false)]);
  } else submit(sw, [words, waiting(sw, true, false)]);
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  read(sw, REG.IQH, 8);
  read(sw, REG.IQERCD, 8);
};
/** One right descriptor of each type that this unit has. */
const rightOnes = (sw: Software, device: Device | undefined, n: number): readonly Words[] => {
  const { facts } = sw;
  const source = device?.requester.sourceId ?? 0;
  const physical = source;
  const at = 0x1000n;
  const domain = 1;
  const list: readonly (Invalidation | false)[] = [
    { what: 'context', grain: ([1, 2, 3] as const)[n % 3] ?? 3, domain, source },
    { what: 'iotlb', grain: ([1, 2, 3] as const)[n % 3] ?? 3, domain, at, order: 0 },
    facts.remaps && { what: 'interrupts', index: 1 },
    facts.deviceTlb && device !== undefined && { what: 'device', source, at, sized: n % 2 === 1, physical },
    sw.scalable && { what: 'pasid-iotlb', grain: n % 2 === 0 ? 3 : 2, domain, pasid: 1, at },
    sw.scalable && { what: 'pasid', grain: ([0, 1, 3] as const)[n % 3] ?? 1, domain, pasid: 1 },
    sw.scalable &&
      facts.deviceTlb &&
      device !== undefined && { what: 'pasid-device', source, at, sized: n % 2 === 0, pasid: 1, every: false, physical },
    sw.scalable && facts.pageRequests && { what: 'response', source, pasid: 1, group: 5, code: 0 },
  ];
  return [...list.flatMap((i) => (i === false ? [] : [descriptor(sw, i)])), waiting(sw, true, false)];
};
/** Every bit of one of them. */
export const descriptorBits = (sw: Software, n: number): boolean => {
  if (!sw.queue.on) return false;
  const device = sw.devices.find((d) => d.requester.physical === undefined && has(d, 'ats'));
  const all = rightOnes(sw, device, n >> 1);
  const [low, high] = all[(n + sw.counter) % all.length] as Words;
  // The fields that say whom, what or where are other sweeps' affair; the status of a wait is where memory is.
  const skip = (k: number): boolean => ((low & 0xfn) === 5n ? k > 31 && k !== 64 && k !== 65 : k === 5 || k === 4);
  for (const k of span(127, 4)) {
    if (skip(k)) continue;
    between(sw, [low ^ (k < 64 ? bit(k) : 0n), high ^ (k < 64 ? 0n : bit(k - 64))]);
  }
  resume(sw);
  return true;
};
/** Types that there are not, granularities that a type has not, masks one past what the unit takes, words past the first two. */
export const types = (sw: Software, n: number): boolean => {
  if (!sw.queue.on) return false;
  const { facts } = sw;
  const device = sw.devices.find((d) => d.requester.physical === undefined && has(d, 'ats'));
  for (const type of [0, 10, 11, 12, 13, 14, 15]) between(sw, [BigInt(type), 0n]);
  for (const k of [9, 10, 11]) between(sw, [1n | bit(4) | bit(k), 0n]);
  if (!facts.scalable) for (const type of [6, 7, 8, 9]) between(sw, [BigInt(type) | (2n << 4n), 0n]);
  for (const grain of [0n, 1n, 2n, 3n]) {
    between(sw, [1n | (grain << 4n), 0n]);
    between(sw, [2n | (grain << 4n), 0n]);
    if (sw.scalable) for (const type of [6n, 7n]) between(sw, [type | (grain << 4n), 0n]);
  }
  for (const order of [facts.maximumMask, facts.maximumMask + 1, 63]) {
    if (facts.pageSelective && order < 64) between(sw, [2n | (3n << 4n) | bit(16), BigInt(order)]);
    if (sw.scalable && order < 64) between(sw, [6n | (3n << 4n) | bit(16), BigInt(order)]);
  }
  if (facts.remaps) for (const order of [0, 1, facts.maximumHandleMask, 31]) between(sw, [4n | bit(4) | (BigInt(order) << 27n), 0n]);
  if (sw.queue.wide)
    for (const right of some(rightOnes(sw, device, n), n, 2))
      for (const k of [0, 31, 32, 63]) {
        between(sw, right, [bit(k), 0n]);
        between(sw, right, [0n, bit(k)]);
      }
  resume(sw);
  return true;
};
/** The unit as after power-on, with its queue at a page of its own. */
const own = (sw: Software, wide: boolean, address: bigint, act: () => void): boolean => {
  if (!sw.facts.queue || sw.scene === undefined) return false;
  return anew(sw, () => {
    if (wide) {
      // Wide descriptors belong to scalable mode.
      write(sw, REG.RTADDR, 8, BigInt(addressOf(PAGES.root)) | bit(10));
      write(sw, REG.GCMD, 4, bit(30));
      sw.out.push({ do: 'settle' });
      read(sw, REG.GSTS, 4);
    }
    write(sw, REG.IQT, 8, 0n);
    write(sw, REG.IQA, 8, address | (wide ? bit(11) : 0n));
    turn(sw, 'QIE', true);
    act();
  });
};
const look = (sw: Software): void => {
  sw.out.push({ do: 'settle' });
  read(sw, REG.FSTS, 4);
  for (const at of [REG.IQH, REG.IQT, REG.IQERCD]) read(sw, at, 8);
};
/** Queues of each size that there is room for: around their end and on from the beginning, and a tail past it. */
export const queueEnds = (sw: Software, n: number): boolean => {
  const wide = sw.facts.scalable && n % 2 === 1;
  const order = (n >> 1) % 3 === 0 ? 1 : 0;
  const base = order === 1 ? addressOf(sw.scene ?? 0) : spare(sw, 0);
  const size = wide ? 32 : 16;
  const count = (4096 << order) / size;
  return own(sw, wide, BigInt(base) | BigInt(order), () => {
    const iotlb = 2n | bit(4);
    poke(sw, base, ...span(count - 1, 0).flatMap(() => (wide ? [iotlb, 0n, 0n, 0n] : [iotlb, 0n])));
    const tail = (at: number): void => {
      write(sw, REG.IQT, 8, BigInt(at * size));
      look(sw);
    };
    for (const at of [1, count - 2, count - 1, 0, 1, count - 1, 3]) tail(at);
    // The other half of a wide descriptor is none.
    if (wide) {
      write(sw, REG.IQT, 8, BigInt(4 * size + 16));
      look(sw);
    } else {
      write(sw, REG.IQT, 8, BigInt(count * size));
      look(sw);
    }
  });
};
/** A queue where no memory is, wholly or from some place on. */
export const queueNowhere = (sw: Software, n: number): boolean => {
  const end = BigInt((sw.firstData + sw.dataPages) * 4096);
  const at = [end, bit(30), bit(sw.facts.hostAddressWidth - 1), end - 0x1000n][n % 4] as bigint;
  return own(sw, sw.facts.scalable && n % 8 > 3, at | (n % 4 === 3 ? 1n : 0n), () => {
    // What devices left there looks like any descriptor: a unit that takes one would not show what it does where no memory is.
    if (!sw.rich && n % 4 === 3) poke(sw, Number(end - 0x1000n), 0n, 0n, 0n, 0n);
    write(sw, REG.IQT, 8, 0x20n);
    look(sw);
    write(sw, REG.FSTS, 4, bit(4));
    look(sw);
  });
};
/** What device TLBs are told: pages, ranges of each size, everything, by each PASID bit; whoever is asked. */
export const deviceInvalidations = (sw: Software, n: number): boolean => {
  const devices = sw.devices.filter((d) => d.requester.physical === undefined && has(d, 'ats'));
  const device = devices[n % Math.max(1, devices.length)];
  if (device === undefined || !sw.queue.on || !sw.facts.deviceTlb) return false;
  const { sourceId: source } = device.requester;
  const physical = source;
  resume(sw);
  for (const k of span(51, 0)) {
    const at = ((bit(k) - 1n) << 12n) | (k < 40 ? bit(12 + k + 3) : 0n);
    invalidate(sw, [
      { what: 'device', source, at, sized: true, physical },
      { what: 'device', source, at: bit(12 + k), sized: false, physical },
      ...(sw.scalable
        ? ([
            { what: 'pasid-device', source, at, sized: true, pasid: 1 << (k % 20), every: k % 3 === 0, physical },
            { what: 'pasid-device', source, at: bit(12 + k), sized: false, pasid: 0xf_ffff ^ (1 << (k % 20)), every: false, physical },
          ] as const)
        : []),
    ]);
    if (k % 8 === 7) sw.out.push({ do: 'settle' });
  }
  invalidate(sw, [{ what: 'device', source, at: BigInt.asUintN(64, -0x1000n), sized: true, physical }]);
  sw.out.push({ do: 'settle' });
  return true;
};
/** A device that keeps silent: the wait behind is not done, ITE is set; it is cleared, and the device answers. */
export const timeouts = (sw: Software, n: number): boolean => {
  const devices = sw.devices.filter((d) => d.requester.physical === undefined && has(d, 'ats'));
  const device = devices[n % Math.max(1, devices.length)];
  if (device === undefined || !sw.queue.on || !sw.facts.deviceTlb || !sw.offers('vt-d.reset')) return false;
  resume(sw);
  const { index: requester } = device;
  const { sourceId: source } = device.requester;
  sw.out.push({ do: 'ats.answers', requester, answers: false });
  const mute = descriptor(sw, { what: 'device', source, at: 0x1000n, sized: false, physical: source });
  submit(sw, n % 2 === 0 ? [mute, waiting(sw, true, false)] : [mute]);
  look(sw);
  sw.out.push({ do: 'ats.answers', requester, answers: true });
  write(sw, REG.FSTS, 4, bit(6));
  look(sw);
  return own(sw, false, BigInt(spare(sw, 0)), () => look(sw));
};
