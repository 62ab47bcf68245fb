// The PCI spec against hand-made histories: capabilities learned read by read, registers by what was written, the window, MSI-X, ISR.
// Partial knowledge must stay silent: what the trace has not shown is never judged.

import { expect, test } from 'vitest';
import { pci } from '../../spec/virtio/pci/index.ts';
import { common } from '../../spec/virtio/pci/layout.ts';
import type { Area } from '../../spec/clause.ts';
import type { Granted } from '../../spec/units.ts';
import type { Event } from '../../spec/vocabulary.ts';
import { createJudge } from '../judge.ts';

const granted: Granted = {
  memory: { size: 4096, fill: 0, seen: 'compared' },
  level: 'pci',
  reset: 'device',
  offers: ['virtio.pci'],
};
/** [cfg_type, offset, length, extra word]; laid out from 0x40 on, MSI-X first. */
const caps = [
  [1, 0, 56],
  [2, 0x1000, 8, 4],
  [3, 0x2000, 1],
  [4, 0x3000, 96],
  [5, 0, 0, 0],
] as const;
const good = (): number[] => {
  const space = Array.from({ length: 256 }, () => 0);
  const put = (at: number, ...bytes: number[]): void => bytes.forEach((b, i) => (space[at + i] = b));
  const word = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, v >>> 24];
  put(0, 0xf4, 0x1a, 0x42, 0x10, 6, 0, 0x10, 0, 1);
  put(0x2c, 0xf4, 0x1a, 0x40, 0);
  put(0x34, 0x40);
  put(0x40, 0x11, 0x50, 3, 0x80); // MSI-X: four vectors, enabled
  caps.forEach(([type, offset, length, extra], i) => {
    const at = 0x50 + i * 0x18;
    put(
      at,
      9,
      i === caps.length - 1 ? 0 : at + 0x18,
      extra === undefined ? 16 : 20,
      type,
      4,
      0,
      0,
      0,
      ...word(offset),
      ...word(length),
      ...word(extra ?? 0),
    );
  });
  return space;
};
const bench = (space: readonly number[] = good(), scan = true) => {
  const judge = createJudge([pci as unknown as Area<never>]);
  judge.reset(granted);
  const findings: string[] = [];
  const see = (event: Event): void => {
    for (const f of judge.see(event)) findings.push(f.clause);
  };
  const configRead = (at: number, value: number, width: 1 | 2 | 4 = 4): void => {
    see({ do: 'pci.config.read', at, width });
    see({ saw: 'pci.config', at, width, value });
  };
  const configWrite = (at: number, value: number, width: 1 | 2 | 4 = 4): void => see({ do: 'pci.config.write', at, width, value });
  if (scan)
    for (let at = 0; at < 256; at += 4)
      configRead(
        at,
        [3, 2, 1, 0].reduce((v, i) => v * 256 + (space[at + i] ?? 0), 0),
      );
  const place = (name: string): readonly [number, 1 | 2 | 4] => {
    const [at, width] = common[name] ?? [0x2000, 1];
    return [at, width];
  };
  const write = (name: string, value: number): void => {
    const [at, width] = place(name);
    see({ do: 'pci.bar.write', bar: 4, at, width, value });
  };
  const read = (name: string, value: number): void => {
    const [at, width] = place(name);
    see({ do: 'pci.bar.read', bar: 4, at, width });
    see({ saw: 'pci.bar', bar: 4, at, width, value });
  };
  const reset = (): void => {
    write('device_status', 0);
    read('device_status', 0);
    read('num_queues', 1);
    write('queue_select', 0);
  };
  const window = (name: string): void => {
    const [at, width] = place(name);
    configWrite(0xb4, 4, 1);
    configWrite(0xb8, at);
    configWrite(0xbc, width);
  };
  return { see, configRead, configWrite, write, read, reset, window, findings, judge };
};

test('a good function breaks nothing, and its whole list is judged', () => {
  const b = bench();
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
    expect(b.judge.tallies.get(`virtio.pci.${id}`)?.kept, id).toBeGreaterThan(0);
});
test('each wrong byte of the configuration space is told', () => {
  const wrong = (change: (space: number[]) => void): readonly string[] => {
    const space = good();
    change(space);
    return bench(space).findings.map((f) => f.slice('virtio.pci.'.length));
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
  const b = bench(good(), false);
  b.configRead(0x34, 0x40);
  b.configRead(0x40, 0x80035011);
  expect(b.findings).toEqual([]);
  expect(b.judge.tallies.get('virtio.pci.common.present')?.applied).toBe(0);
});
test('a structure that does not fit its BAR', () => {
  const b = bench();
  b.configWrite(0x20, 0xffffffff);
  b.configRead(0x20, 0xffffc00c); // 16 KiB
  expect(b.findings).toEqual([]);
  b.configWrite(0x20, 0xffffffff);
  b.configRead(0x20, 0xfffff00c); // 4 KiB
  expect(b.judge.tallies.get('virtio.pci.cap.in-bar')?.applied).toBe(1);
  const c = bench();
  c.configWrite(0x20, 0xffffffff);
  c.configRead(0x20, 0xfffff00c);
  expect(c.findings).toEqual(['virtio.pci.cap.in-bar']);
});
test('registers return what was written, and reset undoes it', () => {
  const b = bench();
  b.reset();
  b.read('queue_size', 128);
  b.write('queue_desc_lo', 0x1000);
  b.read('queue_desc_lo', 0);
  b.write('queue_enable', 1);
  b.read('queue_enable', 0);
  b.reset();
  b.read('queue_enable', 1);
  b.read('queue_size', 64);
  expect(b.findings).toEqual(['virtio.pci.queue.halves', 'virtio.pci.queue.enabled', 'virtio.pci.reset.enable', 'virtio.pci.reset.size']);
});
test('a queue reset leaves the registers of that queue open, and the others as written', () => {
  const start = () => {
    const space = good();
    space[0x50 + 12] = 64; // the common structure reaches past queue_reset
    const b = bench(space);
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
  expect(b.findings).toEqual(['virtio.pci.msix.mapped', 'virtio.pci.queue.size']);
  const c = start();
  c.read('queue_enable', 0);
  expect(c.findings).toEqual(['virtio.pci.queue.enabled']);
});
test('a BAR that is not decoded says nothing', () => {
  const b = bench();
  b.configWrite(4, 0, 2);
  b.write('device_status', 0);
  b.see({ saw: 'settled', by: 'sync' });
  b.read('device_status', 0xff);
  expect(b.findings).toEqual([]);
  b.configWrite(4, 6, 2);
  b.write('device_status', 0);
  b.see({ saw: 'settled', by: 'sync' });
  b.read('device_status', 0xff);
  expect(b.findings).toEqual(['virtio.pci.reset.status']);
});
test('features by window; a queue that is not there', () => {
  const b = bench();
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
  expect(b.findings).toEqual(['virtio.pci.features.window', 'virtio.pci.features.driver', 'virtio.pci.queue.absent']);
});
test('the offer is the same until a reset', () => {
  const b = bench();
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
  expect(b.findings).toEqual(['virtio.pci.features.window']);
});
test('MSI-X vectors', () => {
  const b = bench();
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
  expect(b.findings).toEqual(['virtio.pci.msix.failed', 'virtio.pci.msix.satisfied', 'virtio.pci.msix.mapped', 'virtio.pci.reset.vectors']);
});
test('the window reads and writes the same registers', () => {
  const b = bench();
  b.reset();
  b.write('queue_desc_lo', 0x2000);
  b.window('queue_desc_lo');
  b.configRead(0xc0, 0x2000);
  b.configWrite(0xc0, 0x3000);
  b.read('queue_desc_lo', 0x3000);
  expect(b.findings).toEqual([]);
  b.configRead(0xc0, 0x2000);
  b.read('queue_desc_lo', 0x2000);
  expect(b.findings).toEqual(['virtio.pci.window.read', 'virtio.pci.window.write']);
  expect(b.judge.breaches).toEqual([]);
  b.configWrite(0xb8, 0x21);
  b.configRead(0xc0, 0);
  expect(b.judge.breaches.map((x) => x.duty)).toEqual(['virtio.pci.driver.window']);
});
test('the ISR clears on read, at rest', () => {
  const b = bench();
  b.reset();
  b.read('isr', 1);
  b.read('isr', 1); // something may have happened in between
  b.see({ saw: 'settled', by: 'sync' });
  b.read('isr', 1);
  b.read('isr', 0);
  expect(b.findings).toEqual([]);
  b.read('isr', 1);
  expect(b.findings).toEqual(['virtio.pci.isr.clear']);
});
test('a queue without vector stays silent; a stranger at the registers ends that knowledge', () => {
  const b = bench();
  b.reset();
  b.write('queue_msix_vector', 0xffff);
  b.see({ saw: 'settled', by: 'sync' });
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  b.see({ do: 'virtio.status.read' });
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  expect(b.findings).toEqual(['virtio.pci.msix.queue-silent']);
});
test('what was raised before a vector was taken away may be told until the device was at rest', () => {
  const b = bench();
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
  b.see({ saw: 'settled', by: 'sync' });
  both();
  expect(b.findings).toEqual(['virtio.pci.msix.queue-silent', 'virtio.pci.msix.config-silent']);
  // A new write of the vector starts over.
  b.write('queue_msix_vector', 0xffff);
  b.see({ saw: 'interrupt', from: 'queue', queue: 0 });
  expect(b.findings.length).toBe(2);
});
