// QEMU's remapping unit behind the four verbs: what devices did is seen, refusals say why, a death is an answer and a fresh QEMU goes on.
// Skipped, with the reason printed, where there is no QEMU.

import { afterAll, describe, expect, test } from 'vitest';
import type { Answer, Course, Gpa, MachineConfig } from '../../spec/units.ts';
import type { Iova } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { probeQemu, qemuTarget } from '../targets/qemu/target.ts';
import { bit, REG, words } from './bits.ts';
import { vtdMachines } from './machines.ts';

const probe = probeQemu();
if (!probe.available) process.stdout.write(`QEMU's remapping unit is not tested: ${probe.reason}\n`);
const target = probe.available ? qemuTarget() : undefined;
const machine = vtdMachines[0] as MachineConfig;
const store = (at: number, ...values: readonly bigint[]): Stimulus => ({
  do: 'memory.write',
  at: BigInt(at) as Gpa,
  bytes: words(...values),
});
const write = (at: number, width: 4 | 8, value: bigint): Stimulus => ({ do: 'vtd.write', at, width, value });
const read = (at: number, width: 4 | 8): Stimulus => ({ do: 'vtd.read', at, width });
const at = (iova: bigint): Iova => iova as Iova;
/** Buses 0 and 1 behind one context each, three levels, page 1000H at 30000H and page 2000H read-only at 31000H. */
const tables: readonly Stimulus[] = [
  store(0x1000, 0x8001n, 0n, 0x9001n),
  store(0x8000 + 16 * 0x38, 0xa001n, 0x101n),
  store(0x9000, 0xa001n, 0x101n),
  store(0xa000, 0xb003n),
  store(0xb000, 0xc003n),
  store(0xc008, 0x30003n, 0x31001n),
  write(REG.RTADDR, 8, 0x1000n),
  write(REG.GCMD, 4, bit(30)),
  write(REG.GCMD, 4, bit(31)),
];
const apply = (...stimuli: readonly Stimulus[]): readonly Answer[] => target?.applyAll?.(stimuli) as readonly Answer[];
const fresh = (): void => expect(target?.reset(machine)).toHaveProperty('granted');

describe.skipIf(target === undefined)('the remapping unit of QEMU', () => {
  afterAll(() => target?.close());

  test('is built exactly as asked, or refused with what there is', () => {
    for (const m of vtdMachines.slice(0, 3))
      expect(target?.reset(m)).toMatchObject({ granted: { vtd: { cap: m.vtd?.cap, ecap: m.vtd?.ecap } } });
    const vtd = machine.vtd as NonNullable<MachineConfig['vtd']>;
    const refused = (change: Partial<typeof vtd>): unknown => target?.reset({ ...machine, vtd: { ...vtd, ...change } });
    expect(refused({ cap: vtd.cap ^ bit(34) })).toHaveProperty('unsupported', expect.stringMatching(/CAP_REG .*nearest/));
    expect(refused({ hostAddressWidth: 46 })).toHaveProperty('unsupported', expect.stringMatching(/host address width/));
    expect(refused({ requesters: [{ sourceId: 0x0101, kind: 'endpoint', can: ['write'] }] })).toHaveProperty('unsupported');
    expect(refused({ requesters: [{ sourceId: 0x0100, kind: 'bridge', can: ['atomic'] }] })).toHaveProperty(
      'unsupported',
      expect.stringMatching(/can atomic/),
    );
  });

  test('shows where writes landed, what reads fetched, and nothing of what was blocked', () => {
    fresh();
    apply(...tables);
    const bytes = Uint8Array.of(1, 2, 3, 4, 5);
    expect(apply({ do: 'dma.write', requester: 0, at: at(0x1003n), bytes })[0]).toEqual({
      saw: [
        { saw: 'memory.changed', writes: [{ at: 0x30003n, bytes }] },
        { saw: 'dma.done', requester: 0, outcome: 'unseen' },
      ],
    });
    expect(apply({ do: 'dma.read', requester: 0, at: at(0x1004n), length: 3 })[0]).toEqual({
      saw: [{ saw: 'dma.done', requester: 0, outcome: 'completed', bytes: bytes.slice(1, 4) }],
    });
    expect(apply({ do: 'dma.write', requester: 1, at: at(0x2000n), bytes: Uint8Array.of(9, 9, 9, 9) })[0]).toEqual({
      saw: [{ saw: 'dma.done', requester: 1, outcome: 'unseen' }],
    });
    const [status, , record] = apply(read(REG.FSTS, 4), read(0x220, 8), read(0x228, 8));
    expect(status).toEqual({ saw: [{ saw: 'vtd.register', at: REG.FSTS, width: 4, value: 2n }] });
    expect(record).toMatchObject({ saw: [{ value: expect.any(BigInt) }] });
    expect(((record as unknown as { saw: readonly [{ value: bigint }] }).saw[0].value >> 32n) & 0xffn).toBe(5n);
  });

  test('sees interrupts where they arrive, in order, each once', () => {
    fresh();
    const send = (data: number): Stimulus => ({ do: 'msi.send', requester: 1, address: 0xfee00000n, data });
    const vectors = apply(send(0x41), send(0xef), send(0x41)).map((a) => ('saw' in a ? a.saw : []));
    expect(vectors.map((v) => v.map((o) => (o.saw === 'apic.interrupt' ? o.vector : 0)))).toEqual([[0x41], [0xef], [0x41]]);
  });

  test('forgets everything at a reset: registers, caches, memory', () => {
    fresh();
    apply(...tables, { do: 'dma.write', requester: 0, at: at(0x1000n), bytes: Uint8Array.of(7, 7, 7, 7) });
    fresh();
    expect(apply(read(REG.GSTS, 4), read(REG.RTADDR, 8)).map((a) => ('saw' in a ? a.saw[0] : a))).toMatchObject([
      { value: 0n },
      { value: 0n },
    ]);
    expect(apply({ do: 'settle' })).toEqual([{ saw: [{ saw: 'settled', by: 'sync' }] }]);
  });

  test('tells what it cannot do', () => {
    fresh();
    const cannot: readonly Stimulus[] = [
      { do: 'dma.atomic', requester: 0, at: at(0n), width: 4, operand: 1n },
      { do: 'dma.write', requester: 0, at: at(0x1000n), bytes: Uint8Array.of(1), pasid: 1 },
      { do: 'dma.write', requester: 7, at: at(0x1000n), bytes: Uint8Array.of(1) },
      { do: 'dma.write', requester: 0, at: at(2n ** 32n), bytes: Uint8Array.of(1, 2, 3) },
      { do: 'msi.send', requester: 2, address: 0xfee00000n, data: 0x41 },
      { do: 'msi.send', requester: 0, address: 0x1000n, data: 0x41 },
      { do: 'ats.request', requester: 0, at: at(0n), pages: 1 },
      { do: 'memory.write', at: 0x4_0000n as Gpa, bytes: Uint8Array.of(1) },
      read(0x400, 4),
    ];
    for (const answer of apply(...cannot)) expect(answer).toHaveProperty('unsupported');
  });

  test('answers programs side by side as it answers each by itself, and a death ends only its own', async () => {
    const write4 = (iova: bigint, ...bytes: readonly number[]): Stimulus => ({
      do: 'dma.write',
      requester: 0,
      at: at(iova),
      bytes: Uint8Array.of(...bytes),
    });
    const steps: readonly (readonly Stimulus[])[] = [
      tables,
      [write4(0x1000n, 1, 2, 3, 4)],
      [read(REG.FSTS, 4), { do: 'ats.request', requester: 0, at: at(0n), pages: 1 }],
      [store(0x3_0000, 0x55n), { do: 'dma.read', requester: 0, at: at(0x1000n), length: 4 }],
      [store(0x3_0010, 0x66n)],
      [write4(0x2000n, 9, 9, 9, 9), read(REG.FSTS, 4), write4(0x1008n, 5, 6, 7, 8)],
      [write(REG.FSTS, 4, 0x7fn), read(REG.FSTS, 4)],
      [],
      [{ do: 'msi.send', requester: 1, address: 0xfee00000n, data: 0x41 }, { do: 'settle' }],
    ];
    fresh();
    const each = steps.map((step) => apply(...step));
    fresh();
    const course = (of: readonly (readonly Stimulus[])[]): Course =>
      function* () {
        for (const step of of) yield step;
      };
    const sideBySide = async (...of: readonly (readonly (readonly Stimulus[])[])[]): Promise<readonly (readonly Answer[])[][]> =>
      ((await target?.sideBySide?.(machine, of.map(course))) ?? []).map((ran) => ('granted' in ran ? [...ran.answers] : []));
    const [first, , third] = await sideBySide(steps, steps.toReversed(), steps);
    expect(first).toEqual(each);
    expect(third).toEqual(each);
    // Whatever is given after a wait with both a status and an interrupt: see below.
    const deadly = [
      store(0x2000, 0x1_0000_0035n, 0x4000n),
      write(REG.IQA, 8, 0x2000n),
      write(REG.GCMD, 4, bit(26)),
      write(REG.IQT, 8, 0x10n),
    ];
    const look = [read(REG.CAP, 8)];
    const [answered = [], other] = await sideBySide([look, deadly, look, look], [look, look]);
    expect(answered[0]).toMatchObject([{ saw: [{ value: machine.vtd?.cap }] }]);
    if (answered.flat().some((a) => 'broke' in a)) expect(answered.map((a) => a.length)).toEqual([1, 4]);
    else expect(answered).toHaveLength(4);
    expect(other).toEqual([answered[0], answered[0]]);
  });

  test('answers with the death of QEMU, and goes on with a fresh one', () => {
    fresh();
    // A wait with both a status and an interrupt ends QEMU 7.2; another version may serve it.
    const [last] = apply(
      store(0x2000, 0x1_0000_0035n, 0x4000n),
      write(REG.IQA, 8, 0x2000n),
      write(REG.GCMD, 4, bit(26)),
      write(REG.IQT, 8, 0x10n),
    ).slice(-1);
    const died = last !== undefined && 'broke' in last;
    if (died) expect(last.broke).toMatch(/QEMU exited/);
    else expect(last).toHaveProperty('saw');
    fresh();
    expect(apply(read(REG.CAP, 8))[0]).toMatchObject({ saw: [{ value: machine.vtd?.cap }] });
  });
});
