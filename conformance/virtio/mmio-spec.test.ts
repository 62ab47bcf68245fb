// The MMIO spec against hand-made histories: reset, interrupts held until acknowledged, generation, silence while no queue is ready.
// Only the trace's own accesses since a reset that was seen through are judged.

import { expect, test } from 'vitest';
import { mmio } from '../../spec/virtio/mmio/index.ts';
import { registers } from '../../spec/virtio/mmio/layout.ts';
import type { Area } from '../../spec/clause.ts';
import type { Gpa } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { registerBench } from './register-bench.ts';

const bench = () => {
  const b = registerBench(mmio as unknown as Area<never>, {
    memory: { size: 4096, fill: 0, seen: 'compared' },
    level: 'mmio',
    reset: 'device',
    offers: ['virtio.mmio', 'memory.seen'],
    virtio: {
      device: 'blk',
      offer: 0n,
      queueSizeMax: 8,
      queues: 1,
      blk: { disk: 'pattern', sectors: 8, readOnly: false, blockSize: 512, serial: '' },
    },
  });
  const at = (name: string): number => registers[name]?.[0] ?? Number(name);
  const write = (name: string, value: number): void => b.see({ do: 'mmio.write', at: at(name), width: 4, value });
  const read = (name: string, value: number): void =>
    b.see({ do: 'mmio.read', at: at(name), width: 4 }, { saw: 'mmio', at: at(name), width: 4, value });
  const reset = (): void => {
    write('Status', 0);
    read('Status', 0);
  };
  return { ...b, write, read, reset };
};
const change: Event = { saw: 'memory.changed', writes: [{ at: 0n as Gpa, bytes: Uint8Array.of(1) }] };

test('a good device breaks nothing', () => {
  const b = bench();
  b.read('MagicValue', 0x74726976);
  b.read('Version', 2);
  b.read('DeviceID', 2);
  b.reset();
  b.write('DeviceFeaturesSel', 2);
  b.read('DeviceFeatures', 0);
  b.write('QueueSel', 0);
  b.read('QueueReady', 0);
  b.read('QueueSizeMax', 8);
  b.write('QueueSize', 8);
  b.write('QueueReady', 1);
  b.read('QueueReady', 1);
  b.see(change);
  b.see({ saw: 'settled', by: 'idle' });
  b.read('InterruptStatus', 1);
  b.read('InterruptStatus', 1);
  b.write('InterruptACK', 1);
  b.read('InterruptStatus', 0);
  expect(b.findings).toEqual([]);
  expect(b.breaches()).toEqual([]);
});
test('identity, absent queues, reset', () => {
  const b = bench();
  b.read('MagicValue', 0x76697274);
  b.read('Version', 1);
  b.read('DeviceID', 3);
  b.write('QueueSel', 1);
  b.read('QueueSizeMax', 8);
  b.write('Status', 0);
  b.read('Status', 4); // it may take its time
  b.rest();
  b.read('Status', 4);
  b.read('Status', 0);
  b.write('QueueSel', 0);
  b.read('QueueReady', 1);
  expect(b.findings).toEqual(['id.magic', 'id.version', 'id.device', 'queue.absent', 'reset.status', 'reset.ready']);
});
test('QueueReady is as written until the queue is reset on its own', () => {
  const ready = (reset: boolean, value: number): readonly string[] => {
    const b = bench();
    b.reset();
    b.write('QueueSel', 0);
    b.write('QueueReady', 1);
    if (reset) b.write('QueueReset', 1);
    b.read('QueueReady', 1);
    if (reset) b.read('QueueReset', 0);
    b.read('QueueReady', value);
    return b.findings;
  };
  expect(ready(true, 0)).toEqual([]);
  expect(ready(false, 0)).toEqual(['queue.ready']);
});
test('interrupt bits', () => {
  const b = bench();
  b.reset();
  b.read('InterruptStatus', 1);
  expect(b.findings).toEqual(['interrupt.zero']);
  const c = bench();
  c.reset();
  c.write('QueueSel', 0);
  c.write('QueueReady', 1);
  c.rest();
  c.read('InterruptStatus', 1);
  c.read('InterruptStatus', 0);
  expect(c.findings).toEqual(['interrupt.held']);
  c.write('InterruptACK', 1);
  c.read('InterruptStatus', 1);
  expect(c.findings.slice(1)).toEqual(['interrupt.acknowledged']);
});
test.each([
  ['a host change', { do: 'host.resize', sectors: 16 }],
  ['a step of the driver', { do: 'mmio.write', at: 0x070, width: 4, value: 1 }],
] as const)('after reset InterruptStatus is 0, until %s gives the device a reason', (_, reason) => {
  const b = bench();
  b.reset();
  b.rest();
  b.see(reason);
  b.rest();
  b.read('InterruptStatus', 2);
  expect(b.findings).toEqual([]);
  const c = bench();
  c.reset();
  c.rest();
  c.read('InterruptStatus', 2);
  expect(c.findings).toEqual(['reset.interrupt']);
});
test('memory stays untouched while no queue is ready', () => {
  const b = bench();
  b.see(change); // before the first reset nothing is known
  b.reset();
  b.see(change);
  expect(b.findings).toEqual(['queue.untouched']);
});
test('the generation follows the configuration', () => {
  const b = bench();
  b.reset();
  b.read('ConfigGeneration', 3);
  b.read('ConfigGeneration', 3);
  b.read('256', 8);
  b.see({ do: 'host.resize', sectors: 16 });
  b.read('256', 16);
  b.read('ConfigGeneration', 4);
  expect(b.findings).toEqual([]);
  b.see({ do: 'host.resize', sectors: 32 });
  b.read('256', 32);
  b.read('ConfigGeneration', 4);
  expect(b.findings).toEqual(['generation.changed']);
  b.read('ConfigGeneration', 5);
  expect(b.findings.slice(1)).toEqual(['generation.steady']);
});
test('the generation may count a host change when the configuration is read', () => {
  const b = bench();
  b.reset();
  b.read('ConfigGeneration', 3);
  b.see({ do: 'host.resize', sectors: 16 });
  b.rest();
  b.read('ConfigGeneration', 3);
  b.read('256', 16);
  b.read('ConfigGeneration', 4);
  expect(b.findings).toEqual([]);
  b.read('256', 16);
  b.read('ConfigGeneration', 5);
  expect(b.findings).toEqual(['generation.steady']);
});
test('the offer is the same until a reset', () => {
  const b = bench();
  const offer = (value: number): void => {
    b.write('DeviceFeaturesSel', 0);
    b.read('DeviceFeatures', value);
  };
  b.reset();
  offer(6);
  b.reset();
  offer(4);
  expect(b.findings).toEqual([]);
  offer(6);
  expect(b.findings).toEqual(['features.window']);
});
test('the generation need not count that negotiation settled writeback, and must count another byte', () => {
  const after = (at: number): readonly string[] => {
    const b = bench();
    b.reset();
    b.write('Status', 3);
    b.read('ConfigGeneration', 3);
    b.read(`${256 + at}`, 0);
    b.write('Status', 11);
    b.read(`${256 + at}`, 1);
    b.read('ConfigGeneration', 3);
    return b.findings;
  };
  expect(after(32)).toEqual([]);
  expect(after(36)).toEqual(['generation.changed']);
});
test('a read-only register written, a queue register while ready: nothing more is owed', () => {
  const b = bench();
  b.write('Version', 2);
  b.read('Version', 1);
  expect(b.findings).toEqual([]);
  expect(b.breaches()).toEqual(['driver.direction']);
});
/** A live device with one queue, its rings at 0x100 and 0x200, EVENT_IDX as said, that has used a buffer. */
const used = (features = 0, window1 = 0, event: Event = use) => {
  const b = bench();
  b.reset();
  b.write('DriverFeaturesSel', 0);
  b.write('DriverFeatures', features);
  b.write('DriverFeaturesSel', 1);
  b.write('DriverFeatures', window1);
  b.write('DriverFeaturesSel', 0);
  b.write('QueueSel', 0);
  for (const [name, value] of [
    ['QueueDriverLow', 0x100],
    ['QueueDriverHigh', 0],
    ['QueueDeviceLow', 0x200],
    ['QueueDeviceHigh', 0],
    ['QueueReady', 1],
    ['Status', 15],
    ['QueueNotify', 0],
  ] as const)
    b.write(name, value);
  b.see(event);
  return b;
};
const use: Event = { saw: 'memory.changed', writes: [{ at: 0x202n as Gpa, bytes: Uint8Array.of(1, 0) }] };
test.each([
  ['a notification was owed', 0, () => {}, ['interrupt.queue']],
  ['EVENT_IDX may have put it off', 2 ** 29, () => {}, []],
  ['it was acknowledged before', 0, (b: ReturnType<typeof used>) => b.write('InterruptACK', 1), []],
  [
    'the driver changed flags meanwhile',
    0,
    (b: ReturnType<typeof used>) => b.see({ do: 'memory.write', at: 0x100n as Gpa, bytes: Uint8Array.of(0, 0) }),
    [],
  ],
] as const)('bit 0 is missing: %s', (_, features, meanwhile, findings) => {
  const b = used(features);
  meanwhile(b);
  b.rest();
  b.read('InterruptStatus', 0);
  expect(b.findings).toEqual(findings);
  const c = used(features);
  c.rest();
  c.read('InterruptStatus', 1);
  expect(c.findings).toEqual([]);
});
test('bit 0 is not owed for a store that moves no index, nor for packed rings, nor after features that nobody heeds', () => {
  const missing = (b: ReturnType<typeof used>): readonly string[] => {
    b.rest();
    b.read('InterruptStatus', 0);
    return b.findings;
  };
  const stored = (...bytes: number[]): Event => ({ saw: 'memory.changed', writes: [{ at: 0x200n as Gpa, bytes: Uint8Array.from(bytes) }] });
  expect(missing(used(0, 0, stored(1, 0, 0, 0)))).toEqual([]);
  expect(missing(used(0, 4))).toEqual([]);
  const late = used(2 ** 29);
  late.write('DriverFeatures', 0);
  expect(missing(late)).toEqual([]);
  expect(missing(used(0, 0, stored(0, 0, 1, 0)))).toEqual(['interrupt.queue']);
});
test('a stopped queue is left alone, once that was read back and the device was at rest', () => {
  const b = used();
  b.write('QueueReady', 0);
  b.see(use);
  b.read('QueueReady', 0);
  b.see(use); // of before, told late
  b.rest();
  b.write('QueueNotify', 0);
  b.rest();
  expect(b.findings).toEqual([]);
  b.see({ saw: 'memory.changed', writes: [] });
  expect(b.kept('queue.untouched')).toBe(1);
  b.see(use);
  expect(b.findings).toEqual(['queue.untouched']);
  b.write('QueueReady', 1);
  b.see(use);
  expect(b.findings.length).toBe(1);
});
