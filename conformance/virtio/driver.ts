// What a driver knows and does about the whole device: initialisation with every status step read back, features, queues, kicks, settling.
// VIRTIO 1.4, Device Initialization. It sees nothing but answers; nothing an answer says makes it throw.

import type { Answer, Granted } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import type { Choice, Step } from '../program.ts';
import type { Allotment } from './allot.ts';
import { allotment, release } from './allot.ts';
import { accept, bit, CONFIG, F, STATUS } from './bits.ts';
import { get16, get32, get64, gpa } from './bytes.ts';
import type { Queue } from './queue.ts';
import { absorb, expectsInterrupt, layOut, publish, retire, setQueue, usedWhenDone, wantsKick } from './queue.ts';
import type { RingPlace } from './rings.ts';
import { placeRings } from './rings.ts';

/** How the driver initialises the device. */
export interface Setup {
  /** Bit i declines OPTIONAL[i]. */
  readonly decline: number;
  /** Queues to set up, modulo what the device has. */
  readonly queues: number;
  /** How often the largest queue size is halved, modulo what leaves two descriptors. */
  readonly halve: number;
  /** Start index, where the target offers virtq.base. */
  readonly base: number;
  readonly rings: RingPlace;
  readonly lifo: boolean;
}
export const PLAIN: Setup = { decline: 0, queues: 1, halve: 0, base: 0, rings: 'packed', lifo: false };

export interface Driver {
  readonly granted: Granted;
  readonly seesStatus: boolean;
  readonly setsBase: boolean;
  readonly seesGeneration: boolean;
  memory: Allotment;
  queues: Queue[];
  /** DRIVER_OK is set and nothing is known to be wrong. */
  live: boolean;
  /** The target died; nothing more can be done. */
  gone: boolean;
  offered: bigint | undefined;
  accepted: bigint;
  /** Last status read back. */
  status: number | undefined;
  /** Config bytes read back. */
  readonly config: Uint8Array;
  /** sizeMax of each queue as read. */
  readonly sizeMax: number[];
  /** By what the last settle ended. */
  settledBy: string | undefined;
  /** What raw register reads answered, in order, since it was last emptied. */
  raw: number[];
  /** Requests made so far: makes their data distinct. */
  serial: number;
  /** A duty was broken on purpose. */
  violated: boolean;
  plan: Choice | undefined;
  out: Stimulus[];
}
export const driver = (granted: Granted): Driver => ({
  granted,
  seesStatus: granted.offers.includes('virtio.status'),
  setsBase: granted.offers.includes('virtq.base'),
  seesGeneration: granted.offers.includes('virtio.generation'),
  memory: allotment(granted.memory.size),
  queues: [],
  live: false,
  gone: false,
  offered: undefined,
  accepted: 0n,
  status: undefined,
  config: new Uint8Array(128),
  sizeMax: [],
  settledBy: undefined,
  raw: [],
  serial: 0,
  violated: false,
  plan: undefined,
  out: [],
});

const note = (d: Driver, o: Observation): void => {
  switch (o.saw) {
    case 'memory.changed':
      for (const w of o.writes) for (const q of d.queues) absorb(q, Number(w.at), w.bytes);
      return;
    case 'virtio.status':
      d.status = o.value;
      return;
    case 'virtio.features':
      d.offered = o.offered;
      return;
    case 'virtio.config':
      for (let i = 0; i < o.bytes.length; i++) if (o.at + i >= 0 && o.at + i < d.config.length) d.config[o.at + i] = o.bytes[i] as number;
      return;
    case 'virtq.state':
      // Once enabled, some transports show the size in use instead of the largest.
      if (!o.enabled) d.sizeMax[o.queue] = o.sizeMax;
      return;
    case 'settled':
      d.settledBy = o.by;
      for (const q of d.queues) q.stale = false;
      return;
    case 'mmio':
    case 'pci.bar':
    case 'pci.config':
      d.raw.push(o.value);
      return;
    case 'broke':
      d.gone = true;
      return;
    default:
      return;
  }
};

export type Play<T> = Generator<Step, T, readonly Answer[]>;

/** Applies what was prepared in `d.out`, and takes in the answers. */
export function* flush(d: Driver): Play<void> {
  if (d.out.length === 0 || d.gone) return;
  const step: Step = d.plan === undefined ? { do: d.out } : { plan: d.plan, do: d.out };
  d.plan = undefined;
  d.out = [];
  const answers = yield step;
  for (const answer of answers) {
    if ('saw' in answer) for (const o of answer.saw) note(d, o);
    else if ('broke' in answer) d.gone = true;
  }
  for (const q of d.queues) retire(q, (block) => release(d.memory, block));
}

/** Resets the device and waits for status 0 to be read back; false when it never is. */
export function* reset(d: Driver): Play<boolean> {
  d.live = false;
  d.out.push({ do: 'virtio.status.write', value: 0 });
  for (let tries = 0; tries < 4; tries++) {
    if (d.seesStatus) d.out.push({ do: 'virtio.status.read' });
    d.status = undefined;
    yield* flush(d);
    if (d.gone) return false;
    if (!d.seesStatus || d.status === 0 || d.status === undefined) break;
    d.out.push({ do: 'settle' });
  }
  d.queues = [];
  d.memory = allotment(d.granted.memory.size);
  d.accepted = 0n;
  return d.status === 0 || d.status === undefined;
}

/** Bytes of the config field that starts at `at`. */
const readField = (d: Driver, at: number): void => {
  const field = CONFIG.find((f) => f.at === at);
  if (field !== undefined) d.out.push({ do: 'virtio.config.read', at, width: field.width });
};
export const has = (d: Driver, feature: number): boolean => (d.accepted & bit(feature)) !== 0n;
export const offers = (d: Driver, feature: number): boolean => feature < 0 || ((d.offered ?? 0n) & bit(feature)) !== 0n;

/** Fields that bound what a driver asks for. */
const DECIDING = [F.SIZE_MAX, F.SEG_MAX, F.MQ].flatMap((feature) => CONFIG.filter((field) => field.feature === feature));

/** ACKNOWLEDGE, DRIVER, the offer and the fields a driver decides by. */
export function* acquaint(d: Driver): Play<void> {
  d.out.push({ do: 'virtio.status.write', value: STATUS.ACKNOWLEDGE });
  d.out.push({ do: 'virtio.status.write', value: STATUS.ACKNOWLEDGE | STATUS.DRIVER });
  d.out.push({ do: 'virtio.features.read' });
  readField(d, 0);
  // What the machine is said to offer is asked for in the same breath: each answer that is waited for costs a round trip.
  const told = d.granted.virtio?.offer ?? 0n;
  const early = DECIDING.filter((field) => (told & bit(field.feature)) !== 0n && get32(d.config, field.at) === 0);
  for (const field of early) readField(d, field.at);
  yield* flush(d);
  for (const field of DECIDING)
    if (!early.includes(field) && offers(d, field.feature) && get32(d.config, field.at) === 0) readField(d, field.at);
  yield* flush(d);
}

export const OK_SO_FAR: number = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK;

/** Writes the accepted features and FEATURES_OK, and reads it back; false when the device refuses. */
export function* negotiate(d: Driver, accepted: bigint): Play<boolean> {
  d.accepted = accepted;
  d.out.push({ do: 'virtio.features.write', accepted }, { do: 'virtio.status.write', value: OK_SO_FAR });
  if (d.seesStatus) d.out.push({ do: 'virtio.status.read' });
  for (let queue = 0; queue < queuesOf(d); queue++) if (d.sizeMax[queue] === undefined) d.out.push({ do: 'virtq.read', queue });
  d.status = undefined;
  yield* flush(d);
  return !d.gone && (d.status === undefined || (d.status & STATUS.FEATURES_OK) !== 0);
}

const queuesOf = (d: Driver): number => {
  const asked = d.granted.virtio?.queues ?? 1;
  if (!has(d, F.MQ)) return 1;
  const told = get16(d.config, 34);
  return Math.max(1, Math.min(asked, told === 0 ? 1 : told));
};
const sizeMaxOf = (d: Driver, queue: number): number => d.sizeMax[queue] ?? d.sizeMax[0] ?? d.granted.virtio?.queueSizeMax ?? 0;

/** Lays queues out in `d.out` and enables them. */
export const setUpQueues = (d: Driver, s: Setup): void => {
  const count = 1 + (Math.max(0, s.queues - 1) % queuesOf(d));
  for (let index = 0; index < count; index++) {
    const most = sizeMaxOf(d, index);
    if (most < 2) continue;
    const log = 31 - Math.clz32(Math.min(most, 32768));
    // A block request needs two descriptors; half of memory is left for buffers.
    let exponent = log - (s.halve % log);
    while (exponent > 1 && 26 * 2 ** exponent * count > d.granted.memory.size / 2) exponent--;
    const size = 2 ** exponent;
    const rings = placeRings(d.memory, size, s.rings);
    if (rings === undefined) continue;
    const inOrder = has(d, F.IN_ORDER);
    const o = { base: d.setsBase ? s.base & 0xffff : 0, eventIdx: has(d, F.EVENT_IDX), inOrder, lifo: s.lifo && !inOrder };
    const q = layOut(index, size, rings, o, d.out);
    d.queues.push(q);
    d.out.push(setQueue(q, d.setsBase));
  }
};

/** Reset to DRIVER_OK, as the text orders it. `before` runs with queues enabled and DRIVER_OK not yet set. */
export function* initialise(d: Driver, s: Setup, before?: (d: Driver) => Play<void>): Play<boolean> {
  if (!(yield* reset(d))) return false;
  yield* acquaint(d);
  if (d.gone || d.offered === undefined) return false;
  if (!(yield* negotiate(d, accept(d.offered, s.decline)))) {
    d.out.push({ do: 'virtio.status.write', value: STATUS.FAILED | STATUS.ACKNOWLEDGE | STATUS.DRIVER });
    yield* flush(d);
    return false;
  }
  setUpQueues(d, s);
  if (before !== undefined) yield* before(d);
  d.out.push({ do: 'virtio.status.write', value: OK_SO_FAR | STATUS.DRIVER_OK });
  d.live = !d.gone;
  return d.live;
}

/** Kicks where the device asks for it. Where memory is only compared now and then, an old "no" counts as "yes",
 *  and a fresh one is believed after another look. */
export function* kick(d: Driver): Play<void> {
  const quiet: Queue[] = [];
  for (const q of d.queues) {
    if (q.unsure === undefined) continue;
    if (q.owed || q.stale || wantsKick(q)) notify(d, q);
    else quiet.push(q);
  }
  if (quiet.length === 0) return;
  if (d.granted.memory.seen !== 'ordered') d.out.push({ do: 'settle' });
  yield* flush(d);
  for (const q of quiet) {
    if (wantsKick(q) && q.flying.length > q.added) notify(d, q);
    q.unsure = undefined;
  }
}
export const notify = (d: Driver, q: Queue): void => {
  d.out.push({ do: 'virtq.notify', queue: q.index });
  q.unsure = undefined;
  q.owed = false;
  q.stale = d.granted.memory.seen !== 'ordered';
};

/** Publishes and kicks everything, then lets the device finish; what it did not finish makes its queue stuck. */
export function* settle(d: Driver): Play<void> {
  if (!d.live) return;
  for (const q of d.queues) if (!q.stuck) publish(q, d.out);
  yield* kick(d);
  const waiting = d.queues.filter((q) => q.flying.length > 0 && !q.stuck);
  if (waiting.length === 0 || d.gone) return;
  const until = waiting.map((q) => ({ at: gpa(q.rings.used + 2), value: usedWhenDone(q) }));
  d.out.push({ do: 'settle', until, interrupt: waiting.some(expectsInterrupt) });
  yield* flush(d);
  for (const q of waiting) if (q.flying.length > 0) q.stuck = true;
}

/** The disk in sectors, as last read. */
export const capacity = (d: Driver): number => get64(d.config, 0);
/** Data segments and bytes of one segment that the device takes. */
export const segMax = (d: Driver): number => (offers(d, F.SEG_MAX) ? Math.max(1, get32(d.config, 12)) : 1 << 16);
export const sizeMax = (d: Driver): number => (offers(d, F.SIZE_MAX) ? Math.max(1, get32(d.config, 8)) : 2 ** 32 - 1);
