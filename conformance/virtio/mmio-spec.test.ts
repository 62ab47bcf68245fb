// The MMIO spec against hand-made histories: reset, interrupts held until acknowledged, generation, silence while no queue is ready.
// Only the trace's own accesses since a reset that was seen through are judged.

import { expect, test } from 'vitest';
import { mmio } from '../../spec/virtio/mmio/index.ts';
import { registers } from '../../spec/virtio/mmio/layout.ts';
import type { Area } from '../../spec/clause.ts';
import type { Gpa, Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { createJudge } from '../judge.ts';

const granted: Granted = {
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
};
const bench = () => {
  const judge = createJudge([mmio as unknown as Area<never>]);
  judge.reset(granted);
  const findings: string[] = [];
  const see = (event: Event): void => {
    for (const f of judge.see(event)) findings.push(f.clause);
  };
  const at = (name: string): number => registers[name]?.[0] ?? Number(name);
  const write = (name: string, value: number): void => see({ do: 'mmio.write', at: at(name), width: 4, value });
  const read = (name: string, value: number): void => {
    see({ do: 'mmio.read', at: at(name), width: 4 });
    see({ saw: 'mmio', at: at(name), width: 4, value });
  };
  const reset = (): void => {
    write('Status', 0);
    read('Status', 0);
  };
  return { see, write, read, reset, findings, judge };
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
  expect(b.judge.breaches).toEqual([]);
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
  b.see({ saw: 'settled', by: 'sync' });
  b.read('Status', 4);
  b.read('Status', 0);
  b.write('QueueSel', 0);
  b.read('QueueReady', 1);
  expect(b.findings).toEqual([
    'virtio.mmio.id.magic',
    'virtio.mmio.id.version',
    'virtio.mmio.id.device',
    'virtio.mmio.queue.absent',
    'virtio.mmio.reset.status',
    'virtio.mmio.reset.ready',
  ]);
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
  expect(ready(false, 0)).toEqual(['virtio.mmio.queue.ready']);
});
test('interrupt bits', () => {
  const b = bench();
  b.reset();
  b.read('InterruptStatus', 1);
  expect(b.findings).toEqual(['virtio.mmio.interrupt.zero']);
  const c = bench();
  c.reset();
  c.write('QueueSel', 0);
  c.write('QueueReady', 1);
  c.see({ saw: 'settled', by: 'sync' });
  c.read('InterruptStatus', 1);
  c.read('InterruptStatus', 0);
  expect(c.findings).toEqual(['virtio.mmio.interrupt.held']);
  c.write('InterruptACK', 1);
  c.read('InterruptStatus', 1);
  expect(c.findings.slice(1)).toEqual(['virtio.mmio.interrupt.acknowledged']);
});
test.each([
  ['a host change', { do: 'host.resize', sectors: 16 }],
  ['a step of the driver', { do: 'mmio.write', at: 0x070, width: 4, value: 1 }],
] as const)('after reset InterruptStatus is 0, until %s gives the device a reason', (_, reason) => {
  const b = bench();
  const rest = (): void => b.see({ saw: 'settled', by: 'sync' });
  b.reset();
  rest();
  b.see(reason);
  rest();
  b.read('InterruptStatus', 2);
  expect(b.findings).toEqual([]);
  const c = bench();
  c.reset();
  c.see({ saw: 'settled', by: 'sync' });
  c.read('InterruptStatus', 2);
  expect(c.findings).toEqual(['virtio.mmio.reset.interrupt']);
});
test('memory stays untouched while no queue is ready', () => {
  const b = bench();
  b.see(change); // before the first reset nothing is known
  b.reset();
  b.see(change);
  expect(b.findings).toEqual(['virtio.mmio.queue.untouched']);
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
  expect(b.findings).toEqual(['virtio.mmio.generation.changed']);
  b.read('ConfigGeneration', 5);
  expect(b.findings.slice(1)).toEqual(['virtio.mmio.generation.steady']);
});
test('the generation may count a host change when the configuration is read', () => {
  const b = bench();
  b.reset();
  b.read('ConfigGeneration', 3);
  b.see({ do: 'host.resize', sectors: 16 });
  b.see({ saw: 'settled', by: 'sync' });
  b.read('ConfigGeneration', 3);
  b.read('256', 16);
  b.read('ConfigGeneration', 4);
  expect(b.findings).toEqual([]);
  b.read('256', 16);
  b.read('ConfigGeneration', 5);
  expect(b.findings).toEqual(['virtio.mmio.generation.steady']);
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
  expect(b.findings).toEqual(['virtio.mmio.features.window']);
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
  expect(after(36)).toEqual(['virtio.mmio.generation.changed']);
});
test('a read-only register written, a queue register while ready: nothing more is owed', () => {
  const b = bench();
  b.write('Version', 2);
  b.read('Version', 1);
  expect(b.findings).toEqual([]);
  expect(b.judge.breaches.map((x) => x.duty)).toEqual(['virtio.mmio.driver.direction']);
});
