// What PCI asks of the function, against hand-made histories: BAR sizes, the header, the command register, INTx and the ISR behind it.
// A history that does not show enough must stay silent; one that does must tell the one wrong answer.

import { expect, test } from 'vitest';
import type { Gpa } from '../../spec/units.ts';
import { AVAIL, functionBench, interrupt } from './pci-bench.ts';

const size = (bar: number, mask: number, upper?: number): readonly string[] => {
  const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
test('without MSI-X the ISR has the queue bit once a notification was owed', () => {
  const isr = (value: number): readonly string[] => {
    const b = functionBench();
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
test('the ISR may be read before the device is at rest, and the driver may change its mind: nothing is owed then', () => {
  const seen = (meanwhile: (b: ReturnType<typeof functionBench>) => void): readonly string[] => {
    const b = functionBench();
    b.live();
    b.setConfig(0x42, 0x0000, 2);
    b.kick();
    b.used();
    meanwhile(b);
    b.rest();
    b.bar(4, 0x2000, 0, 1);
    return b.findings;
  };
  expect(seen((b) => b.bar(4, 0x2000, 1, 1))).toEqual([]);
  expect(seen((b) => b.see({ do: 'memory.write', at: BigInt(AVAIL) as Gpa, bytes: Uint8Array.of(0, 0) }))).toEqual([]);
  expect(seen(() => {})).toEqual(['isr.queue']);
});
