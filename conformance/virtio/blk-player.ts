// Lowers virtio.blk choices one by one to stimuli, against what the driver saw. A choice that fits nothing does nothing.
// Everything lowered here is legal except the one `violate` that violations.ts handles.

import type { Granted } from '../../spec/units.ts';
import type { Player } from '../program.ts';
import { CONFIG, F } from './bits.ts';
import type { BlkChoice, InitChoice } from './blk-choices.ts';
import { command, erase, ERASE, transfer, unknown } from './blk-requests.ts';
import { get32 } from './bytes.ts';
import type { Driver, Play, Setup } from './driver.ts';
import { capacity, driver, flush, has, initialise, kick, offers, PLAIN, settle } from './driver.ts';
import type { Framing, Request } from './frame.ts';
import { post } from './frame.ts';
import type { Queue } from './queue.ts';
import { publish, suppress } from './queue.ts';
import { violate } from './violations.ts';

type PostedChoice = Extract<BlkChoice, { readonly then: unknown }>;

const queueOf = (d: Driver, n: number): Queue | undefined => {
  const q = d.queues[n % Math.max(1, d.queues.length)];
  return d.live && q !== undefined && !q.stuck ? q : undefined;
};
const idle = (d: Driver): boolean => d.queues.every((q) => q.flying.length === 0);

/** Limits are read once, before the first request that must keep them. */
function* learnLimits(d: Driver, c: PostedChoice): Play<void> {
  if (c.op !== 'erase') return;
  const kind = ERASE[c.kind];
  if (!has(d, kind.feature) || get32(d.config, kind.segments) !== 0) return;
  d.out.push({ do: 'virtio.config.read', at: kind.sectors, width: 4 }, { do: 'virtio.config.read', at: kind.segments, width: 4 });
  yield* flush(d);
}

const requestOf = (d: Driver, c: PostedChoice, copy: number): Request => {
  switch (c.op) {
    case 'transfer':
      return transfer(d, c, copy);
    case 'command':
      return command(c.kind);
    case 'erase':
      return erase(d, c, copy);
    case 'unknown':
      return unknown(c);
  }
};

const EARLY: Framing = { cuts: [], every: 0, table: 'direct', place: 'row' };

function* postAll(d: Driver, c: PostedChoice): Play<void> {
  const q = queueOf(d, c.queue);
  if (q === undefined || capacity(d) < 1) return;
  yield* learnLimits(d, c);
  const copies = c.times === 0 ? q.size : c.times;
  for (let copy = 0; copy < copies; copy++) {
    if (post(d, q, requestOf(d, c, copy), c, d.out)) continue;
    if (copy > 0 || idle(d)) break;
    yield* settle(d);
    if (d.gone || q.stuck || !post(d, q, requestOf(d, c, copy), c, d.out)) break;
  }
  if (c.then === 'settle') {
    yield* settle(d);
    if (c.op === 'erase' && !d.gone && !q.stuck && post(d, q, transfer(d, { ...c, op: 'transfer', way: 'in' }, 0), EARLY, d.out))
      yield* settle(d);
  } else if (c.then !== 'hold') {
    publish(q, d.out);
    if (c.then === 'kick') yield* kick(d);
  }
}

/** Requests in the ring before DRIVER_OK: the device must leave them alone until then. */
function* offerEarly(d: Driver, count: number): Play<void> {
  const q = d.queues[0];
  if (q === undefined || capacity(d) < 1) return;
  for (let i = 0; i < count; i++) post(d, q, command('get-id'), EARLY, d.out);
  publish(q, d.out);
  d.out.push({ do: 'settle' });
  yield* flush(d);
}

function* init(d: Driver, c: InitChoice | Setup): Play<void> {
  const early = 'early' in c ? c.early : 0;
  yield* initialise(d, c, early === 0 ? undefined : (it) => offerEarly(it, early));
}

const lookAt = (d: Driver, at: 'status' | 'features' | 'queue' | 'generation', n: number): void => {
  if (at === 'status' && d.seesStatus) d.out.push({ do: 'virtio.status.read' });
  if (at === 'features') d.out.push({ do: 'virtio.features.read' });
  if (at === 'queue') d.out.push({ do: 'virtq.read', queue: n });
  if (at === 'generation' && d.seesGeneration) d.out.push({ do: 'virtio.generation.read' });
};

/** Reads a field that is there, between two looks at the generation where it can be seen. */
const readConfig = (d: Driver, n: number): void => {
  if (n % (CONFIG.length + 1) === CONFIG.length) return CONFIG.forEach((_, i) => readConfig(d, i));
  const field = CONFIG[n % (CONFIG.length + 1)];
  if (field === undefined || !offers(d, field.feature) || (field.feature === F.CONFIG_WCE && !has(d, F.CONFIG_WCE))) return;
  if (d.seesGeneration) d.out.push({ do: 'virtio.generation.read' });
  d.out.push({ do: 'virtio.config.read', at: field.at, width: field.width });
  if (d.seesGeneration) d.out.push({ do: 'virtio.generation.read' });
};

/** Changes the capacity while nothing is in flight, and takes note of it as the text recommends. */
function* resize(d: Driver, by: number): Play<void> {
  const disk = d.granted.virtio?.blk.sectors;
  if (!d.live || disk === undefined || !d.granted.offers.includes('host.resize')) return;
  yield* settle(d);
  if (!idle(d)) return;
  // A disk is a whole number of its blocks.
  const per = Math.max(1, (d.granted.virtio?.blk.blockSize ?? 512) / 512);
  const sectors = Math.max(per, Math.min(disk + by * per, disk * 2) - (Math.min(disk + by * per, disk * 2) % per));
  d.out.push({ do: 'host.resize', sectors }, { do: 'settle', interrupt: sectors !== capacity(d) });
  readConfig(d, 0);
  yield* flush(d);
}

function* lower(d: Driver, c: BlkChoice): Play<void> {
  if (c.op === 'init') return yield* init(d, c);
  if (c.op === 'violate') return yield* violate(d, c.duty, c.n);
  if (!d.live) return;
  switch (c.op) {
    case 'settle':
      return yield* settle(d);
    case 'kick': {
      const q = queueOf(d, c.queue);
      if (q !== undefined) d.out.push({ do: 'virtq.notify', queue: q.index });
      return;
    }
    case 'suppress': {
      const q = queueOf(d, c.queue);
      if (q !== undefined) suppress(q, c.quiet, c.distance, d.out);
      return;
    }
    case 'look':
      return lookAt(d, c.at, c.queue);
    case 'config':
      return readConfig(d, c.field);
    case 'writeback':
      if (!has(d, F.CONFIG_WCE)) return;
      d.out.push({ do: 'virtio.config.read', at: 32, width: 1 }, { do: 'virtio.config.write', at: 32, bytes: Uint8Array.of(c.value) });
      d.out.push({ do: 'virtio.config.read', at: 32, width: 1 });
      return;
    case 'resize':
      return yield* resize(d, c.by);
    default:
      return yield* postAll(d, c);
  }
}

export function* playBlk(choices: readonly BlkChoice[], granted: Granted): Player<BlkChoice> {
  const d = driver(granted);
  if (choices[0]?.op !== 'init') yield* init(d, PLAIN) as Player<BlkChoice>;
  for (const c of choices) {
    if (d.gone) return;
    d.plan = c;
    yield* lower(d, c) as Player<BlkChoice>;
    yield* flush(d) as Player<BlkChoice>;
    d.plan = undefined;
  }
  yield* settle(d) as Player<BlkChoice>;
  if (d.seesStatus && d.live) d.out.push({ do: 'virtio.status.read' });
  yield* flush(d) as Player<BlkChoice>;
}
