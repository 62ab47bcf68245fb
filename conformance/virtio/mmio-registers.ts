// One life of a virtio-mmio device by its registers alone: reset seen through, features, one queue, a request, a new capacity, reset again.
// Only where nobody else touches registers do they have to read as written; the control plane takes over afterwards.

import type { Stimulus } from '../../spec/vocabulary.ts';
import { accept, F, T } from './bits.ts';
import { header } from './blk-requests.ts';
import { flush, has } from './driver.ts';
import type { Driver, Play } from './driver.ts';
import { post } from './frame.ts';
import { queueState, R, read, write } from './mmio-player.ts';
import { layOut, publish, type Queue } from './queue.ts';
import { ask, type Raw, stageTo } from './raw.ts';
import { placeRings } from './rings.ts';

export interface MmioRegisters {
  readonly op: 'registers';
  readonly decline: number;
  /** Whether the queue is made ready; if not, notifications find nothing. */
  readonly ready: boolean;
  readonly acknowledge: boolean;
  readonly by: number;
}
const settled: Stimulus = { do: 'settle' };
const atRest = (r: Raw): readonly Stimulus[] => [
  write(R.Status, 0),
  settled,
  read(R.Status),
  read(R.InterruptStatus),
  ...queueState(r, 0),
  ...queueState(r, 1),
  ...queueState(r, 2),
];
const address = (at: number, value: number): readonly Stimulus[] => [write(at, value), write(at + 4, 0)];

const acknowledged = (bits: number): readonly Stimulus[] => [write(R.InterruptACK, bits), read(R.InterruptStatus)];
/** A read of sector 0 made available, where there is room, and a notification, and a look at what became of it. */
function* kickOne(d: Driver, q: Queue, look: readonly Stimulus[]): Play<void> {
  if (post(d, q, { readable: header(T.IN, 0, 0), writable: 513 }, { cuts: [], every: 0, table: 'direct', place: 'row' }, d.out))
    publish(q, d.out);
  d.out.push(write(R.QueueNotify, 0), settled, ...look);
  yield* flush(d);
}

export function* registers(r: Raw, c: MmioRegisters): Play<void> {
  const { d } = r;
  const sizeMax = d.sizeMax[0] ?? d.granted.virtio?.queueSizeMax ?? 0;
  yield* stageTo(r, 'reset', 0);
  if (d.gone) return;
  d.out.push(...atRest(r), write(R.Status, 1), write(R.Status, 3));
  yield* flush(d);
  const offer = yield* ask(
    d,
    [0, 1].flatMap((half) => [write(R.DeviceFeaturesSel, half), read(R.DeviceFeatures)]),
  );
  d.accepted = accept(BigInt(offer[0] ?? 0) | (BigInt(offer[1] ?? 0) << 32n), c.decline);
  for (const half of [0, 1])
    d.out.push(write(R.DriverFeaturesSel, half), write(R.DriverFeatures, Number((d.accepted >> BigInt(32 * half)) & 0xffff_ffffn)));
  d.out.push(write(R.Status, 11), read(R.Status), write(R.QueueSel, 0), read(R.QueueSizeMax), read(R.QueueReady));

  const size = Math.min(sizeMax, 8);
  const rings = placeRings(d.memory, size, 'packed');
  if (sizeMax < 2 || rings === undefined) return;
  const q = layOut(0, size, rings, { base: 0, eventIdx: has(d, F.EVENT_IDX), inOrder: has(d, F.IN_ORDER), lifo: false }, d.out);
  d.out.push(
    write(R.QueueSize, size),
    ...address(R.QueueDescLow, rings.desc),
    ...address(R.QueueDriverLow, rings.avail),
    ...address(R.QueueDeviceLow, rings.used),
    ...(c.ready ? [write(R.QueueReady, 1)] : []),
    read(R.QueueReady),
    ...queueState(r, 1),
    write(R.QueueSel, 0),
    write(R.Status, 15),
    read(R.Status),
    settled,
    read(R.InterruptStatus),
  );
  // Told to this player's answers too, so that used descriptors are free again.
  d.queues = [q];
  const look = [read(R.InterruptStatus), read(R.InterruptStatus)];
  const acknowledge = c.acknowledge ? [write(R.InterruptACK, 3), read(R.InterruptStatus)] : [];
  yield* kickOne(d, q, [...look, ...acknowledge]);
  const sectors = d.granted.offers.includes('host.resize') ? d.granted.virtio?.blk.sectors : undefined;
  if (sectors !== undefined) {
    const config = [read(R.Config), read(R.Config + 4), read(R.ConfigGeneration)];
    d.out.push(...config, { do: 'host.resize', sectors: Math.max(1, sectors + c.by) }, settled, ...look, ...acknowledge, ...config);
  }
  // Both events may stand by now: each is acknowledged on its own, and the other one stays, or joins the one that stands.
  if (!c.acknowledge) d.out.push(...acknowledged(1));
  if (!c.acknowledge && sectors !== undefined) d.out.push({ do: 'host.resize', sectors }, settled, ...look);
  yield* kickOne(d, q, look);
  d.out.push(...(c.acknowledge ? [] : [...acknowledged(2), ...acknowledged(1)]));
  // A queue is stopped by writing 0, which must read back before its memory is used for something else; then nobody looks for its buffers.
  d.out.push(write(R.QueueSel, 0), write(R.QueueReady, 0), read(R.QueueReady), settled);
  yield* kickOne(d, q, []);
  d.out.push(...atRest(r));
  yield* flush(d);
  yield* stageTo(r, 'reset', 0);
}
