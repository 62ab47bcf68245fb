// What is known of the function as PCI alone sees it: header bytes as written, base address registers, bus mastering, INTx, events due.
// PCI Express Base Specification, PCI-Compatible Configuration Registers. Facts for the clauses; observes and never judges.

import type { Moment } from '../../clause.ts';
import type { Event } from '../../vocabulary.ts';
import type { PciGhost } from './ghost.ts';
import { commonField, keyOf, msixEnabled, structureAt } from './ghost.ts';
import { barCount, commandBits, header, interruptDisableBit, window1 } from './layout.ts';

/** Something that was switched off: 'ceasing' until a settle after which nothing of before can show any more. */
type Switch = 'unknown' | 'on' | 'ceasing' | 'off';
export interface FunctionTrack {
  /** Header bytes as the driver last wrote them. */
  readonly bytes: Map<number, number>;
  /** Base address registers as last written whole, and what each read after all ones. */
  readonly bars: Map<number, number>;
  readonly masks: Map<number, number>;
  /** Register writes while memory space was disabled, by key: they must have had no effect. */
  readonly ignored: Map<string, number>;
  master: Switch;
  intx: Switch;
  /** A queue was kicked while bus mastering was off. */
  kicked: boolean;
  /** This trace's interrupts without MSI-X are seen: one was. */
  intxSeen: boolean;
  /** Without MSI-X, a queue owed a notification and the ISR was not read since. */
  isrDue: boolean;
  /** Since the device was last at rest the ISR was read, or MSI-X switched behind a notification: whether the bit of what was used still stands nobody knows. */
  isrRaced: boolean;
  /** A queue was notified since then. */
  notified: boolean;
  /** The driver changed avail flags since then: what was owed is not known. */
  flagsRaced: boolean;
  /** INTx was enabled with an ISR bit set: an interrupt is due, and did it come. */
  intxDue: boolean;
  intxCame: boolean;
  /** Queues whose used index the device moved since the last settle. */
  readonly used: Set<number>;
  /** The host changed the capacity under a live device since the last settle. */
  /** What their used idx was when the device was last at rest. */
  readonly idx: Map<number, number>;
  resized: boolean;
  sectors: number | undefined;
  /** DRIVER_OK was written, and not taken back since. */
  live: boolean;
}
export const newFunction = (): FunctionTrack => ({
  bytes: new Map(),
  bars: new Map(),
  masks: new Map(),
  ignored: new Map(),
  master: 'unknown',
  intx: 'unknown',
  kicked: false,
  intxSeen: false,
  isrDue: false,
  isrRaced: false,
  notified: false,
  flagsRaced: false,
  intxDue: false,
  intxCame: false,
  used: new Set(),
  idx: new Map(),
  resized: false,
  sectors: undefined,
  live: false,
});

/** The upper half of a 64-bit base address register; undefined where the lower one's type was not seen. */
export const upperHalf = (f: FunctionTrack, bar: number): boolean | undefined => {
  if (bar === 0) return false;
  const below = f.masks.get(bar - 1);
  return below === undefined ? undefined : upperHalf(f, bar - 1) === false && (below & 0x7) === 0x4;
};
/** The base address register that an access hits whole. */
export const wholeBar = (at: number, width: number): number | undefined => {
  const bar = (at - header.bars) / 4;
  return width === 4 && Number.isInteger(bar) && bar >= 0 && bar < barCount ? bar : undefined;
};

const address = (g: PciGhost, queue: number, part: 'driver' | 'device'): bigint | undefined => {
  const [low, high] = (['lo', 'hi'] as const).map((half) => g.written.get(`queue_${part}_${half}:${queue}`)?.value);
  return low === undefined || high === undefined ? undefined : BigInt(low >>> 0) | (BigInt(high >>> 0) << 32n);
};
/** Enabled queues of which a store touches the two bytes at this distance from the start of a part. */
const enabledAt = (g: PciGhost, part: 'driver' | 'device', from: bigint, at: bigint, length: number): readonly number[] =>
  [...g.written].flatMap(([key, { value }]) => {
    if (value !== 1 || !key.startsWith('queue_enable:')) return [];
    const queue = Number(key.slice('queue_enable:'.length));
    const start = address(g, queue, part);
    return start !== undefined && at < start + from + 2n && at + BigInt(length) > start + from ? [queue] : [];
  });
const usedIdx = (g: PciGhost, m: Moment<PciGhost>, queue: number): number | undefined => {
  const device = address(g, queue, 'device');
  return device === undefined ? undefined : m.memory.u16(device + 2n);
};
const EVENT_IDX = 2 ** 29;
/** Queues that the device used buffers of since the last settle, and owed a notification: EVENT_IDX declined, avail flags 0. */
export const notified = (m: Moment<PciGhost>): readonly number[] => {
  const { before: g } = m;
  const features = g.written.get('driver_feature:0')?.value;
  if (!g.own || g.fn.used.size === 0 || g.fn.flagsRaced || features === undefined || (features & EVENT_IDX) !== 0) return [];
  if (((g.written.get('driver_feature:1')?.value ?? 0) & window1.RING_PACKED) !== 0) return [];
  return [...g.fn.used].filter((queue) => {
    const avail = address(g, queue, 'driver');
    // Stored to is not moved.
    if (usedIdx(g, m, queue) === (g.fn.idx.get(queue) ?? 0)) return false;
    return avail !== undefined && m.memory.known(avail, 2) && m.memory.u16(avail) === 0;
  });
};

const switched = (now: Switch, on: boolean): Switch => (on ? 'on' : now === 'off' ? 'off' : 'ceasing');
const wroteConfig = (g: PciGhost, at: number, width: number, value: number): void => {
  const f = g.fn;
  if (at >= 0x40) return;
  const bar = wholeBar(at, width);
  if (bar !== undefined) f.bars.set(bar, value >>> 0);
  for (let i = 0; i < width; i++) {
    const byte = Math.floor(value / 256 ** i) % 256;
    f.bytes.set(at + i, byte);
    if (bar === undefined) f.bars.delete(Math.floor((at + i - header.bars) / 4));
    if (at + i === header.command) {
      f.master = switched(f.master, (byte & commandBits.master) !== 0);
      if (f.master === 'on') f.kicked = false;
    }
    if (at + i === header.command + 1) {
      const enabled = (byte & interruptDisableBit) === 0;
      // The interrupt bit was read set while INTx was disabled.
      if (enabled && f.intx === 'off' && g.intx === true && msixEnabled(g) === false) {
        f.intxDue = true;
        f.intxCame = false;
      }
      f.intx = switched(f.intx, enabled);
    }
  }
};
/** A register write while memory space is disabled; the window reaches registers all the same. */
const wroteNowhere = (g: PciGhost, bar: number, at: number, width: number, value: number): void => {
  if (g.command === undefined || g.probed.has(bar) || g.io.has(bar) || (g.command & commandBits.memory) !== 0) return;
  const a = structureAt(g, bar, at, width, value);
  const name = commonField(a);
  const key = name === undefined ? undefined : keyOf(g, name);
  if (key !== undefined) g.fn.ignored.set(key, value);
};

const did = (g: PciGhost, m: Moment<PciGhost>, e: Extract<Event, { do: string }>): void => {
  const f = g.fn;
  switch (e.do) {
    case 'memory.write':
      f.flagsRaced ||= g.own && enabledAt(g, 'driver', 0n, e.at, e.bytes.length).length > 0;
      return;
    case 'pci.config.write':
      return wroteConfig(g, e.at, e.width, e.value);
    case 'pci.bar.write': {
      wroteNowhere(g, e.bar, e.at, e.width, e.value);
      const a = structureAt(g, e.bar, e.at, e.width, e.value);
      f.notified ||= a?.structure === 'notify';
      if (a?.structure === 'notify' && f.master === 'off' && g.written.get(`queue_enable:${e.value & 0xffff}`)?.value === 1 && f.live)
        f.kicked = true;
      return;
    }
    case 'host.resize': {
      const before = f.sectors ?? m.granted.virtio?.blk.sectors;
      if (f.live && before !== undefined && before !== e.sectors) f.resized = true;
      f.sectors = e.sectors;
      return;
    }
    case 'virtio.status.write':
      f.live = false;
      return;
    default:
      return;
  }
};
export const observeFunction = (g: PciGhost, m: Moment<PciGhost>): void => {
  const { event: e } = m;
  const f = g.fn;
  if ('do' in e) return did(g, m, e);
  if (e.saw === 'memory.changed') {
    if (g.own) for (const w of e.writes) for (const queue of enabledAt(g, 'device', 2n, w.at, w.bytes.length)) f.used.add(queue);
  } else if (e.saw === 'interrupt') {
    if (msixEnabled(g) !== false) return;
    f.intxSeen = true;
    f.intxCame = true;
  } else if (e.saw === 'pci.config') {
    const bar = wholeBar(e.at, e.width);
    if (bar !== undefined && g.probed.has(bar)) f.masks.set(bar, e.value >>> 0);
  } else if (e.saw === 'settled' && e.by !== 'bound') {
    if (!f.isrRaced && msixEnabled(g) === false && notified(m).length > 0) f.isrDue = true;
    f.isrRaced = f.notified = f.flagsRaced = false;
    if (f.master === 'ceasing') f.master = 'off';
    if (f.intx === 'ceasing') f.intx = 'off';
    f.kicked = false;
    f.intxDue = false;
    f.intxCame = false;
    f.resized = false;
    for (const queue of f.used) {
      const idx = usedIdx(g, m, queue);
      if (idx !== undefined) f.idx.set(queue, idx);
    }
    f.used.clear();
  }
};
