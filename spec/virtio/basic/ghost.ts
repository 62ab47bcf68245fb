// What a driver knows of a virtio device from its control plane alone: status, features, configuration, notifications.
// VIRTIO 1.4, Basic Facilities of a Virtio Device. Remembers, never judges.

import type { Moment } from '../../clause.ts';
import type { Gpa, Granted } from '../../units.ts';
import type { Event } from '../../vocabulary.ts';
import { status } from '../features.ts';

export interface BasicGhost {
  /** Bits the driver has set since the last reset request. */
  written: number;
  /** Last status read, undefined before the first read since the last reset request. */
  read: number | undefined;
  /** A reset was requested and nothing but reads and settles came since. */
  resetting: boolean;
  /** The reset is complete: status read 0, or the device was surely at rest since it was requested. */
  quiet: boolean;
  /** DRIVER_OK was written at all since the machine started. */
  everLive: boolean;
  offered: bigint | undefined;
  accepted: bigint;
  /** Feature sets that FEATURES_OK was read back for. */
  readonly agreed: Set<bigint>;
  negotiated: boolean;
  /** DRIVER_OK was written since the last reset. */
  live: boolean;
  /** Configuration bytes seen since the last possible change, by offset. */
  readonly config: Map<number, number>;
  /** The host changed it, and the device was not surely at rest since: either version may be read. */
  changing: boolean;
  /** No configuration was read since it surely had changed: a device may count the change when it is. */
  unread: boolean;
  /** Generation read and not followed by a configuration change that we caused. */
  generation: number | undefined;
  /** The configuration is another than the driver was last told: by its own reads before DRIVER_OK, by a notification, or by rest. */
  configChanged: boolean;
  /** The program touches registers itself: a line that it did not acknowledge shows no new notification. */
  raw: boolean;
  /** It changed while live since the last settle. */
  changedLive: boolean;
  /** Capacity, where the machine is known. */
  sectors: number | undefined;
  /** Capacity that the driver was last told of, in that sense. */
  told: number | undefined;
  /** A chain of direct and indirect descriptors was offered since the reset. */
  mixedOffered: boolean;
  /** Status was read without NEEDS_RESET since DRIVER_OK was written. */
  healthy: boolean;
  /** NEEDS_RESET was read, and surely set since DRIVER_OK. */
  needsReset: boolean;
  /** A config notification came since the last reset. */
  configNotified: boolean;
  /** A config notification came without a change that we know of; the next status tells whether it meant NEEDS_RESET. */
  unexplained: boolean;
  /** The used rings that are set up, by what gives buffers back, idx and elements: [first byte, past the last byte]. */
  readonly usedRings: Map<number, readonly [bigint, bigint]>;
}

export const initialBasic = (granted: Granted): BasicGhost => ({
  written: 0,
  read: undefined,
  resetting: false,
  quiet: true,
  everLive: false,
  offered: undefined,
  accepted: 0n,
  agreed: new Set(),
  negotiated: false,
  live: false,
  config: new Map(),
  changing: false,
  unread: false,
  generation: undefined,
  configChanged: false,
  raw: false,
  changedLive: false,
  mixedOffered: false,
  sectors: granted.virtio?.blk.sectors,
  told: granted.virtio?.blk.sectors,
  healthy: false,
  needsReset: false,
  configNotified: false,
  unexplained: false,
  usedRings: new Map(),
});

/**
 * Bytes of the block device that may change without the host's doing: `writeback` and the zoned characteristics by negotiation
 * (Block Device / Device Initialization), `write_zeroes_may_unmap` at any time (Device Operation).
 */
export const mayChange = (at: number): boolean => at === 32 || at === 56 || (at >= 72 && at < 96);

const none: readonly Event[] = [];

const statusWritten = (g: BasicGhost, value: number): readonly Event[] => {
  if (value === 0) {
    Object.assign(g, { written: 0, read: undefined, resetting: true, quiet: false, accepted: 0n });
    Object.assign(g, {
      negotiated: false,
      live: false,
      healthy: false,
      needsReset: false,
      configNotified: false,
      unexplained: false,
      configChanged: false,
      changedLive: false,
      mixedOffered: false,
    });
    g.config.clear();
    // A reset, and agreement on features, may change writeback.
    g.generation = undefined;
    g.usedRings.clear();
    return [{ saw: 'scope.reset', scope: 'device:0' }];
  }
  const wasLive = g.live;
  if ((value & ~g.written & status.FEATURES_OK) !== 0) g.generation = undefined;
  g.resetting = false;
  g.written |= value;
  if ((value & status.DRIVER_OK) === 0 || wasLive) return none;
  g.live = true;
  g.told = g.sectors;
  g.everLive = true;
  const events: Event[] = [];
  // Where status cannot be read the driver has to take acceptance for granted.
  if (!g.negotiated) events.push({ saw: 'virtio.negotiated', features: g.accepted });
  g.negotiated = true;
  events.push({ saw: 'virtio.live', features: g.accepted });
  return events;
};

const statusRead = (g: BasicGhost, value: number): readonly Event[] => {
  g.read = value;
  g.unexplained = false;
  if (g.resetting && value === 0) g.quiet = true;
  if ((value & status.NEEDS_RESET) !== 0) g.needsReset ||= g.healthy;
  else if (g.live) g.healthy = true;
  if (g.negotiated || (g.written & status.FEATURES_OK) === 0 || (value & status.FEATURES_OK) === 0) return none;
  g.negotiated = true;
  g.agreed.add(g.accepted);
  return [{ saw: 'virtio.negotiated', features: g.accepted }];
};

export const observeBasic = (g: BasicGhost, m: Moment<BasicGhost>): readonly Event[] => {
  const e = m.event;
  if ('do' in e) {
    if (e.do === 'virtio.status.write') return statusWritten(g, e.value);
    if (e.do.startsWith('mmio.') || e.do.startsWith('pci.')) g.raw = true;
    else if (e.do === 'virtio.features.write') g.accepted = e.accepted;
    else if (e.do === 'virtio.config.write') {
      g.config.clear();
      g.generation = undefined;
    } else if (e.do === 'host.resize') {
      if (e.sectors === g.sectors) return none;
      g.sectors = e.sectors;
      g.config.clear();
      g.changing = true;
      g.unread = true;
      g.configChanged = !g.live || e.sectors !== g.told;
      g.changedLive = g.live;
      g.generation = undefined;
    } else if (e.do === 'virtq.set') {
      g.usedRings.set(e.queue, [e.used + 2n, e.used + 4n + 8n * BigInt(e.size)]);
      return [{ saw: 'virtq.enabled', queue: e.queue, size: e.size, desc: e.desc, avail: e.avail, used: e.used as Gpa, base: e.base ?? 0 }];
    }
    return none;
  }
  if (e.saw === 'virtq.submitted') g.mixedOffered ||= e.chain.mixed;
  if (e.saw === 'virtio.status') return statusRead(g, e.value);
  if (e.saw === 'virtio.features') g.offered = e.offered;
  else if (e.saw === 'virtio.config') {
    if (!g.changing) e.bytes.forEach((byte, i) => g.config.set(e.at + i, byte));
    if (g.unread) g.generation = undefined;
    g.unread &&= g.changing;
  } else if (e.saw === 'virtio.generation') g.generation = e.value;
  else if (e.saw === 'settled') {
    if (e.by !== 'bound') {
      g.quiet = true;
      g.changing = false;
      g.told = g.sectors;
    }
    g.changedLive = false;
  } else if (e.saw === 'interrupt' && e.from === 'config') {
    g.configNotified = true;
    g.unexplained = g.live && !g.configChanged && !g.changedLive;
    g.configChanged = false;
    g.told = g.sectors;
    g.config.clear();
  }
  return none;
};
