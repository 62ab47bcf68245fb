// Programs drawn in blocks of their own, after all others: whoever adds to them leaves every earlier program as it is, and with it all that real
// units were seen to do with those. Each is there for a seeded fault that lives, or hardly dies, without it.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import type { How, VtdChoice } from './choices.ts';

const plain = { noNullPrototype: true } as const;
const is = <T>(value: T): Arbitrary<T> => fc.constant(value);

/** Two domains map one address, with different rights, and functions of both ask for it in turn: what one may do says nothing of the other. */
const shared: Arbitrary<readonly VtdChoice[]> = fc.nat(20).chain((at) => {
  const map = (space: number): Arbitrary<VtdChoice> =>
    fc.record(
      {
        op: is('map' as const),
        space: is(space),
        at: is(at),
        page: fc.nat(15),
        size: is(0),
        rights: fc.constantFrom(3, 1, 2),
        how: is('right' as const),
      },
      plain,
    );
  const attach = (requester: number): Arbitrary<VtdChoice> =>
    fc.record(
      {
        op: is('attach' as const),
        requester: is(requester),
        space: is(requester),
        type: is('translate' as const),
        pasid: is(0),
        flags: is(0),
        how: is('right' as const),
      },
      plain,
    );
  const dma: Arbitrary<VtdChoice> = fc.record(
    {
      op: fc.constantFrom('read' as const, 'write' as const),
      requester: fc.nat(1),
      at: fc.nat(5),
      offset: fc.nat(11),
      load: is('word' as const),
      pasid: is(0),
      flags: is(0),
    },
    plain,
  );
  return fc
    .tuple(fc.tuple(map(0), map(1), attach(0), attach(1)), fc.array(dma, { minLength: 4, maxLength: 12, size: 'max' }))
    .map(([first, rest]): readonly VtdChoice[] => [...first, ...rest]);
});

/** A few things after each other that random programs seldom do to the end, each with what tells of it. */
const told: Arbitrary<readonly VtdChoice[]> = fc.nat(3).chain((requester) => {
  const on = { requester: is(requester), pasid: is(0), flags: is(0) };
  const write: Arbitrary<VtdChoice> = fc.record(
    { op: is('write' as const), ...on, at: fc.nat(5), offset: fc.nat(11), load: is('word' as const) },
    plain,
  );
  const attach = (how: How): Arbitrary<VtdChoice> =>
    fc.record({ op: is('attach' as const), ...on, space: fc.nat(3), type: is('translate' as const), how: is(how) }, plain);
  const detach = (how: How): Arbitrary<VtdChoice> =>
    fc.record({ op: is('detach' as const), requester: is(requester), pasid: is(0), how: is(how) }, plain);
  const message = (index: Arbitrary<number>): Arbitrary<VtdChoice> =>
    fc.record({ op: is('message' as const), requester: is(requester), index, sub: is(0), form: is(0) }, plain);
  const one = (choice: VtdChoice): Arbitrary<VtdChoice> => is(choice);
  const faults = one({ op: 'clear', what: 4 });
  const recipes: readonly (readonly Arbitrary<VtdChoice>[])[] = [
    // A context entry that was used goes, and its domain is told.
    [attach('global'), write, detach('domain'), write, faults],
    [attach('global'), write, attach('domain'), write, faults],
    // One that is not there is asked for, and comes: outside caching mode nothing has to be told.
    [detach('global'), write, attach('missing'), write, faults],
    [one({ op: 'scene', what: 'page-event', n: 3 })],
    // An interrupt's entry that is all there but P; and a handle one past the table.
    [
      fc.record(
        {
          op: is('entry' as const),
          index: fc.nat(3),
          vector: fc.nat(15),
          fields: fc.constantFrom(129, 132, 144),
          source: is(0),
          how: is('global' as const),
        },
        plain,
      ),
      message(is(0)),
      message(is(1)),
      message(is(2)),
      message(is(3)),
      faults,
    ],
    [message(is(8)), faults],
  ];
  const init: Arbitrary<VtdChoice> = fc.record(
    {
      op: is('init' as const),
      scalable: fc.constantFrom(false, false, true),
      queue: is(true),
      remaps: is(true),
      levels: fc.nat(3),
      domain: fc.nat(7),
      attached: is(15),
      // Off: the flush of write buffers is the last command, and what became of it is seen.
      enabled: fc.constantFrom(true, true, true, true, false),
    },
    plain,
  );
  const some = fc.array(fc.oneof(...recipes.map((r) => fc.tuple(...r))), { minLength: 2, maxLength: 4, size: 'max' });
  return fc.tuple(init, some).map(([first, rest]): readonly VtdChoice[] => [first, ...rest.flat()]);
});

/** A round of blocks of each, one after the other. */
export const lateVtdChoices: readonly Arbitrary<readonly VtdChoice[]>[] = [shared, told];
