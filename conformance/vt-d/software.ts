// What the software that a program plays knows: its tables in memory, address spaces, commands given, the state of its invalidation queue.
// Nothing here looks at an answer: what the unit does is the judge's business.

import type { Gpa, Granted } from '../../spec/units.ts';
import type { Requester, RequesterAbility, VtdMachine } from '../../spec/vt-d/vocabulary.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { bit, COMMAND, type Facts, factsOf, page, REG, words } from './bits.ts';

/** One leaf: `page` is a data page's number, or 0 for a large page, which starts at address 0. */
export interface Mapping {
  readonly at: bigint;
  readonly level: 1 | 2 | 3;
  page: number;
  rights: number;
}
export interface Space {
  readonly index: number;
  readonly kind: 'second' | 'first';
  readonly domain: number;
  readonly levels: number;
  readonly root: number;
  readonly mappings: Mapping[];
  /** Addresses that were mapped, latest last. */
  readonly past: bigint[];
  /** Where large pages ever were: what lies there may reach tables. */
  readonly large: { readonly at: bigint; readonly end: bigint }[];
}
export interface Attachment {
  readonly space: Space;
  readonly type: string;
  readonly domain: number;
}
export interface Device {
  readonly index: number;
  readonly requester: Requester;
  /** By PASID; 0 also stands for requests without. */
  readonly attached: Map<number, Attachment>;
  /** Pages of its PASID directory and table. */
  directory?: { readonly page: number; readonly table: number };
  /** It may have been passed through at some time, so that its addresses may be physical ones. */
  loose: boolean;
  /** Addresses for which it asked for translations. */
  readonly translated: { readonly at: bigint; readonly page: number }[];
}
export interface Queue {
  on: boolean;
  readonly wide: boolean;
  readonly slots: number;
  tail: number;
  /** The descriptor that stopped it. */
  stuck: number | undefined;
}
export interface Software {
  readonly vtd: VtdMachine;
  readonly facts: Facts;
  /** The target tells outcomes and shows interrupts of every kind: nothing has to be left out for its sake. */
  readonly rich: boolean;
  readonly shows: boolean;
  readonly offers: (c: Granted['offers'][number]) => boolean;
  out: Stimulus[];
  readonly memory: Map<number, bigint>;
  readonly dataPages: number;
  readonly firstData: number;
  nextPage: number;
  readonly touched: Set<number>;
  scalable: boolean;
  /** GSTS_REG's persistent bits, as far as software set them. */
  commands: bigint;
  queue: Queue;
  remaps: boolean;
  spaces: Space[];
  readonly devices: readonly Device[];
  /** Words that were spoilt: address and the value to put back. */
  readonly spoilt: { readonly at: number; readonly value: bigint; readonly flush: (how: 'right') => void }[];
  /** First of the pages that scenes keep their tables in. */
  scene: number | undefined;
  counter: number;
  violated: boolean;
  started: boolean;
}

export const PAGES = { root: 1, queue: 2, interrupts: 3, status: 4, requests: 5, posted: 6, pool: 8 } as const;
export const gpa = (at: number | bigint): Gpa => BigInt(at) as Gpa;

export const software = (granted: Granted): Software => {
  const vtd = granted.vtd as VtdMachine;
  const pages = granted.memory.size / Number(page);
  const dataPages = Math.min(16, Math.max(2, pages >> 2));
  return {
    vtd,
    facts: factsOf(vtd.cap, vtd.ecap, vtd.hostAddressWidth),
    rich: granted.offers.includes('vt-d.dma'),
    shows: granted.offers.includes('vt-d.interrupt'),
    offers: (c) => granted.offers.includes(c),
    out: [],
    memory: new Map(),
    dataPages,
    firstData: pages - dataPages,
    nextPage: PAGES.pool,
    touched: new Set(),
    scalable: false,
    commands: 0n,
    queue: { on: false, wide: false, slots: 256, tail: 0, stuck: undefined },
    remaps: false,
    spaces: [],
    devices: vtd.requesters.map((requester, index) => ({ index, requester, attached: new Map(), loose: false, translated: [] })),
    spoilt: [],
    scene: undefined,
    counter: 0,
    violated: false,
    started: false,
  };
};

export const pick = <T>(list: readonly T[], n: number): T | undefined => (list.length === 0 ? undefined : list[n % list.length]);
export const has = (device: Device, ability: RequesterAbility): boolean => device.requester.can.includes(ability);
/** The n-th device that can. */
export const able = (sw: Software, n: number, ...abilities: readonly RequesterAbility[]): Device | undefined =>
  pick(
    sw.devices.filter((d) => abilities.every((a) => has(d, a))),
    n,
  );

/** A value unlike any before it; every byte has its top bit set, which no status has. */
export const fresh = (sw: Software): number => {
  const n = ++sw.counter;
  return (0x8080_8080 + ((n >> 14) & 0x3f) * 0x1_0000 + ((n >> 7) & 0x7f) * 0x100 + (n & 0x7f)) >>> 0;
};
/** A status unlike any before it; no byte is 0 or has its top bit set, so that it is never taken for a request's. */
export const freshStatus = (sw: Software): number => {
  const n = ++sw.counter;
  return 0x0140_4040 + ((n >> 12) & 0x3f) * 0x1_0000 + ((n >> 6) & 0x3f) * 0x100 + (n & 0x3f);
};

export const peek = (sw: Software, at: number): bigint => sw.memory.get(at) ?? 0n;
/** Nothing where no memory is: a pointer that was spoilt leads anywhere. */
export const poke = (sw: Software, at: number, ...values: readonly bigint[]): void => {
  if (at + 8 * values.length > (sw.firstData + sw.dataPages) * Number(page)) return;
  for (const [i, value] of values.entries()) sw.memory.set(at + 8 * i, BigInt.asUintN(64, value));
  sw.out.push({ do: 'memory.write', at: gpa(at), bytes: words(...values) });
};
/** A page of zeros for a table; undefined when memory is used up. */
export const allocate = (sw: Software): number | undefined => (sw.nextPage < sw.firstData ? sw.nextPage++ : undefined);
export const addressOf = (number: number): number => number * Number(page);

const windows: readonly number[] = [0, 0x7c0, 0xfc0];
/** What software puts there, by page number: the same in every program. */
const contents = new Map<number, readonly Uint8Array[]>();
const contentsOf = (number: number): readonly Uint8Array[] => {
  const made =
    contents.get(number) ?? windows.map((_, k) => Uint8Array.from({ length: 0x40 }, (_, i) => 1 + ((number * 29 + k * 67 + i * 3) % 255)));
  contents.set(number, made);
  return made;
};
/** Data page number n, with bytes to read in it. */
export const dataPage = (sw: Software, n: number): number => {
  const number = sw.firstData + (n % sw.dataPages);
  if (!sw.touched.has(number)) {
    sw.touched.add(number);
    for (const [k, bytes] of contentsOf(number).entries())
      sw.out.push({ do: 'memory.write', at: gpa(addressOf(number) + (windows[k] ?? 0)), bytes });
  }
  return number;
};

export const read = (sw: Software, at: number, width: 4 | 8): void => {
  sw.out.push({ do: 'vtd.read', at, width });
};
export const write = (sw: Software, at: number, width: 4 | 8, value: bigint | number): void => {
  sw.out.push({ do: 'vtd.write', at, width, value: BigInt(value) });
};
export const persistent = (command: keyof typeof COMMAND): bigint => bit(COMMAND[command]);
export const is = (sw: Software, command: keyof typeof COMMAND): boolean => (sw.commands & persistent(command)) !== 0n;
/** Turns one command bit on or off, the others as they are, and waits for the status. */
export const turn = (sw: Software, command: keyof typeof COMMAND, on: boolean): void => {
  const b = persistent(command);
  sw.commands = on ? sw.commands | b : sw.commands & ~b;
  write(sw, REG.GCMD, 4, sw.commands);
  read(sw, REG.GSTS, 4);
};
/** A command that is done when its status says so. */
export const once = (sw: Software, command: 'SRTP' | 'SIRTP' | 'WBF'): void => {
  write(sw, REG.GCMD, 4, sw.commands | persistent(command));
  // The next command waits for this one: who does not take it is seen now, or never.
  if (command === 'SIRTP') sw.out.push({ do: 'settle' });
  read(sw, REG.GSTS, 4);
};
