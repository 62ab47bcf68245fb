// The lifters over fake hardware: what they write where, in which halves, and what they make of answers and messages.

import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import { type Bus, type BusOp, inTurn, type LiftedDevice } from './bus.ts';
import { type Fake, fakeFunction } from './fake.ts';
import { openMmio } from './virtio-mmio.ts';
import { openPci } from './virtio-pci.ts';

const windows = { memory: 0xe0000000, io: 0xc000, stride: 0x100000 };
const gpa = (at: bigint): Gpa => at as Gpa;
const set: Stimulus = { do: 'virtq.set', queue: 1, size: 8, desc: gpa(0x1_0000_1000n), avail: gpa(0x2000n), used: gpa(0x3000n) };

describe('virtio-pci', () => {
  const open = (fake: Fake): LiftedDevice => {
    const device = openPci(fake.bus, 2, windows, fake.messages);
    if ('unsupported' in device) throw new Error(device.unsupported);
    return device;
  };
  const does = (fake: Fake, device: LiftedDevice, stimulus: Stimulus): unknown => {
    const lifted = device.lift(stimulus);
    fake.log.length = 0;
    return 'unsupported' in lifted ? lifted : { saw: lifted.saw(fake.bus.run(lifted.ops)), log: [...fake.log] };
  };

  it('assigns BARs in windows of their own and points each vector at its message', () => {
    const fake = fakeFunction();
    expect(open(fake).queues).toBe(3);
    expect([fake.config.getUint32(0x14, true), fake.config.getUint32(0x20, true), fake.config.getUint32(0x24, true)]).toEqual([
      0xe0100000, 0xe040000c, 0,
    ]);
    expect([fake.config.getUint16(4, true), fake.config.getUint16(0x92, true)]).toEqual([7, 0x8000]);
    const entry = (vector: number): number[] => [0, 4, 8, 12].map((at) => fake.bar(1).getUint32(16 * vector + at, true));
    expect([entry(0), entry(2)]).toEqual([
      [0xf0000000, 1, 1, 0],
      [0xf0000008, 1, 3, 0],
    ]);
  });

  it('sets a queue: selected, sized, with its vector, halves low first, enabled last', () => {
    const fake = fakeFunction();
    expect(does(fake, open(fake), set)).toEqual({
      saw: [],
      log: [
        'bar4+0x16 = 0x1',
        'bar4+0x18 = 0x8',
        'bar4+0x1a = 0x2',
        'bar4+0x20 = 0x1000',
        'bar4+0x24 = 0x1',
        'bar4+0x28 = 0x2000',
        'bar4+0x2c = 0x0',
        'bar4+0x30 = 0x3000',
        'bar4+0x34 = 0x0',
        'bar4+0x1c = 0x1',
      ],
    });
  });

  it('notifies at queue_notify_off times the multiplier', () => {
    const fake = fakeFunction();
    const device = open(fake);
    expect(does(fake, device, { do: 'virtq.notify', queue: 0 })).toEqual({ saw: [], log: ['bar4+0x3008 = 0x0'] });
    expect(does(fake, device, { do: 'virtq.notify', queue: 2 })).toEqual({ saw: [], log: ['bar4+0x3000 = 0x2'] });
    expect(does(fake, device, { do: 'virtq.notify', queue: 3 })).toHaveProperty('unsupported');
  });

  it('sets the configuration vector with every step after a reset, and names who interrupted', () => {
    const fake = fakeFunction();
    const device = open(fake);
    expect(does(fake, device, { do: 'virtio.status.write', value: 1 })).toEqual({ saw: [], log: ['bar4+0x10 = 0x0', 'bar4+0x14 = 0x1'] });
    fake.arrived.push(0, 1, 2);
    expect(inTurn(fake.bus, device.look())).toEqual([
      { saw: 'interrupt', from: 'config' },
      { saw: 'interrupt', from: 'queue', queue: 0 },
      { saw: 'interrupt', from: 'queue' }, // three queues on two vectors: the last is shared
    ]);
  });

  it('reads ISR where there is no MSI-X, and refuses what is no virtio block function', () => {
    const fake = fakeFunction();
    fake.config.setUint8(0x7c + 1, 0);
    fake.bar(4).setUint8(0x1000, 3);
    expect(inTurn(fake.bus, open(fake).look())).toEqual([
      { saw: 'interrupt', from: 'queue' },
      { saw: 'interrupt', from: 'config' },
    ]);
    fake.config.setUint8(0x40 + 1, 0x40); // the list bites its tail
    expect(openPci(fake.bus, 2, windows, fake.messages)).toHaveProperty('unsupported');
    expect(openPci(fake.bus, 1, windows, fake.messages)).toHaveProperty('unsupported');
  });

  it('keeps device configuration inside its structure, 8 bytes as two halves', () => {
    const fake = fakeFunction();
    const device = open(fake);
    fake.bar(4).setUint32(0x2000, 0x04030201, true);
    expect(does(fake, device, { do: 'virtio.config.read', at: 0, width: 8 })).toMatchObject({
      saw: [{ saw: 'virtio.config', at: 0, bytes: Uint8Array.from([1, 2, 3, 4, 0, 0, 0, 0]) }],
    });
    expect(does(fake, device, { do: 'virtio.config.write', at: 0x1f, bytes: Uint8Array.from([1, 2, 3, 4]) })).toMatchObject({
      log: ['bar4+0x201f = 0x1', 'bar4+0x2020 = 0x302', 'bar4+0x2022 = 0x4'],
    });
    expect(does(fake, device, { do: 'virtio.config.read', at: 0x3c, width: 8 })).toHaveProperty('unsupported');
  });
});

describe('virtio-mmio', () => {
  const window = (): { readonly bus: Bus; readonly registers: Map<number, number>; readonly log: string[] } => {
    const registers = new Map([
      [0x000, 0x74726976],
      [0x004, 2],
      [0x008, 2],
    ]);
    const log: string[] = [];
    const one = (op: BusOp): number => {
      if (op.kind === 'read') return op.at === 0x34 ? (registers.get(0x30) === 0 ? 16 : 0) : (registers.get(op.at) ?? 0);
      log.push(`${op.at.toString(16)} = ${op.value.toString(16)}`);
      if (op.at === 0x64) registers.set(0x60, (registers.get(0x60) ?? 0) & ~op.value);
      else registers.set(op.at, op.value);
      return 0;
    };
    return { bus: { run: (ops) => ops.map(one) }, registers, log };
  };

  it('finds one queue and sets it up in 32-bit halves', () => {
    const { bus, log } = window();
    const device = openMmio(bus, 2);
    if ('unsupported' in device) throw new Error(device.unsupported);
    expect(device.queues).toBe(1);
    log.length = 0;
    const lifted = device.lift(set);
    if ('unsupported' in lifted) throw new Error(lifted.unsupported);
    bus.run(lifted.ops);
    expect(log.join(', ')).toBe('30 = 1, 38 = 8, 80 = 1000, 84 = 1, 90 = 2000, 94 = 0, a0 = 3000, a4 = 0, 44 = 1');
  });

  it('acknowledges what it has shown, until a program touches registers itself', () => {
    const { bus, registers } = window();
    const device = openMmio(bus, 2);
    if ('unsupported' in device) throw new Error(device.unsupported);
    const look = (): readonly unknown[] => inTurn(bus, device.look());
    const queue = { saw: 'interrupt', from: 'queue' };
    registers.set(0x60, 1);
    expect([look(), registers.get(0x60), look()]).toEqual([[queue], 0, []]);
    device.lift({ do: 'mmio.read', at: 0, width: 4 });
    registers.set(0x60, 1);
    expect([look(), registers.get(0x60), look()]).toEqual([[queue], 1, []]);
    registers.set(0x60, 3);
    expect(look()).toEqual([{ saw: 'interrupt', from: 'config' }]);
  });
});
