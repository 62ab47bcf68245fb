// Scenes of what stands deep in the walk: pointers beyond the host address width, modes that a unit lacks, rights found in the cache,
// nested translation, translation requests. VT-d 4.1, Fault Conditions; Nested Translation; PCI Express Base, Address Translation Services.

import type { Iova } from '../../spec/units.ts';
import { bit, REG, words } from './bits.ts';
import { descriptor, resume, submit, waiting } from './invalidate.ts';
import type { Scene } from './scene-names.ts';
import { type Change, PLACE, tell } from './scenes.ts';
import { addressOf, dataPage, type Device, fresh, has, read, type Software } from './software.ts';

type Tables = (sw: Software, n: number) => Change | undefined;
interface Attributes {
  readonly pasid?: number;
  readonly privileged?: boolean;
  readonly execute?: boolean;
}
const write = (sw: Software, d: Device, at: bigint, more: Omit<Attributes, 'execute'> = {}): void => {
  sw.out.push({ do: 'dma.write', requester: d.index, at: at as Iova, bytes: words(BigInt(fresh(sw))).slice(0, 4), ...more });
};
const fetch = (sw: Software, d: Device, at: bigint, more: Attributes = {}): void => {
  if (has(d, 'read')) sw.out.push({ do: 'dma.read', requester: d.index, at: at as Iova, length: 4, ...more });
};
const able = (sw: Software, n: number): boolean => (sw.vtd.ecap & bit(n)) !== 0n;
/** EAFE, now and then where there is extended access flag enabling. */
const extendedFlags = (sw: Software, n: number): bigint => (able(sw, 34) && n % 2 === 0 ? bit(7) : 0n);
const executes = (sw: Software): boolean => sw.facts.pasid && able(sw, 30) && able(sw, 31);
/** Only the first stage, where the second is not built. */
const plain = (sw: Software): boolean => sw.scalable && !sw.facts.secondStage;
const first =
  (change: Tables): Tables =>
  (sw, n) =>
    sw.scalable && sw.facts.firstStage ? { first: true, ...change(sw, n) } : undefined;
const wide = (sw: Software, n: number): bigint => bit(Math.min(51, sw.facts.hostAddressWidth + n));
const data = (sw: Software): bigint => BigInt(addressOf(dataPage(sw, 1)));

/** The same page read and written, as the cache has it after either. */
const bothWays = (sw: Software, d: Device, n: number): void => {
  const kinds = n % 2 === 0 ? [fetch, write, fetch] : [write, fetch, write];
  for (const ask of kinds) {
    ask(sw, d, PLACE);
    tell(sw);
  }
  if (has(d, 'atomic')) sw.out.push({ do: 'dma.atomic', requester: d.index, at: PLACE as Iova, width: 4, operand: 1n });
};
/** Translations asked for, and used by nobody: one that will be written through and one that will not, of pages with and without the right. */
const asked = (sw: Software, d: Device, n: number): void => {
  if (!has(d, 'ats')) return;
  const more = sw.facts.pasid && n % 2 === 1 ? { pasid: 1 } : {};
  for (const noWrite of [n < 2, n >= 2]) {
    const at = PLACE as Iova;
    sw.out.push({ do: 'ats.request', requester: d.index, at, ...more, pages: 1 + n, ...(noWrite ? { noWrite: true } : {}) });
    tell(sw);
  }
  if (!('pasid' in more) || !executes(sw)) return;
  for (const privileged of [false, true])
    sw.out.push({ do: 'ats.request', requester: d.index, at: PLACE as Iova, ...more, pages: 1, execute: true, privileged });
  tell(sw);
};
const manner = (privileged: boolean) => (sw: Software, d: Device) => {
  fetch(sw, d, PLACE, { pasid: 1, execute: true, ...(privileged ? { privileged } : {}) });
  fetch(sw, d, PLACE, { pasid: 1, ...(privileged ? { privileged } : {}) });
  write(sw, d, PLACE, { pasid: 1, ...(privileged ? { privileged } : {}) });
  // What a privileged request left in the cache is not for everybody.
  fetch(sw, d, PLACE, { pasid: 1 });
};

export const deepScenes: Partial<Readonly<Record<Scene, Tables>>> = {
  'root-wide': (sw, n) => ({ first: plain(sw), rootFlip: wide(sw, n) }),
  'context-wide': (sw, n) => ({ first: plain(sw), contextFlip: wide(sw, n) }),
  'directory-wide': (sw, n) => (sw.scalable ? { first: plain(sw), directoryFlip: wide(sw, n) } : undefined),
  'entry-wide': (sw, n) =>
    sw.scalable ? (plain(sw) || n > 1 ? first(() => ({ enable: wide(sw, n) }))(sw, n) : { entryFlip: wide(sw, n) }) : undefined,
  // FLPM: 10b and 11b are reserved.
  'first-mode': first((_, n) => ({ enable: n % 2 === 0 ? 8n : 12n })),
  // A page of 1 GiB, at address 0: data pages are reached at their own addresses.
  'first-giant': first((sw) => ({
    middle: 0x87n,
    ask: (_, d) => {
      write(sw, d, data(sw));
      fetch(sw, d, data(sw) + 4n);
    },
  })),
  // A page of 2 MiB at address 0, read at one place in it and then written at another: what is mistaken for it is a data page too.
  'large-page': (sw, n) =>
    sw.facts.largest > 1 && !plain(sw)
      ? {
          // Or of 1 GiB.
          ...(n % 2 === 1 && sw.facts.largest === 3 ? { middle: 0x83n } : { top: bit(7) }),
          ask: (_, d) => {
            fetch(sw, d, BigInt(addressOf(8)));
            write(sw, d, BigInt(addressOf(dataPage(sw, n))));
          },
        }
      : undefined,
  'first-smep': (sw, n) =>
    executes(sw)
      ? first(() => ({ pasid: 1, enable: 3n | bit(6) | extendedFlags(sw, n), leafFlip: n < 2 ? 0n : 4n, ask: manner(n % 2 === 1) }))(sw, n)
      : undefined,
  'pass-through': (sw) =>
    sw.scalable
      ? { entry: (4n << 6n) | (BigInt(Math.min(...sw.facts.levels) - 2) << 2n) | 1n, ask: (_, d) => write(sw, d, data(sw)) }
      : { contextFlip: 8n, ask: (_, d) => write(sw, d, data(sw)) },
  rights: (sw, n) => ({
    first: sw.scalable && sw.facts.firstStage && (plain(sw) || n > 1),
    // Under a first stage also with PAT, which the last level has where the others have the size of a page.
    leafFlip: n % 2 === 0 || plain(sw) || n > 1 ? 2n | (n === 3 && sw.scalable && sw.facts.firstStage ? bit(7) : 0n) : 1n,
    ask: bothWays,
  }),
  nested: (sw, n) =>
    sw.scalable && sw.facts.nesting && sw.facts.largest === 3
      ? {
          first: true,
          under: n === 1 ? 1n : n === 3 ? 0n : 3n,
          // By way of the second GiB, which the second stage puts where memory is.
          leaf: 0x4000_0000n + data(sw),
          leafFlip: n === 2 ? 2n : 0n,
          ask: bothWays,
        }
      : undefined,
  translation: (sw, n) =>
    sw.facts.deviceTlb
      ? {
          first: sw.scalable && sw.facts.firstStage && (plain(sw) || n > 1),
          ...(sw.scalable && sw.facts.pasid && n % 2 === 1 ? { pasid: 1 } : {}),
          enable: executes(sw) ? 3n : 0n,
          leafFlip:
            sw.counter % 2 === 0 ? 0n : sw.counter % 4 === 1 ? 2n : bit(63) * (sw.scalable && sw.facts.firstStage && n > 1 ? 1n : 0n),
          ask: asked,
        }
      : undefined,
};

const span = (high: number, low: number): readonly number[] => Array.from({ length: high - low + 1 }, (_, i) => low + i);
/** Reserved bits of descriptors by the type's number: of the low word, and from 64 on of the high one. */
const reserved: readonly (readonly number[])[] = [
  [...span(8, 6), ...span(15, 12), ...span(63, 50), ...span(127, 64)],
  [8, ...span(15, 12), ...span(63, 32), ...span(75, 71)],
  [...span(8, 4), ...span(31, 21), ...span(51, 48), ...span(75, 65)],
  [...span(8, 5), ...span(26, 12), ...span(63, 48), ...span(127, 64)],
  [8, ...span(31, 12), 64, 65],
  [...span(8, 6), ...span(15, 12), 52, 57, 63, ...span(75, 71)],
  [...span(8, 6), ...span(15, 12), 52, 57, 63, ...span(127, 64)],
  span(74, 65),
  [...span(8, 5), ...span(63, 52), 64, 65, ...span(127, 76)],
];
/** Granularities and masks that a type does not have. */
const wrongGrains = (sw: Software): readonly (readonly [bigint, bigint])[] => {
  const { maximumMask, pageSelective, remaps, maximumHandleMask } = sw.facts;
  const wide = BigInt(maximumMask + 1);
  return [
    [1n, 0n],
    [2n, 0n],
    ...(pageSelective && maximumMask < 63 ? [[2n | (3n << 4n), wide] as const] : []),
    ...(remaps && maximumHandleMask < 31 ? [[4n | (1n << 4n) | (BigInt(maximumHandleMask + 1) << 27n), 0n] as const] : []),
    ...(sw.scalable ? [[6n, 0n] as const, [6n | (1n << 4n), 0n] as const, [7n | (2n << 4n), 0n] as const] : []),
    ...(sw.scalable && maximumMask < 63 ? [[6n | (3n << 4n), wide] as const] : []),
  ];
};
/** Descriptors that are right but for one reserved bit, each between two waits. */
export const reservedBits = (sw: Software, n: number): void => {
  const { facts, queue } = sw;
  const device = sw.devices[0];
  if (!queue.on || device === undefined) return;
  const source = device.requester.sourceId;
  const domain = 1;
  const at = PLACE;
  const right = [
    descriptor(sw, { what: 'context', grain: 3, domain, source }),
    descriptor(sw, { what: 'iotlb', grain: facts.pageSelective ? 3 : 2, domain, at }),
    facts.deviceTlb && has(device, 'ats') ? descriptor(sw, { what: 'device', source, at, sized: false, physical: source }) : undefined,
    facts.remaps ? descriptor(sw, { what: 'interrupts', index: 1 }) : undefined,
    waiting(sw, true, false),
    sw.scalable ? descriptor(sw, { what: 'pasid-iotlb', grain: 3, domain, pasid: 1, at }) : undefined,
    sw.scalable ? descriptor(sw, { what: 'pasid', grain: 1, domain, pasid: 1 }) : undefined,
    sw.scalable && facts.deviceTlb && has(device, 'ats')
      ? descriptor(sw, { what: 'pasid-device', source, at, sized: false, pasid: 1, every: false, physical: source })
      : undefined,
    sw.scalable && facts.pageRequests ? descriptor(sw, { what: 'response', source, pasid: 1, group: 5, code: 0 }) : undefined,
    ...wrongGrains(sw),
  ];
  for (const [type, words] of right.entries()) {
    if (words === undefined || (type + n) % 3 === 1) continue;
    const bits = [
      ...(reserved[type] ?? []),
      ...(type === 4 && !able(sw, 42) ? [7] : []),
      ...((type === 2 || type === 7) && !facts.throttle ? [...span(15, 12), ...span(63, 52)] : []),
    ];
    const place = bits[(sw.counter * 7 + n) % bits.length] ?? 8;
    if (type === 1 && !facts.pageSelective && place >= 64) continue;
    resume(sw);
    submit(sw, [waiting(sw, true, false)]);
    queue.stuck = queue.tail;
    const whole = type >= reserved.length;
    const flipped = [words[0] ^ (place < 64 ? bit(place) : 0n), words[1] ^ (place < 64 ? 0n : bit(place - 64))] as const;
    submit(sw, [whole ? words : flipped, waiting(sw, true, false)]);
    sw.out.push({ do: 'settle' });
    read(sw, REG.FSTS, 4);
    read(sw, REG.IQH, 8);
  }
};
