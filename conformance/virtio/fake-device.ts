// A scripted block device for the players' own tests: it completes everything with status 0, and complains about every
// rule a driver breaks. Not the reference: it keeps no disk, checks duties instead, and varies how it uses its freedom.

import type { Answer, Granted, MachineConfig } from '../../spec/units.ts';
import type { Observation, Stimulus } from '../../spec/vocabulary.ts';
import { bit, CONFIG, F, STATUS } from './bits.ts';
import { get16, gpa, put16, put32, put64 } from './bytes.ts';
import { fakeChains, type Piece } from './fake-chain.ts';

/** How the device uses its freedom. */
export interface Manner {
  /** Work waits for settle. */
  readonly lazy: boolean;
  /** Completes the latest first (never with IN_ORDER). */
  readonly backwards: boolean;
  /** Suppresses kicks as far as the rules allow. */
  readonly polling: boolean;
  /** With IN_ORDER, one used entry for a whole batch. */
  readonly batching: boolean;
  readonly refuses?: bigint;
}
interface FakeQueue {
  readonly size: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  taken: number;
  done: number;
  readonly pending: { head: number; pieces: Piece[]; slots: number[] }[];
  readonly outstanding: Set<number>;
}
export interface FakeDevice {
  readonly granted: Granted;
  readonly complaints: readonly string[];
  /** Complaints since the last reset. */
  complaintsNow(): readonly string[];
  /** Requests made available and not completed. */
  pending(): number;
  /** Requests completed, as `type:bytes readable/bytes writable`. */
  readonly completed: readonly string[];
  apply(s: Stimulus): Answer;
}

const u16 = (n: number): number => n & 0xffff;

export const fakeDevice = (machine: MachineConfig, offers: Granted['offers'], manner: Manner): FakeDevice => {
  const virtio = machine.virtio;
  if (virtio === undefined) throw new Error('a fake block device needs a virtio machine');
  const memory = new Uint8Array(machine.memory).fill(machine.fill);
  const config = new Uint8Array(128);
  put64(config, 0, virtio.blk.sectors);
  put32(config, 8, 1 << 16);
  put32(config, 12, 6);
  put16(config, 34, virtio.queues);
  for (const at of [36, 48, 60]) put32(config, at, 16);
  for (const at of [40, 52, 64]) put32(config, at, 2);
  const complaints: string[] = [];
  const completed: string[] = [];
  /** After a complaint nothing more is done until a reset. */
  let dead = false;
  let forgiven = 0;
  const complain = (why: string): void => {
    complaints.push(why);
    dead = true;
  };
  let status = 0;
  let accepted = 0n;
  let queues: (FakeQueue | undefined)[] = [];
  let changed: { at: number; bytes: Uint8Array }[] = [];
  let interrupted = false;

  const put = (at: number, bytes: Uint8Array): void => {
    memory.set(bytes, at);
    changed.push({ at, bytes });
  };
  const putWord = (at: number, value: number): void => {
    const bytes = new Uint8Array(2);
    put16(bytes, 0, value);
    put(at, bytes);
  };
  const has = (f: number): boolean => (accepted & bit(f)) !== 0n;

  const { follow, checkRequest } = fakeChains({ memory, config, has, complain, dead: () => dead, completed });
  const fetch = (q: FakeQueue): void => {
    if (dead) return;
    const idx = get16(memory, q.avail + 2);
    if (u16(idx - q.taken) > q.size) complain('avail idx jumped');
    // With EVENT_IDX the driver owes 0, but the device has to ignore bit 0 all the same: programs set it to see that.
    if (get16(memory, q.avail) > 1) complain('avail flags that are not allowed');
    for (; q.taken !== idx && !dead; q.taken = u16(q.taken + 1)) {
      const head = get16(memory, q.avail + 4 + 2 * (q.taken % q.size));
      if (head >= q.size) complain('a head out of range');
      const chain = follow(q, head);
      for (const s of chain.slots) {
        if (q.outstanding.has(s)) complain('a descriptor that is outstanding');
        q.outstanding.add(s);
      }
      if (dead) return;
      checkRequest(chain.pieces);
      for (const p of chain.pieces) {
        for (const other of q.pending) {
          for (const o of other.pieces) if (p.at < o.at + o.length && o.at < p.at + p.length) complain('buffers overlap');
        }
      }
      q.pending.push({ head, ...chain });
    }
    if (manner.polling && !has(F.EVENT_IDX)) putWord(q.used, 1);
    if (has(F.EVENT_IDX)) putWord(q.used + 4 + 8 * q.size, manner.polling ? u16(q.taken + 2) : q.taken);
  };
  const complete = (q: FakeQueue): void => {
    if (dead) return;
    const batch = q.pending.splice(0);
    if (manner.backwards && !has(F.IN_ORDER)) batch.reverse();
    const from = q.done;
    batch.forEach((r, i) => {
      const status_ = r.pieces[r.pieces.length - 1];
      if (status_ !== undefined) put(status_.at + status_.length - 1, Uint8Array.of(0));
      const entry = new Uint8Array(8);
      put32(entry, 0, r.head);
      put32(entry, 4, 1);
      const skipped = has(F.IN_ORDER) && manner.batching && i < batch.length - 1;
      if (!skipped) put(q.used + 4 + 8 * ((has(F.IN_ORDER) && manner.batching ? from : q.done) % q.size), entry);
      q.done = u16(q.done + 1);
      for (const s of r.slots) q.outstanding.delete(s);
    });
    if (batch.length === 0) return;
    putWord(q.used + 2, q.done);
    const event = get16(memory, q.avail + 4 + 2 * q.size);
    interrupted ||= has(F.EVENT_IDX) ? u16(q.done - event - 1) < u16(q.done - from) : (get16(memory, q.avail) & 1) === 0;
  };
  const work = (onlyPolled: boolean): void => {
    if (dead || (status & STATUS.DRIVER_OK) === 0) return;
    for (const q of queues) {
      if (q === undefined) continue;
      if (!onlyPolled || manner.polling) fetch(q);
      complete(q);
    }
  };
  const writeStatus = (value: number): void => {
    if (value === 0) {
      status = 0;
      accepted = 0n;
      queues = [];
      dead = false;
      forgiven = complaints.length;
      return;
    }
    if ((value & status) !== status) complain('a status bit was cleared');
    if ((value & STATUS.FEATURES_OK) !== 0 && (status & STATUS.FEATURES_OK) === 0) {
      if (status !== 3) complain('FEATURES_OK out of turn');
      if ((accepted & ~virtio.offer) !== 0n) complain('features that were not offered');
      if ((accepted & (manner.refuses ?? 0n)) !== 0n) {
        status = value & ~STATUS.FEATURES_OK;
        return;
      }
    }
    if ((value & STATUS.DRIVER_OK) !== 0 && (status & STATUS.FEATURES_OK) === 0) complain('DRIVER_OK without FEATURES_OK');
    status = value;
  };
  const act = (s: Stimulus): readonly Observation[] | undefined => {
    switch (s.do) {
      case 'memory.write': {
        const at = Number(s.at);
        if (at + s.bytes.length > memory.length) complain('a write outside memory');
        for (const q of queues) {
          if (q === undefined) continue;
          const ends = at + s.bytes.length;
          for (let slot = 0; slot < q.size; slot++) {
            const d = q.desc + 16 * slot;
            if (q.outstanding.has(slot) && at < d + 16 && d < ends) complain('an outstanding descriptor was rewritten');
          }
          for (const r of q.pending) {
            for (const p of r.pieces) if (at < p.at + p.length && p.at < ends) complain('an outstanding buffer was rewritten');
          }
          if (at < q.used + 6 + 8 * q.size && q.used < ends) complain('the used ring was written');
        }
        memory.set(s.bytes.subarray(0, Math.max(0, memory.length - at)), at);
        if (manner.polling && !manner.lazy) work(true);
        return [];
      }
      case 'settle': {
        for (const q of queues) {
          if (dead || q === undefined || (status & STATUS.DRIVER_OK) === 0) continue;
          const idx = get16(memory, q.avail + 2);
          const wanted = has(F.EVENT_IDX)
            ? u16(idx - get16(memory, q.used + 4 + 8 * q.size) - 1) < u16(idx - q.taken)
            : (get16(memory, q.used) & 1) === 0;
          if (idx !== q.taken && wanted && !manner.polling) complain('no kick though one was asked for');
        }
        work(false);
        for (const u of dead ? [] : (s.until ?? []))
          if (get16(memory, Number(u.at)) !== u.value) complain('until names a value that does not come');
        if (!dead && (s.until?.length ?? 0) > 0 && s.interrupt === true && !interrupted)
          complain('an interrupt is expected that does not come');
        interrupted = false;
        return [{ saw: 'settled', by: 'sync' }];
      }
      case 'virtio.status.write':
        writeStatus(s.value);
        return [];
      case 'virtio.status.read':
        return [{ saw: 'virtio.status', value: status }];
      case 'virtio.features.read':
        if ((status & STATUS.DRIVER) === 0) complain('features before DRIVER');
        return [{ saw: 'virtio.features', offered: virtio.offer }];
      case 'virtio.features.write':
        if ((status & STATUS.FEATURES_OK) !== 0 || (status & STATUS.DRIVER) === 0) complain('features written out of turn');
        accepted = s.accepted;
        return [];
      case 'virtio.config.read': {
        const field = CONFIG.find((f) => f.at === s.at);
        if (field === undefined || field.width !== s.width) complain('config at an unnatural width');
        else if (field.feature >= 0 && (virtio.offer & bit(field.feature)) === 0n) complain('an absent config field');
        if (s.at === 32 && (status & STATUS.FEATURES_OK) === 0) complain('writeback before FEATURES_OK');
        return [{ saw: 'virtio.config', at: s.at, bytes: config.slice(s.at, s.at + s.width) }];
      }
      case 'virtio.config.write':
        if (s.at !== 32 || !has(F.CONFIG_WCE) || (s.bytes[0] ?? 2) > 1) complain('a config write that is not writeback');
        return [];
      case 'virtio.generation.read':
        return [{ saw: 'virtio.generation', value: 1 }];
      case 'virtq.read':
        return [
          {
            saw: 'virtq.state',
            queue: s.queue,
            sizeMax: s.queue < virtio.queues ? virtio.queueSizeMax : 0,
            enabled: queues[s.queue] !== undefined,
          },
        ];
      case 'virtq.set': {
        const [desc, avail, used] = [Number(s.desc), Number(s.avail), Number(s.used)];
        if ((status & STATUS.FEATURES_OK) === 0 || (status & STATUS.DRIVER_OK) !== 0) complain('a queue set up out of turn');
        if (s.queue >= (has(F.MQ) ? virtio.queues : 1)) complain('a queue that is not there');
        if (desc % 16 !== 0 || avail % 2 !== 0 || used % 4 !== 0) complain('a ring part out of alignment');
        if (Math.max(desc + 16 * s.size, avail + 6 + 2 * s.size, used + 6 + 8 * s.size) > memory.length)
          complain('a ring part outside memory');
        if (s.size > virtio.queueSizeMax || s.size < 1 || (s.size & (s.size - 1)) !== 0) complain('a queue size that is not allowed');
        const base = s.base ?? 0;
        if (get16(memory, used) !== 0) complain('used flags are not 0');
        queues[s.queue] = {
          size: s.size,
          desc,
          avail,
          used,
          taken: base,
          done: base,
          pending: [],
          outstanding: new Set(),
        };
        return [];
      }
      case 'virtq.notify': {
        if ((status & STATUS.DRIVER_OK) === 0) complain('a kick before DRIVER_OK');
        const q = queues[s.queue];
        if (q === undefined) complain('a kick for a queue that is not there');
        else {
          fetch(q);
          if (!manner.lazy) complete(q);
        }
        return [];
      }
      case 'host.resize':
        put64(config, 0, s.sectors);
        return [];
      default:
        return undefined;
    }
  };
  return {
    complaints,
    complaintsNow: () => complaints.slice(forgiven),
    pending: () => queues.reduce((n, q) => n + (q === undefined ? 0 : q.pending.length + u16(get16(memory, q.avail + 2) - q.taken)), 0),
    completed,
    granted: {
      memory: { size: machine.memory, fill: machine.fill, seen: 'ordered' },
      level: 'queue',
      reset: 'device',
      offers,
      virtio,
    },
    apply: (s) => {
      changed = [];
      const saw = act(s);
      if (saw === undefined) return { unsupported: s.do };
      if (changed.length === 0) return { saw };
      return { saw: [{ saw: 'memory.changed', writes: changed.map((w) => ({ at: gpa(w.at), bytes: w.bytes })) }, ...saw] };
    },
  };
};
