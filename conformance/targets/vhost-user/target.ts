// The targets `qsd` (a storage daemon of our own, its disk known) and `vhost-user:SOCKET` (somebody else's back end).
// Both are the same front end; they differ in who owns the disk and in what may be granted about it.

import type { Answer, Capability, Granted, Hello, MachineConfig, Target } from '../../../spec/units.ts';
import type { BlkMachine, VirtioMachine } from '../../../spec/virtio/vocabulary.ts';
import type { Stimulus } from '../../../spec/vocabulary.ts';
import { abreast, type Lane, type Waits, waited } from '../host/lanes.ts';
import { type Libc, loadLibc } from '../host/libc.ts';
import { probeHost } from '../host/probe.ts';
import { addressOf } from '../host/unix-socket.ts';
import { goneOf } from './connection.ts';
import { type FrontEnd, frontEnd } from './front-end.ts';
import { program, startStorageDaemon, type StorageDaemon, versionOf } from './storage-daemon.ts';

/** A machine that stands, or why it cannot. */
type Opened = { readonly front: FrontEnd; readonly blk: () => BlkMachine; readonly daemon?: StorageDaemon };

/** Read-only is a property of the disk: its bit cannot be masked away. VIRTIO 1.4, Block Device, Feature bits. */
const VIRTIO_BLK_F_RO = 1n << 5n;
const VIRTIO_BLK_F_FLUSH = 1n << 9n;
const VIRTIO_BLK_F_CONFIG_WCE = 1n << 11n;
/** What the front end lets through. Whether the disk is read-only the back end alone says; a cache mode is not offered without FLUSH (Block Device, Device Initialization). */
const maskOf = (offer: bigint): bigint =>
  ((offer & VIRTIO_BLK_F_FLUSH) === 0n ? offer & ~VIRTIO_BLK_F_CONFIG_WCE : offer) | VIRTIO_BLK_F_RO;
const VIRTIO_BLK_F_BLK_SIZE = 1n << 6n;
/** VIRTQUEUE_MAX_SIZE of libvhost-user. */
const queueSizeMax = 1024;
const memoryMax = 256 << 20;
const sectorsMax = 1 << 17;
/** Daemons that stay alive, least recently used first out: the suites of a block device have six kinds of disk. */
const poolSize = 12;
/** Programs side by side: while one daemon is at work, we are at work for the other. */
const lanesOf = 2;

const offers: readonly Capability[] = ['memory.seen', 'virtio.blk', 'virtio.interrupt.queue', 'virtq.base'];

const refusal = (machine: MachineConfig): string | undefined => {
  if (machine.bus !== 'none' && machine.bus !== 'vhost-user') return `bus ${machine.bus}: a vhost-user back end has none`;
  if (machine.virtio === undefined) return 'a machine without a virtio device';
  if (machine.memory < 4096 || machine.memory % 4096 !== 0 || machine.memory > memoryMax)
    return `${machine.memory} bytes of guest memory: a multiple of 4096 up to ${memoryMax} is possible`;
  if (machine.virtio.queueSizeMax > queueSizeMax) return `queues of ${machine.virtio.queueSizeMax} descriptors: ${queueSizeMax} at most`;
  return undefined;
};

const adapter = (
  hello: Hello,
  lanes: number,
  open: (virtio: VirtioMachine, lane: number) => Opened | { readonly unsupported: string },
  lost: (opened: Opened) => void,
  close: () => Promise<void>,
): Target => {
  const laneOf = (number: number, machine: MachineConfig): Lane => {
    let current: Opened | undefined;
    const forget = (opened: Opened): void => {
      lost(opened);
      current = undefined;
    };
    /** A back end that is dead, or left in the middle of something, is not used again. */
    const applied = function* (opened: Opened, stimuli: readonly Stimulus[], which: number): Waits<Answer> {
      try {
        const answer = yield* opened.front.apply(stimuli, which);
        if ('broke' in answer) forget(opened);
        return answer;
      } catch (error) {
        forget(opened);
        throw error;
      }
    };
    return {
      reset: function* () {
        current = undefined;
        const why = refusal(machine);
        if (why !== undefined || machine.virtio === undefined) return { unsupported: why ?? '' };
        const mask = maskOf(machine.virtio.offer);
        const { queueSizeMax: sizeMax } = machine.virtio;
        const opened = open(machine.virtio, number);
        if ('unsupported' in opened) return opened;
        try {
          yield* opened.front.reset({ size: machine.memory, fill: machine.fill }, mask, sizeMax);
          opened.daemon?.restore();
          const features = opened.front.features() & mask;
          const granted: Granted = {
            memory: { size: machine.memory, fill: machine.fill, seen: 'compared' },
            level: 'vhost-user',
            reset: 'device',
            offers: hello.offers,
            virtio: { device: 'blk', offer: features, queueSizeMax: sizeMax, queues: opened.front.queues(), blk: opened.blk() },
          };
          current = opened;
          return { granted };
        } catch (error) {
          const said = opened.daemon?.log() ?? '';
          lost(opened);
          const end = goneOf(error);
          if (end === undefined) {
            if (error instanceof Error && 'code' in error) return { broke: `the back end cannot be reached: ${error.message}` };
            throw error;
          }
          if (said !== '' && end.gone === 'closed') return { unsupported: `${hello.name} refused the machine: ${said}` };
          return { broke: end.message };
        }
      },
      applyAll: function* (stimuli) {
        const answers: Answer[] = [];
        for (let i = 0; i < stimuli.length; i++) {
          const answer: Answer = current === undefined ? { broke: 'no machine: reset comes first' } : yield* applied(current, stimuli, i);
          answers.push(answer);
          if ('broke' in answer) break;
        }
        return answers;
      },
    };
  };
  /** The lane of the verbs that do one thing at a time. */
  let alone: Lane | undefined;
  const applyAll = (stimuli: readonly Stimulus[]): readonly Answer[] =>
    alone === undefined ? [{ broke: 'no machine: reset comes first' }] : waited(alone.applyAll(stimuli));
  return {
    hello,
    reset: (machine) => {
      alone = laneOf(0, machine);
      return waited(alone.reset());
    },
    apply: (stimulus) => applyAll([stimulus])[0] ?? { broke: 'no answer' },
    applyAll,
    sideBySide: (machine, programs) => {
      alone = undefined;
      return abreast(
        Array.from({ length: lanes }, (_, number) => laneOf(number, machine)),
        programs,
      );
    },
    close,
  };
};

const ready = async (): Promise<Libc> => {
  const host = await probeHost();
  if (!host.ok) throw new Error(host.reason);
  return loadLibc();
};

/** Whether `qsd` can run here. */
export const probeQsd = async (): Promise<
  { readonly available: true; readonly detail: string } | { readonly available: false; readonly reason: string; readonly install?: string }
> => {
  const host = await probeHost();
  if (!host.ok) return { available: false, reason: host.reason };
  const found = versionOf();
  if ('version' in found) return { available: true, detail: `${program} ${found.version}, ${host.detail}` };
  return { available: false, reason: found.reason, install: 'apt-get install -y --no-install-recommends qemu-utils' };
};

/** Starts daemons as machines ask for them, one for each lane and shape of disk. */
export const qsdTarget = async (): Promise<Target> => {
  const libc = await ready();
  const found = versionOf();
  if ('reason' in found) throw new Error(found.reason);
  const pool = new Map<string, Opened & { readonly daemon: StorageDaemon }>();
  const closing = new Set<Promise<void>>();
  const dismiss = (key: string): void => {
    const opened = pool.get(key);
    if (opened === undefined) return;
    pool.delete(key);
    opened.front.close();
    const done = opened.daemon.close().finally(() => closing.delete(done));
    closing.add(done);
  };
  const open = (virtio: VirtioMachine, lane: number): Opened | { readonly unsupported: string } => {
    const { sectors, readOnly, blockSize } = virtio.blk;
    if (virtio.blk.disk !== 'pattern') return { unsupported: 'a disk of unknown content' };
    if (sectors < 1 || sectors > sectorsMax) return { unsupported: `a disk of ${sectors} sectors: 1 to ${sectorsMax} are possible` };
    const shape = { sectors, readOnly, blockSize, queues: virtio.queues };
    const key = `${lane} ${JSON.stringify(shape)}`;
    const known = pool.get(key);
    pool.delete(key);
    const opened =
      known ??
      (() => {
        const daemon = startStorageDaemon(libc, shape);
        const blk = { ...virtio.blk, serial: 'vhost_user_blk' }; // fixed in QEMU's block/export/vhost-user-blk-server.c
        return { daemon, front: frontEnd(libc, { address: daemon.address, pid: daemon.pid, quiet: 0 }), blk: () => blk };
      })();
    pool.set(key, opened);
    for (const oldest of pool.keys()) {
      if (pool.size <= poolSize) break;
      dismiss(oldest);
    }
    return opened;
  };
  const lost = (opened: Opened): void => {
    for (const [key, one] of pool) if (one === opened) dismiss(key);
  };
  const hello: Hello = { protocol: 1, name: 'qsd', version: found.version, offers: [...offers, 'disk.seen'] };
  return adapter(hello, lanesOf, open, lost, async () => {
    for (const key of pool.keys()) dismiss(key);
    await Promise.all(closing);
  });
};

/** What the back end's configuration space says. VIRTIO 1.4, Block Device, Device configuration layout. */
const stranger = (front: FrontEnd): BlkMachine => {
  const features = front.features();
  const capacity = front.config(8)?.readBigUInt64LE(0);
  if (capacity === undefined) throw new Error('the back end has no block device configuration');
  const blockSize = (features & VIRTIO_BLK_F_BLK_SIZE) === 0n ? undefined : front.config(24)?.readUInt32LE(20);
  return {
    disk: 'unknown',
    sectors: Number(capacity),
    readOnly: (features & VIRTIO_BLK_F_RO) !== 0n,
    blockSize: blockSize ?? 512,
    serial: '',
  };
};

/** A back end that listens on `path`; it serves one front end at a time. Rejects with the reason where there is none. */
export const vhostUserTarget = async (path: string): Promise<Target> => {
  const libc = await ready();
  const front = frontEnd(libc, { address: addressOf(path), pid: 0, quiet: 50 });
  try {
    waited(front.reset({ size: 4096, fill: 0 }, 0n, queueSizeMax));
    stranger(front);
  } catch (error) {
    front.close();
    const why = error instanceof Error ? error.message : String(error);
    const hint = goneOf(error)?.gone === 'late' ? ' (a back end serves one front end at a time: is another one connected?)' : '';
    throw new Error(`no vhost-user block device at ${path}: ${why}${hint}`);
  }
  const hello: Hello = { protocol: 1, name: 'vhost-user', version: 'unknown', offers };
  const opened: Opened = { front, blk: () => stranger(front) };
  return adapter(
    hello,
    1, // a back end serves one front end at a time
    () => opened,
    () => front.close(), // the next reset connects again
    async () => front.close(),
  );
};
