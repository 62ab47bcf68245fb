// Lowers virtio.mmio choices: raw reads and writes of a virtio-mmio register window, in every stage of the device's life.
// VIRTIO 1.4, MMIO Device Register Layout. Offsets that the text does not define are never touched.

import type { Granted } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import type { Player } from '../program.ts';
import { accept, CONFIG, F } from './bits.ts';
import { driver, flush, has, offers } from './driver.ts';
import type { Play } from './driver.ts';
import { registers } from './mmio-registers.ts';
import type { MmioChoice } from './mmio.ts';
import type { Raw } from './raw.ts';
import { ask, reached, request, resize, selectable, stageTo } from './raw.ts';

/** Register offsets; all are 32 bits wide. */
export const R = {
  MagicValue: 0x00,
  Version: 0x04,
  DeviceID: 0x08,
  VendorID: 0x0c,
  DeviceFeatures: 0x10,
  DeviceFeaturesSel: 0x14,
  DriverFeatures: 0x20,
  DriverFeaturesSel: 0x24,
  QueueSel: 0x30,
  QueueSizeMax: 0x34,
  QueueSize: 0x38,
  QueueReady: 0x44,
  QueueNotify: 0x50,
  InterruptStatus: 0x60,
  InterruptACK: 0x64,
  Status: 0x70,
  QueueDescLow: 0x80,
  QueueDriverLow: 0x90,
  QueueDeviceLow: 0xa0,
  ConfigGeneration: 0xfc,
  Config: 0x100,
} as const;
const READ_ONLY = [
  R.MagicValue,
  R.Version,
  R.DeviceID,
  R.VendorID,
  R.DeviceFeatures,
  R.QueueSizeMax,
  R.InterruptStatus,
  R.ConfigGeneration,
];
const WRITE_ONLY = [
  R.DeviceFeaturesSel,
  R.DriverFeatures,
  R.DriverFeaturesSel,
  R.QueueSel,
  R.QueueSize,
  R.QueueNotify,
  R.InterruptACK,
  R.QueueDescLow,
];

export const read = (at: number, width: 1 | 2 | 4 = 4): Stimulus => ({ do: 'mmio.read', at, width });
export const write = (at: number, value: number): Stimulus => ({ do: 'mmio.write', at, width: 4, value });

/** A 64-bit field as its two halves, the others whole. */
const readConfig = (r: Raw, n: number): readonly Stimulus[] => {
  const field = CONFIG[n % CONFIG.length];
  if (field === undefined || !reached(r, 'driver') || !offers(r.d, field.feature)) return [];
  if (field.feature === F.CONFIG_WCE && !has(r.d, F.CONFIG_WCE)) return [];
  const at = R.Config + field.at;
  const reads = field.width === 8 ? [read(at), read(at + 4)] : [read(at, field.width)];
  return [read(R.ConfigGeneration), ...reads, read(R.ConfigGeneration)];
};
export const queueState = (r: Raw, n: number): readonly Stimulus[] => [
  write(R.QueueSel, selectable(r, n)),
  read(R.QueueSizeMax),
  read(R.QueueReady),
];

/** InterruptStatus, acknowledged as far as it is defined, and read again. */
function* interrupts(r: Raw, acknowledge: boolean): Play<void> {
  const [seen = 0] = yield* ask(r.d, [read(R.InterruptStatus)]);
  if (acknowledge && (seen & 3) !== 0) r.d.out.push(write(R.InterruptACK, seen & 3), read(R.InterruptStatus));
}

const violation = (r: Raw, duty: MmioDuty, n: number): readonly Stimulus[] => {
  const of = <T>(list: readonly T[]): T => list[n % list.length] as T;
  switch (duty) {
    case 'virtio.mmio.read-only':
      return [write(of(READ_ONLY), 0xffff_ffff), read(of(READ_ONLY))];
    case 'virtio.mmio.write-only':
      return [read(of(WRITE_ONLY))];
    case 'virtio.mmio.width': {
      const at = of([R.MagicValue, R.Version, R.Status, R.InterruptStatus, R.QueueReady]) + (n & 1);
      return [read(at, 1), read(at & ~1, 2)];
    }
    case 'virtio.mmio.queue-size': {
      const most = r.d.sizeMax[0] ?? 0;
      return reached(r, 'enabled') || !reached(r, 'negotiated')
        ? []
        : [write(R.QueueSel, 0), write(R.QueueSize, of([most * 2, 0xffff, most + 1, 0]))];
    }
    case 'virtio.mmio.queue-absent': {
      const absent = (r.d.granted.virtio?.queues ?? 1) + (n % 3);
      return [write(R.QueueSel, absent), read(R.QueueSizeMax), write(R.QueueSize, 2), write(R.QueueDescLow, 0x1000), read(R.QueueReady)];
    }
    case 'virtio.mmio.queue-locked':
      return reached(r, 'enabled') ? [write(R.QueueSel, 0), write(R.QueueDescLow + 4 * (n % 2), 0x40), write(R.QueueSize, 2)] : [];
    case 'virtio.mmio.interrupt-ack':
      return [write(R.InterruptACK, of([4, 0xffff_fffc, 0x8000_0000])), read(R.InterruptStatus)];
  }
};
export const MMIO_DUTIES = [
  'virtio.mmio.read-only',
  'virtio.mmio.write-only',
  'virtio.mmio.width',
  'virtio.mmio.queue-size',
  'virtio.mmio.queue-absent',
  'virtio.mmio.queue-locked',
  'virtio.mmio.interrupt-ack',
] as const;
export type MmioDuty = (typeof MMIO_DUTIES)[number];

function* lower(r: Raw, c: MmioChoice, violated: { yet: boolean }): Play<void> {
  const { d } = r;
  switch (c.op) {
    case 'stage':
      yield* stageTo(r, c.to, c.decline);
      if (c.to !== 'reset') return;
      d.out.push(read(R.Status), read(R.InterruptStatus), ...queueState(r, 0), ...queueState(r, 1));
      return;
    case 'identify':
      d.out.push(read(R.MagicValue), read(R.Version), read(R.DeviceID), read(R.VendorID), read(R.Status));
      return;
    case 'features':
      d.out.push(write(R.DeviceFeaturesSel, c.select), read(R.DeviceFeatures));
      return;
    case 'accept': {
      // Again, before FEATURES_OK, in any order of halves: the control plane's own write comes later.
      if (r.stage !== 'driver' || d.offered === undefined) return;
      const halves = accept(d.offered, c.decline);
      const low = [write(R.DriverFeaturesSel, 0), write(R.DriverFeatures, Number(halves & 0xffff_ffffn))];
      const high = [write(R.DriverFeaturesSel, 1), write(R.DriverFeatures, Number(halves >> 32n))];
      d.out.push(...(c.highFirst ? [...high, ...low] : [...low, ...high]));
      return;
    }
    case 'queue':
      d.out.push(...queueState(r, c.queue));
      return;
    case 'registers':
      return yield* registers(r, c);
    case 'interrupts':
      return yield* interrupts(r, c.acknowledge);
    case 'config':
      d.out.push(...readConfig(r, c.field));
      return;
    case 'request':
      yield* request(r, c.queue, (queue) => [write(R.QueueNotify, queue), read(R.InterruptStatus)]);
      return yield* interrupts(r, c.acknowledge);
    case 'resize':
      if (!resize(r, c.by)) return;
      d.out.push(read(R.InterruptStatus), ...readConfig(r, 0));
      return;
    case 'violate': {
      const stimuli = violated.yet ? [] : violation(r, c.duty, c.n);
      if (stimuli.length === 0) return;
      violated.yet = true;
      d.out.push(...stimuli);
      yield* flush(d);
      yield* stageTo(r, 'live', 0);
      return yield* request(r, 0, () => []);
    }
  }
}

export function* playMmio(choices: readonly MmioChoice[], granted: Granted): Player<MmioChoice> {
  const r: Raw = { d: driver(granted), stage: 'reset' };
  const violated = { yet: false };
  yield* stageTo(r, 'reset', 0) as Player<MmioChoice>;
  for (const c of choices) {
    if (r.d.gone) return;
    r.d.plan = c;
    yield* lower(r, c, violated) as Player<MmioChoice>;
    yield* flush(r.d) as Player<MmioChoice>;
    r.d.plan = undefined;
  }
}
