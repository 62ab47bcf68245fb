// What is known of a virtio-mmio device: selectors, which queues are ready, interrupt bits, the generation; and how events change it.
// Known only while every access is one of the trace's own since a reset that was seen through.

import type { Moment } from '../../clause.ts';
import type { Event, EventName } from '../../vocabulary.ts';
import type { Track } from '../pci/generation.ts';
import { driverWrote, forget, hostChanged, newTrack, readBytes, readGeneration } from '../pci/generation.ts';
import { field } from '../blk/layout.ts';
import { config, nameAt, used } from './layout.ts';
import { acknowledged, driverStored, forgetRings, newRings, type Rings, rested, ringWritten, targetStored } from './rings.ts';

export interface MmioGhost {
  /** Selectors last written. */
  select: { device: number | undefined; driver: number | undefined; queue: number | undefined };
  /** DeviceFeatures by window, as first read since the reset: that the offer lasts over one is advice. */
  readonly offered: Map<number, number>;
  /** QueueSizeMax by queue, as last read. */
  readonly sizes: Map<number, number>;
  /** QueueReady by queue, as last written; absent where a queue reset may have changed it. */
  readonly ready: Map<number, number>;
  /** Queues whose own reset was asked for since the device was reset: what QueueReady reads until it is written again is not followed. */
  readonly renewed: Set<number>;
  reset: 'none' | 'asked' | 'due' | 'done';
  /** Only this trace's own accesses since a reset that was seen through. */
  own: boolean;
  /** Since then no queue was ever ready. */
  idle: boolean;
  /** Queues that were stopped: QueueReady was read back as 0, and the device was at rest since. */
  readonly stopped: Map<number, 'read' | 'rested'>;
  /** Since then no host change came, and no Status but 0 was written: nothing gave the device an event of the configuration. */
  fresh: boolean;
  /** DRIVER_OK was written, and since then a queue that is not ready was notified and the device not at rest. */
  live: boolean;
  kicked: boolean;
  readonly rings: Rings;
  /** Nothing can have happened since the device was seen at rest but reads and acknowledgements. */
  quiet: boolean;
  /** InterruptStatus bits that must be set now, and those that must be clear now. */
  set: number;
  clear: number;
  readonly generation: Track;
  /** The host changed the configuration, and none was read since the device was at rest: it may count the change when one is. */
  unread: boolean;
  /** ConfigGeneration while nothing was done that could change the configuration. */
  steady: number | undefined;
}
export const initial = (): MmioGhost => ({
  select: { device: undefined, driver: undefined, queue: undefined },
  offered: new Map(),
  sizes: new Map(),
  ready: new Map(),
  renewed: new Set(),
  reset: 'none',
  own: false,
  idle: false,
  stopped: new Map(),
  fresh: false,
  live: false,
  kicked: false,
  rings: newRings(),
  quiet: false,
  set: 0,
  clear: 0,
  generation: newTrack(),
  unread: false,
  steady: undefined,
});

export const observed: readonly EventName[] = [
  'mmio.read',
  'mmio.write',
  'mmio',
  'interrupt',
  'settle',
  'settled',
  'memory.write',
  'memory.changed',
  'host.resize',
  'virtio.status.write',
  'virtio.status.read',
  'virtio.features.read',
  'virtio.features.write',
  'virtio.config.read',
  'virtio.config.write',
  'virtio.generation.read',
  'virtq.read',
  'virtq.set',
  'virtq.notify',
];

/** The control register a 32-bit access hits. */
export const registerOf = (e: { readonly at: number; readonly width: number }): string | undefined =>
  e.width === 4 ? nameAt.get(e.at) : undefined;

/** No queue is ready, and what was under way when the last one was stopped has ended. */
export const noneReady = (g: MmioGhost): boolean =>
  g.own &&
  (g.idle ||
    (g.ready.size > 0 && g.renewed.size === 0 && [...g.ready].every(([queue, value]) => value === 0 && g.stopped.get(queue) === 'rested')));

const restart = (g: MmioGhost): void => {
  g.select = { device: undefined, driver: undefined, queue: undefined };
  g.offered.clear();
  g.ready.clear();
  g.renewed.clear();
  g.stopped.clear();
  forgetRings(g.rings);
  g.set = 0;
  g.clear = 0;
  g.idle = false;
  g.fresh = false;
  g.live = false;
  g.kicked = false;
  g.steady = undefined;
  forget(g.generation);
};

const wrote = (g: MmioGhost, at: number, width: number, value: number): void => {
  if (at >= config) {
    driverWrote(g.generation);
    g.steady = undefined;
    return;
  }
  ringWritten(g.rings, registerOf({ at, width }) ?? '', g.select, value);
  switch (registerOf({ at, width })) {
    case 'DeviceFeaturesSel':
      g.select.device = value >>> 0;
      break;
    case 'DriverFeaturesSel':
      g.select.driver = value >>> 0;
      break;
    case 'QueueSel':
      g.select.queue = value >>> 0;
      break;
    case 'QueueReady':
      g.stopped.delete(g.select.queue ?? -1);
      if (g.select.queue === undefined) g.ready.clear();
      else g.ready.set(g.select.queue, value >>> 0);
      if (value !== 0) g.idle = false;
      break;
    case 'QueueReset':
      if (g.select.queue === undefined) {
        g.ready.clear();
        g.reset = 'none';
      } else {
        g.ready.delete(g.select.queue);
        g.renewed.add(g.select.queue);
      }
      break;
    case 'QueueNotify':
      g.kicked ||= g.live;
      break;
    case 'InterruptACK':
      if ((value & used) !== 0) acknowledged(g.rings);
      g.set &= ~value;
      // Acknowledged at rest: nothing sets it again without another stimulus.
      if (g.quiet) g.clear |= value & 3;
      break;
    case 'Status':
      g.steady = undefined;
      g.live = (value & 4) !== 0;
      // What `writeback` read before FEATURES_OK meant nothing (Block Device, Device Initialization).
      if (value !== 0) g.generation.bytes.delete(field.writeback[0]);
      g.fresh = false;
      if (value !== 0) break;
      restart(g);
      g.reset = 'asked';
      break;
    default:
  }
};

const read = (g: MmioGhost, at: number, width: number, value: number): void => {
  if (at >= config) {
    readBytes(g.generation, at - config, width, value);
    if (g.unread) g.steady = undefined;
    g.unread &&= !g.quiet;
  }
  switch (registerOf({ at, width })) {
    case 'DeviceFeatures':
      if (g.select.device !== undefined && !g.offered.has(g.select.device)) g.offered.set(g.select.device, value);
      break;
    case 'QueueSizeMax':
      if (g.select.queue !== undefined) g.sizes.set(g.select.queue, value);
      break;
    case 'QueueReady':
      if (g.select.queue !== undefined && value === 0 && g.ready.get(g.select.queue) === 0) g.stopped.set(g.select.queue, 'read');
      break;
    case 'InterruptStatus':
      // An adapter that collects interrupts acknowledges them unseen: only the trace's own accesses count.
      if (g.own) g.set |= value & 3;
      break;
    case 'Status':
      if (value !== 0 || g.reset === 'none' || g.reset === 'done') break;
      g.reset = 'done';
      g.own = true;
      g.idle = true;
      g.fresh = true;
      break;
    case 'ConfigGeneration':
      readGeneration(g.generation, value);
      g.steady = value;
      break;
    default:
  }
};

export const observe = (g: MmioGhost, m: Moment<MmioGhost>): readonly Event[] => {
  const e = m.event;
  if ('do' in e) {
    const ack = e.do === 'mmio.write' && e.at === 0x064;
    if (e.do !== 'mmio.read' && e.do !== 'settle' && !ack) {
      g.quiet = false;
      g.clear = 0;
    }
    if (e.do === 'mmio.write') wrote(g, e.at, e.width, e.value);
    else if (e.do === 'memory.write') driverStored(g.rings, g.ready, e.at, e.bytes.length);
    else if (e.do === 'host.resize') {
      hostChanged(g.generation);
      g.fresh = false;
      g.unread = true;
      g.steady = undefined;
    } else if (e.do.startsWith('virtio.') || e.do.startsWith('virtq.')) {
      restart(g);
      g.own = false;
      g.reset = 'none';
    }
    return [];
  }
  if (e.saw === 'mmio') read(g, e.at, e.width, e.value);
  else if (e.saw === 'memory.changed') {
    if (g.own) targetStored(g.rings, g.ready, e.writes);
  } else if (e.saw === 'settled' && e.by !== 'bound') {
    rested(g.rings, m.memory);
    for (const queue of g.stopped.keys()) g.stopped.set(queue, 'rested');
    g.quiet = true;
    g.kicked = false;
    if (g.reset === 'asked') g.reset = 'due';
  } else if (e.saw === 'interrupt' && g.own) g.set |= e.from === 'config' ? 2 : 1;
  return [];
};
