// What is known of a virtio PCI function: its configuration space, the registers as the driver left them, interrupts, the window.
// Registers are known only while every access to them is one of the trace's own: a control-plane stimulus makes them unknown.

import type { Moment } from '../../clause.ts';
import type { Event } from '../../vocabulary.ts';
import { once } from '../once.ts';
import { type FunctionTrack, newFunction } from './function.ts';
import { newTrack, type Track } from './generation.ts';
import type { Structure } from './layout.ts';
import { capabilityId, commandBits, common, fieldAt } from './layout.ts';
import { newVectors, type VectorTrack } from './messages.ts';
import type { Capability, Space } from './space.ts';
import { learned, regionsOf, unknownSpace } from './space.ts';

export type Via = 'bar' | 'window';
/** A register value that a read must return. */
export interface Written {
  readonly value: number;
  readonly via: Via;
}
export interface PciGhost {
  space: Space;
  /** BARs that hold all ones: probed for their size, decoding nowhere. */
  readonly probed: Set<number>;
  /** BARs seen to map I/O space. */
  readonly io: Set<number>;
  /** Low byte of the command register as last read or written. A BAR answers only while its space is enabled there. */
  command: number | undefined;
  /** MSI-X enable as last read or written; undefined: not known. */
  msix: boolean | undefined;
  /** Fields of the window capability as the driver wrote them. */
  window: { bar: number | undefined; offset: number | undefined; length: number | undefined };
  /** What the driver last wrote, by register key (see keyOf). */
  readonly written: Map<string, Written>;
  /** Of these, the vectors written with NO_VECTOR before the device was last at rest. */
  readonly unmapped: Set<string>;
  /** What read-only registers were seen to hold, by register key. */
  readonly shown: Map<string, number>;
  /** Windows of the offer read since the reset. */
  readonly reread: Set<string>;
  /** Selectors in force. */
  select: { device: number | undefined; driver: number | undefined; queue: number | undefined };
  /** Reset: status 0 was written; then the device had time; then 0 was read. */
  reset: 'none' | 'asked' | 'due' | 'done';
  /** Only this trace's own accesses touched the registers since a reset that was seen through. */
  own: boolean;
  status: number | undefined;
  /** Nothing can have happened since the device was seen at rest but reads. */
  quiet: boolean;
  /** The ISR was read since then. */
  isrRead: boolean;
  /** The interrupt bit of the PCI status register as read since then. */
  intx: boolean | undefined;
  /** ISR bits whose interrupt was seen and which were not read since. */
  owed: number;
  readonly generation: Track;
  readonly fn: FunctionTrack;
  readonly vectors: VectorTrack;
}

export const initial = (): PciGhost => ({
  space: unknownSpace,
  probed: new Set(),
  io: new Set(),
  command: undefined,
  msix: undefined,
  window: { bar: undefined, offset: undefined, length: undefined },
  written: new Map(),
  unmapped: new Set(),
  shown: new Map(),
  reread: new Set(),
  select: { device: undefined, driver: undefined, queue: undefined },
  reset: 'none',
  own: false,
  status: undefined,
  quiet: false,
  isrRead: false,
  intx: undefined,
  owed: 0,
  generation: newTrack(),
  fn: newFunction(),
  vectors: newVectors(),
});

/** An access to a structure, however it was made. `value` absent: a read's stimulus, or bytes beyond the window's length. */
export interface Access {
  readonly structure: Structure;
  readonly offset: number;
  readonly width: number;
  readonly write: boolean;
  readonly value: number | undefined;
  readonly via: Via;
}
/** Whether accesses to a BAR surely reach the function. */
export const decodes = (g: PciGhost, bar: number): boolean =>
  g.command !== undefined && !g.probed.has(bar) && (g.command & (g.io.has(bar) ? commandBits.io : commandBits.memory)) !== 0;
const locate = (
  g: PciGhost,
  bar: number,
  at: number,
  width: number,
  write: boolean,
  value: number | undefined,
  via: Via,
): Access | undefined => {
  if (via === 'bar' && !decodes(g, bar)) return undefined;
  const r = regionsOf(g.space).find((x) => x.bar === bar && at >= x.offset && at < x.offset + x.size);
  return r && { structure: r.structure, offset: at - r.offset, width, write, value, via };
};
/** The structure that lies there, whether or not it decodes now. */
export const structureAt = (g: PciGhost, bar: number, at: number, width: number, value: number): Access | undefined => {
  const r = regionsOf(g.space).find((x) => x.bar === bar && at >= x.offset && at < x.offset + x.size);
  return r && { structure: r.structure, offset: at - r.offset, width, write: true, value, via: 'bar' };
};
export const windowAt = (g: PciGhost): number | undefined => g.space.capabilities.find((c) => c.structure === 'window')?.at;

/** The structure that an event of the wire reads or writes, if it is known to. */
export const accessOf = (g: PciGhost, e: Event): Access | undefined => {
  if ('do' in e) {
    if (e.do === 'pci.bar.write') return locate(g, e.bar, e.at, e.width, true, e.value, 'bar');
    return e.do === 'pci.config.write' ? throughWindow(g, e.at, e.width, true, e.value) : undefined;
  }
  if (e.saw === 'pci.bar') return locate(g, e.bar, e.at, e.width, false, e.value, 'bar');
  return e.saw === 'pci.config' ? throughWindow(g, e.at, e.width, false, e.value) : undefined;
};
const throughWindow = (g: PciGhost, at: number, width: number, write: boolean, value: number): Access | undefined => {
  const cap = windowAt(g);
  const { bar, offset, length } = g.window;
  if (cap === undefined || at !== cap + 16 || bar === undefined || offset === undefined || length === undefined) return undefined;
  if (![1, 2, 4].includes(length) || offset % length !== 0) return undefined;
  return locate(g, bar, offset, length, write, width < length ? undefined : value % 256 ** length, 'window');
};

/** The common configuration field that an access hits whole. */
export const commonField = (a: Access | undefined): string | undefined => {
  if (a?.structure !== 'common') return undefined;
  const name = fieldAt.get(a.offset);
  return name !== undefined && common[name]?.[1] === a.width ? name : undefined;
};
/** A register's key: its name, with the queue or the feature window it is seen through. Undefined where the selector is not known. */
export const keyOf = (g: PciGhost, name: string): string | undefined => {
  const through =
    name === 'device_feature'
      ? g.select.device
      : name === 'driver_feature'
        ? g.select.driver
        : common[name]?.[2].startsWith('per-queue')
          ? g.select.queue
          : 0;
  return through === undefined ? undefined : `${name}:${through}`;
};

/** Configuration space with this event's bytes. */
export const after: (m: Moment<PciGhost>) => Space = once((m) => {
  const { before: g, event: e } = m;
  if (!('saw' in e) || e.saw !== 'pci.config') return g.space;
  const cap = windowAt(g);
  // The window's own fields and data are never facts about the device.
  const own = cap !== undefined && e.at + e.width > cap + 4 && e.at < cap + 20;
  return own ? g.space : learned(g.space, e.at, e.width, e.value, g.probed);
});

/** MSI-X capability, and whether it is known to be absent. */
export const msixOf = (space: Space): Capability | undefined => space.capabilities.find((c) => c.id === capabilityId.msix);
/** Whether MSI-X is enabled; a complete list without it means no. */
export const msixEnabled = (g: PciGhost): boolean | undefined =>
  msixOf(g.space) === undefined && g.space.complete && g.space.fault === undefined ? false : g.msix;
export const offered = (g: PciGhost, bit: number): boolean | undefined => {
  const bits = g.shown.get('device_feature:1');
  return bits === undefined ? undefined : (bits & bit) !== 0;
};
export const queues = (g: PciGhost): number | undefined => g.shown.get('num_queues:0');
