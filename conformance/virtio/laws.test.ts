// Metamorphic laws: the same requests, laid out, batched, started, negotiated or reached in another way, have the same results.
// Each law holds on the reference, and a seeded fault breaks it: else it would say nothing.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Area } from '../../spec/clause.ts';
import { machine } from '../../spec/machine.ts';
import type { Bus, MachineConfig, Target } from '../../spec/units.ts';
import { basic } from '../../spec/virtio/basic/index.ts';
import { gather, parse, type Request } from '../../spec/virtio/blk/request.ts';
import { split } from '../../spec/virtio/split/index.ts';
import { createJudge } from '../judge.ts';
import { play } from '../run.ts';
import type { Suite } from '../program.ts';
import { faultTarget } from '../targets/fault/fault.ts';
import { refTarget } from '../targets/ref/ref.ts';
import { OPTIONAL, F } from './bits.ts';
import { blkSuite } from './blk.ts';
import type { BlkChoice, InitChoice } from './blk-choices.ts';
import { type Framing, PLACES, TABLES } from './frame.ts';
import { machinesOn } from './machines.ts';

/** What a driver learns of one request: its status byte, and what it was to read. */
type Result = string;
interface Witness {
  readonly requests: Map<number, Request>;
  readonly results: Map<number, Result>;
}
let seen: Witness = { requests: new Map(), results: new Map() };
const witness: Area<Witness> = {
  id: 'laws',
  on: ['virtq.submitted', 'virtq.completed'],
  clauses: [],
  duties: [],
  initial: () => (seen = { requests: new Map(), results: new Map() }),
  observe: (ghost, { event: e, memory }) => {
    if ('do' in e) return [];
    if (e.saw === 'virtq.submitted') {
      ghost.requests.set(e.order, parse(e.chain, memory));
      ghost.results.set(e.order, 'never');
    }
    if (e.saw === 'virtq.completed') {
      const r = ghost.requests.get(e.order);
      const data = gather(memory, r?.writable ?? []);
      const status = r?.statusAt === undefined ? undefined : memory.u8(r.statusAt);
      ghost.results.set(e.order, `${r?.type} ${r?.sector} ${status} ${data && status === 0 ? Buffer.from(data).toString('hex') : ''}`);
    }
    return [];
  },
};
const erased = <G>(a: Area<G>): Area<never> => a as unknown as Area<never>;
const judge = createJudge([erased(machine), erased(basic), erased(split), erased(witness)]);

const roomy = (bus: Bus): MachineConfig => machinesOn([bus])[1] as MachineConfig;
const results = async (target: Target, config: MachineConfig, choices: readonly BlkChoice[]): Promise<readonly Result[]> => {
  const played = await play(target, blkSuite as unknown as Suite, { suite: blkSuite.id, machine: config, choices }, judge);
  expect(played.refused).toBeUndefined();
  return [...seen.results.entries()].sort((a, b) => a[0] - b[0]).map(([, result]) => result);
};

const plainInit: InitChoice = { op: 'init', decline: 0, queues: 1, halve: 0, base: 0, rings: 'packed', lifo: false, early: 0 };
const plainFraming = { queue: 0, cuts: [], every: 0, table: 'direct', place: 'row', times: 1, then: 'settle' } as const;
type Ask = Extract<BlkChoice, { op: 'transfer' | 'command' | 'unknown' }>;
const sector = fc.constantFrom(0, 1, 2, 7, -1, -2);
const asks: fc.Arbitrary<readonly Ask[]> = fc.array(
  fc
    .oneof(
      fc.record({
        op: fc.constant('transfer' as const),
        way: fc.constantFrom('in' as const, 'out' as const),
        sector,
        sectors: fc.constantFrom(1, 2, 3),
      }),
      fc.record({ op: fc.constant('command' as const), kind: fc.constantFrom('flush' as const, 'get-id' as const) }),
      fc.record({ op: fc.constant('unknown' as const), type: fc.constantFrom(15, 0x7fff_ffff), data: fc.constant('none' as const) }),
    )
    .map((c): Ask => ({ ...c, ...plainFraming })),
  { minLength: 1, maxLength: 6 },
);
const framing: fc.Arbitrary<Pick<Framing, 'cuts' | 'every' | 'place'>> = fc.record({
  cuts: fc.array(fc.integer({ min: -600, max: 600 }), { maxLength: 4 }),
  every: fc.constantFrom(0, 0, 100, 256, 512),
  place: fc.constantFrom(...PLACES),
});
/** Ring and geometry features: what is asked of the disk does not depend on them. */
const FREE = [F.INDIRECT_DESC, F.EVENT_IDX, F.MQ, F.SEG_MAX, F.BLK_SIZE, F.TOPOLOGY];
const declining = (mask: number): number => FREE.reduce((sum, f, i) => sum + (((mask >> i) & 1) === 0 ? 0 : 2 ** OPTIONAL.indexOf(f)), 0);

interface Told {
  readonly machine: MachineConfig;
  readonly choices: readonly BlkChoice[];
}
type Law = fc.Arbitrary<readonly [Told, Told]>;
const on = (choices: readonly BlkChoice[], init: Partial<InitChoice> = {}, bus: Bus = 'none'): Told => ({
  machine: roomy(bus),
  choices: [{ ...plainInit, ...init }, ...choices],
});
/** Each request with variations of its own. */
const varied = <T extends object>(variation: fc.Arbitrary<T>, init: Partial<InitChoice> = {}): Law =>
  fc.tuple(asks, fc.array(variation, { minLength: 6, maxLength: 6 })).map(([list, how]) => [
    on(list, init),
    on(
      list.map((c, i) => ({ ...c, ...how[i] }) as Ask),
      init,
    ),
  ]);

/** Law, and a fault that breaks it. */
const laws: readonly (readonly [name: string, law: Law, fault: string])[] = [
  ['however a request is cut and placed', varied(framing), 'VB-117'],
  ['direct, indirect or mixed', varied(fc.record({ table: fc.constantFrom(...TABLES) })), 'VB-023'],
  ['one by one or in batches', varied(fc.record({ then: fc.constantFrom('settle', 'hold', 'kick', 'publish') })), 'VB-036'],
  [
    'wherever the indices start',
    fc.tuple(asks, fc.constantFrom(1, 127, 128, 0x7fff, 0xfff0, 0xfffe, 0xffff)).map(([list, base]) => [on(list), on(list, { base })]),
    'VB-037',
  ],
  [
    'whichever features of the ring are declined',
    fc.tuple(asks, fc.nat(2 ** FREE.length - 1)).map(([list, mask]) => [on(list), on(list, { decline: declining(mask) })]),
    'VB-041',
  ],
  [
    'on a bare queue, on PCI, on MMIO',
    fc.tuple(asks, fc.constantFrom<Bus>('pci', 'mmio')).map(([list, bus]) => [on(list), on(list, {}, bus)]),
    'pci-queue-halves',
  ],
];
/** `whole`: every request comes back as well. */
const holds = (target: Target, law: Law, runs: number, whole: boolean): Promise<fc.RunDetails<[readonly [Told, Told]]>> =>
  fc.check(
    fc.asyncProperty(law, async ([a, b]) => {
      const [left, right] = [await results(target, a.machine, a.choices), await results(target, b.machine, b.choices)];
      if (whole) expect(left.filter((r) => r !== 'never')).toHaveLength(a.choices.length - 1);
      expect(right).toEqual(left);
    }),
    { numRuns: runs, seed: 1, endOnFailure: true },
  );

describe('the same requests have the same results', () => {
  test.each(laws)('%s', { timeout: 30_000 }, async (_, law, fault) => {
    const kept = await holds(refTarget(), law, 150, true);
    expect(kept.failed, String(kept.errorInstance)).toBe(false);
    expect((await holds(await faultTarget(fault), law, 150, false)).failed).toBe(true);
  });
});
