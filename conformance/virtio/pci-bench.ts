// What the tests of the PCI spec judge with: accesses to a function's configuration space and BARs, a whole list of capabilities, and a life of one queue.
// The common structure is at the start of BAR 4, the notification structure at 0x1000 and the ISR at 0x2000 of it.

import type { Gpa } from '../../spec/units.ts';
import type { Area } from '../../spec/clause.ts';
import { pci } from '../../spec/virtio/pci/index.ts';
import { common } from '../../spec/virtio/pci/layout.ts';
import { type RegisterBench, registerBench } from './register-bench.ts';

type Width = 1 | 2 | 4;
interface PciBench extends RegisterBench {
  /** A read and what it returned; a write. */
  readonly config: (at: number, value: number, width?: Width) => void;
  readonly setConfig: (at: number, value: number, width?: Width) => void;
  readonly bar: (n: number, at: number, value: number, width?: Width) => void;
  readonly setBar: (n: number, at: number, value: number, width?: Width) => void;
  /** The same of the common structure and the ISR, by name. */
  readonly read: (name: string, value: number) => void;
  readonly write: (name: string, value: number) => void;
}
const placeOf = (name: string): readonly [number, Width] => {
  const [at, width] = common[name] ?? [0x2000, 1];
  return [at, width];
};
const pciBench = (): PciBench => {
  const b = registerBench(pci as unknown as Area<never>, {
    memory: { size: 0x4000, fill: 0, seen: 'compared' },
    level: 'pci',
    reset: 'device',
    offers: ['virtio.pci'],
  });
  const bar: PciBench['bar'] = (n, at, value, width = 4) =>
    b.see({ do: 'pci.bar.read', bar: n, at, width }, { saw: 'pci.bar', bar: n, at, width, value });
  const setBar: PciBench['setBar'] = (n, at, value, width = 4) => b.see({ do: 'pci.bar.write', bar: n, at, width, value });
  return {
    ...b,
    config: (at, value, width = 4) => b.see({ do: 'pci.config.read', at, width }, { saw: 'pci.config', at, width, value }),
    setConfig: (at, value, width = 4) => b.see({ do: 'pci.config.write', at, width, value }),
    bar,
    setBar,
    read: (name, value) => {
      const [at, width] = placeOf(name);
      bar(4, at, value, width);
    },
    write: (name, value) => {
      const [at, width] = placeOf(name);
      setBar(4, at, value, width);
    },
  };
};

/** [cfg_type, offset, length, extra word]; laid out from 0x50 on, behind MSI-X at 0x40. */
const caps = [
  [1, 0, 56],
  [2, 0x1000, 8, 4],
  [3, 0x2000, 1],
  [4, 0x3000, 96],
  [5, 0, 0, 0],
] as const;
/** The configuration space of a good function. */
export const good = (): number[] => {
  const space = Array.from({ length: 256 }, () => 0);
  const put = (at: number, ...bytes: number[]): void => bytes.forEach((b, i) => (space[at + i] = b));
  const word = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff, (v >> 16) & 0xff, v >>> 24];
  put(0, 0xf4, 0x1a, 0x42, 0x10, 6, 0, 0x10, 0, 1);
  put(0x2c, 0xf4, 0x1a, 0x40, 0);
  put(0x34, 0x40);
  put(0x40, 0x11, 0x50, 3, 0x80); // MSI-X: four vectors, enabled
  caps.forEach(([type, offset, length, extra], i) => {
    const at = 0x50 + i * 0x18;
    const next = i === caps.length - 1 ? 0 : at + 0x18;
    const head = [9, next, extra === undefined ? 16 : 20, type, 4, 0, 0, 0];
    put(at, ...head, ...word(offset), ...word(length), ...word(extra ?? 0));
  });
  return space;
};
interface Scanned extends PciBench {
  /** Status 0, seen, and what follows it. */
  readonly reset: () => void;
  /** Opens the window on a register. */
  readonly window: (name: string) => void;
}
/** A function whose configuration space was read whole, or not at all. */
export const scanned = (space: readonly number[] = good(), scan = true): Scanned => {
  const b = pciBench();
  const word = (at: number): number => [3, 2, 1, 0].reduce((v, i) => v * 256 + (space[at + i] ?? 0), 0);
  if (scan) for (let at = 0; at < 256; at += 4) b.config(at, word(at));
  return {
    ...b,
    reset: () => {
      b.write('device_status', 0);
      b.read('device_status', 0);
      b.read('num_queues', 1);
      b.write('queue_select', 0);
    },
    window: (name) => {
      const [at, width] = placeOf(name);
      b.setConfig(0xb4, 4, 1);
      b.setConfig(0xb8, at);
      b.setConfig(0xbc, width);
    },
  };
};

const TABLE = 0x0000;
export const PENDING = 0x0800;
export const AVAIL = 0x2000;
const USED = 0x3000;
export const interrupt = { saw: 'interrupt', from: 'queue', queue: 0 } as const;
interface FunctionBench extends PciBench {
  /** The used index moves; the queue is kicked; a vector's own mask. */
  readonly used: () => void;
  readonly kick: () => void;
  readonly mask: (vector: number, on: boolean) => void;
  /** The list as far as it is read: MSI-X at 0x40, common at 0x50, notification at 0x60, ISR at 0x78. */
  readonly walk: () => void;
  /** From there to DRIVER_OK and rest. */
  readonly live: (vector?: number) => void;
}
/** A function with MSI-X in BAR 1, of two vectors. */
export const functionBench = (): FunctionBench => {
  const b = pciBench();
  const walk = (): void => {
    b.config(0x00, 0x1042_1af4);
    b.config(0x04, 0x0010_0006);
    b.config(0x08, 0x0180_0001);
    b.config(0x2c, 0x1042_1af4);
    b.config(0x34, 0x40, 1);
    b.config(0x3c, 0x0100, 2);
    b.config(0x40, 0x8001_5011);
    b.config(0x44, TABLE | 1);
    b.config(0x48, PENDING | 1);
    [0x0110_6009, 4, 0, 56].forEach((w, i) => b.config(0x50 + 4 * i, w));
    [0x0214_7809, 4, 0x1000, 4, 4].forEach((w, i) => b.config(0x60 + 4 * i, w));
    [0x0310_8809, 4, 0x2000, 1].forEach((w, i) => b.config(0x78 + 4 * i, w));
  };
  const live = (vector = 1): void => {
    walk();
    b.write('device_status', 0);
    b.read('device_status', 0);
    b.read('num_queues', 1);
    b.write('driver_feature_select', 0);
    b.write('driver_feature', 0);
    b.write('queue_select', 0);
    b.write('queue_msix_vector', vector);
    b.write('config_msix_vector', vector === 1 ? 0 : vector);
    b.write('queue_driver_lo', AVAIL);
    b.write('queue_driver_hi', 0);
    b.write('queue_device_lo', USED);
    b.write('queue_device_hi', 0);
    b.write('queue_enable', 1);
    b.write('device_status', 15);
    b.rest();
  };
  let idx = 0;
  return {
    ...b,
    used: () => b.see({ saw: 'memory.changed', writes: [{ at: BigInt(USED + 2) as Gpa, bytes: Uint8Array.of(++idx, 0) }] }),
    kick: () => b.setBar(4, 0x1000, 0, 2),
    mask: (vector, on) => b.setBar(1, TABLE + 16 * vector + 12, on ? 1 : 0),
    walk,
    live,
  };
};
