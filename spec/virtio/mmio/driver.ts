// What the driver owes a virtio-mmio device: directions, widths, selectors first, queue registers only while the queue is stopped.
// VIRTIO 1.4, MMIO Device Register Layout (driver requirements).

import type { Duty, Judged } from '../../clause.ts';
import { dutyOf } from '../../clause.ts';
import { virtio } from '../../sources.ts';
import type { MmioGhost } from './ghost.ts';
import { registerOf } from './ghost.ts';
import { config, registers } from './layout.ts';

interface Access {
  readonly at: number;
  readonly width: number;
  /** Absent: a read. */
  readonly value?: number;
}
interface Rule {
  readonly id: string;
  readonly says: string;
  readonly keeps: (a: Access, g: MmioGhost, name: string | undefined) => Judged;
}
const objection = (kind: string, expected: string, saw: string): Judged => ({ kind, expected, saw });
const stopped = ['QueueSize', 'QueueDescLow', 'QueueDescHigh', 'QueueDriverLow', 'QueueDriverHigh', 'QueueDeviceLow', 'QueueDeviceHigh'];
const hex = (n: number): string => `0x${n.toString(16)}`;

const rules: readonly Rule[] = [
  {
    id: 'virtio.mmio.driver.described',
    says: 'only registers of the table are accessed, 32 bits wide and aligned',
    keeps: (a, _, name) =>
      a.at >= config ||
      name !== undefined ||
      objection('access', 'a register of the table, 32 bits wide', `${a.width} bytes at ${hex(a.at)}`),
  },
  {
    id: 'virtio.mmio.driver.direction',
    says: 'read-only registers are not written and write-only registers are not read',
    keeps: (a, _, name) => {
      const direction = name === undefined ? 'RW' : (registers[name]?.[1] ?? 'RW');
      return (
        direction.includes(a.value === undefined ? 'R' : 'W') ||
        objection('direction', direction, `${a.value === undefined ? 'read' : 'write'} of ${name}`)
      );
    },
  },
  {
    id: 'virtio.mmio.driver.config-width',
    says: 'configuration is accessed aligned',
    keeps: (a) => a.at < config || a.at % a.width === 0 || objection('alignment', `a multiple of ${a.width}`, hex(a.at)),
  },
  {
    id: 'virtio.mmio.driver.select',
    says: 'a features selector is written before the features are accessed',
    keeps: (a, g, name) => {
      // After a reset, or somebody else's accesses, whether the selector still holds is not said; a fresh trace has written none.
      const missing =
        (name === 'DeviceFeatures' && g.select.device === undefined) || (name === 'DriverFeatures' && g.select.driver === undefined);
      return !missing || g.reset === 'none' ? true : objection('selector', 'a write of the selector first', `${name}, ${a.width} bytes`);
    },
  },
  {
    id: 'virtio.mmio.driver.queue-size',
    says: 'QueueSize is at most QueueSizeMax',
    keeps: (a, g, name) => {
      const most = g.select.queue === undefined ? undefined : g.sizes.get(g.select.queue);
      return (
        name !== 'QueueSize' || most === undefined || (a.value ?? 0) <= most || objection('queue size', `at most ${most}`, `${a.value}`)
      );
    },
  },
  {
    id: 'virtio.mmio.driver.stopped',
    says: 'size and addresses of a queue are not accessed while QueueReady is not 0',
    keeps: (_, g, name) => {
      const ready = g.select.queue === undefined ? undefined : g.ready.get(g.select.queue);
      return (
        !stopped.includes(name ?? '') || ready === undefined || ready === 0 || objection('ready', 'QueueReady 0', `${name} while ready`)
      );
    },
  },
  {
    id: 'virtio.mmio.driver.acknowledge',
    says: 'InterruptACK has no undefined bit',
    keeps: (a, _, name) => name !== 'InterruptACK' || ((a.value ?? 0) & ~3) === 0 || objection('bits', 'bits 0 and 1', hex(a.value ?? 0)),
  },
];

const duty = dutyOf<MmioGhost>();
export const duties: readonly Duty<MmioGhost>[] = rules.map(({ keeps, ...rule }) =>
  duty({
    ...rule,
    cite: virtio('Virtio Transport Options / Virtio Over MMIO / MMIO Device Register Layout', 'driver requirements'),
    on: ['mmio.read', 'mmio.write'],
    keeps: (m) => keeps(m.event, m.before, registerOf(m.event)),
    taints: () => 'device:0',
  }),
);
