// What the register suites share: bringing the device to a stage of its life through the control plane, and one request there.
// Raw accesses only probe; whatever changes the device's life goes through the control plane, where every area sees it.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { accept, STATUS, T } from './bits.ts';
import { header } from './blk-requests.ts';
import type { Driver, Play, Setup } from './driver.ts';
import { acquaint, capacity, flush, negotiate, OK_SO_FAR, PLAIN, reset, setUpQueues, settle } from './driver.ts';
import { post } from './frame.ts';
import { publish } from './queue.ts';

export const STAGES = ['reset', 'driver', 'negotiated', 'enabled', 'live'] as const;
export type Stage = (typeof STAGES)[number];
export interface Raw {
  readonly d: Driver;
  stage: Stage;
}
export const reached = (r: Raw, stage: Stage): boolean => STAGES.indexOf(r.stage) >= STAGES.indexOf(stage);

/** From a reset up to `to`; stays where the device refuses. */
export function* stageTo(r: Raw, to: Stage, decline: number): Play<void> {
  const { d } = r;
  const setup: Setup = { ...PLAIN, decline, queues: 2 };
  r.stage = 'reset';
  if (!(yield* reset(d)) || to === 'reset') return;
  yield* acquaint(d);
  if (d.gone || d.offered === undefined) return;
  r.stage = 'driver';
  if (to === 'driver' || !(yield* negotiate(d, accept(d.offered, decline)))) return;
  r.stage = 'negotiated';
  if (to === 'negotiated') return;
  setUpQueues(d, setup);
  r.stage = 'enabled';
  if (to === 'live') {
    d.out.push({ do: 'virtio.status.write', value: OK_SO_FAR | STATUS.DRIVER_OK });
    d.live = true;
    r.stage = 'live';
  }
  yield* flush(d);
}

/** A read of sector 0, kicked by `raw` registers and then by the control plane, which only makes it a spurious kick. */
export function* request(r: Raw, queue: number, raw: (queue: number) => readonly Stimulus[]): Play<void> {
  const { d } = r;
  const q = d.queues[queue % Math.max(1, d.queues.length)];
  if (r.stage !== 'live' || q === undefined || q.stuck || capacity(d) < 1) return;
  if (!post(d, q, { readable: header(T.IN, 0, 0), writable: 513 }, { cuts: [], every: 0, table: 'direct', place: 'row' }, d.out)) return;
  publish(q, d.out);
  d.out.push(...raw(q.index));
  q.owed = true;
  yield* settle(d);
}
/** Changes the capacity, where the target can; `times` in a row, each time to another one. */
export const resize = (r: Raw, by: number, times = 1): boolean => {
  const disk = r.d.granted.virtio?.blk.sectors;
  if (r.stage !== 'live' || disk === undefined || !r.d.granted.offers.includes('host.resize')) return false;
  const per = Math.max(1, (r.d.granted.virtio?.blk.blockSize ?? 512) / 512); // a disk is a whole number of its blocks
  for (let i = times - 1; i >= 0; i--)
    r.d.out.push({ do: 'host.resize', sectors: Math.max(per, disk - (disk % per) + (by + (i % 2)) * per) });
  return true;
};
/** Queue numbers: existing, the first that is not, far beyond. */
export const selectable = (r: Raw, n: number): number => {
  const queues = r.d.granted.virtio?.queues ?? 1;
  return [0, queues - 1, queues, queues + 1, 64, 0x7fff, 0xffff][n % 7] as number;
};
/** Reads raw registers and gives what they said; fewer numbers where the target did not say. */
export function* ask(d: Driver, reads: readonly Stimulus[]): Play<readonly number[]> {
  yield* flush(d);
  d.raw = [];
  d.out.push(...reads);
  yield* flush(d);
  return d.raw;
}
