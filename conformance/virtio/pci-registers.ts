// One life of a virtio-pci function by its registers alone: reset seen through, features, one queue, a request, a new capacity, reset again.
// Only where nobody else touches registers do they have to read as written; the control plane takes over afterwards.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { accept, F, T } from './bits.ts';
import { header } from './blk-requests.ts';
import { flush, has } from './driver.ts';
import type { Play } from './driver.ts';
import { post } from './frame.ts';
import type { Structure } from './pci-map.ts';
import { CAP } from './pci-map.ts';
import { bar, get, NO_VECTOR, type Pci, queueState, set, setBar, windowOnIsr } from './pci-player.ts';
import { probeBars } from './pci-header.ts';
import { layOut, publish, type Queue } from './queue.ts';
import { ask, stageTo } from './raw.ts';
import { placeRings } from './rings.ts';

export interface PciRegisters {
  readonly op: 'registers';
  readonly decline: number;
  readonly interrupts: 'intx' | 'vectors' | 'none';
  readonly halve: number;
  readonly by: number;
}
const Status: Stimulus = { do: 'pci.config.read', at: 0x06, width: 2 };
const MSIX = 0x11;
const settled: Stimulus = { do: 'settle' };
const halves = (p: Pci, name: 'queue_desc' | 'queue_driver' | 'queue_device', at: number): readonly Stimulus[] => [
  ...set(p, `${name}_high`, 0),
  ...set(p, name, at),
  ...get(p, name, `${name}_high`),
];
const atRest = (p: Pci): readonly Stimulus[] => [
  ...set(p, 'device_status', 0),
  settled,
  ...get(p, 'device_status', 'config_msix_vector', 'num_queues'),
  ...queueState(p, 0),
  ...queueState(p, 1),
  ...queueState(p, p.d.granted.virtio?.queues ?? 1),
];

/** A device that was brought up by registers alone, with one queue. */
export interface Life {
  readonly q: Queue;
  readonly notify: Structure;
  readonly device: Structure | undefined;
  /** queue_notify_off of the queue. */
  readonly offset: number;
  /** The interrupt bit and the ISR, twice. */
  readonly look: readonly Stimulus[];
}
/** Message Control; nothing where the target made no use of MSI-X. */
export const msixControl = (p: Pci, value: number): readonly Stimulus[] => {
  const capability = p.map.capabilities.find((k) => k.id === MSIX);
  if (capability === undefined || p.map.vectors === 0) return [];
  return [
    { do: 'pci.config.write', at: capability.at + 2, width: 2, value },
    { do: 'pci.config.read', at: capability.at + 2, width: 2 },
  ];
};
const msix = (p: Pci, on: boolean): readonly Stimulus[] => msixControl(p, on ? 0x8000 : 0);

/** From a reset that is seen through to a live device; undefined where it does not get there. */
export function* bringUp(p: Pci, c: Pick<PciRegisters, 'decline' | 'interrupts' | 'halve'>): Play<Life | undefined> {
  const { d } = p;
  const [notify, isr, device] = [p.map.structures.get(CAP.NOTIFY), p.map.structures.get(CAP.ISR), p.map.structures.get(CAP.DEVICE)];
  const sizeMax = d.sizeMax[0] ?? d.granted.virtio?.queueSizeMax ?? 0;
  if (d.gone || notify === undefined || isr === undefined || !p.map.structures.has(CAP.COMMON)) return undefined;
  const look: readonly Stimulus[] = [Status, bar(isr, 0, 1), Status, bar(isr, 0, 1)];
  d.out.push(...atRest(p), ...msix(p, c.interrupts !== 'intx'), ...set(p, 'device_status', 1), ...set(p, 'device_status', 3));
  yield* flush(d);
  const offer = yield* ask(
    d,
    [0, 1].flatMap((half) => [...set(p, 'device_feature_select', half), ...get(p, 'device_feature')]),
  );
  d.accepted = accept(BigInt(offer[0] ?? 0) | (BigInt(offer[1] ?? 0) << 32n), c.decline);
  for (const half of [0, 1])
    d.out.push(
      ...set(p, 'driver_feature_select', half),
      ...set(p, 'driver_feature', Number((d.accepted >> BigInt(32 * half)) & 0xffff_ffffn)),
      ...get(p, 'driver_feature'),
    );
  d.out.push(...set(p, 'device_status', 11), ...get(p, 'device_status'));

  const size = Math.max(2, sizeMax >> (c.halve % 3));
  const rings = placeRings(d.memory, size, 'packed');
  if (sizeMax < 2 || rings === undefined) return undefined;
  const q = layOut(0, size, rings, { base: 0, eventIdx: has(d, F.EVENT_IDX), inOrder: has(d, F.IN_ORDER), lifo: false }, d.out);
  const vector = (n: number): number => (c.interrupts === 'vectors' && p.map.vectors > 1 ? n : NO_VECTOR);
  d.out.push(
    ...set(p, 'config_msix_vector', vector(0)),
    ...get(p, 'config_msix_vector'),
    ...set(p, 'queue_select', 0),
    ...set(p, 'queue_size', size),
    ...get(p, 'queue_size'),
    ...set(p, 'queue_msix_vector', vector(1)),
    ...get(p, 'queue_msix_vector'),
    ...halves(p, 'queue_desc', rings.desc),
    ...halves(p, 'queue_driver', rings.avail),
    ...halves(p, 'queue_device', rings.used),
    ...set(p, 'queue_enable', 1),
    ...get(p, 'queue_enable', 'queue_size'),
    ...set(p, 'device_status', 15),
    ...get(p, 'device_status'),
    settled,
    ...look,
  );
  const [offset] = (yield* ask(d, get(p, 'queue_notify_off'))).slice(-1);
  return d.gone ? undefined : { q, notify, device, offset: offset ?? 0, look };
}
/** A read of sector 0 made available and kicked; nothing where the queue has no room for it. */
export const kickOne = (p: Pci, { q, notify, offset }: Life): readonly Stimulus[] => {
  const out: Stimulus[] = [];
  if (!post(p.d, q, { readable: header(T.IN, 0, 0), writable: 513 }, { cuts: [], every: 0, table: 'direct', place: 'row' }, out)) return [];
  publish(q, out);
  return [...out, setBar(notify, offset * notify.multiplier, 2, 0)];
};
/** Another capacity, where the target can. */
export const regrow = (p: Pci, by: number): readonly Stimulus[] => {
  const sectors = p.d.granted.virtio?.blk.sectors;
  if (sectors === undefined || !p.d.granted.offers.includes('host.resize')) return [];
  return [{ do: 'host.resize', sectors: Math.max(1, sectors + by) }];
};
/** Reset by registers, MSI-X as the target had it, and once more by the control plane. */
export function* bringDown(p: Pci): Play<void> {
  p.d.out.push(...atRest(p), ...msix(p, true));
  yield* flush(p.d);
  yield* stageTo(p, 'reset', 0);
}

/** Reads that end where the data of the window begin, and that begin where they end. */
const besideWindow = (p: Pci): readonly Stimulus[] => {
  const window = p.map.structures.get(CAP.PCI);
  if (window === undefined) return [];
  return [12, 20].map((offset) => ({ do: 'pci.config.read', at: window.at + offset, width: 4 }));
};

export function* registers(p: Pci, c: PciRegisters): Play<void> {
  const { d } = p;
  yield* stageTo(p, 'reset', 0);
  if (d.gone || !p.map.structures.has(CAP.COMMON)) return;
  yield* probeBars(p);
  const life = yield* bringUp(p, c);
  if (life === undefined) return;
  const kick = [...windowOnIsr(p), ...kickOne(p, life)];
  d.out.push(...kick, settled, ...besideWindow(p), ...life.look);
  const { device } = life;
  const grown = regrow(p, c.by);
  if (device !== undefined && grown.length > 0) {
    const config = [bar(device, 0, 4), bar(device, 4, 4), ...get(p, 'config_generation')];
    d.out.push(...config, ...grown, settled, ...life.look, ...config);
  }
  yield* bringDown(p);
}
