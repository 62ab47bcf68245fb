// Programs drawn in blocks of their own, after all others: whoever adds to them leaves every earlier program as it is, and with it all that real
// units were seen to do with those. Each is there for a seeded fault that lives, or hardly dies, without it.

import type { Arbitrary } from 'fast-check';
import fc from 'fast-check';
import type { VtdChoice } from './choices.ts';

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

export const lateVtdChoices: Arbitrary<readonly VtdChoice[]> = shared;
