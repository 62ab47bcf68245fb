// What a virtio.blk program is made of: records of choices, and how they are drawn.
// Numbers are edges or ranges that the player takes modulo what is live; no addresses.

import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { edged, INDEX16, SECTOR_COUNTS, SECTORS, singleBits, STREAM_CUTS, UNKNOWN_TYPES } from '../arbitraries/edges.ts';
import { CONFIG, OPTIONAL } from './bits.ts';
import type { Setup } from './driver.ts';
import type { Framing, Table } from './frame.ts';
import { PLACES, TABLES } from './frame.ts';
import { RING_PLACES } from './rings.ts';
import type { DutyName } from './violations.ts';
import { DUTIES } from './violations.ts';

/** hold: no index update yet; publish: index update, no kick yet; kick: as the device asks; settle: and wait until all is used. */
export const THENS = ['settle', 'hold', 'kick', 'publish'] as const;
export type Then = (typeof THENS)[number];

interface Posted extends Framing {
  readonly queue: number;
  /** Copies, each one sector further; 0: until the queue is full. */
  readonly times: number;
  readonly then: Then;
}
export interface InitChoice extends Setup {
  readonly op: 'init';
  /** Requests made available before DRIVER_OK. */
  readonly early: number;
}
export interface TransferChoice extends Posted {
  readonly op: 'transfer';
  readonly way: 'in' | 'out';
  readonly sector: number;
  readonly sectors: number;
}
export interface CommandChoice extends Posted {
  readonly op: 'command';
  readonly kind: 'flush' | 'get-id';
}
export interface EraseChoice extends Posted {
  readonly op: 'erase';
  readonly kind: 'discard' | 'write-zeroes' | 'secure-erase';
  readonly sector: number;
  readonly sectors: number;
  readonly segments: number;
  readonly flags: number;
}
export interface UnknownChoice extends Posted {
  readonly op: 'unknown';
  readonly type: number;
  readonly data: 'none' | 'readable' | 'writable';
}
export type BlkChoice =
  | InitChoice
  | TransferChoice
  | CommandChoice
  | EraseChoice
  | UnknownChoice
  | { readonly op: 'settle' }
  /** A spurious notification. */
  | { readonly op: 'kick'; readonly queue: number }
  | { readonly op: 'suppress'; readonly queue: number; readonly quiet: boolean; readonly distance: number }
  | { readonly op: 'look'; readonly at: 'status' | 'features' | 'queue' | 'generation'; readonly queue: number }
  | { readonly op: 'config'; readonly field: number }
  | { readonly op: 'writeback'; readonly value: number }
  | { readonly op: 'resize'; readonly by: number }
  | { readonly op: 'violate'; readonly duty: DutyName; readonly n: number };

const plain = { noNullPrototype: true } as const;
const queue = fc.nat(3);
const COMMON_TABLES: readonly Table[] = ['direct', 'direct', 'indirect', 'indirect'];
const posted = {
  queue,
  cuts: fc.array(edged(STREAM_CUTS, -1024, 1024), { maxLength: 4 }),
  every: fc.constantFrom(0, 0, 0, 0, 1, 5, 16, 256, 512),
  // mixed is rare: what cannot do it needs a reset at once, and the rest of the program shows nothing.
  table: fc.constantFrom(...TABLES, ...COMMON_TABLES, ...COMMON_TABLES, ...COMMON_TABLES),
  place: fc.constantFrom(...PLACES),
  times: fc.constantFrom(1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 0),
  then: fc.constantFrom<Then>('settle', 'settle', 'hold', 'kick', 'publish'),
};
const everything = 2 ** OPTIONAL.length - 1;
const declines = [0, everything, ...singleBits(OPTIONAL.length), ...singleBits(OPTIONAL.length).map((b) => everything - b)];

/** A ring part at address 0 is legal, and for some devices the same as none: rare, for the same reason. */
const ABOVE_0 = RING_PLACES.filter((p) => p !== 'bottom');
const init: Arbitrary<InitChoice> = fc.record(
  {
    op: fc.constant('init' as const),
    decline: edged(declines, 0, everything),
    queues: fc.constantFrom(1, 2, 3),
    halve: fc.constantFrom(0, 0, 1, 2, 3, 5),
    base: edged(INDEX16, 0, 65535),
    rings: fc.constantFrom(...ABOVE_0, ...ABOVE_0, ...ABOVE_0, ...RING_PLACES),
    lifo: fc.boolean(),
    early: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2),
  },
  plain,
);
const transfer: Arbitrary<TransferChoice> = fc.record(
  {
    op: fc.constant('transfer' as const),
    way: fc.constantFrom('in' as const, 'out' as const),
    sector: edged(SECTORS, -64, 512),
    sectors: edged(SECTOR_COUNTS, 0, 8),
    ...posted,
  },
  plain,
);
const command: Arbitrary<CommandChoice> = fc.record(
  { op: fc.constant('command' as const), kind: fc.constantFrom('flush' as const, 'get-id' as const), ...posted },
  plain,
);
/** Bit 0 is unmap, the others are reserved. */
const FLAGS = [0, 1, 2, 0x8000_0000, 3, 0xffff_ffff, ...singleBits(32)];
const erase: Arbitrary<EraseChoice> = fc.record(
  {
    op: fc.constant('erase' as const),
    kind: fc.constantFrom('discard' as const, 'write-zeroes' as const, 'secure-erase' as const),
    sector: edged(SECTORS, -64, 512),
    // The last is as many as the device takes.
    sectors: edged([...SECTOR_COUNTS, 64], 0, 16),
    segments: fc.constantFrom(1, 1, 2, 3, 0),
    flags: fc.oneof(
      { weight: 5, arbitrary: fc.constant(0) },
      { weight: 2, arbitrary: fc.constant(1) },
      { weight: 2, arbitrary: edged(FLAGS, 0, 0xffff_ffff) },
    ),
    ...posted,
  },
  plain,
);
const unknown: Arbitrary<UnknownChoice> = fc.record(
  {
    op: fc.constant('unknown' as const),
    type: edged(UNKNOWN_TYPES, 15, 0xffff_ffff - 1),
    data: fc.constantFrom('none' as const, 'readable' as const, 'writable' as const),
    ...posted,
  },
  plain,
);

const small: Arbitrary<BlkChoice> = fc.oneof(
  fc.record({ op: fc.constant('settle' as const) }, plain),
  fc.record({ op: fc.constant('kick' as const), queue }, plain),
  fc.record(
    {
      op: fc.constant('suppress' as const),
      queue,
      quiet: fc.boolean(),
      distance: edged([0, 1, 2, 7, 0x7fff, 0x8000, 0xffff], 0, 0xffff),
    },
    plain,
  ),
  fc.record(
    {
      op: fc.constant('look' as const),
      at: fc.constantFrom('status' as const, 'features' as const, 'queue' as const, 'generation' as const),
      queue,
    },
    plain,
  ),
  fc.record({ op: fc.constant('config' as const), field: fc.oneof(fc.nat(CONFIG.length - 1), fc.constant(CONFIG.length)) }, plain),
  fc.record({ op: fc.constant('writeback' as const), value: fc.constantFrom(0, 1) }, plain),
  fc.record({ op: fc.constant('resize' as const), by: edged([1, -1, 8, -8, 0, 64], -64, 256) }, plain),
);
/** The end of the disk: every device has to find it, and has many ways to miss it. An answer that the text states is one to ask for. */
const OFTEN: readonly DutyName[] = [
  ...Array.from({ length: 6 }, () => ['virtio.blk.capacity.in', 'virtio.blk.capacity.out']).flat(),
  ...Array.from({ length: 4 }, () => 'virtio.blk.discard.unmap'),
];
const violate: Arbitrary<BlkChoice> = fc.record(
  { op: fc.constant('violate' as const), duty: fc.constantFrom(...DUTIES, ...OFTEN), n: fc.nat(23) },
  plain,
);

const any: Arbitrary<BlkChoice> = fc.oneof(
  { weight: 9, arbitrary: transfer },
  { weight: 2, arbitrary: command },
  { weight: 3, arbitrary: erase },
  { weight: 1, arbitrary: unknown },
  { weight: 6, arbitrary: small },
  { weight: 1, arbitrary: init },
  { weight: 1, arbitrary: violate },
);

/** Most programs start with an initialisation of their own, the others with the plain one that the player adds. */
export const blkChoices: Arbitrary<readonly BlkChoice[]> = fc
  .tuple(fc.option(init, { nil: undefined }), fc.array(any, { maxLength: 9 }))
  .map(
    ([first, rest]): readonly BlkChoice[] => (first === undefined ? rest : [first, ...rest]),
    (program) => {
      const [first, ...rest] = program as readonly BlkChoice[];
      return first?.op === 'init' ? [first, rest] : [undefined, [...(program as readonly BlkChoice[])]];
    },
  );
