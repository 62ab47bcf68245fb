// What PCI asks of the function, against hand-made histories: BAR sizes, the command register, MSI-X table, masks, pending bits, messages.
// A history that does not show enough must stay silent; one that does must tell the one wrong answer.

import { expect, test } from 'vitest';
import { pci } from '../../spec/virtio/pci/index.ts';
import { common } from '../../spec/virtio/pci/layout.ts';
import type { Area } from '../../spec/clause.ts';
import type { Gpa, Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { createJudge } from '../judge.ts';

const granted: Granted = {
  memory: { size: 0x4000, fill: 0, seen: 'compared' },
  level: 'pci',
  reset: 'device',
  offers: ['virtio.pci'],
};
const TABLE = 0x0000;
const PENDING = 0x0800;
const [USED, AVAIL] = [0x3000, 0x2000];

/** A function with MSI-X in BAR 1 (two vectors) and the common and notification structures in BAR 4. */
const bench = () => {
  const judge = createJudge([pci as unknown as Area<never>]);
  judge.reset(granted);
  const findings: string[] = [];
  const see = (event: Event): void => {
    for (const f of judge.see(event)) findings.push(f.clause.slice('virtio.pci.'.length));
  };
  const config = (at: number, value: number, width: 1 | 2 | 4 = 4): void => {
    see({ do: 'pci.config.read', at, width });
    see({ saw: 'pci.config', at, width, value });
  };
  const setConfig = (at: number, value: number, width: 1 | 2 | 4 = 4): void => see({ do: 'pci.config.write', at, width, value });
  const bar = (n: number, at: number, value: number, width: 1 | 2 | 4 = 4): void => {
    see({ do: 'pci.bar.read', bar: n, at, width });
    see({ saw: 'pci.bar', bar: n, at, width, value });
  };
  const setBar = (n: number, at: number, value: number, width: 1 | 2 | 4 = 4): void =>
    see({ do: 'pci.bar.write', bar: n, at, width, value });
  const rest = (): void => {
    see({ do: 'settle' });
    see({ saw: 'settled', by: 'sync' });
  };
  const write = (name: string, value: number): void => {
    const [at, width] = common[name] ?? [0, 4];
    setBar(4, at, value, width);
  };
  const read = (name: string, value: number): void => {
    const [at, width] = common[name] ?? [0, 4];
    bar(4, at, value, width);
  };
  const used = (): void => see({ saw: 'memory.changed', writes: [{ at: BigInt(USED + 2) as Gpa, bytes: Uint8Array.of(1, 0) }] });
  const kick = (): void => setBar(4, 0x1000, 0, 2);
  /** The list as far as it is read: MSI-X at 0x40, common at 0x50, notification at 0x60, ISR at 0x78. */
  const walk = (): void => {
    config(0x00, 0x1042_1af4);
    config(0x04, 0x0010_0006);
    config(0x08, 0x0180_0001);
    config(0x2c, 0x1042_1af4);
    config(0x34, 0x40, 1);
    config(0x3c, 0x0100, 2);
    config(0x40, 0x8001_5011);
    config(0x44, TABLE | 1);
    config(0x48, PENDING | 1);
    [0x0110_6009, 4, 0, 56].forEach((w, i) => config(0x50 + 4 * i, w));
    [0x0214_7809, 4, 0x1000, 4, 4].forEach((w, i) => config(0x60 + 4 * i, w));
    [0x0310_8809, 4, 0x2000, 1].forEach((w, i) => config(0x78 + 4 * i, w));
  };
  const live = (vector = 1): void => {
    walk();
    write('device_status', 0);
    read('device_status', 0);
    read('num_queues', 1);
    write('driver_feature_select', 0);
    write('driver_feature', 0);
    write('queue_select', 0);
    write('queue_msix_vector', vector);
    write('config_msix_vector', vector === 1 ? 0 : vector);
    write('queue_driver_lo', AVAIL);
    write('queue_driver_hi', 0);
    write('queue_device_lo', USED);
    write('queue_device_hi', 0);
    write('queue_enable', 1);
    write('device_status', 15);
    rest();
  };
  const mask = (vector: number, on: boolean): void => setBar(1, TABLE + 16 * vector + 12, on ? 1 : 0);
  const kept = (id: string): number => judge.tallies.get(`virtio.pci.${id}`)?.kept ?? 0;
  return { see, config, setConfig, bar, setBar, rest, used, kick, walk, live, mask, findings, kept };
};
const interrupt = { saw: 'interrupt', from: 'queue', queue: 0 } as const;

const size = (bar: number, mask: number, upper?: number): readonly string[] => {
  const b = bench();
  for (const [at, value] of [
    [0x10, 0xffff_c004],
    [0x14, 0xffff_ffff],
    [0x18, 0],
  ] as const) {
    b.setConfig(at, 0xffff_ffff);
    b.config(at, at === 0x10 + 4 * bar ? mask : at === 0x14 && upper !== undefined ? upper : value);
  }
  return b.findings;
};
test('all ones read back as a size, of 32 and of 64 bits, or as nothing', () => {
  expect(size(0, 0xffff_c00c)).toEqual([]);
  expect(size(0, 0x0000_000c, 0xffff_fff0)).toEqual([]);
  expect(size(2, 0xffff_ff01)).toEqual([]);
  expect(size(2, 0x0000_ff01)).toEqual([]);
  expect(size(0, 0xfff0_c004)).toEqual(['bar.size']);
  expect(size(0, 0x00ff_c004)).toEqual(['bar.size']);
  expect(size(1, 0xffff_0000)).toEqual(['bar.size']);
  expect(size(2, 0xffff_f801)).toEqual(['bar.size']);
  expect(size(2, 0x0000_0008)).toEqual(['bar.size']);
});
test('a base address reads as written above its size, with its type', () => {
  const b = bench();
  b.setConfig(0x10, 0x5555_5555);
  b.config(0x10, 0x1234_5678); // no size was seen
  b.setConfig(0x10, 0xffff_ffff);
  b.config(0x10, 0xffff_c004);
  b.setConfig(0x10, 0x5555_5555);
  b.config(0x10, 0x5555_4004);
  expect(b.findings).toEqual([]);
  b.config(0x10, 0x5555_5554);
  b.config(0x10, 0x5555_4000);
  expect(b.findings).toEqual(['bar.kept', 'bar.kept']);
});
test('what is read-only stays, what is not reads as written', () => {
  const b = bench();
  b.walk();
  b.setConfig(0x00, 0);
  b.config(0x00, 0x1042_1af4);
  b.setConfig(0x3c, 0x5a, 1);
  b.config(0x3c, 0x5a, 1);
  b.setConfig(0x04, 0x0406, 2);
  b.config(0x04, 0x0404, 2); // memory space: no memory BAR was seen
  expect(b.findings).toEqual([]);
  b.config(0x00, 0x1042_1af5);
  b.config(0x3c, 0x5b, 1);
  b.config(0x04, 0x0002, 2);
  expect(b.findings).toEqual(['header.read-only', 'header.line', 'command.kept']);
});
test('a register write without memory space has no effect', () => {
  const b = bench();
  b.live();
  b.setBar(4, 0, 1);
  b.setConfig(0x04, 0x0004, 2);
  b.setBar(4, 0, 0);
  b.bar(4, 0, 0xffff_ffff);
  b.setConfig(0x04, 0x0006, 2);
  b.bar(4, 0, 1);
  expect(b.findings).toEqual([]);
  b.bar(4, 0, 0);
  expect(b.findings).toContain('command.memory');
});
test('no bus master: silent once at rest, and evidence only where a live queue was kicked', () => {
  const b = bench();
  b.live();
  b.setConfig(0x04, 0x0002, 2);
  b.used(); // may be of before
  b.rest();
  expect(b.kept('command.master')).toBe(0);
  b.kick();
  b.rest();
  expect(b.findings).toEqual([]);
  expect(b.kept('command.master')).toBe(1);
  b.used();
  b.see(interrupt);
  b.setConfig(0x04, 0x0006, 2);
  b.used();
  expect(b.findings).toEqual(['command.master', 'command.master']);
});
test('INTx is silent while disabled, and due once it is not', () => {
  const b = bench();
  b.live();
  b.setConfig(0x42, 0x0000, 2);
  b.kick();
  b.used();
  b.see(interrupt);
  b.rest();
  b.setConfig(0x04, 0x0406, 2);
  b.rest();
  b.kick();
  b.used();
  b.rest();
  expect(b.kept('command.intx')).toBe(1);
  b.config(0x06, 0x0018, 2);
  b.setConfig(0x04, 0x0006, 2);
  b.rest();
  expect(b.findings).toEqual(['command.intx-sent']);
});

test('a masked vector is silent and pending; unmasked, it is sent and no longer pending', () => {
  const b = bench();
  b.live();
  b.setConfig(0x42, 0x8000, 2);
  b.mask(1, true);
  b.rest();
  b.kick();
  b.used();
  b.rest();
  b.bar(1, PENDING, 0b10);
  b.mask(1, false);
  b.see(interrupt);
  b.rest();
  b.bar(1, PENDING, 0);
  expect(b.findings).toEqual([]);
  for (const id of ['masked-silent', 'pending-set', 'pending-sent', 'pending-clear']) expect(b.kept(`msix.${id}`), id).toBe(1);
});
test('each wrong answer about a masked vector is told', () => {
  const b = bench();
  b.live();
  b.setConfig(0x42, 0xc000, 2);
  b.config(0x42, 0x8001, 2);
  b.setConfig(0x42, 0xc000, 2);
  b.rest();
  b.see(interrupt);
  b.kick();
  b.used();
  b.rest();
  b.bar(1, PENDING, 0);
  b.bar(1, PENDING, 0b10);
  b.mask(1, false);
  b.setConfig(0x42, 0x8000, 2);
  b.rest();
  b.bar(1, PENDING, 0b10);
  expect(b.findings).toEqual(['msix.control', 'msix.masked-silent', 'msix.pending-set', 'msix.pending-sent', 'msix.pending-clear']);
});
test('an entry reads as written in the bits it has', () => {
  const b = bench();
  b.walk();
  b.setBar(1, 0x10, 0x5555_5557);
  b.setBar(1, 0x1c, 0xffff_ffff);
  b.bar(1, 0x10, 0x5555_5554);
  b.bar(1, 0x1c, 1);
  b.bar(1, 0x14, 7); // never written
  expect(b.findings).toEqual([]);
  b.bar(1, 0x10, 0x5555_5550);
  b.bar(1, 0x1c, 0);
  expect(b.findings).toEqual(['msix.table', 'msix.table']);
});
test('a message is the data of its entry at the address of its entry', () => {
  const sent = (bytes: readonly number[]): readonly string[] => {
    const b = bench();
    b.live();
    b.mask(1, true);
    b.setBar(1, 0x10, 0x1000);
    b.setBar(1, 0x14, 0);
    b.setBar(1, 0x18, 0x0403_0201);
    b.setConfig(0x42, 0x8000, 2);
    b.mask(1, false);
    b.rest();
    b.kick();
    b.used();
    b.see({ saw: 'memory.changed', writes: [{ at: 0x1000n as Gpa, bytes: Uint8Array.from(bytes) }] });
    b.rest();
    expect(b.kept('msix.message') + b.findings.length).toBe(1);
    return b.findings;
  };
  expect(sent([1, 2, 3, 4])).toEqual([]);
  expect(sent([1, 2])).toEqual(['msix.message']);
});
test('a queue or a configuration without a vector is silent: told by an interrupt, shown by a rest after an event', () => {
  const b = bench();
  b.live(0xffff);
  b.kick();
  b.used();
  b.rest();
  expect(b.kept('msix.queue-silent')).toBe(1);
  b.see({ do: 'host.resize', sectors: 9 });
  b.rest();
  b.see({ do: 'host.resize', sectors: 10 });
  b.rest();
  expect(b.kept('msix.config-silent')).toBe(1);
  b.see(interrupt);
  b.see({ saw: 'interrupt', from: 'config' });
  expect(b.findings).toEqual(['msix.queue-silent', 'msix.config-silent']);
});
test('masking alone sets no pending bit, of a queue that was at rest', () => {
  const b = bench();
  b.live();
  b.setConfig(0x42, 0x8000, 2);
  b.mask(1, false);
  b.mask(0, false);
  b.rest();
  b.setConfig(0x42, 0xc000, 2);
  b.rest();
  b.bar(1, PENDING, 0b01); // the configuration may have changed
  expect(b.findings).toEqual([]);
  expect(b.kept('msix.pending-none')).toBe(1);
  b.bar(1, PENDING, 0b11);
  expect(b.findings).toEqual(['msix.pending-none']);
});
test('without MSI-X the ISR has the queue bit once a notification was owed', () => {
  const isr = (value: number): readonly string[] => {
    const b = bench();
    b.live();
    b.setConfig(0x42, 0x0000, 2);
    b.kick();
    b.used();
    b.rest();
    b.bar(4, 0x2000, value, 1);
    expect(b.kept('isr.queue') + b.findings.length).toBe(1);
    b.bar(4, 0x2000, 0, 1);
    return b.findings;
  };
  expect(isr(1)).toEqual([]);
  expect(isr(0)).toEqual(['isr.queue']);
});
