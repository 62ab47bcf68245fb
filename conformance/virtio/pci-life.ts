// One whole life of a virtio-pci function through raw registers alone: reset, offer, acceptance, queues, reset again.
// What a register says is known only while nothing but raw accesses touched it, so this comes before the control plane does.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { accept } from './bits.ts';
import type { Play } from './driver.ts';
import { ask } from './raw.ts';
import type { CommonField, Pci } from './pci-player.ts';

const INTERRUPT_LINE = 0x3c;
const MSIX = 0x11;
const MSIX_ENABLE = 0x8000;
const ACKNOWLEDGE_DRIVER = 3;
const FEATURES_OK = 8;
const ADDRESSES: readonly CommonField[] = [
  'queue_desc',
  'queue_desc_high',
  'queue_driver',
  'queue_driver_high',
  'queue_device',
  'queue_device_high',
];
const QUEUE: readonly CommonField[] = ['queue_size', 'queue_msix_vector', 'queue_enable', 'queue_notify_off'];

/** How the player reads and writes common configuration fields. */
export interface Access {
  readonly get: (p: Pci, ...fields: CommonField[]) => readonly Stimulus[];
  readonly set: (p: Pci, field: CommonField, value: number) => readonly Stimulus[];
  readonly isr: (p: Pci) => readonly Stimulus[];
  /** A field through the window, read or written, then directly. */
  readonly through: (p: Pci, field: CommonField, value?: number) => readonly Stimulus[];
}

export function* pciLife(p: Pci, { get, set, isr, through }: Access): Play<void> {
  const state = (queue: number): readonly Stimulus[] => [...set(p, 'queue_select', queue), ...get(p, ...QUEUE)];
  const reset: readonly Stimulus[] = [...set(p, 'device_status', 0), ...get(p, 'device_status')];
  const [, queues = 0] = yield* ask(p.d, [...reset, ...get(p, 'num_queues')]);
  const low = yield* ask(p.d, [...set(p, 'device_feature_select', 0), ...get(p, 'device_feature')]);
  const high = yield* ask(p.d, [...set(p, 'device_feature_select', 1), ...get(p, 'device_feature')]);
  const control = p.map.capabilities.find((c) => c.id === MSIX);
  // The window is open on a selector meanwhile: other configuration writes leave it alone.
  yield* ask(p.d, [
    ...through(p, 'device_feature_select', 1),
    ...set(p, 'device_feature_select', 0),
    { do: 'pci.config.write', at: INTERRUPT_LINE, width: 1, value: 0xff },
    ...(control === undefined || p.map.vectors === 0
      ? []
      : [{ do: 'pci.config.write', at: control.at + 2, width: 2, value: MSIX_ENABLE } as const]),
    ...get(p, 'device_feature_select'),
    ...through(p, 'device_feature'),
  ]);
  const accepted = accept((BigInt((high[0] ?? 0) >>> 0) << 32n) | BigInt((low[0] ?? 0) >>> 0), 0);
  const windows: readonly Stimulus[] = [
    ...set(p, 'device_status', 1),
    ...set(p, 'device_status', ACKNOWLEDGE_DRIVER),
    ...set(p, 'driver_feature_select', 0),
    ...set(p, 'driver_feature', Number(accepted & 0xffff_ffffn)),
    ...get(p, 'driver_feature'),
    ...set(p, 'driver_feature_select', 1),
    ...set(p, 'driver_feature', Number(accepted >> 32n)),
    ...get(p, 'driver_feature'),
    ...set(p, 'device_status', ACKNOWLEDGE_DRIVER | FEATURES_OK),
    ...get(p, 'device_status', 'config_generation'),
  ];
  const vectors =
    p.map.vectors > 0
      ? [
          ...set(p, 'config_msix_vector', 0),
          ...get(p, 'config_msix_vector'),
          ...set(p, 'queue_msix_vector', 1),
          ...get(p, 'queue_msix_vector'),
        ]
      : [];
  // What is done to one queue shows in no other.
  const other = queues > 1 ? state(1) : [];
  const setUp: readonly Stimulus[] = [
    ...other,
    ...state(0),
    ...vectors,
    ...set(p, 'queue_size', 4),
    ...get(p, 'queue_size'),
    // Upper halves are told apart by their values, and are 0 when the queue is enabled.
    ...set(p, 'queue_desc', 0x1000),
    ...set(p, 'queue_desc_high', 5),
    ...set(p, 'queue_driver', 0x1100),
    ...set(p, 'queue_driver_high', 6),
    ...set(p, 'queue_device', 0x1200),
    ...set(p, 'queue_device_high', 7),
    ...set(p, 'queue_desc', 0x2000),
    ...set(p, 'queue_driver', 0x2100),
    ...set(p, 'queue_device', 0x2200),
    ...get(p, ...ADDRESSES),
    ...set(p, 'queue_desc_high', 0),
    ...set(p, 'queue_driver_high', 0),
    ...set(p, 'queue_device_high', 0),
    ...get(p, ...ADDRESSES, 'queue_select'),
    ...set(p, 'queue_enable', 1),
    ...get(p, 'queue_enable'),
    ...other,
    ...state(queues),
    ...state(0),
  ];
  const after: readonly Stimulus[] = [...reset, ...state(0), ...get(p, 'config_msix_vector'), { do: 'settle' }];
  yield* ask(p.d, [...windows, ...setUp, ...after, ...isr(p)]);
}
