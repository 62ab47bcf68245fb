// Decides that no program makes the reference's remapping unit die, spend its access budget, or write where no table or request leads:
// random registers, tables full of pointers to each other, and random requests. Deterministic.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMachine } from '../../reference/machine.ts';
import type { Gpa, Iova, MachineConfig } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { ENDPOINT, QEMU48 } from './reference-words.ts';

const MEMORY = 0x1_0000;
/** Everything there is, caching mode and posting among it. */
const cap = QEMU48.cap | (1n << 4n) | (3n << 5n) | (1n << 7n) | (3n << 40n) | (1n << 56n) | (3n << 59n);
const ecap = 0xffff_ffffn & 0xf0_0fffn & ~0x20n;
const config: MachineConfig = {
  memory: MEMORY,
  fill: 0,
  bus: 'none',
  vtd: {
    cap,
    ecap: ecap | (1n << 26n) | (7n << 29n) | (3n << 33n) | (19n << 35n) | (15n << 40n) | (7n << 45n) | (3n << 48n) | (3n << 52n),
    hostAddressWidth: 46,
    requesters: [
      ENDPOINT,
      { sourceId: 0x100, kind: 'endpoint', can: [...ENDPOINT.can, 'config'] },
      { sourceId: 0x180, kind: 'endpoint', can: [...ENDPOINT.can, 'config'], physical: 1 },
    ],
  },
};

/** An entry or a register: a page of memory and flags that tables like, or anything. */
const word = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ page: fc.nat(15), flags: fc.constantFrom(1, 3, 7, 0xd, 0x87, 0x403, 0x801, 0xc01) })
      .map((r) => (BigInt(r.page) << 12n) | BigInt(r.flags)),
  },
  { weight: 1, arbitrary: fc.bigInt(0n, (1n << 64n) - 1n) },
  { weight: 1, arbitrary: fc.constantFrom(0n, (1n << 64n) - 1n, 0x25n, 0x15n, 0x3_0000_0003n, 0x18_0003n) },
);
const address = fc.oneof(
  fc.bigInt(0n, 0x1_ffffn),
  fc.constantFrom(0xfee0_0030n, (1n << 64n) - 1n, 1n << 47n),
  fc.bigInt(0n, (1n << 64n) - 1n),
);
const requester = fc.nat(2);
const attributes = {
  requester,
  at: address.map((a) => a as Iova),
  privileged: fc.boolean(),
  pasid: fc.oneof(fc.constant(undefined), fc.nat(70)),
};
const registers = [
  0x18, 0x20, 0x28, 0x2c, 0x34, 0x38, 0x40, 0x64, 0x68, 0x80, 0x88, 0x90, 0x9c, 0xa0, 0xa8, 0xb8, 0xc0, 0xc8, 0xd0, 0xdc, 0xe0, 0xf0, 0xf8,
  0x22c,
];
const commands = [0x4000_0000n, 0x8000_0000n, 0x8400_0000n, 0x8700_0000n, 0xc200_0000n, 0x0780_0000n];
const stimulus: fc.Arbitrary<Stimulus> = fc
  .oneof(
    fc.record({ do: fc.constant('vtd.write'), at: fc.constantFrom(...registers), width: fc.constantFrom(4, 8), value: word }),
    fc.record({ do: fc.constant('vtd.write'), at: fc.constant(0x18), width: fc.constant(4), value: fc.constantFrom(...commands) }),
    fc.record({
      do: fc.constant('dma.read'),
      ...attributes,
      length: fc.constantFrom(0, 1, 8, 9000),
      translated: fc.boolean(),
      execute: fc.boolean(),
    }),
    fc.record({ do: fc.constant('dma.write'), ...attributes, bytes: fc.uint8Array({ maxLength: 9 }), translated: fc.boolean() }),
    fc.record({ do: fc.constant('dma.atomic'), ...attributes, width: fc.constantFrom(4, 8), operand: word }),
    fc.record({ do: fc.constant('ats.request'), ...attributes, pages: fc.constantFrom(1, 512), noWrite: fc.boolean() }),
    fc.record({
      do: fc.constant('pri.request'),
      ...attributes,
      read: fc.boolean(),
      write: fc.boolean(),
      last: fc.boolean(),
      group: fc.nat(0x1ff),
    }),
    fc.record({ do: fc.constant('msi.send'), requester, address, data: fc.nat(0xff) }),
    fc.record({ do: fc.constant('ats.answers'), requester, answers: fc.boolean() }),
    fc.record({
      do: fc.constant('function.config.write'),
      requester: fc.constantFrom(1, 2),
      at: fc.constantFrom(4, 0x48, 0x108, 0x110, 0xfff),
      width: fc.constantFrom(1, 2, 4),
      value: fc.nat(0xffff),
    }),
    fc.record({ do: fc.constant('function.reset'), requester }),
  )
  .map((s) => Object.fromEntries(Object.entries(s).filter(([, value]) => value !== undefined)) as unknown as Stimulus);

const machine = createMachine(config);
const image = (words: readonly bigint[]): Stimulus => {
  const bytes = new Uint8Array(MEMORY);
  const view = new DataView(bytes.buffer);
  // The words again and again, so that every table has entries.
  for (let at = 0; at < MEMORY; at += 8) view.setBigUint64(at, words[(at / 8 + (at >> 12)) % words.length] ?? 0n, true);
  return { do: 'memory.write', at: 0n as Gpa, bytes };
};

describe('hostile programs', () => {
  test('the unit answers every one, and stays within memory', () => {
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 24 }),
        fc.array(stimulus, { minLength: 1, maxLength: 40 }),
        (words, program) => {
          machine.reset();
          for (const s of [image(words), ...program]) {
            const answer = machine.apply(s);
            expect(answer).not.toHaveProperty('broke');
            for (const o of 'saw' in answer ? answer.saw : [])
              if (o.saw === 'memory.changed') for (const w of o.writes) expect(Number(w.at) + w.bytes.length).toBeLessThanOrEqual(MEMORY);
          }
        },
      ),
      { numRuns: 300, seed: 4 },
    );
  });
  test('the longest queue of the most expensive descriptors is within the budget', () => {
    const big = createMachine({ ...config, memory: 0x10_0000 });
    const bytes = new Uint8Array(0x8_0000);
    for (let at = 0; at < bytes.length; at += 32) bytes[at] = 0x12;
    big.apply({ do: 'memory.write', at: 0x8_0000n as Gpa, bytes });
    big.apply({ do: 'vtd.write', at: 0x90, width: 8, value: 0x8_0807n });
    big.apply({ do: 'vtd.write', at: 0x88, width: 8, value: 0x7_ffe0n });
    expect(big.apply({ do: 'vtd.write', at: 0x18, width: 4, value: 0x0400_0000n })).toEqual({ saw: [] });
    expect(big.apply({ do: 'vtd.read', at: 0x80, width: 8 })).toMatchObject({ saw: [{ value: 0x7_ffe0n }] });
  });
});
