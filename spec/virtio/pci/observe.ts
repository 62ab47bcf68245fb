// How the ghost of a virtio PCI function follows events: what was learned, written, selected, reset and interrupted.
// Observes and never judges; a control-plane stimulus means somebody else touched the registers.

import type { Moment } from '../../clause.ts';
import type { Event, EventName } from '../../vocabulary.ts';
import { observeFunction, upperHalf } from './function.ts';
import { driverWrote, forget, hostChanged, readBytes, readGeneration } from './generation.ts';
import type { Access, PciGhost } from './ghost.ts';
import { accessOf, after, commonField, keyOf, msixEnabled, msixOf, windowAt } from './ghost.ts';
import { barCount, common, featuresOk, header, interruptStatusBit, noVector, queueReset } from './layout.ts';
import { forgetVectors, observeVectors } from './messages.ts';

export const observed: readonly EventName[] = [
  'pci.config.read',
  'pci.config.write',
  'pci.config',
  'pci.bar.read',
  'pci.bar.write',
  'pci.bar',
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

const disturb = (g: PciGhost): void => {
  g.quiet = false;
  g.isrRead = false;
  g.intx = undefined;
};
/** Somebody else's accesses: registers and selectors are no longer known. */
const foreign = (g: PciGhost): void => {
  g.own = false;
  g.written.clear();
  g.select = { device: undefined, driver: undefined, queue: undefined };
  g.reset = 'none';
  g.status = undefined;
  g.owed = 0;
  forget(g.generation);
  g.fn.ignored.clear();
  g.fn.isrDue = false;
  g.fn.idx.clear();
  forgetVectors(g.vectors);
};

/** The selected queue was reset on its own: its registers are no longer as written, those of others are. */
const forgetQueue = (g: PciGhost): void => {
  for (const key of g.written.keys()) {
    const [name = '', through] = key.split(':');
    if (common[name]?.[2] === 'per-queue' && (g.select.queue === undefined || through === `${g.select.queue}`)) g.written.delete(key);
  }
};

const wrote = (g: PciGhost, a: Access): void => {
  if (a.structure === 'device') driverWrote(g.generation);
  if (a.structure !== 'common') return;
  const name = commonField(a);
  if (name === undefined || a.value === undefined) {
    // Part of a field, or several: what they hold now nobody says, nor what of it a device reset left.
    if (a.offset === queueReset.at && a.width === queueReset.width) forgetQueue(g);
    else g.written.clear();
    g.reset = 'none';
    return;
  }
  if (name === 'device_feature_select') g.select.device = a.value;
  else if (name === 'driver_feature_select') g.select.driver = a.value;
  else if (name === 'queue_select') g.select.queue = a.value;
  if (name === 'device_status') {
    g.fn.live = (a.value & 4) !== 0;
    if (a.value === 0) {
      forgetVectors(g.vectors);
      g.fn.ignored.clear();
      g.fn.isrDue = false;
      g.written.clear();
      // That the offer lasts over a reset is advice: virtio.features.offer-stable.
      g.reread.clear();
      g.select = { device: undefined, driver: undefined, queue: undefined };
      g.reset = 'asked';
      g.owed = 0;
      forget(g.generation);
    }
    g.status = undefined;
    return;
  }
  const key = keyOf(g, name);
  if (key === undefined || common[name]?.[2].endsWith('read-only')) return;
  // Features are settled by FEATURES_OK; what a later write does is not said.
  if (name === 'driver_feature' && g.status !== undefined && (g.status & featuresOk) !== 0) g.written.delete(key);
  else {
    g.written.set(key, { value: a.value, via: a.via });
    g.unmapped.delete(key);
    g.fn.ignored.delete(key);
  }
};

const read = (g: PciGhost, a: Access): void => {
  if (a.structure === 'isr') {
    g.isrRead = g.quiet;
    g.intx = undefined;
    g.fn.isrDue = false;
    g.fn.isrRaced = true;
    g.owed = 0;
    return;
  }
  if (a.value === undefined) return;
  if (a.structure === 'device') readBytes(g.generation, a.offset, a.width, a.value);
  const name = commonField(a);
  if (name === undefined) return;
  if (name === 'config_generation') readGeneration(g.generation, a.value);
  if (name === 'device_status') {
    g.status = a.value;
    if (a.value === 0 && (g.reset === 'asked' || g.reset === 'due')) {
      g.reset = 'done';
      g.own = true;
    }
  }
  const key = keyOf(g, name);
  if (key === undefined) return;
  if (name === 'device_feature' && !g.reread.has(key)) {
    g.reread.add(key);
    g.shown.set(key, a.value);
  }
  if (g.shown.has(key)) return;
  // queue_size is the maximum only until the driver chooses, and surely so after a reset that was seen through.
  const maximum = name === 'queue_size' && g.reset === 'done' && !g.written.has(key);
  if (maximum || name === 'device_feature' || name === 'num_queues' || name === 'queue_notify_off') g.shown.set(key, a.value);
};

/** Low byte of the command register where an access has it. */
const command = (at: number, width: number, value: number): number | undefined =>
  at <= header.command && at + width > header.command ? Math.floor(value / 256 ** (header.command - at)) % 256 : undefined;

const configWrite = (g: PciGhost, at: number, width: number, value: number): void => {
  const bar = (at - header.bars) / 4;
  if (bar >= 0 && bar < barCount) {
    if (Number.isInteger(bar) && width === 4 && value >>> 0 === 0xffffffff) g.probed.add(bar);
    else g.probed.delete(Math.floor(bar));
  }
  g.command = command(at, width, value) ?? g.command;
  const msix = msixOf(g.space)?.at;
  if (msix !== undefined && at + width > msix + 3 && at <= msix + 3) {
    g.msix = ((Math.floor(value / 256 ** (msix + 3 - at)) >> 7) & 1) === 1;
    g.fn.isrRaced ||= g.fn.notified || g.fn.used.size > 0;
  }
  const cap = windowAt(g);
  if (cap === undefined || at + width <= cap + 4 || at >= cap + 16) return;
  if (at === cap + 4) g.window.bar = value & 0xff;
  else if (at === cap + 8) g.window.offset = width === 4 ? value >>> 0 : undefined;
  else if (at === cap + 12) g.window.length = width === 4 ? value >>> 0 : undefined;
  else g.window = { bar: undefined, offset: undefined, length: undefined };
};

export const observe = (g: PciGhost, m: Moment<PciGhost>): readonly Event[] => {
  const e = m.event;
  const access = accessOf(g, e);
  observeVectors(g, m);
  observeFunction(g, m);
  if ('do' in e) {
    if (e.do !== 'pci.bar.read' && e.do !== 'pci.config.read' && e.do !== 'settle') disturb(g);
    if (e.do === 'host.resize') hostChanged(g.generation);
    else if (e.do.startsWith('virtio.') || e.do.startsWith('virtq.')) foreign(g);
    else if (e.do === 'pci.config.write') configWrite(g, e.at, e.width, e.value);
    if (access) wrote(g, access);
    return [];
  }
  if (e.saw === 'settled' && e.by !== 'bound') {
    g.quiet = true;
    for (const [key, { value }] of g.written) if (value === noVector && key.includes('_msix_vector:')) g.unmapped.add(key);
    if (g.reset === 'asked') g.reset = 'due';
  } else if (e.saw === 'interrupt') {
    // With MSI-X "the ISR status is unused": readings.md.
    if (msixEnabled(g) === false) g.owed |= e.from === 'config' ? 2 : 1;
  } else if (e.saw === 'pci.config') {
    g.space = after(m);
    g.command = command(e.at, e.width, e.value) ?? g.command;
    const bar = (e.at - header.bars) / 4;
    if (Number.isInteger(bar) && bar >= 0 && bar < barCount && (e.value & 1) === 1 && upperHalf(g.fn, bar) !== true) g.io.add(bar);
    const msix = msixOf(g.space)?.at;
    if (msix !== undefined && e.at <= msix + 3 && e.at + e.width > msix + 3)
      g.msix = ((Math.floor(e.value / 256 ** (msix + 3 - e.at)) >> 7) & 1) === 1;
    const shift = header.status - e.at;
    if (g.quiet && !g.isrRead && shift >= 0 && shift < e.width) g.intx = (Math.floor(e.value / 256 ** shift) & interruptStatusBit) !== 0;
  }
  if (access) read(g, access);
  return [];
};
