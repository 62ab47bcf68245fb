// The virtio control plane over a vhost-user back end: a driver's stimuli in, observations out. Device status is the front
// end's own (DRIVER_OK starts the rings, 0 stops them); features, configuration, rings and memory are the back end's.

import type { Answer } from '../../../spec/units.ts';
import type { Observation, Settle, Settled, Stimulus } from '../../../spec/vocabulary.ts';
import { type Waits, waited } from '../host/lanes.ts';
import type { Libc } from '../host/libc.ts';
import type { SocketAddress } from '../host/unix-socket.ts';
import { goneOf } from './connection.ts';
import { type GuestMemory, guestMemory } from './guest-memory.ts';
import { type Bells, type Link, openLink, type Ring } from './link.ts';
import { configIn, configSizeMax, getConfig, setConfig } from './messages.ts';
import { readAhead } from './read-ahead.ts';
import { type Settling, settle } from './settle.ts';
import { still } from './stillness.ts';

export interface BackEnd {
  readonly address: SocketAddress;
  /** Process id, 0 where only the connection can tell. */
  readonly pid: number;
  readonly quiet: number;
}
export interface FrontEnd {
  /** All virtio bits the back end offers. */
  readonly features: () => bigint;
  readonly queues: () => number;
  /** The first bytes of configuration space, or undefined where there are not so many. */
  readonly config: (size: number) => Buffer | undefined;
  /** A device after reset; `mask`: the feature bits to pass on. Throws `Gone` and what connecting throws. */
  readonly reset: (memory: { readonly size: number; readonly fill: number }, mask: bigint, sizeMax: number) => Waits<void>;
  /** Applies one of them; those after it tell what may be asked for in the same breath. */
  readonly apply: (stimuli: readonly Stimulus[], which: number) => Waits<Answer>;
  readonly close: () => void;
}

const DRIVER_OK = 4;
/** VIRTIO 1.4, Block Device, Device configuration layout: the writeback field, the only one a driver writes. */
const writeback = { at: 32, size: 33 };
/** Of the index in an available and in a used ring. VIRTIO 1.4, The Virtqueue Available Ring and The Virtqueue Used Ring. */
const indexAt = 2n;
const nothing: Answer = { saw: [] };
const closed = 'the back end closed the connection; a reset opens another';

export const frontEnd = (libc: Libc, backEnd: BackEnd): FrontEnd => {
  let memory: GuestMemory | undefined;
  let link: Link | undefined;
  let pid = backEnd.pid;
  let mask = 0n;
  let sizeMax = 0;
  let queues = 0;
  let accepted = 0n;
  let live = false;
  let busy = false; // something was kicked and nothing has settled since
  const unproved = new Set<number>(); // kicked, and not yet seen to have used all that was available: a ring error or a lost request may hide behind it
  let original: number | undefined; // the writeback field, once a program may have changed it
  const rings = new Map<number, Ring>();
  const started = new Map<number, Bells>();

  const held = (): GuestMemory => {
    if (memory === undefined) throw new Error('no machine: reset comes first');
    return memory;
  };
  const settling = (): Settling => ({ libc, memory: held(), link, pid, bells: started, quiet: backEnd.quiet });
  const drop = (): void => {
    link?.close();
    link = undefined;
    live = false;
    ahead.forget();
    started.clear();
  };
  const connected = (): Link => {
    if (link === undefined) {
      link = openLink(libc, backEnd.address, held());
      if (backEnd.pid === 0) pid = link.pid;
      queues = link.bells.length;
    }
    return link;
  };
  const start = function* (which: ReadonlyMap<number, Ring>): Waits<void> {
    const to = connected();
    ahead.forget();
    yield* to.stop(
      [...which.keys()].filter((queue) => started.has(queue)),
      0,
    );
    to.start(accepted, which);
    for (const queue of which.keys()) {
      const bell = to.bells[queue];
      if (bell !== undefined) started.set(queue, bell);
    }
  };
  /** What a reset does to the writeback field: no message of vhost-user resets configuration, so that the front end writes what it read first. */
  const restore = function* (): Waits<void> {
    if (original === undefined) return;
    ahead.forget();
    if ((yield* config(writeback.size))?.[writeback.at] !== original) {
      connected().connection.post([setConfig(writeback.at, Uint8Array.of(original))]);
      yield* connected().connection.roundTrip();
    }
    original = undefined;
  };
  const stop = function* (): Waits<void> {
    live = false;
    rings.clear();
    accepted = 0n;
    // Stopping rings does not cure a back end that gave up on one (libvhost-user stays broken until the connection ends, and counts
    // a request that it dropped as in flight on the next ring of that queue), and there is no message for a device reset without
    // PROTOCOL_F_RESET_DEVICE: a reset that has to cure is a new connection.
    const cure = unproved.size > 0;
    unproved.clear();
    const bytes = yield* connected().stop([...started.keys()], original === undefined ? ahead.usual() : 0);
    started.clear();
    if (bytes !== undefined) ahead.give(bytes);
    if (cure) drop();
    connected();
    yield* restore();
  };
  const config = function* (size: number): Waits<Buffer | undefined> {
    const to = connected();
    if (!to.config || size > configSizeMax) return undefined;
    return configIn(yield* to.connection.ask('GET_CONFIG', getConfig(size)), size);
  };
  const ahead = readAhead(config);
  /** True once the process is seen dead; false once it is seen asleep, or was busy for a whole second. */
  const ended = (): boolean => {
    if (pid === 0) return false;
    const began = performance.now();
    while (performance.now() - began < 1000) {
      const rests = still(pid, () => true);
      if (rests !== false) return rests === 'ended';
    }
    return false;
  };
  /** What an earlier program left running must not write into the next one's memory. A closed connection is as good as a stop. */
  const halt = function* (): Waits<void> {
    const rest = function* (): Waits<void> {
      if (busy) yield* settle(settling(), { do: 'settle' }, new Set());
      busy = false;
    };
    try {
      yield* rest();
      if (memory !== undefined) yield* stop();
    } catch (error) {
      if (goneOf(error)?.gone !== 'closed') throw error;
      drop();
      yield* rest();
    }
  };

  const reset: FrontEnd['reset'] = function* (wanted, offered, largest) {
    yield* halt();
    if (memory?.size !== wanted.size) {
      drop();
      memory?.retire();
      memory = guestMemory(libc, wanted.size);
    }
    mask = offered;
    sizeMax = largest;
    yield* stop();
    held().fill(wanted.fill);
  };

  /** Whether what was waited for, and came, says that everything available on the ring is used. */
  const usedUp = (ring: Ring, wish: Settle): boolean =>
    wish.until?.some(({ at, value }) => at === ring.used + indexAt && value === held().word(ring.avail + indexAt)) === true;
  const settled = function* (wish: Settle): Waits<Answer> {
    ahead.forget();
    const called = new Set<number>();
    let by: Settled['by'] | 'ended';
    try {
      by = yield* settle(settling(), wish, called);
    } catch (error) {
      if (goneOf(error)?.gone !== 'closed') throw error;
      for (const [queue, bell] of started) if (bell.call.take()) called.add(queue);
      drop();
      by = yield* settle(settling(), wish, called);
    }
    if (by === 'ended') return { broke: 'the back end process ended' };
    if (by !== 'bound') busy = false;
    if (by === 'until') for (const [queue, ring] of rings) if (unproved.has(queue) && usedUp(ring, wish)) unproved.delete(queue);
    const saw: Observation[] = [];
    const writes = held().changes();
    if (writes !== undefined && writes.length > 0) saw.push({ saw: 'memory.changed', writes });
    for (const queue of [...called].sort((a, b) => a - b)) saw.push({ saw: 'interrupt', from: 'queue', queue });
    saw.push({ saw: 'settled', by: writes === undefined ? 'bound' : by });
    return { saw };
  };

  const act = function* (stimuli: readonly Stimulus[], which: number): Waits<Answer> {
    const s = stimuli[which] as Stimulus;
    switch (s.do) {
      case 'memory.write':
        return held().write(s.at, s.bytes) ? nothing : { unsupported: 'memory.write outside guest memory' };
      case 'virtq.notify': {
        const bell = started.get(s.queue);
        if (bell === undefined) return nothing;
        busy = true;
        ahead.forget();
        unproved.add(s.queue);
        bell.kick.signal();
        return nothing;
      }
      case 'settle':
        return yield* settled(s);
      case 'virtio.status.write':
        if (s.value === 0) yield* stop();
        else if ((s.value & DRIVER_OK) !== 0 && !live && link !== undefined) {
          live = true;
          yield* start(rings);
        }
        return nothing;
      case 'virtio.features.read':
        return link === undefined ? { unsupported: closed } : { saw: [{ saw: 'virtio.features', offered: link.features & mask }] };
      case 'virtio.features.write':
        accepted = s.accepted;
        return nothing;
      case 'virtio.config.read': {
        if (link === undefined) return { unsupported: closed };
        const bytes = (yield* ahead.read(stimuli, which))?.subarray(s.at, s.at + s.width);
        if (bytes === undefined) return { unsupported: 'the back end has no configuration there' };
        return { saw: [{ saw: 'virtio.config', at: s.at, bytes: new Uint8Array(bytes) }] };
      }
      case 'virtio.config.write':
        if (link === undefined) return nothing;
        ahead.forget();
        original ??= (yield* config(writeback.size))?.[writeback.at];
        link.connection.post([setConfig(s.at, s.bytes)]);
        yield* link.connection.roundTrip();
        return nothing;
      case 'virtq.read': {
        const exists = s.queue < queues;
        return { saw: [{ saw: 'virtq.state', queue: s.queue, sizeMax: exists ? sizeMax : 0, enabled: rings.has(s.queue) }] };
      }
      case 'virtq.set': {
        if (s.queue >= queues || s.size < 1 || s.size > sizeMax) return nothing;
        const ring = { size: s.size, desc: s.desc, avail: s.avail, used: s.used, base: s.base ?? 0 };
        rings.set(s.queue, ring);
        if (live) yield* start(new Map([[s.queue, ring]]));
        return nothing;
      }
      case 'virtio.status.read':
        return { unsupported: 'device status lies in the front end (no VHOST_USER_PROTOCOL_F_STATUS)' };
      default:
        return { unsupported: `${s.do} has no vhost-user counterpart` };
    }
  };

  return {
    features: () => connected().features,
    queues: () => queues,
    config: (size) => waited(config(size)),
    reset,
    apply: function* (stimuli, which) {
      try {
        return yield* act(stimuli, which);
      } catch (error) {
        const end = goneOf(error);
        if (end === undefined) throw error;
        drop();
        if (end.gone !== 'closed') return { broke: end.message };
        if (ended()) return { broke: 'the back end process ended' };
        return yield* act(stimuli, which);
      }
    },
    close: () => {
      drop();
      memory?.retire();
      memory = undefined;
    },
  };
};
