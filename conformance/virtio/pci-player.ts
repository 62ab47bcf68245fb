// Lowers virtio.pci choices: raw accesses to the configuration space and BARs of a virtio-pci function, in every stage of the device's life.
// VIRTIO 1.4, PCI Device Layout; MSI-X Vector Configuration. What a probe changes it puts back, unless the control plane writes it anyway.

import type { Answer, Granted } from '../../spec/units.ts';
import type { Stimulus } from '../../spec/vocabulary.ts';
import type { Player, Step } from '../program.ts';
import { accept, CONFIG, F } from './bits.ts';
import { driver, flush, has, offers } from './driver.ts';
import type { Play } from './driver.ts';
import type { PciChoice } from './pci.ts';
import { playHeader } from './pci-header.ts';
import { playSwitch } from './pci-messages.ts';
import { registers } from './pci-registers.ts';
import type { PciMap, Structure } from './pci-map.ts';
import { CAP, mapOf } from './pci-map.ts';
import { violation } from './pci-violations.ts';
import type { Raw } from './raw.ts';
import { pciLife } from './pci-life.ts';
import { ask, reached, request, resize, selectable, stageTo } from './raw.ts';

type Width = 1 | 2 | 4;
export const COMMON_FIELDS = [
  'device_feature_select',
  'device_feature',
  'driver_feature_select',
  'driver_feature',
  'config_msix_vector',
  'num_queues',
  'device_status',
  'config_generation',
  'queue_select',
  'queue_size',
  'queue_msix_vector',
  'queue_enable',
  'queue_notify_off',
  'queue_desc',
  'queue_desc_high',
  'queue_driver',
  'queue_driver_high',
  'queue_device',
  'queue_device_high',
] as const;
export type CommonField = (typeof COMMON_FIELDS)[number];
/** struct virtio_pci_common_cfg: offset and natural width; 64-bit fields are two halves. */
export const COMMON: Readonly<Record<CommonField, readonly [number, Width]>> = {
  device_feature_select: [0x00, 4],
  device_feature: [0x04, 4],
  driver_feature_select: [0x08, 4],
  driver_feature: [0x0c, 4],
  config_msix_vector: [0x10, 2],
  num_queues: [0x12, 2],
  device_status: [0x14, 1],
  config_generation: [0x15, 1],
  queue_select: [0x16, 2],
  queue_size: [0x18, 2],
  queue_msix_vector: [0x1a, 2],
  queue_enable: [0x1c, 2],
  queue_notify_off: [0x1e, 2],
  queue_desc: [0x20, 4],
  queue_desc_high: [0x24, 4],
  queue_driver: [0x28, 4],
  queue_driver_high: [0x2c, 4],
  queue_device: [0x30, 4],
  queue_device_high: [0x34, 4],
};
export const NO_VECTOR = 0xffff;

export interface Pci extends Raw {
  readonly map: PciMap;
  violated: boolean;
}

export const bar = (s: Structure, at: number, width: Width): Stimulus => ({ do: 'pci.bar.read', bar: s.bar, at: s.offset + at, width });
export const setBar = (s: Structure, at: number, width: Width, value: number): Stimulus => ({
  do: 'pci.bar.write',
  bar: s.bar,
  at: s.offset + at,
  width,
  value: value >>> 0,
});
/** Reads and writes of common configuration; nothing where there is no such structure. */
export const get = (p: Pci, ...fields: CommonField[]): readonly Stimulus[] => {
  const s = p.map.structures.get(CAP.COMMON);
  return s === undefined ? [] : fields.map((f) => bar(s, ...COMMON[f]));
};
export const set = (p: Pci, field: CommonField, value: number): readonly Stimulus[] => {
  const s = p.map.structures.get(CAP.COMMON);
  return s === undefined ? [] : [setBar(s, ...COMMON[field], value)];
};

const QUEUE_FIELDS: readonly CommonField[] = COMMON_FIELDS.slice(COMMON_FIELDS.indexOf('queue_select'));
export const queueState = (p: Pci, queue: number): readonly Stimulus[] => [...set(p, 'queue_select', queue), ...get(p, ...QUEUE_FIELDS)];

/** The fixed header, then every capability at the chosen width. */
const walk = (p: Pci, width: Width): readonly Stimulus[] => {
  const header: readonly (readonly [number, Width])[] = [
    [0x00, 2],
    [0x02, 2],
    [0x06, 2],
    [0x08, 1],
    [0x0e, 1],
    [0x2c, 2],
    [0x2e, 2],
    [0x34, 1],
  ];
  const reads = header.map(([at, w]): Stimulus => ({ do: 'pci.config.read', at, width: w }));
  for (const c of p.map.capabilities) {
    for (let i = 0; i < Math.max(4, Math.min(c.length, 24)); i += width) reads.push({ do: 'pci.config.read', at: c.at + i, width });
  }
  return reads;
};

/** A vector mapped, read back, and mapped as before. */
function* mapVector(p: Pci, field: 'config_msix_vector' | 'queue_msix_vector', queue: number, vector: number): Play<void> {
  if (p.map.vectors === 0) return;
  const select = field === 'config_msix_vector' ? [] : set(p, 'queue_select', queue);
  const [before] = yield* ask(p.d, [...select, ...get(p, field)]);
  if (before === undefined) return;
  const wanted = vector === NO_VECTOR ? NO_VECTOR : vector % p.map.vectors;
  p.d.out.push(...set(p, field, wanted), ...get(p, field), ...set(p, field, before), ...get(p, field));
}

/** One access of 1, 2 or 4 bytes through the window of VIRTIO_PCI_CAP_PCI_CFG, then the same directly. */
const windowed = (p: Pci, s: Structure, at: number, width: Width, value?: number): readonly Stimulus[] => {
  const window = p.map.structures.get(CAP.PCI);
  if (window === undefined || at + width > s.length) return [];
  const data = window.at + 16;
  return [
    { do: 'pci.config.write', at: window.at + 4, width: 1, value: s.bar },
    { do: 'pci.config.write', at: window.at + 12, width: 4, value: width },
    { do: 'pci.config.write', at: window.at + 8, width: 4, value: s.offset + at },
    value === undefined ? { do: 'pci.config.read', at: data, width } : { do: 'pci.config.write', at: data, width, value },
    bar(s, at, width),
  ];
};
const fieldThrough = (p: Pci, field: CommonField, value?: number): readonly Stimulus[] => {
  const common = p.map.structures.get(CAP.COMMON);
  return common === undefined ? [] : windowed(p, common, ...COMMON[field], value);
};
/** Opens the window on the ISR; what reads or writes configuration elsewhere must not reach it. */
export const windowOnIsr = (p: Pci): readonly Stimulus[] => {
  const s = p.map.structures.get(CAP.ISR);
  return s === undefined ? [] : windowed(p, s, 0, 1).slice(0, 3);
};
const through = (p: Pci, c: Extract<PciChoice, { op: 'window' }>): readonly Stimulus[] => {
  const common = p.map.structures.get(CAP.COMMON);
  const device = p.map.structures.get(CAP.DEVICE);
  if (c.into === 'device') return device === undefined ? [] : windowed(p, device, (c.at % 2) * 4, c.width);
  if (common === undefined) return [];
  if (c.into === 'select') return windowed(p, common, COMMON.device_feature_select[0], 4, c.at);
  const field = COMMON_FIELDS[c.at % COMMON_FIELDS.length] as CommonField;
  return windowed(p, common, ...COMMON[field]);
};

const readConfig = (p: Pci, n: number): readonly Stimulus[] => {
  const s = p.map.structures.get(CAP.DEVICE);
  const field = CONFIG[n % CONFIG.length];
  if (s === undefined || field === undefined || !reached(p, 'driver') || !offers(p.d, field.feature)) return [];
  if ((field.feature === F.CONFIG_WCE && !has(p.d, F.CONFIG_WCE)) || field.at + field.width > s.length) return [];
  const reads = field.width === 8 ? [bar(s, field.at, 4), bar(s, field.at + 4, 4)] : [bar(s, field.at, field.width)];
  return [...get(p, 'config_generation'), ...reads, ...get(p, 'config_generation')];
};
const isr = (p: Pci): readonly Stimulus[] => {
  const s = p.map.structures.get(CAP.ISR);
  return s === undefined ? [] : [bar(s, 0, 1), bar(s, 0, 1)];
};

/** The kick at the queue's own notification address: offset × multiplier, the queue's index in 16 bits. */
function* kicked(p: Pci, queue: number): Play<void> {
  const s = p.map.structures.get(CAP.NOTIFY);
  const [offset] = yield* ask(p.d, [...set(p, 'queue_select', queue), ...get(p, 'queue_notify_off')]);
  const at = (offset ?? 0) * (s?.multiplier ?? 0);
  const kick = s === undefined || offset === undefined || at + 2 > s.length ? [] : [setBar(s, at, 2, queue)];
  yield* request(p, queue, () => kick);
}

/** Queue registers written before the queue is enabled: legal values, read back. The control plane writes its own later. */
const prepareQueue = (p: Pci, c: Extract<PciChoice, { op: 'size' | 'address' }>): readonly Stimulus[] => {
  const most = p.d.sizeMax[0] ?? 0;
  if (p.stage !== 'negotiated' || most < 1) return [];
  if (c.op === 'size')
    return [...set(p, 'queue_select', 0), ...set(p, 'queue_size', Math.max(1, most >> (c.halve % 16))), ...get(p, 'queue_size')];
  const low = (['queue_desc', 'queue_driver', 'queue_device'] as const)[c.part % 3] as 'queue_desc' | 'queue_driver' | 'queue_device';
  const halves = [set(p, low, 4096 * (1 + (c.page % 16))), set(p, `${low}_high`, c.high)];
  if (c.highFirst) halves.reverse();
  return [...set(p, 'queue_select', 0), ...halves.flat(), ...get(p, low, `${low}_high`), ...set(p, `${low}_high`, 0)];
};

function* lower(p: Pci, c: PciChoice): Play<void> {
  const { d } = p;
  switch (c.op) {
    case 'stage':
      yield* stageTo(p, c.to, c.decline);
      if (c.to === 'reset') d.out.push(...get(p, 'device_status', 'config_msix_vector'), ...queueState(p, 0), ...queueState(p, 1));
      return;
    case 'walk':
      d.out.push(...walk(p, c.width));
      return;
    case 'common':
      d.out.push(...get(p, COMMON_FIELDS[c.field % COMMON_FIELDS.length] as CommonField));
      return;
    case 'features':
      d.out.push(...set(p, 'device_feature_select', c.select), ...get(p, 'device_feature', 'device_feature_select'));
      if (reached(p, 'driver'))
        d.out.push(...set(p, 'driver_feature_select', c.select), ...get(p, 'driver_feature', 'driver_feature_select'));
      return;
    case 'accept': {
      if (p.stage !== 'driver' || d.offered === undefined) return;
      const wanted = accept(d.offered, c.decline);
      const half = (i: number): readonly Stimulus[] => [
        ...set(p, 'driver_feature_select', i),
        ...set(p, 'driver_feature', Number((wanted >> BigInt(32 * i)) & 0xffff_ffffn)),
        ...get(p, 'driver_feature'),
      ];
      d.out.push(...half(c.highFirst ? 1 : 0), ...half(c.highFirst ? 0 : 1));
      return;
    }
    case 'queue':
      d.out.push(...queueState(p, selectable(p, c.queue)));
      return;
    case 'size':
    case 'address':
      d.out.push(...prepareQueue(p, c));
      return;
    case 'vector':
      return yield* mapVector(
        p,
        c.of === 'config' ? 'config_msix_vector' : 'queue_msix_vector',
        c.queue % Math.max(1, d.queues.length),
        c.vector,
      );
    case 'window':
      d.out.push(...through(p, c));
      return;
    case 'registers':
      return yield* registers(p, c);
    case 'switch':
      return yield* playSwitch(p, c);
    case 'header':
      return yield* playHeader(p, c);
    case 'isr':
      d.out.push(...isr(p));
      return;
    case 'config':
      d.out.push(...readConfig(p, c.field));
      return;
    case 'request':
      if (p.stage === 'live' && d.queues.length > 0) yield* kicked(p, c.queue % d.queues.length);
      return;
    case 'resize':
      // Before a change that must show in config_generation, both are read.
      if (c.times > 1) d.out.push(...readConfig(p, 0));
      // Many changes are told by what is read after them, then by the generation; one also by the generation before.
      if (resize(p, c.by, c.times)) d.out.push({ do: 'settle', interrupt: c.by !== 0 }, ...readConfig(p, 0).slice(c.times > 1 ? 1 : 0));
      return;
    case 'violate': {
      const stimuli = p.violated ? [] : violation(p, c.duty, c.n);
      if (stimuli.length === 0) return;
      p.violated = true;
      d.out.push(...stimuli);
      yield* flush(d);
      yield* stageTo(p, 'live', 0);
      return yield* request(p, 0, () => []);
    }
  }
}

type Mapping = Generator<Step<PciChoice>, PciMap, readonly Answer[]>;

export function* playPci(choices: readonly PciChoice[], granted: Granted): Player<PciChoice> {
  const d = driver(granted);
  const r: Raw = { d, stage: 'reset' };
  yield* stageTo(r, 'reset', 0) as Player<PciChoice>;
  const map = yield* mapOf(d) as Mapping;
  const p: Pci = { d, stage: 'reset', map, violated: false };
  yield* pciLife(p, { get, set, isr, through: fieldThrough }) as Player<PciChoice>;
  for (const c of choices) {
    if (d.gone) return;
    d.plan = c;
    yield* lower(p, c) as Player<PciChoice>;
    yield* flush(d) as Player<PciChoice>;
    d.plan = undefined;
  }
}
