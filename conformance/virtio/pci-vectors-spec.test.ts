// The MSI-X table of a function, against hand-made histories: entries, masks, pending bits, messages, events without a vector.
// A history that does not show enough must stay silent; one that does must tell the one wrong answer.

import { expect, test } from 'vitest';
import type { Gpa } from '../../spec/units.ts';
import { functionBench, interrupt, PENDING } from './pci-bench.ts';

test('a masked vector is silent and pending; unmasked, it is sent and no longer pending', () => {
  const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
    const b = functionBench();
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
  const b = functionBench();
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
  const b = functionBench();
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
