// What a vt-d program is made of: records of choices, and how they are drawn. Numbers are indices that the player takes modulo what is live.
// A program is a history: edits of tables with or without the right invalidation, requests, interrupts, looks at registers.

import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { edged } from '../arbitraries/edges.ts';
import { RARE, SCENES, type Scene } from './scene-names.ts';

/** What software invalidates after an edit: what is needed; everything; the domain; nothing; the page beside it; another domain; with IH set. */
export const HOWS = ['right', 'global', 'domain', 'missing', 'narrow', 'other', 'hint'] as const;
export type How = (typeof HOWS)[number];
export const LOOKS = ['faults', 'status', 'queue', 'events', 'identity', 'tables', 'protected', 'requests', 'rest'] as const;
export type Look = (typeof LOOKS)[number];
/** Sizes and shapes of a request's payload. */
export const LOADS = ['word', 'fill', 'bytes', 'cross', 'long', 'none'] as const;
export type Load = (typeof LOADS)[number];
/** Kinds of translation an entry can ask for. */
export const TYPES = ['translate', 'devices', 'through', 'first', 'nested', 'reserved', 'width'] as const;
export type Type = (typeof TYPES)[number];
export const SPOTS = ['root', 'context', 'pasid', 'table', 'leaf', 'interrupt'] as const;
export type Spot = (typeof SPOTS)[number];
export const COMMANDS = [
  'translation',
  'root',
  'queue',
  'interrupts',
  'table',
  'compatibility',
  'flush',
  'reserved-mode',
  'abort-mode',
] as const;
export const QUEUE_FAULTS = ['type', 'reserved', 'granularity', 'mask', 'status', 'zero', 'late-type'] as const;

export interface InitChoice {
  readonly op: 'init';
  /** Scalable mode where there is one. */
  readonly scalable: boolean;
  readonly queue: boolean;
  readonly remaps: boolean;
  readonly levels: number;
  readonly domain: number;
  readonly attached: number;
  readonly enabled: boolean;
}
export type VtdChoice =
  | InitChoice
  | {
      readonly op: 'map';
      readonly space: number;
      readonly at: number;
      readonly page: number;
      readonly size: number;
      readonly rights: number;
      readonly how: How;
    }
  | {
      readonly op: 'unmap' | 'remap' | 'protect' | 'resize';
      readonly space: number;
      readonly which: number;
      readonly to: number;
      readonly how: How;
    }
  | {
      readonly op: 'attach';
      readonly requester: number;
      readonly space: number;
      readonly type: Type;
      readonly pasid: number;
      readonly flags: number;
      readonly how: How;
    }
  | { readonly op: 'detach'; readonly requester: number; readonly pasid: number; readonly how: How }
  | { readonly op: 'spoil'; readonly spot: Spot; readonly which: number; readonly bit: number; readonly how: How }
  | { readonly op: 'mend'; readonly how: How }
  | {
      readonly op: 'invalidate';
      readonly what: number;
      readonly space: number;
      readonly which: number;
      readonly mask: number;
      readonly early: boolean;
    }
  | {
      readonly op: 'read' | 'write' | 'atomic';
      readonly requester: number;
      readonly at: number;
      readonly offset: number;
      readonly load: Load;
      readonly pasid: number;
      readonly flags: number;
    }
  | {
      readonly op: 'entry';
      readonly index: number;
      readonly vector: number;
      readonly fields: number;
      readonly source: number;
      readonly how: How;
    }
  | { readonly op: 'message'; readonly requester: number; readonly index: number; readonly sub: number; readonly form: number }
  | { readonly op: 'look'; readonly at: Look }
  | { readonly op: 'clear'; readonly what: number }
  | { readonly op: 'event'; readonly which: number; readonly masked: boolean; readonly vector: number }
  | { readonly op: 'command'; readonly what: (typeof COMMANDS)[number] }
  | { readonly op: 'queue'; readonly fault: (typeof QUEUE_FAULTS)[number]; readonly n: number }
  | { readonly op: 'wait'; readonly interrupt: boolean; readonly status: boolean }
  | { readonly op: 'shield'; readonly on: boolean }
  | {
      readonly op: 'translation';
      readonly requester: number;
      readonly at: number;
      readonly pages: number;
      readonly flags: number;
      readonly pasid: number;
    }
  | {
      readonly op: 'page';
      readonly requester: number;
      readonly at: number;
      readonly flags: number;
      readonly pasid: number;
      readonly answered: boolean;
    }
  | { readonly op: 'silence'; readonly requester: number; readonly answers: boolean }
  | { readonly op: 'function'; readonly requester: number; readonly what: number; readonly n: number }
  | { readonly op: 'scene'; readonly what: Scene; readonly n: number }
  | { readonly op: 'sweep'; readonly what: string; readonly n: number }
  | { readonly op: 'reset' }
  | { readonly op: 'settle' }
  | { readonly op: 'violate'; readonly duty: string; readonly n: number };

const plain = { noNullPrototype: true } as const;
const is = <T extends string>(op: T): Arbitrary<T> => fc.constant(op);
const few = fc.nat(3);
const requester = edged([0, 1, 2, 3], 0, 7);
const how = fc.constantFrom<How>('right', 'right', 'right', 'right', 'global', 'domain', 'missing', 'missing', 'narrow', 'other', 'hint');
/** An address: the mappings first, then the edge table. */
const where = edged([0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 41, 42, 43], 0, 48);
const pasid = fc.constantFrom(0, 0, 0, 0, 1, 2, 3, 4);
/** Bit 0 execute, 1 privileged, 2 translated. */
const attributes = fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 3, 4);

const init: Arbitrary<VtdChoice> = fc.record(
  {
    op: is('init'),
    scalable: fc.constantFrom(true, true, true, false),
    queue: fc.constantFrom(true, true, true, false),
    remaps: fc.constantFrom(true, true, false),
    levels: few,
    domain: fc.nat(7),
    attached: edged([15, 3, 7, 1], 0, 15),
    enabled: fc.constantFrom(true, true, true, true, true, true, true, false),
  },
  plain,
);
const map: Arbitrary<VtdChoice> = fc.record(
  {
    op: is('map'),
    space: few,
    at: fc.nat(20),
    page: fc.nat(15),
    size: fc.constantFrom(0, 0, 0, 1, 2),
    rights: fc.constantFrom(3, 3, 3, 1, 2),
    how,
  },
  plain,
);
const edit: Arbitrary<VtdChoice> = fc.record(
  {
    op: fc.constantFrom('unmap' as const, 'unmap' as const, 'remap' as const, 'remap' as const, 'protect' as const, 'resize' as const),
    space: few,
    which: fc.nat(5),
    to: fc.nat(15),
    how,
  },
  plain,
);
const attach: Arbitrary<VtdChoice> = fc.record(
  {
    op: is('attach'),
    requester,
    space: few,
    type: fc.constantFrom<Type>(
      'translate',
      'translate',
      'translate',
      'translate',
      'devices',
      'through',
      'first',
      'first',
      'nested',
      'reserved',
      'width',
    ),
    pasid,
    flags: fc.constantFrom(0, 0, 0, 1, 2, 4, 8, 7),
    how,
  },
  plain,
);
const dma: Arbitrary<VtdChoice> = fc.record(
  {
    op: fc.constantFrom('write' as const, 'write' as const, 'write' as const, 'read' as const, 'read' as const, 'atomic' as const),
    requester,
    at: where,
    offset: fc.nat(11),
    load: fc.constantFrom<Load>('word', 'word', 'word', 'word', 'bytes', 'bytes', 'fill', 'cross', 'long', 'none'),
    pasid,
    flags: attributes,
  },
  plain,
);
const invalidate: Arbitrary<VtdChoice> = fc.record(
  { op: is('invalidate'), what: fc.nat(15), space: few, which: fc.nat(5), mask: edged([0, 1, 2, 9, 18], 0, 20), early: fc.boolean() },
  plain,
);
const others: readonly fc.WeightedArbitrary<VtdChoice>[] = [
  { weight: 2, arbitrary: fc.record({ op: is('detach'), requester, pasid, how }, plain) },
  { weight: 2, arbitrary: fc.record({ op: is('spoil'), spot: fc.constantFrom(...SPOTS), which: fc.nat(5), bit: fc.nat(63), how }, plain) },
  { weight: 2, arbitrary: fc.record({ op: is('mend'), how }, plain) },
  {
    weight: 4,
    arbitrary: fc.record(
      {
        op: is('entry'),
        index: edged([0, 0, 1, 1, 2], 0, 7),
        vector: fc.nat(15),
        fields: edged([0, 0, 1, 2, 4, 8, 16, 32, 64, 128], 0, 1023),
        source: fc.nat(15),
        how,
      },
      plain,
    ),
  },
  {
    weight: 5,
    arbitrary: fc.record(
      {
        op: is('message'),
        requester,
        index: edged([0, 0, 1, 1, 2], 0, 11),
        sub: fc.constantFrom(0, 0, 0, 1, 2, 0xffff, 0x1_0000),
        form: fc.constantFrom(0, 0, 0, 1, 1, 2),
      },
      plain,
    ),
  },
  { weight: 5, arbitrary: fc.record({ op: is('look'), at: fc.constantFrom<Look>('faults', 'faults', 'faults', ...LOOKS) }, plain) },
  { weight: 4, arbitrary: fc.record({ op: is('clear'), what: fc.nat(7) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: is('event'), which: fc.nat(2), masked: fc.boolean(), vector: fc.nat(3) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: is('command'), what: fc.constantFrom(...COMMANDS) }, plain) },
  { weight: 1, arbitrary: fc.record({ op: is('queue'), fault: fc.constantFrom(...QUEUE_FAULTS), n: fc.nat(15) }, plain) },
  {
    weight: 1,
    arbitrary: fc.record({ op: is('wait'), interrupt: fc.boolean(), status: fc.constantFrom(false, false, false, true) }, plain),
  },
  { weight: 1, arbitrary: fc.record({ op: is('shield'), on: fc.boolean() }, plain) },
  {
    weight: 3,
    arbitrary: fc.record(
      { op: is('translation'), requester, at: where, pages: fc.constantFrom(1, 1, 2, 4, 8), flags: attributes, pasid },
      plain,
    ),
  },
  { weight: 2, arbitrary: fc.record({ op: is('page'), requester, at: where, flags: fc.nat(15), pasid, answered: fc.boolean() }, plain) },
  { weight: 1, arbitrary: fc.record({ op: is('silence'), requester, answers: fc.constantFrom(true, true, false) }, plain) },
  { weight: 2, arbitrary: fc.record({ op: is('function'), requester, what: fc.nat(7), n: fc.nat(4) }, plain) },
  { weight: 28, arbitrary: fc.record({ op: is('scene'), what: fc.constantFrom(...SCENES, ...RARE), n: few }, plain) },
  { weight: 1, arbitrary: fc.record({ op: is('settle') }, plain) },
];

/** `duties`: those that the player can break. */
export const vtdChoices = (duties: readonly string[]): Arbitrary<readonly VtdChoice[]> => {
  const any = fc.oneof(
    { weight: 10, arbitrary: map },
    { weight: 12, arbitrary: edit },
    { weight: 5, arbitrary: attach },
    { weight: 26, arbitrary: dma },
    { weight: 6, arbitrary: invalidate },
    ...others,
    ...(duties.length === 0
      ? []
      : [
          {
            weight: 1,
            arbitrary: fc.record({ op: is('violate'), duty: fc.constantFrom(...duties), n: fc.nat(15) }, plain) as Arbitrary<VtdChoice>,
          },
        ]),
  );
  return fc.tuple(fc.option(init, { nil: undefined, freq: 8 }), fc.array(any, { minLength: 6, maxLength: 60, size: 'max' })).map(
    ([first, rest]): readonly VtdChoice[] => (first === undefined ? rest : [first, ...rest]),
    (program) => {
      const [first, ...rest] = program as readonly VtdChoice[];
      return first?.op === 'init' ? [first, rest] : [undefined, [...(program as readonly VtdChoice[])]];
    },
  );
};
