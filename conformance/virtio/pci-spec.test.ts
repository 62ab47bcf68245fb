// The PCI spec against hand-made histories: capabilities learned read by read, registers by what was written, the window, MSI-X, ISR.
// Partial knowledge must stay silent: what the trace has not shown is never judged.

import { expect, test } from 'vitest';
import { good, scanned } from './pci-bench.ts';

test('a good function breaks nothing, and its whole list is judged', () => {
  const b = scanned();
  b.reset();
  b.read('queue_size', 128);
  b.write('queue_size', 64);
  b.read('queue_size', 64);
  b.write('queue_desc_hi', 7);
  b.read('queue_desc_hi', 7);
  b.read('queue_notify_off', 0);
  b.reset();
  b.read('queue_size', 128);
  b.read('queue_enable', 0);
  expect(b.findings).toEqual([]);
  for (const id of ['common.present', 'window.present', 'cap.length', 'notify.multiplier', 'reset.size', 'notify.length', 'queue.halves'])
    expect(b.kept(id), id).toBeGreaterThan(0);
});
test('each wrong byte of the configuration space is told', () => {
  const wrong = (change: (space: number[]) => void): readonly string[] => {
    const space = good();
    change(space);
    return scanned(space).findings;
  };
  expect(wrong((s) => (s[0] = 0))).toEqual(['id.vendor']);
  expect(wrong((s) => (s[2] = 0x41))).toEqual(['id.device']);
  expect(wrong((s) => (s[8] = 0))).toEqual(['id.revision']);
  expect(wrong((s) => (s[0x2e] = 2))).toEqual(['id.subsystem']);
  expect(wrong((s) => (s[6] = 0))).toEqual(['list.announced']);
  expect(wrong((s) => (s[0x51] = 0x50))).toEqual(['list.whole']);
  expect(wrong((s) => (s[0x52] = 12))).toEqual(['cap.length']);
  expect(wrong((s) => (s[0x58] = 2))).toEqual(['common.offset']);
  expect(wrong((s) => (s[0x68 + 16] = 3))).toEqual(['notify.multiplier']);
  expect(wrong((s) => (s[0x68 + 12] = 1))).toEqual(['notify.size']);
  expect(wrong((s) => (s[0x99] = 0))).toEqual(['window.present']);
  // A type that nobody knows in place of each structure's: it is missing.
  expect(wrong((s) => (s[0x53] = 9))).toContain('common.present');
  expect(wrong((s) => (s[0x6b] = 9))).toContain('notify.present');
  expect(wrong((s) => (s[0x83] = 9))).toContain('isr.present');
});
test('a list that was not read to its end is not judged', () => {
  const b = scanned(good(), false);
  b.config(0x34, 0x40);
  b.config(0x40, 0x80035011);
  expect(b.findings).toEqual([]);
  expect(b.applied('common.present')).toBe(0);
});
test('a structure that does not fit its BAR', () => {
  const b = scanned();
  b.setConfig(0x20, 0xffffffff);
  b.config(0x20, 0xffffc00c); // 16 KiB
  expect(b.findings).toEqual([]);
  b.setConfig(0x20, 0xffffffff);
  b.config(0x20, 0xfffff00c); // 4 KiB
  expect(b.applied('cap.in-bar')).toBe(1);
  const c = scanned();
  c.setConfig(0x20, 0xffffffff);
  c.config(0x20, 0xfffff00c);
  expect(c.findings).toEqual(['cap.in-bar']);
});
test('registers return what was written, and reset undoes it', () => {
  const b = scanned();
  b.reset();
  b.read('queue_size', 128);
  b.write('queue_desc_lo', 0x1000);
  b.read('queue_desc_lo', 0);
  b.write('queue_enable', 1);
  b.read('queue_enable', 0);
  b.reset();
  b.read('queue_enable', 1);
  b.read('queue_size', 64);
  expect(b.findings).toEqual(['queue.halves', 'queue.enabled', 'reset.enable', 'reset.size']);
});
test('a queue reset leaves the registers of that queue open, and the others as written', () => {
  const start = () => {
    const space = good();
    space[0x50 + 12] = 64; // the common structure reaches past queue_reset
    const b = scanned(space);
    b.reset();
    b.read('queue_size', 128);
    b.write('config_msix_vector', 3);
    b.write('queue_size', 64);
    b.write('queue_enable', 1);
    return b;
  };
  const b = start();
  b.see({ do: 'pci.bar.write', bar: 4, at: 58, width: 2, value: 1 });
  b.read('queue_enable', 0);
  b.read('queue_size', 128);
  b.read('queue_msix_vector', 1);
  b.read('config_msix_vector', 3);
  b.write('queue_size', 32);
  b.read('queue_size', 32);
  expect(b.findings).toEqual([]);
  b.read('config_msix_vector', 2);
  b.read('queue_size', 128);
  expect(b.findings).toEqual(['msix.mapped', 'queue.size']);
  const c = start();
  c.read('queue_enable', 0);
  expect(c.findings).toEqual(['queue.enabled']);
});
test('a BAR that is not decoded says nothing', () => {
  const b = scanned();
  b.setConfig(4, 0, 2);
  b.write('device_status', 0);
  b.rest();
  b.read('device_status', 0xff);
  expect(b.findings).toEqual([]);
  b.setConfig(4, 6, 2);
  b.write('device_status', 0);
  b.rest();
  b.read('device_status', 0xff);
  expect(b.findings).toEqual(['reset.status']);
});
test('features by window; a queue that is not there', () => {
  const b = scanned();
  b.reset();
  b.write('device_feature_select', 1);
  b.read('device_feature', 1);
  b.write('device_feature_select', 2);
  b.read('device_feature', 1);
  b.write('driver_feature_select', 1);
  b.write('driver_feature', 3); // one valid bit, one that may come back or not
  b.read('driver_feature', 1);
  b.read('driver_feature', 3);
  b.read('driver_feature', 2);
  b.write('queue_select', 1);
  b.read('queue_size', 128);
  expect(b.findings).toEqual(['features.window', 'features.driver', 'queue.absent']);
});
test('the offer is the same until a reset', () => {
  const b = scanned();
  const offer = (value: number): void => {
    b.write('device_feature_select', 0);
    b.read('device_feature', value);
  };
  b.reset();
  offer(6);
  b.reset();
  offer(4);
  expect(b.findings).toEqual([]);
  offer(6);
  expect(b.findings).toEqual(['features.window']);
});
test('MSI-X vectors', () => {
  const b = scanned();
  b.reset();
  b.read('config_msix_vector', 0xffff);
  b.write('config_msix_vector', 3);
  b.read('config_msix_vector', 3);
  b.write('queue_msix_vector', 4); // past the table: the answer is stated
  b.read('queue_msix_vector', 0xffff);
  expect(b.findings).toEqual([]);
  b.read('queue_msix_vector', 4);
  b.read('config_msix_vector', 0xffff);
  b.read('config_msix_vector', 2);
  b.reset();
  b.read('config_msix_vector', 3);
  expect(b.findings).toEqual(['msix.failed', 'msix.satisfied', 'msix.mapped', 'reset.vectors']);
});
test('the window reads and writes the same registers', () => {
  const b = scanned();
  b.reset();
  b.write('queue_desc_lo', 0x2000);
  b.window('queue_desc_lo');
  b.config(0xc0, 0x2000);
  b.setConfig(0xc0, 0x3000);
  b.read('queue_desc_lo', 0x3000);
  expect(b.findings).toEqual([]);
  b.config(0xc0, 0x2000);
  b.read('queue_desc_lo', 0x2000);
  expect(b.findings).toEqual(['window.read', 'window.write']);
  expect(b.breaches()).toEqual([]);
  b.setConfig(0xb8, 0x21);
  b.config(0xc0, 0);
  expect(b.breaches()).toEqual(['driver.window']);
});
test('the ISR clears on read, at rest', () => {
  const b = scanned();
  b.reset();
  b.read('isr', 1);
  b.read('isr', 1); // something may have happened in between
  b.rest();
  b.read('isr', 1);
  b.read('isr', 0);
  expect(b.findings).toEqual([]);
  b.read('isr', 1);
  expect(b.findings).toEqual(['isr.clear']);
});
test('a queue without vector stays silent; a stranger at the registers ends that knowledge', () => {
  const b = scanned();
  b.reset();
  b.write('queue_msix_vector', 0xffff);
  b.rest();
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  b.see({ do: 'virtio.status.read' });
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  expect(b.findings).toEqual(['msix.queue-silent']);
});
test('what was raised before a vector was taken away may be told until the device was at rest', () => {
  const b = scanned();
  b.reset();
  const both = (): void => {
    b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
    b.see({ saw: 'interrupt', from: 'config' });
  };
  b.write('queue_msix_vector', 0xffff);
  b.write('config_msix_vector', 0xffff);
  b.see({ saw: 'settled', by: 'bound' });
  both();
  expect(b.findings).toEqual([]);
  b.rest();
  both();
  expect(b.findings).toEqual(['msix.queue-silent', 'msix.config-silent']);
  // A new write of the vector starts over.
  b.write('queue_msix_vector', 0xffff);
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  expect(b.findings.length).toBe(2);
});
test.each([
  [0, []],
  [2 ** 12, ['window.read', 'reset.size']],
] as const)('a second queue may be gone once features are settled without MQ: accepted %i', (accepted, findings) => {
  const b = scanned();
  b.write('device_status', 0);
  b.read('device_status', 0);
  b.read('num_queues', 2);
  b.write('queue_select', 1);
  b.read('queue_size', 128);
  b.read('queue_notify_off', 1);
  b.write('driver_feature_select', 0);
  b.write('driver_feature', accepted);
  b.write('device_status', 11);
  b.read('device_status', 11);
  b.window('queue_notify_off');
  b.config(0xc0, 0, 2);
  b.read('queue_size', 0);
  expect(b.findings).toEqual(findings);
});
